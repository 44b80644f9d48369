"""Which field of theirs is which of ours: by name and type, each at most once.

What stands in one object or list of ours stands in one of theirs, its *home*: the one in which most
of it is found. In a home the same name counts most, then the same words, then a name from the table
of words; what stands deeper counts less.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.core.binding import last
from bestdefense_async.openapi.specification import Field
from bestdefense_async.openapi.words import (
    GENERIC,
    SYNONYMS,
    VALUES,
    Words,
    meaning_of,
    split_words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


_DEPTH: Final = 3.0
"""How many names of the table one level further down is worth."""
_NAME: Final = 1.5
"""How many members the likely name of a home is worth."""


@frozen(kw_only=True)
class Pairing:
    """What fits together."""

    pairs: Mapping[str, str]
    """Each field of ours that has another name there, and where it stands; containers first."""
    found: Mapping[str, Field]
    """Our fields that are there, those with the same name too."""
    values: Mapping[str, Mapping[str, str]]
    """Words of ours to theirs, where they list them and they differ."""


def pair_fields(ours: Sequence[str], theirs: Sequence[Field], own: frozenset[str]) -> Pairing:
    """Return which of `theirs` each of `ours` is.

    Args:
        ours: Paths in our names.
        theirs: All that the other side has, containers included.
        own: Words for what it is all about: they add nothing to a name.
    """
    known = {each.path: each for each in theirs}
    holders = dict.fromkeys(map(_above, known))
    pairs: dict[str, str] = {}
    found: dict[str, Field] = {}
    for container in dict.fromkeys(map(_above, ours)):
        members = [path for path in ours if _above(path) == container]
        # What has one of our names, whole, is that and nothing else.
        free = [each for each in theirs if each.path not in ours or each.path in members]
        is_here = not container or any(path in known for path in members)
        homes = [container] if is_here else [path for path in holders if _fits(path, container)]
        choices = [(home, _at_home(members, home, free, own)) for home in homes]
        home, there = max(choices, key=lambda each: _weight(container, *each), default=("", {}))
        if home != container and there:
            pairs[container.removesuffix("[]")] = home.removesuffix("[]")
        for path, each in there.items():
            found[path] = each
            # Where it ends up when only its container is moved needs no pair.
            if each.path != f"{home}.{last(path)}".removeprefix("."):
                pairs[path] = each.path
    tables = {path: _values(last(path), each, known) for path, each in found.items()}
    values = {last(path): table for path, table in tables.items() if table}
    return Pairing(pairs=pairs, found=found, values=values)


def _above(path: str) -> str:
    return path.rpartition(".")[0]


def _fits(home: str, container: str) -> bool:
    """Return whether `home` is of the kind of one of our containers: an object, or a list."""
    is_list = container.endswith("[]")
    return home.count("[]") == container.count("[]") and home.endswith("[]") is is_list


def _weight(container: str, home: str, there: Mapping[str, Field]) -> float:
    """Return how much of a container is found in a home."""
    likely = {*split_words(last(container))}.union(*meaning_of(last(container)).names)
    return len(there) + (_NAME if there and likely & {*split_words(last(home))} else 0)


def _at_home(
    members: Sequence[str], home: str, theirs: Sequence[Field], own: frozenset[str]
) -> dict[str, Field]:
    """Return the fields of one home that our members are, the closest first."""
    prefix = f"{home}." if home else ""
    inner = [(each, each.path[len(prefix) :]) for each in theirs if each.path.startswith(prefix)]
    ranked = [
        (rank, path, each)
        for path in members
        for each, name in inner
        if "[]" not in name and (rank := _rank(last(path), name, each, own)) is not None
    ]
    found: dict[str, Field] = {}
    for _, path, each in sorted(ranked, key=itemgetter(0)):
        if path not in found and each not in found.values():
            found[path] = each
    return {path: found[path] for path in members if path in found}


def _rank(ours: str, path: str, theirs: Field, own: frozenset[str]) -> float | None:
    """Return how far a field of theirs is from one of ours, None when it is another."""
    meaning, table = meaning_of(ours), translated_values(ours, theirs.values)
    is_kind = not (meaning.kinds and theirs.kinds) or bool(meaning.kinds & theirs.kinds)
    # A text says that something is complete only where it is listed what it may say; and what lists
    # none of our words is something else.
    is_said = bool(table) or (is_kind and not (theirs.values and ours in VALUES))
    if theirs.kinds == {"object"} or not is_said:
        return None
    *above, name = path.split(".")
    words = tuple(word for word in split_words(name) if word != "hydra")
    if above and {*words} <= GENERIC:  # it says nothing without what it stands in: `site.id`
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


def translated_values(ours: str, listed: Sequence[str]) -> dict[str, str]:
    """Return which of their listed values each word of ours is, where it is found."""
    lower = {each.lower(): each for each in reversed(listed)}
    found: dict[str, str] = {}
    for word in VALUES.get(ours, ()) if listed else ():
        names = (each for each in lower if each == word.lower() or each in SYNONYMS.get(word, ()))
        if (name := next(names, None)) is not None:
            found[word] = lower[name]
    return found


def _values(name: str, each: Field, known: Mapping[str, Field]) -> dict[str, str]:
    """Return the words that differ. Severities and stages are read in any case."""
    table = translated_values(name, known.get(f"{each.path}[]", each).values)
    is_same = name in {"severity", "stage"} or all(one == other for one, other in table.items())
    return {} if is_same else table
