"""Our route table against a specification: where they agree, and where they have drifted apart.

Only what the specification says counts: where it leaves a body or a member open, nothing is found
wrong. What we could do without becomes a note, and is no drift.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from bestdefense_async.core.binding import ENVELOPES, Binding, last
from bestdefense_async.core.route import PAGED, ROUTES, Body, Grade, Route
from bestdefense_async.openapi.model import payload_of
from bestdefense_async.openapi.pair import translated_values, unsent
from bestdefense_async.openapi.words import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from bestdefense_async.openapi.model import Field, Operation, Specification

_WITHOUT_BODY: Final = frozenset({"GET", "DELETE"})


class Standing(enum.StrEnum):
    """What came of comparing one operation."""

    AGREES = "agrees"
    """It stands there, with our fields."""
    DRIFT = "drift"
    """The specification contradicts the route table, or the binding."""
    NOT_FOUND = "not found"
    """Its path is our guess, and nothing stands there."""


@frozen(kw_only=True)
class Comparison:
    """One operation of ours, compared."""

    route: Route
    location: str
    """Method and path that were compared."""
    is_bound: bool
    is_there: bool
    """Whether the specification has that method at that path."""
    standing: Standing
    problems: tuple[str, ...] = ()
    """What contradicts, one sentence each."""
    notes: tuple[str, ...] = ()
    """What is merely missing, or not specified."""


def compare_operations(
    specification: Specification, bindings: Mapping[str, Binding]
) -> tuple[Comparison, ...]:
    """Return each operation of our table as a specification has it, in our order.

    Args:
        specification: The host's.
        bindings: The host's; a bound operation is expected where its binding says.
    """
    return tuple(
        _compare(specification, route, bindings.get(route.name)) for route in ROUTES.values()
    )


@define
class _Told:
    """What came of one comparison, one sentence each."""

    problems: list[str] = field(factory=list)
    notes: list[str] = field(factory=list)


def _compare(specification: Specification, route: Route, binding: Binding | None) -> Comparison:
    there = binding or Binding(method=route.method, template=route.template)
    operation = specification.find(there.method, there.template)
    told = _Told()
    if operation is None:
        others = specification.methods_of(there.template)
        told.problems.append(
            f"The path is there with {', '.join(others)} only."
            if others
            else "The specification has no such path."
        )
    else:
        _compare_request(route, there, operation, told)
        _compare_answer(route, there, operation, told)
    is_guess = route.grade is Grade.DESCRIBED and binding is None
    if operation is None and is_guess:
        standing = Standing.NOT_FOUND
    else:
        standing = Standing.DRIFT if told.problems else Standing.AGREES
    return Comparison(
        route=route,
        location=f"{there.method} {there.template}",
        is_bound=binding is not None,
        is_there=operation is not None,
        standing=standing,
        problems=tuple(told.problems),
        notes=tuple(told.notes),
    )


def _compare_request(route: Route, there: Binding, operation: Operation, told: _Told) -> None:
    """Record what is sent and not taken, and what is demanded and not sent."""
    theirs = {
        translated(ours, there.request): ours
        for ours in (*route.request_fields, *route.parts)
        if f"{{{ours}}}" not in there.template
        and not (ours in PAGED and ours not in there.request)
        and not any(f"{ours}.".startswith(f"{left}.") for left in there.unsent)
    }
    fields = operation.query if operation.method in _WITHOUT_BODY else operation.request
    if theirs and not fields:
        told.notes.append("The specification does not say what it takes.")
    else:
        _compare_fields(theirs, fields, there.values, "takes", told)
    sent = [*theirs, *there.constants]
    told.problems += [f"It demands {path}, which we do not send." for path in unsent(fields, sent)]
    told.problems += [f"It demands the header {name}." for name in operation.headers]


def _compare_answer(route: Route, there: Binding, operation: Operation, told: _Told) -> None:
    """Record what is read and not answered."""
    if route.body is Body.BINARY:
        if operation.answer:
            told.problems.append("It answers JSON, not a file.")
        return
    if operation.is_file:
        told.problems.append("It does not answer JSON.")
        return
    if not operation.answer:
        if route.answer_fields:
            told.notes.append("The specification does not say what it answers.")
        return
    payload, envelope = payload_of(operation)
    body = route.body if there.envelope is None else ENVELOPES[there.envelope]
    if body is not Body.BARE and envelope == "none":
        told.problems.append("Its answer says neither success nor data.")
        return
    if body is not Body.BARE and ENVELOPES[envelope or "none"] is not body:
        told.problems.append(
            "Its answer has no data."
            if body is Body.ENVELOPE
            else "Its answer has data around everything."
        )
        return
    fields = operation.answer if body is Body.BARE else payload
    theirs = {
        translated(ours, there.answer): ours
        for ours in route.answer_fields
        if not (ours in PAGED and ours not in there.answer)
    }
    _compare_fields(theirs, fields, there.values, "answers", told)


def _compare_fields(
    theirs: Mapping[str, str],
    fields: Iterable[Field],
    values: Collection[str],
    verb: str,
    told: _Told,
) -> None:
    """Compare each path of theirs, and its type, with what is specified.

    Args:
        theirs: Their paths to ours.
        fields: What is specified.
        values: Names of ours whose values are translated.
        verb: What the operation does with them.
        told: Where it is recorded.
    """
    known = {each.path: each for each in fields}
    for path, ours in theirs.items():
        name = last(ours)
        meaning = MEANINGS.get(name)
        found = known.get(path)
        if found is None:
            if _is_open(path, known):
                continue
            is_spare = meaning is not None and meaning.is_optional
            (told.notes if is_spare else told.problems).append(f"It {verb} no {path}.")
        elif meaning is not None and name not in values:
            told.problems += _contradictions(found, name, meaning.kinds)


def _contradictions(found: Field, name: str, kinds: frozenset[str]) -> list[str]:
    if kinds and found.kinds and not kinds & found.kinds:
        there, here = " or ".join(sorted(found.kinds)), " or ".join(sorted(kinds))
        return [f"{found.path} is {there} there, {here} here."]
    if found.values and MEANINGS[name].values and not translated_values(name, found.values):
        return [f"{found.path} is one of {', '.join(found.values[:6])} there."]
    return []


def _is_open(path: str, known: Mapping[str, Field]) -> bool:
    """Return whether the specification leaves open what stands in the container of `path`."""
    if not known:
        return True
    parent = path
    while parent:
        parent = parent.removesuffix("[]") if parent.endswith("[]") else parent.rpartition(".")[0]
        if parent in known:
            return not any(each.startswith((f"{parent}.", f"{parent}[]")) for each in known)
    return False


def translated(ours: str, names: Mapping[str, str]) -> str:
    """Return where a field of ours stands in the names of a binding.

    A container that is moved takes its members along, but for those that have pairs of their own.
    """
    if ours in names:
        return names[ours]
    parent = ours
    while parent:
        parent, separator = _above(parent)
        if separator and parent in names:
            rest = ours[len(parent) :]
            return (names[parent] + rest).lstrip(".")
    return ours


def _above(path: str) -> tuple[str, bool]:
    """Return the container of a path, and whether there is one."""
    if path.endswith("[]"):
        return path.removesuffix("[]"), True
    above, separator, _ = path.rpartition(".")
    return above, bool(separator)
