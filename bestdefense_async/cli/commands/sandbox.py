"""`bestdefense sandbox`: the stand-in server, to try everything against."""

from __future__ import annotations

import click

from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.grammar import Command
from bestdefense_async.cli.terminal import streams
from bestdefense_async.errors import ConfigError

_SCENARIOS = ("clean", "mixed", "outage", "throttled", "slow", "hostile", "drift")


@click.command("sandbox", cls=Command)
@click.option("--port", type=params.count(0, 65_535), default=0, help="Port; 0 takes a free one.")
@click.option("--sites", type=params.count(0, 200_000), default=200, show_default=True)
@click.option("--seed", type=params.count(), default=1, show_default=True)
@click.option(
    "--speed",
    type=params.count(1, 100_000),
    default=60,
    show_default=True,
    help="Scan seconds that pass in a second.",
)
@click.option("--scenario", type=click.Choice(_SCENARIOS), default="clean", show_default=True)
@click.option("--control", is_flag=True, help="Serve control routes for faults and the ledger.")
def command(port: int, sites: int, seed: int, speed: int, scenario: str, *, control: bool) -> int:
    """Serve a stand-in for the API on this machine until Ctrl-C.

    The first line printed is JSON: {"url": ..., "token": ...}.
    """
    from bestdefense_async.sandbox import serve

    streams.require_stdout()
    problem = ""
    try:
        return serve(
            port=port,
            sites=sites,
            seed=seed,
            speed=float(speed),
            scenario=scenario,
            control=control,
        )
    except BrokenPipeError:
        raise streams.ReaderGone from None
    except (OSError, ValueError) as error:
        problem = str(error)
    raise ConfigError(f"The sandbox cannot start: {problem}")
