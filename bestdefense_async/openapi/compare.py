"""Our route table against a specification: where they agree, and where they have drifted apart.

Only what the specification says counts: where it leaves a body or a member open, nothing is found
wrong. What we could do without becomes a note, and is no drift.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.core.route import ROUTES, Body, Grade, Route
from bestdefense_async.openapi.model import payload_of
from bestdefense_async.openapi.pairing import demanded
from bestdefense_async.openapi.vocabulary import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bestdefense_async.core.binding import Binding
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


def _compare(specification: Specification, route: Route, binding: Binding | None) -> Comparison:
    method, template = route.method, route.template
    if binding is not None:
        method, template = binding.method, binding.template
    operation = specification.find(method, template)
    problems: list[str] = []
    notes: list[str] = []
    if operation is None:
        others = specification.methods_of(template)
        problems.append(
            f"The path is there with {', '.join(others)} only."
            if others
            else "The specification has no such path."
        )
    else:
        _compare_request(route, binding, operation, problems, notes)
        _compare_answer(route, binding, operation, problems, notes)
    is_guess = route.grade is Grade.DESCRIBED and binding is None
    if operation is None and is_guess:
        standing = Standing.NOT_FOUND
    else:
        standing = Standing.DRIFT if problems else Standing.AGREES
    return Comparison(
        route=route,
        location=f"{method} {template}",
        is_bound=binding is not None,
        is_there=operation is not None,
        standing=standing,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _compare_request(
    route: Route,
    binding: Binding | None,
    operation: Operation,
    problems: list[str],
    notes: list[str],
) -> None:
    """Record what is sent and not taken, and what is demanded and not sent."""
    names = {} if binding is None else binding.request
    template = route.template if binding is None else binding.template
    placed = {name for name in route.request_fields if f"{{{name}}}" in template}
    moved = [part for part in route.parts if f"{{{part}}}" not in template]
    theirs = {
        there: ours
        for ours in (*route.request_fields, *moved)
        if ours not in placed
        for there in [translated(ours, names)]
    }
    fields = operation.query if operation.method in _WITHOUT_BODY else operation.request
    if theirs and not fields:
        notes.append("The specification does not say what it takes.")
    else:
        _compare_fields(theirs, fields, "takes", problems, notes)
    problems += [f"It demands {path}, which we do not send." for path in demanded(fields, theirs)]
    problems += [f"It demands the header {name}." for name in operation.headers]


def _compare_answer(
    route: Route,
    binding: Binding | None,
    operation: Operation,
    problems: list[str],
    notes: list[str],
) -> None:
    """Record what is read and not answered."""
    if route.body is Body.BINARY:
        if operation.answer:
            problems.append("It answers JSON, not a file.")
        return
    if operation.is_file:
        problems.append("It does not answer JSON.")
        return
    if not operation.answer:
        if route.answer_fields:
            notes.append("The specification does not say what it answers.")
        return
    payload, has_envelope = payload_of(operation)
    expected = route.body is Body.ENVELOPE
    if binding is not None and binding.has_envelope is not None:
        expected = binding.has_envelope
    if has_envelope is None:
        notes.append("Its answer says neither success nor data.")
    elif has_envelope is not expected:
        problems.append(
            "Its answer has no data." if expected else "Its answer has data around everything."
        )
        return
    names = {} if binding is None else binding.answer
    theirs = {translated(ours, names): ours for ours in route.answer_fields}
    _compare_fields(theirs, payload, "answers", problems, notes)


def _compare_fields(
    theirs: Mapping[str, str],
    fields: Iterable[Field],
    verb: str,
    problems: list[str],
    notes: list[str],
) -> None:
    """Compare each path of theirs, and its type, with what is specified."""
    known = {each.path: each for each in fields}
    for path, ours in theirs.items():
        meaning = MEANINGS.get(ours.rpartition(".")[2])
        found = known.get(path)
        if found is None:
            if _is_open(path, known):
                continue
            is_spare = meaning is not None and meaning.is_optional
            (notes if is_spare else problems).append(f"It {verb} no {path}.")
        elif meaning is not None:
            problems += _contradictions(found, meaning.kinds, meaning.values)


def _contradictions(found: Field, kinds: frozenset[str], allowed: frozenset[str]) -> list[str]:
    if kinds and found.kinds and not kinds & found.kinds:
        there, here = " or ".join(sorted(found.kinds)), " or ".join(sorted(kinds))
        return [f"{found.path} is {there} there, {here} here."]
    values = {word.lower() for word in found.values}
    if allowed and values and not allowed & values:
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
