"""What `spec` shows, compares, proposes, asks and stores."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

import click
from attrs import evolve

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.jobs.spec_source import load_specification, unreadable
from bestdefense_async.cli.options.bindings import load_bindings, store_bindings
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import emit
from bestdefense_async.config import base_url_from
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError, clean_text
from bestdefense_async.openapi.compare import Comparison, Standing, compare_operations
from bestdefense_async.openapi.document import SpecificationError
from bestdefense_async.openapi.propose import Candidate, Proposal, consider, propose
from bestdefense_async.openapi.specification import Specification, read_specification

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bestdefense_async.cli.options.connection import Connection

_NAMED: Final = re.compile(r"([a-z]+\.[a-z]+)\s*=\s*([A-Za-z]+)\s+(/\S*)")
_CONSTANT: Final = re.compile(r"(\w+)=([\w~.-]+)")
_MOST_REMARKS: Final = 3


async def show(connection: Connection, source: str | None, format_: str) -> int:
    """Write where each of our operations is on the host, or probably is."""
    found, location = await _read(connection, source)
    kind = "Swagger" if found.version == "2.0" else "OpenAPI"
    title = f"{found.title or 'no title'} {found.release}".strip()
    streams.say(f"spec: {title} ({kind} {found.version}), from {location}")
    servers = ", ".join(found.servers) or "none named"
    streams.say(f"spec: {len(found.operations)} operations, servers: {servers}")
    _say_remarks(found)
    rows = compare_operations(found, load_bindings(connection.host))
    likely = {each.route.name: each for each in propose(found, source=location)}
    emit("operations", [_shown(row, likely.get(row.route.name)) for row in rows], format_)
    return Exit.OK


async def check(connection: Connection, source: str | None, format_: str) -> int:
    """Write in what the specification contradicts our table and the bindings."""
    found, location = await _read(connection, source)
    rows = compare_operations(found, load_bindings(connection.host))
    emit("operations", [_checked(row, format_) for row in rows], format_)
    _say_remarks(found)
    counts = {each: sum(row.standing is each for row in rows) for each in Standing}
    result = ", ".join(f"{each} {count}" for each, count in counts.items() if count)
    streams.say(f"spec: compared with {location}: {result}")
    return Exit.GATE_FAILED if counts[Standing.DRIFT] else Exit.OK


async def adopt(  # the options of the command
    connection: Connection,
    source: str | None,
    format_: str,
    *,
    is_agreed: bool,
    named: Sequence[str],
    constants: Sequence[str],
) -> int:
    """Write what is proposed, ask on a terminal, and store what was agreed to.

    Args:
        connection: To the host.
        source: As for `load_specification`.
        format_: Of the proposals.
        is_agreed: Every sure proposal is agreed to, and nothing is asked.
        named: What `--bind` says.
        constants: What `--set` says.

    Raises:
        ConfigError: An option cannot be meant, the file of bindings is broken, or there is
            something to decide and no terminal to ask on.
    """
    same = _constants_of(constants)
    found, location = await _read(connection, source)
    existing = load_bindings(connection.host)
    taken = dict(_named_by_person(found, location, named, same))
    stale = {
        row.route.name: f"It is bound to {row.location} now. {row.problems[0]}"
        for row in compare_operations(found, existing)
        if row.is_bound and row.standing is Standing.DRIFT
    }
    proposals = {
        each.route.name: _with_doubt(each, stale.get(each.route.name))
        for each in propose(found, source=location, constants=same)
        if each.route.name not in taken
        and (each.route.name not in existing or each.route.name in stale)
    }
    records = {
        **{
            name: _record(name, f"{one.method} {one.template}", "bound", [f"by {one.source}"])
            for name, one in existing.items()
        },
        **{name: _proposed(each) for name, each in proposals.items()},
        **{name: _row(each, "named") for name, each in taken.items()},
    }
    _say_remarks(found)
    emit(
        "proposals", [_flat(records[name], format_) for name in ROUTES if name in records], format_
    )

    return _settle(connection.host, proposals, taken, is_agreed=is_agreed)


def _settle(
    host: str, proposals: Mapping[str, Proposal], named: Mapping[str, Candidate], *, is_agreed: bool
) -> int:
    """Ask on a terminal, store what was agreed to or named, and return the exit code."""
    taken = dict(named)
    open_ones = [each for each in proposals.values() if each.candidates]
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
    absent = [name for name, each in proposals.items() if not each.candidates]
    if absent:
        streams.say(f"spec: not there: {', '.join(absent)}")
    return Exit.INCOMPLETE if undecided else Exit.OK


async def _read(connection: Connection, source: str | None) -> tuple[Specification, str]:
    """Return the specification and its address or file."""
    prefix = base_url_from(connection.base_url).prefix
    loaded = await load_specification(connection, source)
    try:
        found = read_specification(
            loaded.document, prefix=prefix, location=loaded.base, linked=loaded.linked
        )
        return evolve(found, remarks=(*loaded.remarks, *found.remarks)), loaded.location
    except SpecificationError as error:
        raise unreadable(loaded.location, str(error)) from None


def _say_remarks(found: Specification) -> None:
    for remark in found.remarks[:_MOST_REMARKS]:
        streams.say(f"spec: {remark}")


def _shown(row: Comparison, proposal: Proposal | None) -> dict[str, Any]:
    """Return one operation as a record: its path for us, and on the host."""
    there = None if row.operation is None else row.location
    standing = str(row.standing)
    may_be_elsewhere = row.standing is not Standing.AGREES and not row.is_bound
    if may_be_elsewhere and proposal is not None and proposal.candidates:
        there = proposal.candidates[0].operation.name
        standing = "sure" if proposal.sure else "perhaps"
    record = _compared(row)
    return {**record, "there": there, "standing": standing}


def _checked(row: Comparison, format_: str) -> dict[str, Any]:
    record = {**_compared(row), "standing": str(row.standing)}
    if format_ == "table":
        return {**record, "what": " ".join([*row.problems, *row.notes]) or None}
    return {**record, "problems": list(row.problems), "notes": list(row.notes)}


def _compared(row: Comparison) -> dict[str, Any]:
    known = "bound" if row.is_bound else str(row.route.grade)
    return {"operation": row.route.name, "known": known, "here": row.location}


def _constants_of(given: Sequence[str]) -> dict[str, str]:
    """Return what `--set` says: parts of paths that are the same in every call."""
    for text in given:
        if not _CONSTANT.fullmatch(text):
            shown = clean_text(text, longest=80)
            raise ConfigError(f"--set must look like organization=42, not {shown!r}.")
    return dict(text.split("=") for text in given)


def _named_by_person(
    found: Specification, location: str, named: Sequence[str], constants: Mapping[str, str]
) -> Iterator[tuple[str, Candidate]]:
    """Yield what `--bind` names, each with its operation in the specification."""
    for text in named:
        match = _NAMED.fullmatch(text.strip())
        if match is None:
            shown = clean_text(text, longest=80)
            raise ConfigError(
                f"--bind must look like schedules.create='POST /api/x', not {shown!r}."
            )
        name, method, path = match[1], match[2].upper(), match[3]
        if name not in ROUTES:
            raise ConfigError(f"There is no operation {name!r}. Known: {', '.join(ROUTES)}.")
        operation = found.find(method, path)
        if operation is None:
            there = ", ".join(found.methods_of(path))
            hint = f"; it has that path with {there}" if there else ""
            raise ConfigError(f"The specification has no {method} {clean_text(path)}{hint}.")
        source = f"{location}, named by a person"
        candidate = consider(ROUTES[name], operation, source=source, constants=constants)
        if candidate.binding is None:
            raise ConfigError(f"{name} cannot stand at {operation.name}: {candidate.doubts[0]}")
        yield name, candidate


def _with_doubt(proposal: Proposal, doubt: str | None) -> Proposal:
    """Return a proposal that is never sure when it would replace what somebody agreed to."""
    if doubt is None:
        return proposal
    doubted = [evolve(each, doubts=(doubt, *each.doubts)) for each in proposal.candidates]
    return evolve(proposal, candidates=tuple(doubted))


def _proposed(proposal: Proposal) -> dict[str, Any]:
    """Return a proposal as a record: its first candidate, and what else there is."""
    if not proposal.candidates:
        return _record(proposal.route.name, None, "not there", [])
    first, *others = proposal.candidates
    rivals = [f"{each.operation.name} may be it, too" for each in others if not each.doubts]
    if proposal.sure is None and not first.doubts and not rivals:
        rivals = ["It writes: only --bind or an answer takes it"]
    return _row(first, "sure" if proposal.sure else "undecided", rivals)


def _row(one: Candidate, decision: str, rivals: Sequence[str] = ()) -> dict[str, Any]:
    said = [*rivals, *one.doubts, *one.notes] or [*one.reasons]
    return _record(one.route.name, one.operation.name, decision, said)


def _record(name: str, there: str | None, decision: str, why: list[str]) -> dict[str, Any]:
    return {"operation": name, "there": there, "decision": decision, "why": why}


def _flat(record: dict[str, Any], format_: str) -> dict[str, Any]:
    """Return a record with its sentences in one cell, for a table."""
    why = "; ".join(each.rstrip(".") for each in record["why"]) or None
    return {**record, "why": why} if format_ == "table" else record


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
            for line in (*each.reasons, *_names(each), *each.doubts, *each.notes):
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


def _names(one: Candidate) -> Iterator[str]:
    """Yield what is sent and read under which name, and what else the binding does."""
    binding = one.binding
    if binding is None:
        return
    for verb, pairs in (("Sends", binding.request), ("Reads", binding.answer)):
        if pairs:
            said = (f"{ours} as {theirs or 'all of it'}" for ours, theirs in pairs.items())
            yield f"{verb} {', '.join(said)}."
    for name, table in binding.values.items():
        said = (f"{theirs} for {ours}" for ours, theirs in table.items())
        yield f"Says {', '.join(said)} ({name})."
    if binding.unsent:
        yield f"Does not send {', '.join(binding.unsent)}."
