"""`bestdefense spec`: what the host itself says about its API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMAT, emit

if TYPE_CHECKING:
    from bestdefense_async.cli.options.params import Command


def _source(function: Command) -> Command:
    return click.option(
        "--from",
        "source",
        metavar="URL|FILE|-",
        help="Where the specification is, in place of asking the host. "
        "The token goes to the host of the API only.",
    )(function)


@click.group("spec", cls=Group)
def command() -> None:
    """Compare the host's own specification with ours, and adopt it.

    Some operations of the API are described by the vendor, but their paths are not published. They
    are not sent to a host until its specification, or you, have named their paths.
    """


@command.command("show", cls=ApiCommand)
@_source
@connected
@FORMAT
def show(source: str | None, format_: str, connection: Connection) -> int:
    """List our operations and their paths on this host, certain or probable."""
    streams.require_stdout()
    from bestdefense_async.cli.jobs import spec_adoption

    return run_async(lambda _: spec_adoption.show(connection, source, format_))


@command.command("check", cls=ApiCommand)
@_source
@connected
@FORMAT
def check(source: str | None, format_: str, connection: Connection) -> int:
    """Compare paths, methods and fields; exit 1 on a contradiction.

    An unpublished operation that is not at our path is `not found`, which is no contradiction;
    `spec adopt` looks for it elsewhere.
    """
    streams.require_stdout()
    from bestdefense_async.cli.jobs import spec_adoption

    return run_async(lambda _: spec_adoption.check(connection, source, format_))


@command.command("adopt", cls=ApiCommand)
@_source
@click.option(
    "-y", "--yes", is_flag=True, help="Take every reading operation that is sure, without asking."
)
@click.option(
    "--bind",
    "named",
    metavar="NAME=METHOD PATH",
    multiple=True,
    help="Name the path of an operation yourself, like schedules.create='POST /api/v2/schedules'.",
)
@click.option(
    "--set",
    "constants",
    metavar="PART=VALUE",
    multiple=True,
    help="What a part of the paths always is, like organization=42.",
)
@connected
@FORMAT
def adopt(
    source: str | None,
    *,
    yes: bool,
    named: tuple[str, ...],
    constants: tuple[str, ...],
    format_: str,
    connection: Connection,
) -> int:
    """Propose paths for operations, and keep what you agree to.

    The proposals go to stdout, the questions to stderr. What you agree to is written to the user's
    bindings.toml, and from then on those operations work on this host. Sure is a reading operation
    with nothing in doubt and no second candidate; what writes or deletes is only taken by --bind or
    by an answer. With -y the rest stays undecided, and the exit code is 3.
    """
    streams.require_stdout()
    from bestdefense_async.cli.jobs import spec_adoption

    return run_async(
        lambda _: spec_adoption.adopt(
            connection, source, format_, is_agreed=yes, named=named, constants=constants
        )
    )


@command.command("drift", cls=ApiCommand)
@click.argument("run_name", metavar="RUN")
@FORMAT
def drift(run_name: str, format_: str) -> int:
    """Count what real answers had that is not known here.

    RUN is a saved run: its name, the beginning of it, last, or a file. Told are the members of its
    findings that nobody has documented and severities that are no known ones: where they stand and
    how often they came, never what they said. Nothing is sent.
    """
    from attrs import asdict

    from bestdefense_async.cli.options.runs import load_run
    from bestdefense_async.openapi.drift import unknowns_of
    from bestdefense_async.report.text import counted

    streams.require_stdout()
    outcomes = load_run(run_name).outcomes
    found = unknowns_of(outcomes)
    emit("unknown", [asdict(each) for each in found], format_)
    judged = sum(each.has_verdict for each in outcomes)
    streams.say(f"spec: {counted(len(found), 'unknown')} in {counted(judged, 'answer')}")
    return Exit.OK
