"""Our route table against a specification: where they agree, and where they have drifted apart.

Only what the specification says counts: where it leaves a body or a member open, nothing is found
wrong. What we could do without becomes a note, and is no drift.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from bestdefense_async.core.binding import ENVELOPES, Binding, last
from bestdefense_async.core.route import PAGED, ROUTES, Body, Grade, Route
from bestdefense_async.openapi.pair import translated_values, unsent
from bestdefense_async.openapi.specification import Operation
from bestdefense_async.openapi.words import MEANINGS, PLACES, Meaning

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bestdefense_async.openapi.schema import Field
    from bestdefense_async.openapi.specification import Specification

_UNKNOWN: Final = Meaning()
_LAST: Final = re.compile(r"(\[\]|\.[^.\[]+)$")


class Standing(enum.StrEnum):
    """What came of comparing one operation."""

    AGREES = "agrees"
    """It stands there, with our fields."""
    DRIFT = "drift"
    """The specification contradicts the route table, or the binding."""
    NOT_FOUND = "not found"
    """Its path is our guess, and nothing stands there."""


@define
class Fit:
    """What came of one comparison, one sentence each."""

    problems: list[str] = field(factory=list)
    """What contradicts."""
    unsaid: list[str] = field(factory=list)
    """What the specification does not describe."""
    notes: list[str] = field(factory=list)
    """What is merely missing."""


@frozen(kw_only=True)
class Comparison:
    """One operation of ours, compared."""

    route: Route
    location: str
    """Method and path that were compared."""
    is_bound: bool
    operation: Operation | None
    """What the specification has at that path, with that method."""
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
    there = binding or Binding(method=route.method, template=route.template)
    operation = specification.find(there.method, there.template)
    if operation is None:
        others = ", ".join(specification.methods_of(there.template))
        nowhere = "The specification has no such path."
        fit = Fit([f"The path is there with {others} only." if others else nowhere])
    else:
        fit = fit_of(route, there, operation)
    is_guess = route.grade is Grade.DESCRIBED and binding is None
    standing = Standing.DRIFT if fit.problems else Standing.AGREES
    return Comparison(
        route=route,
        location=f"{there.method} {there.template}",
        is_bound=binding is not None,
        operation=operation,
        standing=Standing.NOT_FOUND if operation is None and is_guess else standing,
        problems=tuple(fit.problems),
        notes=(*fit.unsaid, *fit.notes),
    )


def fit_of(route: Route, there: Binding, operation: Operation) -> Fit:
    """Return how an operation of the host fits one of ours, in the names of a binding."""
    fit = Fit()
    ours = [
        name
        for name in (*route.request_fields, *route.parts)
        if f"{{{name}}}" not in there.template
        and not any(f"{name}.".startswith(f"{left}.") for left in there.unsent)
    ]
    theirs = _theirs(ours, there.request)
    needed = [
        path for path, name in theirs.items() if not MEANINGS.get(last(name), _UNKNOWN).is_optional
    ]
    if theirs and not operation.sent:
        fit.unsaid.append("The specification does not say what it takes.")
    else:
        _compare_fields(theirs, operation.sent, there.values, needed, "takes", fit)
    demanded = unsent(operation.sent, [*theirs, *there.constants])
    if operation.sent is not operation.query:
        demanded += unsent(operation.query, ())
    fit.problems += [f"It demands {path}, which we do not send." for path in demanded]
    fit.problems += [f"It demands the header {name}." for name in operation.headers]
    _compare_answer(route, there, operation, fit)
    return fit


def _compare_answer(route: Route, there: Binding, operation: Operation, fit: Fit) -> None:
    """Record what is read and not answered."""
    if route.body is Body.BINARY or operation.is_file:
        if route.body is not Body.BINARY:
            fit.problems.append("It does not answer JSON.")
        elif operation.answer:
            fit.problems.append("It answers JSON, not a file.")
        elif not operation.is_file:
            fit.unsaid.append("Its answer is not said to be a file.")
        return
    payload, envelope = operation.payload
    if envelope is None:
        if route.answer_fields:
            fit.unsaid.append("The specification does not say what it answers.")
        return
    body = route.body if there.envelope is None else ENVELOPES[there.envelope]
    if body is Body.BARE:
        payload = operation.answer
    elif ENVELOPES[envelope] is not body:
        fit.problems.append(
            "Its answer says neither success nor data."
            if envelope == "none"
            else "Its answer has no data."
            if body is Body.ENVELOPE
            else "Its answer has data around everything."
        )
        return
    theirs = _theirs(route.answer_fields, there.answer)
    needed = [translated(each, there.answer) for each in PLACES[route.name].answers]
    _compare_fields(theirs, payload, there.values, needed, "answers", fit)


def _theirs(ours: Collection[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return their paths to ours, without pages that a binding does not mention."""
    named = (each for each in ours if each in names or each not in PAGED)
    return {translated(each, names): each for each in named}


def _compare_fields(  # noqa: PLR0917  # what is compared with what
    theirs: Mapping[str, str],
    fields: Collection[Field],
    values: Collection[str],
    needed: Collection[str],
    verb: str,
    fit: Fit,
) -> None:
    """Compare each path of theirs, and its type, with what is specified.

    Args:
        theirs: Their paths to ours.
        fields: What is specified.
        values: Names of ours whose values are translated.
        needed: Paths of theirs that cannot be done without.
        verb: What the operation does with them.
        fit: Where it is recorded.
    """
    known = {each.path: each for each in fields}
    for path in [*theirs, *(path for path in needed if path not in theirs)]:
        name = last(theirs.get(path, path))
        found = known.get(path)
        if found is None:
            if not _is_open(path, known):
                (fit.problems if path in needed else fit.notes).append(f"It {verb} no {path}.")
        elif name not in values:
            fit.problems += _contradictions(found, name)


def _contradictions(found: Field, name: str) -> list[str]:
    meaning = MEANINGS.get(name, _UNKNOWN)
    if meaning.kinds and found.kinds and not meaning.kinds & found.kinds:
        there, here = " or ".join(sorted(found.kinds)), " or ".join(sorted(meaning.kinds))
        return [f"{found.path} is {there} there, {here} here."]
    if found.values and meaning.values and not translated_values(name, found.values):
        return [f"{found.path} is one of {', '.join(found.values[:6])} there."]
    return []


def _is_open(path: str, known: Mapping[str, Field]) -> bool:
    """Return whether the specification leaves open what stands in the container of `path`."""
    if not known:
        return True
    while _LAST.search(path):
        path = _LAST.sub("", path)
        if path in known:
            return not any(each.startswith((f"{path}.", f"{path}[]")) for each in known)
    return False


def translated(ours: str, names: Mapping[str, str]) -> str:
    """Return where a field of ours stands in the names of a binding.

    A container that is moved takes its members along, but for those that have pairs of their own.
    """
    above, rest = ours, ""
    while above not in names and (end := _LAST.search(above)):
        above, rest = _LAST.sub("", above), end[0] + rest
    return (names[above] + rest).removeprefix(".") if above in names else ours
