"""`python -m bestdefense_async.sandbox`: the stand-in server as a process."""

from __future__ import annotations

import argparse
import sys

from bestdefense_async.sandbox.server.sandbox import serve
from bestdefense_async.sandbox.settings import Settings
from bestdefense_async.sandbox.world.scenarios import SCENARIOS

_DEFAULT = Settings()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bestdefense_async.sandbox",
        description="Serve a stand-in for the BestDefense API; the first line printed is JSON.",
    )
    add = parser.add_argument
    add("--host", default=_DEFAULT.host, help="address to listen on (%(default)s)")
    add("--port", type=int, default=_DEFAULT.port, help="0 takes any free port (%(default)s)")
    add("--seed", type=int, default=_DEFAULT.seed, help="decides everything made up (%(default)s)")
    add("--sites", type=int, default=_DEFAULT.sites, help="size of the fleet (%(default)s)")
    add(
        "--speed",
        type=float,
        default=_DEFAULT.speed,
        help="scan seconds in one second (%(default)s)",
    )
    add("--scenario", choices=SCENARIOS, default=_DEFAULT.scenario, help="(%(default)s)")
    add("--policy", default=_DEFAULT.policy, help="how limits count (%(default)s)")
    add("--retry-after", default=_DEFAULT.retry_after, help="hint of a 429 (%(default)s)")
    add("--rate-headers", action="store_true", help="tell limits on every answer")
    add("--plan", default=_DEFAULT.plan, help="starter or growth (%(default)s)")
    add("--visible-after", type=float, default=_DEFAULT.visible_after, help="(%(default)s)")
    add("--no-percentage", dest="percentage", action="store_false", help="document keys only")
    add("--control", action="store_true", help="serve the control routes below /_sandbox")
    add("--allow-remote", action="store_true", help="permit an address others can reach")
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
