"""How likely an operation of a host is one of ours: a number, and the reasons for it.

Five things count, each from 0 to 1: what it is about, what it does (words, and the form of its
path), what it takes, what it answers, and its method, which multiplies. Fields count only where
both sides have some. A path may have other names for its variable parts: `match_parts` finds which
of ours each of them is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import evolve, field, frozen

from bestdefense_async.core.route import Body, Route
from bestdefense_async.openapi.model import Field, Operation, shape_of
from bestdefense_async.openapi.pairing import LEAST, alike
from bestdefense_async.openapi.vocabulary import (
    ACTIONS,
    BROAD,
    GENERIC,
    IMPLIED,
    NEIGHBOURS,
    OTHER_ACTIONS,
    SUBJECTS,
    Words,
    split_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bestdefense_async.openapi.pairing import Pairing


_SUBJECT: Final = 3.0
_ACTION: Final = 2.5
_REQUEST: Final = 1.5
_ANSWER: Final = 2.5
_TELLING: Final = 0.6
"""A share of our fields from which on an answer says by itself what it is."""
_METHODS: Final = {
    ("POST", "PUT"): 0.8,
    ("POST", "PATCH"): 0.6,
    ("DELETE", "POST"): 0.8,
}
"""How likely a method of theirs stands for another one of ours."""


@frozen(kw_only=True)
class Likelihood:
    """How likely, and why."""

    score: float
    """0 to 1."""
    reasons: tuple[str, ...]
    """Short, the strongest first."""


@frozen(kw_only=True)
class _Words:
    """The words of an operation by where they stand."""

    path: Words
    own_id: Words
    tags: Words
    summary: Words

    @classmethod
    def of(cls, operation: Operation) -> _Words:
        fixed = (part for part in operation.path.split("/") if "{" not in part)
        return cls(
            path=_all(fixed),
            own_id=split_words(operation.operation_id),
            tags=_all(operation.tags),
            summary=split_words(operation.summary),
        )

    @property
    def all(self) -> Words:
        """All of them."""
        return (*self.path, *self.own_id, *self.tags, *self.summary)

    def evidence(self, words: frozenset[str]) -> tuple[float, list[str]]:
        """Return how much speaks for one of `words`, and one sentence on where it stands."""
        doubt = 1.0
        locations: dict[str, list[str]] = {}
        for location, there, weight in (
            ("path", self.path, 0.8),
            ("operationId", self.own_id, 0.6),
            ("tag", self.tags, 0.45),
            ("summary", self.summary, 0.35),
        ):
            hit = next((word for word in there if word in words), None)
            if hit is not None:
                doubt *= 1 - weight
                locations.setdefault(hit, []).append(location)
        return 1 - doubt, [f"{hit!r} in {', '.join(found)}" for hit, found in locations.items()]


def method_factor(route: Route, operation: Operation) -> float:
    """Return how likely the method is, 0 to 1; 0 rules the operation out."""
    if route.method == operation.method:
        return 1.0
    return _METHODS.get((route.method, operation.method), 0.0)


def strange_words(route: Route, operation: Operation) -> tuple[str, ...]:
    """Return the words in a path that say it does something which our operation does not."""
    own = ACTIONS.get(route.name.partition(".")[2], frozenset())
    path = _Words.of(operation).path
    return tuple(word for word in path if word in OTHER_ACTIONS and word not in own)


def subject_of(route: Route) -> frozenset[str]:
    """Return the words for what an operation of ours is about."""
    group = route.name.partition(".")[0]
    return SUBJECTS.get(group, frozenset()) | NEIGHBOURS.get(group, frozenset())


def likelihood(
    route: Route, operation: Operation, *, request: Pairing, answer: Pairing
) -> Likelihood:
    """Return how likely `operation` is our `route`.

    Args:
        request: How the fields that are sent fit, path parts included.
        answer: How the fields that are answered fit.
    """
    words = _Words.of(operation)
    group, _, action = route.name.partition(".")
    subject, reasons = _subject(group, words)
    doing, why = _action(route, action, operation, words)
    reasons += why
    parts = [(subject, _SUBJECT), (doing, _ACTION)]
    if request.pairs or request.missing:
        parts.append((request.share, _REQUEST))
        reasons += _shared("takes", request)
    if route.answer_fields and operation.answer:
        parts.append((answer.share, _ANSWER))
        reasons += _shared("answers", answer)
    factor = method_factor(route, operation)
    if (route.method, operation.method) == ("DELETE", "POST"):
        # A POST at the same path changes the thing, unless it says otherwise.
        factor = 0.95 if why else 0.3
    score = factor * sum(value * weight for value, weight in parts) / sum(w for _, w in parts)
    if subject == 0:
        score *= 0.4
    is_said = action in IMPLIED or any(word in ACTIONS[action] for word in words.all)
    if not is_said and (not operation.answer or answer.share < _TELLING):
        # Nothing says that it does this: neither a word nor what it answers.
        score *= 0.6
    is_guess = (route.method, shape_of(route.template)) == (
        operation.method,
        shape_of(operation.path),
    )
    if is_guess:
        score = min(1.0, score + 0.1)
        reasons.insert(0, "stands where we guessed")
    if operation.is_deprecated:
        score *= 0.8
        reasons.append("is deprecated")
    return Likelihood(score=round(score, 3), reasons=tuple(reasons))


def _subject(group: str, words: _Words) -> tuple[float, list[str]]:
    own, found = words.evidence(SUBJECTS.get(group, frozenset()))
    foreign = [
        other
        for name, other in SUBJECTS.items()
        if name != group and name not in BROAD and set(words.path) & other
    ]
    has_own_in_path = bool(set(words.path) & SUBJECTS.get(group, frozenset()))
    if foreign and (group in BROAD or not has_own_in_path):
        own *= 0.2
    return own, found


def _action(
    route: Route, action: str, operation: Operation, words: _Words
) -> tuple[float, list[str]]:
    own, found = words.evidence(ACTIONS.get(action, frozenset()))
    others = frozenset[str]().union(*(ACTIONS[name] for name in ACTIONS if name != action))
    foreign, _ = words.evidence(others - ACTIONS.get(action, frozenset()))
    if not own:
        own = 0.85 if action in IMPLIED and foreign == 0 else 0.3 if action in IMPLIED else 0.0
    elif foreign > own:
        own *= 0.6
    form = _form(route, operation)
    return own * 0.5 + form * 0.5, found


def _form(route: Route, operation: Operation) -> float:
    """Return how well the form of the path and the kind of answer fit, 0 to 1."""
    if (route.body is Body.BINARY) != operation.is_file:
        return 0.1 if operation.answer or operation.is_file else 0.5
    ends_in_part = operation.path.rstrip("/").endswith("}")
    difference = abs(len(operation.parts) - len(route.parts))
    lists = any("[]" in path for path in route.answer_fields)
    is_list = any(path.path.count("[]") and path.path.endswith("[]") for path in operation.answer)
    score = 1.0 if ends_in_part == route.template.endswith("}") else 0.4
    score -= 0.2 * difference
    if operation.answer and route.answer_fields and lists and not is_list:
        score -= 0.4
    return max(0.0, score)


def _shared(verb: str, pairing: Pairing) -> list[str]:
    if not pairing.pairs:
        return []
    shown = ", ".join(pair.theirs.rpartition(".")[2] or pair.theirs for pair in pairing.pairs[:4])
    more = len(pairing.pairs) - 4
    return [f"{verb} {shown}" + (f" and {more} more" if more > 0 else "")]


def _all(texts: Iterable[str]) -> Words:
    return tuple(word for text in texts for word in split_words(text))


_BRACES: Final = re.compile(r"{([^{}/]+)}")


@frozen(kw_only=True)
class Parts:
    """Which name of ours fills which part of their path."""

    template: str | None
    """Their path with our names, None when a part has none."""
    placed: frozenset[str] = frozenset()
    """Our parts and fields that stand in their path."""
    lost: tuple[str, ...] = ()
    """Our parts that do not: they must go into query or body."""
    unknown: tuple[str, ...] = field(default=())
    """Their parts that are nothing of ours."""
    doubts: tuple[str, ...] = field(default=())


def match_parts(route: Route, operation: Operation) -> Parts:
    """Return the template of a host's path in our names.

    A part may hold one of our parts, or a plain member of our request.
    """
    free = [*route.parts, *(name for name in route.request_fields if name.isidentifier())]
    names: dict[str, str] = {}
    unknown: list[str] = []
    theirs = _described(operation)
    subject = subject_of(route)
    for their_name, readings in _known_by(operation, subject).items():
        scored = [
            (alike(ours, words, theirs[their_name], subject=subject), ours)
            for words in readings
            for ours in free
        ]
        score, best = max(scored, key=lambda row: row[0], default=(0.0, ""))
        if score >= LEAST:
            names[their_name] = best
            free.remove(best)
        else:
            unknown.append(their_name)
    doubts = []
    left = [part for part in route.parts if part in free]
    if len(unknown) == len(left) == 1:
        # The only part of theirs without a name may be the only one of ours.
        names[unknown[0]] = left[0]
        doubts.append(f"{{{unknown[0]}}} in its path is taken for {left[0]}.")
        unknown = []
    return Parts(
        template=None
        if unknown
        else _BRACES.sub(lambda match: f"{{{names[match[1]]}}}", operation.path),
        placed=frozenset(names.values()),
        lost=tuple(part for part in route.parts if part not in names.values()),
        unknown=tuple(f"{{{name}}}" for name in unknown),
        doubts=tuple(doubts),
    )


def _described(operation: Operation) -> dict[str, Field]:
    """Return each part as a field; a path may have parts that are nowhere described."""
    described = {each.path: evolve(each, values=()) for each in operation.parameters}
    return {name: described.get(name, Field(path=name)) for name in operation.parts}


def _known_by(operation: Operation, subject: frozenset[str]) -> dict[str, tuple[Words, ...]]:
    """Return the words of each part, in the ways it can be read.

    One that says nothing itself (`{id}`) is known by the segment before it; and where that names
    what it is all about, it needs no words.
    """
    known: dict[str, tuple[Words, ...]] = {}
    before: Words = ()
    for segment in operation.path.split("/"):
        for name in _BRACES.findall(segment):
            words = split_words(name)
            if set(words) <= GENERIC:
                bare = (words,) if set(before) & subject else ()
                known[name] = (before[-1:] + words, *bare)
            else:
                known[name] = (words,)
        if "{" not in segment:
            before = split_words(segment)
    return known
