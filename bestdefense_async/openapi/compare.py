"""Our operations against a specification: which field is which, and where both have drifted apart.

A field of theirs is one of ours by name and type, each at most once. What stands in one object or
list of ours stands in one of theirs, its *home*: the one in which most of it is found. In a home
the same name counts most, then the same words, then a name from the table of words; what stands
deeper counts less. A name that says nothing is read with what it stands in (`site.id`).

Only what the specification says counts: where it leaves a body or a member open, nothing is found
wrong. What we could do without becomes a note, and is no drift.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from bestdefense_async.core.binding import ENVELOPES, Binding, last
from bestdefense_async.core.route import ELSEWHERE, ROUTES, Body, Grade, Route
from bestdefense_async.openapi.specification import Operation
from bestdefense_async.openapi.words import (
    GENERIC,
    MEANINGS,
    PLACES,
    SYNONYMS,
    Meaning,
    Words,
    split_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bestdefense_async.openapi.schema import Field
    from bestdefense_async.openapi.specification import Specification

_UNKNOWN: Final = Meaning()
_LAST: Final = re.compile(r"(\[\]|\.?[^.\[]+)$")


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
    arguments = [name for name in route.arguments if name in there.request]
    ours = [
        name
        for name in (*route.request_fields, *route.parts, *arguments)
        if f"{{{name}}}" not in there.template
        and not any(f"{name}.".startswith(f"{left}.") for left in there.unsent)
    ]
    theirs = _theirs(ours, there.request)
    needed = [path for path, name in theirs.items() if not MEANINGS.get(name, _UNKNOWN).is_optional]
    if theirs and not operation.sent:
        fit.unsaid.append("The specification does not say what it takes.")
    else:
        _compare_fields(theirs, operation.sent, there, needed, "takes", fit)
    demanded = _unsent(operation.sent, [*theirs, *there.constants])
    if operation.sent is not operation.query:
        demanded += _unsent(operation.query, ())
    fit.problems += [f"It demands {path}, which we do not send." for path in demanded]
    fit.problems += [f"It demands the header {name}." for name in operation.headers]
    _compare_answer(route, there, operation, fit)
    return fit


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


def _compare_answer(route: Route, there: Binding, operation: Operation, fit: Fit) -> None:
    """Record what is read and not answered."""
    payload, envelope = operation.payload
    body = route.body if there.envelope is None else ENVELOPES[there.envelope]
    if operation.is_file and route.body is not Body.BINARY:
        fit.problems.append("It does not answer JSON.")
    elif route.body is Body.BINARY:
        if envelope:
            fit.problems.append("It answers JSON, not a file.")
        elif not operation.is_file:
            fit.unsaid.append("Its answer is not said to be a file.")
    elif envelope is None:
        if route.answer_fields:
            fit.unsaid.append("The specification does not say what it answers.")
    elif body is not Body.BARE and ENVELOPES[envelope] is not body:
        fit.problems.append(_WRAPPED.get(envelope, "Its answer has no data."))
    else:
        fields = operation.answer if body is Body.BARE else payload
        needed = [translated(each, there.answer) for each in PLACES[route.name].answers]
        theirs = _theirs(route.answer_fields, there.answer)
        _compare_fields(theirs, fields, there, needed, "answers", fit)


_WRAPPED: Final = {
    "none": "Its answer says neither success nor data.",
    "data": "Its answer has data around everything.",
}


def _theirs(ours: Iterable[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return our last names by their paths; of what only some hosts have, what a binding says."""
    named = (each for each in ours if each in names or last(each) not in ELSEWHERE)
    return {translated(each, names): last(each) for each in named}


def _compare_fields(  # noqa: PLR0917  # what is compared with what
    theirs: Mapping[str, str],
    fields: Sequence[Field],
    there: Binding,
    needed: Sequence[str],
    verb: str,
    fit: Fit,
) -> None:
    """Compare each path of theirs, and its type, with what is specified.

    Args:
        theirs: Our names by their paths.
        fields: What is specified.
        there: The names, and the values that are translated.
        needed: Paths of theirs that cannot be done without.
        verb: What the operation does with them.
        fit: Where it is recorded.
    """
    known = {each.path: each for each in fields}
    for path in dict.fromkeys((*theirs, *needed)):
        name = theirs.get(path, last(path))
        found = known.get(path)
        if found is not None:
            fit.problems += [] if name in there.values else _contradictions(found, name)
        elif not _is_open(path, known):
            (fit.problems if path in needed else fit.notes).append(f"It {verb} no {path}.")
        elif path in needed:
            fit.unsaid.append(f"The specification does not say whether it {verb} {path}.")


def _contradictions(found: Field, name: str) -> list[str]:
    meaning = MEANINGS.get(name, _UNKNOWN)
    if meaning.kinds and found.kinds and not meaning.kinds & found.kinds:
        there, here = " or ".join(sorted(found.kinds)), " or ".join(sorted(meaning.kinds))
        return [f"{found.path} is {there} there, {here} here."]
    if found.values and meaning.values and not _translated(name, found.values):
        return [f"{found.path} is one of {', '.join(found.values[:6])} there."]
    return []


def _is_open(path: str, known: Mapping[str, Field]) -> bool:
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


_DEPTH: Final = 3.0
"""How many names of the table one level further down is worth."""


@frozen(kw_only=True)
class Pairing:
    """What fits together."""

    pairs: Mapping[str, str]
    """Each field of ours that has another name there, and where it stands; containers first."""
    found: frozenset[str]
    """Our fields that are there, those with the same name and all containers included."""
    values: Mapping[str, Mapping[str, str]]
    """Words of ours to theirs, where they list them and they differ."""


def pair_fields(
    ours: Sequence[str], theirs: Sequence[Field], *, own: frozenset[str] = frozenset()
) -> Pairing:
    """Return which of `theirs` each of `ours` is.

    Args:
        ours: Paths in our names.
        theirs: All that the other side has, containers included.
        own: Words for what it is all about: they add nothing to a name.
    """
    known = {each.path: each for each in theirs}
    pairs: dict[str, str] = {}
    found: dict[str, Field] = {}
    for container in dict.fromkeys(_above(path) for path in ours):
        members = [path for path in ours if _above(path) == container]
        # What has one of our names, whole, is that and nothing else.
        free = [each for each in theirs if each.path not in ours or each.path in members]
        homes = [path for path in ("", *known) if _may_hold(path, container)]
        if any(path in known for path in members):
            homes = [container]
        choices = [(home, _at_home(members, home, free, own)) for home in homes]
        home, there = max(choices, key=lambda each: _weight(container, *each), default=("", {}))
        if container and home != container and there:
            pairs[container.removesuffix("[]")] = home.removesuffix("[]")
        for path in (path for path in members if path in there):
            found[path] = there[path]
            # Where it ends up when only its container is moved needs no pair.
            if there[path].path != f"{home}.{last(path)}".removeprefix("."):
                pairs[path] = there[path].path
    containers = {_above(path).removesuffix("[]") for path in found if "." in path}
    return Pairing(
        pairs=pairs, found=frozenset({*found} | containers), values=_values(found, known)
    )


def _above(path: str) -> str:
    return path.rpartition(".")[0]


def _may_hold(home: str, container: str) -> bool:
    """Return whether `home` is of the kind of one of our containers: an object, or a list."""
    if container.endswith("[]"):
        return home.endswith("[]") and home.count("[]") == container.count("[]")
    return not home if not container else "[]" not in home


def _weight(container: str, home: str, there: Mapping[str, Field]) -> float:
    """Return how much of a container is found in a home; its likely name is worth a member."""
    name = last(container)
    likely = {*split_words(name)}.union(*MEANINGS.get(name, _UNKNOWN).names)
    return len(there) + (1.5 if there and likely & {*split_words(last(home))} else 0)


def _at_home(
    members: Sequence[str], home: str, theirs: Sequence[Field], own: frozenset[str]
) -> dict[str, Field]:
    """Return the fields of one home that our members are, the closest first."""
    prefix = f"{home}." if home else ""
    inner = [
        (each, each.path.removeprefix(prefix)) for each in theirs if each.path.startswith(prefix)
    ]
    ranked = sorted(
        (
            (rank, at, path, each)
            for at, path in enumerate(members)
            for each, name in inner
            if "[]" not in name and (rank := _rank(last(path), name, each, own)) is not None
        ),
        key=lambda row: row[:2],
    )
    found: dict[str, Field] = {}
    for _, _, path, each in ranked:
        if path not in found and each not in found.values():
            found[path] = each
    return found


def _rank(ours: str, path: str, theirs: Field, own: frozenset[str]) -> float | None:
    """Return how far a field of theirs is from one of ours, None when it is another."""
    meaning, table = MEANINGS.get(ours, _UNKNOWN), _translated(ours, theirs.values)
    if theirs.kinds == {"object"} or not _has_our_kind(ours, theirs):
        return None
    *above, name = path.split(".")
    words = tuple(word for word in split_words(name) if word != "hydra")
    if above and {*words} <= GENERIC:
        words = split_words(above[-1]) + words
    bare, wanted = _bare(words, own), split_words(ours)
    ranks = [0.0] if name == ours else []
    ranks += [1.0] if words == wanted else []
    ranks += [2.0] if bare == wanted or words == _bare(wanted, own) else []
    ranks += [2.5] if len(table) > 1 else []
    ranks += [3.0 + meaning.names.index(each) for each in (words, bare) if each in meaning.names]
    return min(ranks) + _DEPTH * len(above) if ranks else None


def _bare(words: Words, own: frozenset[str]) -> Words:
    """Return the words of a name without what it is all about."""
    while len(words) > 1 and words[0] in own:
        words = words[1:]
    return words


def _has_our_kind(ours: str, theirs: Field) -> bool:
    if ours == "isCompleted" and theirs.kinds == {"string"}:
        # A text says so only where the specification lists what it may say.
        return bool(_translated(ours, theirs.values))
    kinds = MEANINGS.get(ours, _UNKNOWN).kinds
    return not (theirs.kinds and kinds) or bool(theirs.kinds & kinds)


def _translated(ours: str, listed: Sequence[str]) -> dict[str, str]:
    """Return which of their listed values each word of ours is, where it is found."""
    lower = {each.lower(): each for each in reversed(listed)}
    found: dict[str, str] = {}
    for word in MEANINGS.get(ours, _UNKNOWN).values if listed else ():
        names = (each for each in lower if each == word.lower() or each in SYNONYMS.get(word, ()))
        if (name := next(names, None)) is not None:
            found[word] = lower[name]
    return found


def _values(found: Mapping[str, Field], known: Mapping[str, Field]) -> dict[str, dict[str, str]]:
    """Return the words that differ, by our field. Severities and stages are read in any case."""
    tables: dict[str, dict[str, str]] = {}
    for path, each in found.items():
        name = last(path)
        table = _translated(name, known.get(f"{each.path}[]", each).values)
        if name not in {"severity", "stage"} and any(one != other for one, other in table.items()):
            tables[name] = table
    return tables
