"""The variable parts of a host's path: which of ours stands in each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import evolve, field, frozen

from bestdefense_async.specification.likelihood import subject_of
from bestdefense_async.specification.model import Field
from bestdefense_async.specification.pairing import LEAST, alike
from bestdefense_async.specification.vocabulary import GENERIC, Words, split_words

if TYPE_CHECKING:
    from bestdefense_async.core.route import Route
    from bestdefense_async.specification.model import Operation

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


def place_parts(route: Route, operation: Operation) -> Parts:
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
    described = {each.path: evolve(each, words=()) for each in operation.parameters}
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
