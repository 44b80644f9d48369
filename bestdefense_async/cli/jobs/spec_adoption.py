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
from bestdefense_async.openapi.adopt import Candidate, Proposal, consider, propose
from bestdefense_async.openapi.compare import Standing, compare_operations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bestdefense_async.core.binding import Binding
    from bestdefense_async.openapi.model import Specification

_NAMED: Final = re.compile(r"([a-z]+\.[a-z]+)\s*=\s*([A-Za-z]+)\s+(/\S*)")
_SHOWN_REASONS: Final = 3


class Adoption:
    """The proposals for one host, and what becomes of them.

    Raises:
        ConfigError: What `--bind` names cannot be bound, or the file of bindings is broken.
    """

    def __init__(
        self, found: Specification, *, location: str, base_url: str, named: Sequence[str]
    ) -> None:
        self._base_url = base_url
        existing = bindings_file.load_bindings(base_url)
        self._named = dict(_candidates(found, location, named))
        stale = {
            row.route.name: row.problems[0]
            for row in compare_operations(found, existing)
            if row.is_bound and row.standing is Standing.DRIFT
        }
        self._proposals = [
            _with_doubt(each, existing.get(each.route.name), stale.get(each.route.name))
            for each in propose(found, source=location)
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
                _record(name, f"{one.method} {one.template}", None, "bound", [f"by {one.source}"])
                for name, one in self._bound.items()
            ),
            *map(_proposed, self._proposals),
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
        open_ones = [each for each in self._proposals if each.best is not None]
        taken = dict(self._named)
        if is_agreed:
            taken |= _sure(open_ones)
        elif open_ones and _can_ask():
            taken |= _ask(open_ones)
        elif open_ones and not taken:
            sure = len(_sure(open_ones))
            raise ConfigError(
                f"Nothing was written. Add -y to take the {sure} sure proposals, or --bind to name "
                "one."
            )
        self._write(taken)
        undecided = [each.route.name for each in open_ones if each.route.name not in taken]
        if undecided:
            streams.say(f"spec: undecided, name them with --bind: {', '.join(undecided)}")
        absent = [each.route.name for each in self._proposals if each.best is None]
        if absent:
            streams.say(f"spec: nothing there is like {', '.join(absent)}")
        return Exit.INCOMPLETE if undecided else Exit.OK

    def _write(self, taken: dict[str, Candidate]) -> None:
        bindings: dict[str, Binding] = {
            name: one.binding for name, one in taken.items() if one.binding is not None
        }
        if not bindings:
            streams.say("spec: nothing new was written")
            return
        path = bindings_file.store_bindings(self._base_url, bindings)
        streams.say(f"spec: written to {path} for {self._base_url}: {', '.join(bindings)}")


def _candidates(
    found: Specification, location: str, named: Sequence[str]
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
        candidate = consider(ROUTES[name], operation, source=f"{location}, named by a person")
        if candidate.binding is None:
            raise ConfigError(f"{name} cannot stand at {operation.name}: {candidate.doubts[0]}")
        yield name, candidate


def _with_doubt(proposal: Proposal, binding: Binding | None, problem: str | None) -> Proposal:
    """Return a proposal that is never sure when it would replace what somebody agreed to."""
    if binding is None or problem is None or proposal.best is None:
        return proposal
    doubt = f"It is bound to {binding.method} {binding.template} now. {problem}"
    return evolve(proposal, best=evolve(proposal.best, doubts=(doubt, *proposal.best.doubts)))


def _sure(proposals: Iterable[Proposal]) -> dict[str, Candidate]:
    return {each.route.name: each.sure for each in proposals if each.sure is not None}


def _proposed(proposal: Proposal) -> dict[str, Any]:
    best = proposal.best
    if best is None:
        return _record(proposal.route.name, None, None, "not found", [])
    rivals = [f"{each.operation.name} is as likely" for each in proposal.rivals]
    return _row(best, "sure" if proposal.sure else "undecided", rivals)


def _row(one: Candidate, decision: str, rivals: Sequence[str] = ()) -> dict[str, Any]:
    said = [*rivals, *one.doubts, *one.notes] or list(one.fit.reasons[:_SHOWN_REASONS])
    return _record(one.route.name, one.operation.name, one.fit.score, decision, said)


def _record(
    name: str, there: str | None, score: float | None, decision: str, why: list[str]
) -> dict[str, Any]:
    return {"operation": name, "there": there, "score": score, "decision": decision, "why": why}


def _names(one: Candidate) -> Iterator[str]:
    """Yield how our names map to the host's, for what is sent and what is read."""
    if one.binding is not None:
        for verb, pairs in (("sends", one.binding.request), ("reads", one.binding.answer)):
            if pairs:
                said = (f"{ours} as {theirs or 'all of it'}" for ours, theirs in pairs.items())
                yield f"{verb} {', '.join(said)}"


def _can_ask() -> bool:
    streams_of_a_person = (sys.stdin, sys.stderr)
    return all(each is not None and each.isatty() for each in streams_of_a_person)


def _ask(proposals: Sequence[Proposal]) -> dict[str, Candidate]:
    """Ask one by one, and return what was agreed to; `all` takes every sure one that is left."""
    taken: dict[str, Candidate] = {}
    for at, proposal in enumerate(proposals):
        choices = [
            each
            for each in (proposal.best, *proposal.rivals)
            if each is not None and each.binding is not None
        ]
        if not choices:
            continue
        for number, each in enumerate(choices, start=1):
            streams.say(f"  {number}. {each.operation.name}  ({each.fit.score:.2f})")
            for line in (*each.fit.reasons, *_names(each), *each.doubts, *each.notes):
                streams.say(f"       {line}")
        numbers = [str(number) for number in range(1, len(choices) + 1)]
        answer = click.prompt(
            f"{proposal.route.name}: take {' or '.join(numbers)}, no, all that are sure, or quit",
            type=click.Choice([*numbers, "no", "all", "quit"]),
            default="1" if proposal.sure else "no",
            show_choices=False,
            err=True,
        )
        if answer == "quit":
            break
        if answer == "all":
            return taken | _sure(proposals[at:])
        if answer != "no":
            taken[proposal.route.name] = choices[int(answer) - 1]
    return taken
