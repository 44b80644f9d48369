"""What `spec adopt` proposes, asks, and stores."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

import click
from attrs import evolve

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options import bindings as bindings_file
from bestdefense_async.cli.terminal import streams
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError, clean_text
from bestdefense_async.openapi.compare import Standing, compare_operations
from bestdefense_async.openapi.propose import Candidate, Proposal, consider, propose

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bestdefense_async.core.binding import Binding
    from bestdefense_async.openapi.specification import Specification

_NAMED: Final = re.compile(r"([a-z]+\.[a-z]+)\s*=\s*([A-Za-z]+)\s+(/\S*)")
_CONSTANT: Final = re.compile(r"(\w+)=([\w~.-]+)")


class Adoption:
    """The proposals for one host, and what becomes of them.

    Raises:
        ConfigError: What `--bind` names cannot be bound, or the file of bindings is broken.
    """

    def __init__(
        self,
        found: Specification,
        *,
        location: str,
        base_url: str,
        named: Sequence[str],
        constants: Mapping[str, str],
    ) -> None:
        self._base_url = base_url
        existing = bindings_file.load_bindings(base_url)
        self._named = dict(_named_by_person(found, location, named, constants))
        stale = {
            row.route.name: row.problems[0]
            for row in compare_operations(found, existing)
            if row.is_bound and row.standing is Standing.DRIFT
        }
        self._proposals = [
            _with_doubt(each, existing.get(each.route.name), stale.get(each.route.name))
            for each in propose(found, source=location, constants=constants)
            if each.route.name not in self._named
            and (each.route.name not in existing or each.route.name in stale)
        ]
        proposed = {each.route.name for each in self._proposals}
        self._bound = {
            name: binding
            for name, binding in existing.items()
            if name not in self._named and name not in proposed
        }

    def records(self, format_: str) -> list[dict[str, Any]]:
        """Return all proposals, with what was named and what is bound already."""
        rows = [
            *(_row(one, "named") for one in self._named.values()),
            *(
                _record(name, f"{one.method} {one.template}", "bound", [f"by {one.source}"])
                for name, one in self._bound.items()
            ),
            *map(proposed_record, self._proposals),
        ]
        order = list(ROUTES)
        rows.sort(key=lambda row: order.index(row["operation"]))
        if format_ != "table":
            return rows
        return [
            {**row, "why": "; ".join(each.rstrip(".") for each in row["why"]) or None}
            for row in rows
        ]

    def settle(self, *, is_agreed: bool) -> int:
        """Ask on a terminal, store what was agreed to, and return the exit code.

        Args:
            is_agreed: Every sure proposal is agreed to, and nothing is asked.

        Raises:
            ConfigError: There is something to decide, and no terminal to ask on.
        """
        open_ones = [each for each in self._proposals if each.candidates]
        taken = dict(self._named)
        sure = {each.route.name: each.sure for each in open_ones if each.sure is not None}
        if is_agreed:
            taken |= sure
        elif open_ones and _can_ask():
            taken |= _ask(open_ones)
        elif open_ones and not taken:
            raise ConfigError(
                f"Nothing was written. Add -y to take the {len(sure)} reading operations that are "
                "sure, or --bind to name one."
            )
        self._write(taken)
        undecided = [each.route.name for each in open_ones if each.route.name not in taken]
        if undecided:
            streams.say(f"spec: undecided, name them with --bind: {', '.join(undecided)}")
        absent = [each.route.name for each in self._proposals if not each.candidates]
        if absent:
            streams.say(f"spec: not there: {', '.join(absent)}")
        return Exit.INCOMPLETE if undecided else Exit.OK

    def _write(self, taken: Mapping[str, Candidate]) -> None:
        bindings: dict[str, Binding] = {
            name: one.binding for name, one in taken.items() if one.binding is not None
        }
        if not bindings:
            streams.say("spec: nothing new was written")
            return
        path = bindings_file.store_bindings(self._base_url, bindings)
        streams.say(f"spec: written to {path} for {self._base_url}: {', '.join(bindings)}")


def constants_of(given: Sequence[str]) -> dict[str, str]:
    """Return what `--set` says: parts of paths that are the same in every call.

    Raises:
        ConfigError: It does not look like `org=42`.
    """
    matches = [(_CONSTANT.fullmatch(text), text) for text in given]
    for match, text in matches:
        if match is None:
            raise ConfigError(
                f"--set must look like organization=42, not {clean_text(text, longest=80)!r}."
            )
    return {match[1]: match[2] for match, _ in matches if match is not None}


def _named_by_person(
    found: Specification, location: str, named: Sequence[str], constants: Mapping[str, str]
) -> Iterator[tuple[str, Candidate]]:
    """Yield what `--bind` names, each with its operation in the specification."""
    for text in named:
        match = _NAMED.fullmatch(text.strip())
        shown = clean_text(text, longest=80)
        if match is None:
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


def _with_doubt(proposal: Proposal, binding: Binding | None, problem: str | None) -> Proposal:
    """Return a proposal that is never sure when it would replace what somebody agreed to."""
    if binding is None or problem is None:
        return proposal
    doubt = f"It is bound to {binding.method} {binding.template} now. {problem}"
    doubted = [evolve(each, doubts=(doubt, *each.doubts)) for each in proposal.candidates]
    return evolve(proposal, candidates=tuple(doubted))


def proposed_record(proposal: Proposal) -> dict[str, Any]:
    """Return a proposal as a record: its first candidate, and what else there is."""
    if not proposal.candidates:
        return _record(proposal.route.name, None, "not there", [])
    first, *others = proposal.candidates
    plain = [each for each in others if not each.doubts]
    rivals = [f"{each.operation.name} may be it, too" for each in plain]
    if proposal.sure is None and not first.doubts and not rivals:
        rivals = ["It writes: only --bind or an answer takes it"]
    return _row(proposal.sure or first, "sure" if proposal.sure else "undecided", rivals)


def _row(one: Candidate, decision: str, rivals: Sequence[str] = ()) -> dict[str, Any]:
    said = [*rivals, *one.doubts, *one.notes] or [*one.reasons]
    return _record(one.route.name, one.operation.name, decision, said)


def _record(name: str, there: str | None, decision: str, why: list[str]) -> dict[str, Any]:
    return {"operation": name, "there": there, "decision": decision, "why": why}


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


def _can_ask() -> bool:
    streams_of_a_person = (sys.stdin, sys.stderr)
    return all(each is not None and each.isatty() for each in streams_of_a_person)


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
