"""`bestdefense spec`: what the host itself says about its API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMAT, emit

if TYPE_CHECKING:
    from bestdefense_async.cli.options.params import Command
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.openapi.compare import Comparison
    from bestdefense_async.openapi.propose import Proposal
    from bestdefense_async.openapi.specification import Specification

_MOST_REMARKS = 3


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

    async def work(_: Interruption) -> int:
        from bestdefense_async.cli.options import bindings as bindings_file
        from bestdefense_async.openapi.compare import compare_operations
        from bestdefense_async.openapi.propose import propose

        found, location = await _read(connection, source)
        _say_what(found, location)
        bindings = bindings_file.load_bindings(connection.host)
        likely = {each.route.name: each for each in propose(found, source=location)}
        rows = compare_operations(found, bindings)
        emit("operations", [_shown(row, likely.get(row.route.name)) for row in rows], format_)
        return Exit.OK

    return run_async(work)


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

    async def work(_: Interruption) -> int:
        from bestdefense_async.cli.options import bindings as bindings_file
        from bestdefense_async.openapi.compare import Standing, compare_operations

        found, location = await _read(connection, source)
        rows = compare_operations(found, bindings_file.load_bindings(connection.host))
        emit("operations", [_checked(row, format_) for row in rows], format_)
        _say_remarks(found)
        counts = {each: sum(row.standing is each for row in rows) for each in Standing}
        result = ", ".join(f"{each} {count}" for each, count in counts.items() if count)
        streams.say(f"spec: compared with {location}: {result}")
        return Exit.GATE_FAILED if counts[Standing.DRIFT] else Exit.OK

    return run_async(work)


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

    async def work(_: Interruption) -> int:
        from bestdefense_async.cli.jobs.spec_adoption import Adoption, constants_of

        same = constants_of(constants)
        found, location = await _read(connection, source)
        adoption = Adoption(
            found, location=location, base_url=connection.host, named=named, constants=same
        )
        _say_remarks(found)
        emit("proposals", adoption.records(format_), format_)
        return adoption.settle(is_agreed=yes)

    return run_async(work)


@command.command("drift", cls=ApiCommand)
@click.argument("run_name", metavar="RUN")
@FORMAT
def drift(run_name: str, format_: str) -> int:
    """Count what real answers had that is not known here.

    RUN is a saved run: its name, the beginning of it, last, or a file. Told are the members of its
    findings that nobody has documented and severities that are no known ones: where they stand and
    how often they came, never what they said. Nothing is sent.
    """
    from bestdefense_async.cli.jobs.report_options import load_run
    from bestdefense_async.openapi.drift import unknowns_of
    from bestdefense_async.report.text import counted

    streams.require_stdout()
    outcomes = load_run(run_name).outcomes
    found = unknowns_of(outcomes)
    records = [
        {
            "operation": each.operation,
            "member": each.member,
            "what": "unknown value" if each.is_value else "unknown member",
            "count": each.count,
            "answers": each.answers,
        }
        for each in found
    ]
    emit("unknown", records, format_)
    judged = sum(each.has_verdict for each in outcomes)
    streams.say(f"spec: {counted(len(found), 'unknown')} in {counted(judged, 'answer')}")
    return Exit.OK


async def _read(connection: Connection, source: str | None) -> tuple[Specification, str]:
    """Return the specification and its address or file."""
    from attrs import evolve

    from bestdefense_async.cli.jobs.spec_source import load_specification, unreadable
    from bestdefense_async.config import base_url_from
    from bestdefense_async.openapi.document import SpecificationError
    from bestdefense_async.openapi.specification import read_specification

    prefix = base_url_from(connection.base_url).prefix
    loaded = await load_specification(connection, source)
    problem = ""
    try:
        found = read_specification(
            loaded.document, prefix=prefix, location=loaded.base, linked=loaded.linked
        )
        return evolve(found, remarks=(*loaded.remarks, *found.remarks)), loaded.location
    except SpecificationError as error:
        problem = str(error)
    raise unreadable(loaded.location, problem)


def _say_what(found: Specification, location: str) -> None:
    kind = "Swagger" if found.version == "2.0" else "OpenAPI"
    title = f"{found.title or 'no title'} {found.release}".strip()
    streams.say(f"spec: {title} ({kind} {found.version}), from {location}")
    servers = ", ".join(found.servers) or "none named"
    streams.say(f"spec: {len(found.operations)} operations, servers: {servers}")
    _say_remarks(found)


def _say_remarks(found: Specification) -> None:
    for remark in found.remarks[:_MOST_REMARKS]:
        streams.say(f"spec: {remark}")
    more = len(found.remarks) - _MOST_REMARKS
    if more > 0:
        streams.say(f"spec: and {more} more such remarks")


def _shown(row: Comparison, proposal: Proposal | None) -> dict[str, Any]:
    """Return one operation as a record: its path for us, and on the host."""
    from bestdefense_async.openapi.compare import Standing

    there = None if row.operation is None else row.location
    standing = str(row.standing)
    may_be_elsewhere = row.standing is not Standing.AGREES and not row.is_bound
    if may_be_elsewhere and proposal is not None and proposal.candidates:
        there = proposal.candidates[0].operation.name
        standing = "sure" if proposal.sure else "perhaps"
    return {
        "operation": row.route.name,
        "known": "bound" if row.is_bound else str(row.route.grade),
        "here": row.location,
        "there": there,
        "standing": standing,
    }


def _checked(row: Comparison, format_: str) -> dict[str, Any]:
    record = {
        "operation": row.route.name,
        "known": "bound" if row.is_bound else str(row.route.grade),
        "here": row.location,
        "standing": str(row.standing),
    }
    if format_ == "table":
        return {**record, "what": " ".join([*row.problems, *row.notes]) or None}
    return {**record, "problems": list(row.problems), "notes": list(row.notes)}
