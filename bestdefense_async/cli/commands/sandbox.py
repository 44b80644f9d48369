"""`bestdefense sandbox`: the stand-in server, to try everything against."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import click

from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.grammar import Command
from bestdefense_async.cli.terminal import streams
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from typing import TextIO


class _ForPeople:
    """A stream that makes of the line of JSON what a person types next."""

    def write(self, line: str) -> int:
        """Write what to type."""
        import json

        said = json.loads(line)
        form = '$env:{} = "{}"' if os.name == "nt" else "export {}={}"
        lines = [
            "The sandbox is ready, until Ctrl-C. In another terminal:",
            "  " + form.format("BD_BASE_URL", said["url"]),
            "  " + form.format("BD_API_TOKEN", said["token"]),
            "  bestdefense scan --all --fail-on high",
        ]
        if "control_token" in said:
            lines.append(f"The token of the control routes is {said['control_token']}.")
        streams.put("\n".join(lines) + "\n")
        return len(line)

    def flush(self) -> None:
        """Do nothing: `write` has flushed."""


_SCENARIOS = ("clean", "mixed", "outage", "throttled", "slow", "hostile", "drift")


class _Scenario(click.Choice[str]):
    """A scenario by its name, or a scenario file by its path."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value if value.endswith(".toml") else super().convert(value, param, ctx)


@click.command("sandbox", cls=Command)
@click.option(
    "--port", type=params.count(0, 65_535), help="Port; 0 takes a free one.  [default: 0]"
)
@click.option("--sites", type=params.count(0, 200_000), help="Seeded sites.  [default: 200]")
@click.option("--seed", type=params.count(), help="Decides all that is made up.  [default: 1]")
@click.option(
    "--speed",
    type=params.count(1, 100_000),
    help="Seconds of a scan in each second.  [default: 60]",
)
@click.option(
    "--scenario",
    type=_Scenario(_SCENARIOS),
    metavar=f"[{'|'.join(_SCENARIOS)}|FILE.toml]",
    help="What goes on.  [default: clean]",
)
@click.option("--control", is_flag=True, default=None, help="Serve control routes for tests.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--allow-remote", is_flag=True, default=None, help="Permit a --host that others can reach."
)
def command(**options: object) -> int:
    """Serve a stand-in for the API on this machine until Ctrl-C.

    The first line printed is JSON: {"url": ..., "token": ...}; on a terminal it is what to type in
    another one. A scenario file holds sites with the findings planted on them, organizations,
    limits and faults; options win over it.
    """
    import sys

    from bestdefense_async.sandbox import serve

    streams.require_stdout()
    problem = ""
    try:
        given: Any = {name: value for name, value in options.items() if value is not None}
        return serve(out=cast("TextIO", _ForPeople()) if sys.stdout.isatty() else None, **given)
    except BrokenPipeError:
        raise streams.ReaderGone from None
    except (OSError, ValueError) as error:
        problem = str(error)
    raise ConfigError(f"The sandbox cannot start: {problem}")
