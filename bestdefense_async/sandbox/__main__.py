"""`python -m bestdefense_async.sandbox`: the stand-in server as a process."""

from __future__ import annotations

import argparse
import sys

from bestdefense_async.sandbox.server.serving import serve
from bestdefense_async.sandbox.world.settings import Settings
from bestdefense_async.sandbox.world.specs import SCENARIOS

_USUAL = Settings()
_VALUES = ["host", "port", "seed", "sites", "speed", "policy", "retry_after", "plan"]
_VALUES += ["credits", "visible_after"]
_FLAGS = ("rate_headers", "percentage", "control", "allow_remote")


def _parser() -> argparse.ArgumentParser:
    # What is not given is not set, so that a scenario file may say it.
    parser = argparse.ArgumentParser(
        prog="python -m bestdefense_async.sandbox",
        description="Serve a stand-in for the BestDefense API; the first line printed is JSON."
        " The options are settings of `Sandbox`, which describes them.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--scenario", help=f"{', '.join(SCENARIOS)}, or a scenario file (TOML)")
    for name in _VALUES:
        usual = getattr(_USUAL, name)
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(usual), help=f"{usual} as usual")
    for name in _FLAGS:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, action=argparse.BooleanOptionalAction)
    return parser


def main() -> int:
    """Serve as the command line says; 0 after a signal, 2 when it cannot start."""
    options = vars(_parser().parse_args())
    try:
        return serve(**options)
    except (ValueError, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)  # noqa: T201 -- this is a program
        return 2


if __name__ == "__main__":
    sys.exit(main())
