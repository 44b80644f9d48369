"""Our operations against a specification: where both have drifted apart.

Only what the specification says counts: where it leaves a body or a member open, nothing is found
wrong. What we could do without becomes a note, and is no drift.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import define, field

from bestdefense_async.core.binding import Binding, last
from bestdefense_async.core.route import ELSEWHERE, ROUTES, Body, Grade, Route
from bestdefense_async.openapi.specification import Field, Operation
from bestdefense_async.openapi.words import PLACES, meaning_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from bestdefense_async.openapi.specification import Specification

FORMS: Final = {Body.ENVELOPE: "data", Body.TOP_LEVEL: "top", Body.BINARY: "file"}
"""What we expect of an answer, as `Operation.form` says it."""
_FORMS: Final = {
    "file": "a file",
    "data": "success and data",
    "top": "success without data",
    "none": "neither success nor data",
}
_LAST: Final = re.compile(r"(\[\]|\.?[^.\[]+)$")


@define(kw_only=True)
class Comparison:
    """One operation of ours, held against what the host has in its place."""

    route: Route
    there: Binding
    """Where it is expected, and how."""
    known: str
    """How we know that: `bound`, or the grade of the route."""
    operation: Operation | None
    """What the specification has at that path, with that method."""
    problems: list[str] = field(factory=list)
    """What contradicts, one sentence each."""
    unsaid: list[str] = field(factory=list)
    """What the specification does not describe."""
    missing: list[str] = field(factory=list)
    """What is missing, and can be done without."""

    @property
    def location(self) -> str:
        """Method and path that were compared."""
        return f"{self.there.method} {self.there.template}"

    @property
    def standing(self) -> str:
        """`agrees`, `drift`, or `not found` where nothing stands at a path that is our guess."""
        is_guess = self.known == Grade.DESCRIBED and self.operation is None
        return "not found" if is_guess else "drift" if self.problems else "agrees"


def compare(
    specification: Specification, bindings: Mapping[str, Binding]
) -> tuple[Comparison, ...]:
    """Return each operation of our table as a specification has it, in our order.

    Args:
        specification: The host's.
        bindings: The host's; a bound operation is expected where its binding says.
    """
    rows = []
    for route in ROUTES.values():
        there = bindings.get(route.name) or Binding(method=route.method, template=route.template)
        methods = specification.at(there.template)
        row = compare_at(route, there, methods.get(there.method))
        row.known = "bound" if route.name in bindings else row.known
        if row.operation is None:
            only = f"The path is there with {', '.join(methods)} only."
            row.problems = [only if methods else "The specification has no such path."]
        rows.append(row)
    return tuple(rows)


def compare_at(route: Route, there: Binding, operation: Operation | None) -> Comparison:
    """Return how an operation of the host fits one of ours, in the names of a binding."""
    row = Comparison(route=route, there=there, known=str(route.grade), operation=operation)
    if operation is None:
        return row
    arguments = [name for name in route.arguments if name in there.request]
    ours = [
        name
        for name in (*route.request_fields, *route.parts, *arguments)
        if f"{{{name}}}" not in there.template
        and not any(f"{name}.".startswith(f"{left}.") for left in there.unsent)
    ]
    theirs = _theirs(ours, there.request)
    if theirs and not operation.sent:
        row.unsaid.append("The specification does not say what it takes.")
    else:
        needed = [translated(e, there.request) for e in ours if not meaning_of(last(e)).is_optional]
        _look_for(theirs, needed, operation.sent, "takes", row)
    query = () if operation.sent is operation.query else operation.query
    demanded = [*_unsent(operation.sent, [*theirs, *there.constants]), *_unsent(query, ())]
    row.problems += [f"It demands {each}, which we do not send." for each in demanded]
    form, wanted = operation.form, there.envelope or FORMS[route.body]
    if form is None:
        says = ["The specification does not say what it answers."]
        row.unsaid += says if route.answer_fields or wanted == "file" else []
    elif form != wanted and (wanted != "none" or form == "file"):
        row.problems.append(f"It answers {_FORMS[form]}, not {_FORMS[wanted]}.")
    else:
        fields = operation.answer if wanted == "none" else operation.payload
        needed = [translated(each, there.answer) for each in PLACES[route.name].answers]
        _look_for(_theirs(route.answer_fields, there.answer), needed, fields, "answers", row)
    return row


def _theirs(ours: Iterable[str], names: Mapping[str, str]) -> list[str]:
    """Return the paths of our fields there; of what only some hosts have, what a binding says."""
    return [translated(e, names) for e in ours if e in names or last(e) not in ELSEWHERE]


def _unsent(theirs: Sequence[Field], sent: Iterable[str]) -> list[str]:
    """Return what they demand and is not among what is sent, containers for all in them."""
    given, missing = list(sent), list[str]()
    for each in theirs:
        path = each.path
        is_sent = any(one == path or one.startswith((f"{path}.", f"{path}[")) for one in given)
        is_within = any(path.startswith(f"{above}.") for above in missing)
        if each.is_required and "[]" not in path and not is_sent and not is_within:
            missing.append(path)
    return missing


def _look_for(
    theirs: list[str], needed: list[str], fields: Sequence[Field], verb: str, row: Comparison
) -> None:
    """Record which paths of theirs are not specified."""
    known = {each.path for each in fields}
    for path in dict.fromkeys([*theirs, *needed]):
        if path not in known and not _is_open(path, known):
            (row.problems if path in needed else row.missing).append(f"It {verb} no {path}.")
        elif path not in known and path in needed:
            row.unsaid.append(f"The specification does not say whether it {verb} {path}.")


def _is_open(path: str, known: Collection[str]) -> bool:
    """Return whether the specification leaves open what stands in the container of `path`."""
    while path := _LAST.sub("", path):
        if path in known:
            return not any(each.startswith((f"{path}.", f"{path}[]")) for each in known)
    return not known


def translated(ours: str, names: Mapping[str, str]) -> str:
    """Return where a field of ours stands in the names of a binding.

    A container that is moved takes its members along, but for those that have pairs of their own.
    """
    above = ours
    while above and above not in names:
        above = _LAST.sub("", above)
    return (names[above] + ours.removeprefix(above)).removeprefix(".") if above else ours
