"""`bestdefense spec`: what the host itself says about its API."""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMAT, emit
from bestdefense_async.errors import ConfigError, clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bestdefense_async.cli.options.params import Command
    from bestdefense_async.core.binding import Binding
    from bestdefense_async.openapi.propose import Candidate, Proposal
    from bestdefense_async.openapi.specification import Specification

_NAMED: Final = re.compile(r"([a-z]+\.[a-z]+)\s*=\s*([A-Za-z]+)\s+(/\S*)")
_CONSTANT: Final = re.compile(r"(\w+)=([\w~.-]+)")
_MOST_REMARKS: Final = 3


def _source(function: Command) -> Command:
    return click.option(
        "--from",
        "source",
        metavar="URL|FILE|-",
        help="Where the specification is, in place of asking the host. "
        "The token goes to the host of the API only.",
    )(function)


def _read(
    connection: Connection,
    source: str | None,
    use: Callable[[Specification, dict[str, Binding]], int],
) -> int:
    """Return what `use` makes of the specification and of what is bound."""
    from bestdefense_async.cli.commands.spec_source import load_specification
    from bestdefense_async.cli.options.bindings import load_bindings

    streams.require_stdout()

    async def work(_: object) -> int:
        found = await load_specification(connection, source)
        return use(found, load_bindings(connection.host))

    return run_async(work)


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
    from bestdefense_async.openapi.check import compare
    from bestdefense_async.openapi.propose import propose

    def use(found: Specification, bindings: dict[str, Binding]) -> int:
        kind = "Swagger" if found.version == "2.0" else "OpenAPI"
        streams.say(f"spec: {found.title} ({kind} {found.version}), from {found.location}")
        servers = ", ".join(found.servers) or "none named"
        streams.say(f"spec: {len(found.operations)} operations, servers: {servers}")
        records = {
            name: _record(name, row.location, row.known if name in bindings else row.standing, [])
            for row in compare(found, bindings)
            for name in [row.route.name]
        }
        records |= {each.route.name: _proposed(each) for each in propose(found, {}, bindings)}
        return _emit(found, records, format_)

    return _read(connection, source, use)


@command.command("check", cls=ApiCommand)
@_source
@connected
@FORMAT
def check(source: str | None, format_: str, connection: Connection) -> int:
    """Compare paths, methods and fields; exit 1 on a contradiction.

    An unpublished operation that is not at our path is `not found`, which is no contradiction;
    `spec adopt` looks for it elsewhere.
    """
    from bestdefense_async.openapi.check import compare

    def use(found: Specification, bindings: dict[str, Binding]) -> int:
        rows = compare(found, bindings)
        records = {}
        for row in rows:
            record = {"operation": row.route.name, "known": row.known, "here": row.location}
            said = {"problems": row.problems, "notes": row.unsaid + row.missing}
            if format_ == "table":
                said = {"what": said["problems"] + said["notes"]}
            records[row.route.name] = {**record, "standing": row.standing, **said}
        _emit(found, records, format_)
        counts = Counter(row.standing for row in rows)
        standings = ("agrees", "drift", "not found")
        result = ", ".join(f"{each} {counts[each]}" for each in standings if counts[each])
        streams.say(f"spec: compared with {found.location}: {result}")
        return Exit.GATE_FAILED if counts["drift"] else Exit.OK

    return _read(connection, source, use)


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
    help="Name the path of an operation yourself, like schedules.create='POST /api/v2/schedules'. "
    "Repeatable.",
)
@click.option(
    "--set",
    "constants",
    metavar="PART=VALUE",
    multiple=True,
    help="What a part of the paths always is, like organization=42. Repeatable.",
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
    from bestdefense_async.openapi.propose import propose

    for text in constants:
        if not _CONSTANT.fullmatch(text):
            shown = clean_text(text, longest=80)
            raise ConfigError(f"--set must look like organization=42, not {shown!r}.")
    same = dict(text.split("=") for text in constants)

    def use(found: Specification, existing: dict[str, Binding]) -> int:
        taken = dict(_named_by_person(found, each, same) for each in named)
        open_ones = [
            each for each in propose(found, same, existing) if each.route.name not in taken
        ]
        records = {
            name: _record(name, f"{one.method} {one.template}", "bound", [f"by {one.source}"])
            for name, one in existing.items()
        }
        records |= {each.route.name: _proposed(each) for each in open_ones}
        records |= {name: _row(name, each, "named") for name, each in taken.items()}
        _emit(found, records, format_, what="proposals")
        return _settle(connection.host, open_ones, taken, is_agreed=yes)

    return _read(connection, source, use)


def _named_by_person(
    found: Specification, text: str, constants: Mapping[str, str]
) -> tuple[str, Candidate]:
    """Return what `--bind` names, with its operation in the specification."""
    from bestdefense_async.core.route import ROUTES
    from bestdefense_async.openapi.propose import consider

    match = _NAMED.fullmatch(text.strip())
    if match is None:
        shown = clean_text(text, longest=80)
        raise ConfigError(f"--bind must look like schedules.create='POST /api/x', not {shown!r}.")
    name, method, path = match[1], match[2].upper(), match[3]
    if name not in ROUTES:
        raise ConfigError(f"There is no operation {name!r}. Known: {', '.join(ROUTES)}.")
    there = found.at(path)
    if method not in there:
        hint = f"; it has that path with {', '.join(there)}" if there else ""
        raise ConfigError(f"The specification has no {method} {clean_text(path)}{hint}.")
    by = f"{found.location}, named by a person"
    candidate = consider(ROUTES[name], there[method], by, constants)
    if candidate.binding is None:
        raise ConfigError(f"{name} cannot stand at {method} {path}: {candidate.doubts[0]}")
    return name, candidate


def _emit(
    found: Specification,
    records: Mapping[str, dict[str, Any]],
    format_: str,
    what: str = "operations",
) -> int:
    """Write records in the order of our table, and say what could not be read."""
    from bestdefense_async.core.route import ROUTES

    for remark in [*found.remarks][:_MOST_REMARKS]:
        streams.say(f"spec: {remark}")
    rows = [records[name] for name in ROUTES if name in records]
    if format_ == "table":  # sentences stand in one cell
        rows = [
            {name: (" ".join(v) or None) if isinstance(v, list) else v for name, v in row.items()}
            for row in rows
        ]
    emit(what, rows, format_)
    return Exit.OK


def _proposed(proposal: Proposal) -> dict[str, Any]:
    """Return a proposal as a record: its first candidate, and what else there is."""
    name = proposal.route.name
    if not proposal.candidates:
        return _record(name, None, "not there", [])
    first, *others = proposal.candidates
    rivals = [f"{each.operation.name} may be it, too." for each in others if not each.doubts]
    if proposal.sure is None and not first.doubts and not rivals:
        rivals = ["It writes: only --bind or an answer takes it."]
    return _row(name, first, "sure" if proposal.sure else "undecided", rivals)


def _row(name: str, one: Candidate, decision: str, rivals: Sequence[str] = ()) -> dict[str, Any]:
    return _record(name, one.operation.name, decision, [*rivals, *one.doubts] or [*one.reasons])


def _record(name: str, there: str | None, decision: str, why: list[str]) -> dict[str, Any]:
    return {"operation": name, "there": there, "decision": decision, "why": why}


def _settle(
    host: str, proposals: Sequence[Proposal], named: Mapping[str, Candidate], *, is_agreed: bool
) -> int:
    """Ask on a terminal, store what was agreed to or named, and return the exit code."""
    from bestdefense_async.cli.options.bindings import store_bindings

    taken = dict(named)
    open_ones = [each for each in proposals if each.candidates]
    sure = {each.route.name: each.sure for each in open_ones if each.sure is not None}
    if is_agreed:
        taken |= sure
    elif open_ones and all(each is not None and each.isatty() for each in (sys.stdin, sys.stderr)):
        taken |= _ask(open_ones)
    elif open_ones and not taken:
        raise ConfigError(
            f"Nothing was written. Add -y to take the {len(sure)} reading operations that are "
            "sure, or --bind to name one."
        )
    bindings = {name: one.binding for name, one in taken.items() if one.binding is not None}
    if bindings:
        path = store_bindings(host, bindings)
        streams.say(f"spec: written to {path} for {host}: {', '.join(bindings)}")
    else:
        streams.say("spec: nothing new was written")
    undecided = [each.route.name for each in open_ones if each.route.name not in taken]
    if undecided:
        streams.say(f"spec: undecided, name them with --bind: {', '.join(undecided)}")
    absent = [each.route.name for each in proposals if not each.candidates]
    if absent:
        streams.say(f"spec: not there: {', '.join(absent)}")
    return Exit.INCOMPLETE if undecided else Exit.OK


def _ask(proposals: Sequence[Proposal]) -> dict[str, Candidate]:
    """Return what a person agrees to, asked one by one; none of these is always an answer."""
    taken: dict[str, Candidate] = {}
    for proposal in proposals:
        choices = [each for each in proposal.candidates if each.binding is not None]
        if not choices:
            first = proposal.candidates[0]
            streams.say(f"{proposal.route.name}: {first.operation.name}? {first.doubts[0]}")
            continue
        for number, each in enumerate(choices, start=1):
            streams.say(f"  {number}. {each.operation.name}")
            for line in (*each.reasons, *each.doubts):
                streams.say(f"       {line}")
        numbers = [str(number) for number in range(1, len(choices) + 1)]
        answer = click.prompt(
            f"{proposal.route.name}: take {' or '.join(numbers)}, none of these, or quit",
            type=click.Choice([*numbers, "none", "quit"]),
            default="1" if proposal.sure else "none",
            show_choices=False,
            err=True,
        )
        if answer == "quit":
            break
        if answer != "none":
            taken[proposal.route.name] = choices[int(answer) - 1]
    return taken


@command.command("drift", cls=ApiCommand)
@click.argument("run_name", metavar="RUN")
@FORMAT
def drift(run_name: str, format_: str) -> int:
    """Count what real answers had that is not known here.

    RUN is a saved run: its name, the beginning of it, last, or a file. Told are the members of its
    findings that nobody has documented and severities that are no known ones: where they stand and
    how often they came, never what they said. Nothing is sent.
    """
    from bestdefense_async.cli.options.runs import load_run
    from bestdefense_async.openapi.drift import unknowns_of
    from bestdefense_async.report.text import counted

    streams.require_stdout()
    outcomes = load_run(run_name).outcomes
    found = unknowns_of(outcomes)
    emit("unknown", found, format_)
    judged = sum(each.has_verdict for each in outcomes)
    streams.say(f"spec: {counted(len(found), 'unknown')} in {counted(judged, 'answer')}")
    return Exit.OK
