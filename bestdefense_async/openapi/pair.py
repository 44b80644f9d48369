"""Which field of theirs is which of ours: by name and type, each at most once.

What stands in one object or list of ours stands in one of theirs, its *home*: the one in which
most of it is found. In a home the same name counts most, then the same words, then a name from the
table of words; what stands deeper counts less. A name that says nothing is read with what it
stands in (`site.id`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.core.binding import last
from bestdefense_async.openapi.words import (
    CONTAINERS,
    GENERIC,
    MEANINGS,
    SYNONYMS,
    Meaning,
    Words,
    split_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bestdefense_async.openapi.model import Field

_UNKNOWN: Final = Meaning()
_DEPTH: Final = 3.0
"""How many names of the table one level further down is worth."""


@frozen(kw_only=True)
class Pairing:
    """What fits together, and what does not."""

    pairs: Mapping[str, str]
    """Each field of ours that was found, and where it stands there; containers first."""
    found: frozenset[str]
    """Our fields that are there, those with the same name included."""
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
    found: dict[str, Field] = {path: known[path] for path in ours if path in known}
    for container, members in _by_container(path for path in ours if path not in found).items():
        beside = [path for path in found if _container(path) == container]
        home = container if beside else _home(container, members, theirs, own)
        if home is None:
            continue
        at_home = _pair_members(members, home, theirs, own, {*found})
        if container and home != container and at_home:
            pairs[container.removesuffix("[]")] = home.removesuffix("[]")
        for path in (path for path in members if path in at_home):
            field = found[path] = at_home[path]
            if field.path != _moved_along(path, container, home):
                pairs[path] = field.path
    named = frozenset({*found, *(_above(path) for path in found if "." in path)})
    return Pairing(pairs=pairs, found=named, values=_values(found, known))


def unsent(theirs: Sequence[Field], sent: Iterable[str]) -> list[str]:
    """Return what they demand and is not among what is sent, containers for all in them."""
    given, missing = list(sent), list[str]()
    for each in theirs:
        path = each.path
        is_sent = any(one == path or one.startswith((f"{path}.", f"{path}[")) for one in given)
        is_within = any(path.startswith(f"{above}.") for above in missing)
        if each.is_required and "[]" not in path and not is_sent and not is_within:
            missing.append(path)
    return missing


def _container(path: str) -> str:
    """Return what a field stands in, with its brackets; empty for none."""
    return path.rpartition(".")[0]


def _above(path: str) -> str:
    return _container(path).removesuffix("[]")


def _moved_along(path: str, container: str, home: str) -> str:
    """Return where a field ends up when only its container is moved."""
    name = path.removeprefix(container).removeprefix(".")
    return f"{home}.{name}" if home else name


def _by_container(paths: Iterable[str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for path in paths:
        grouped.setdefault(_container(path), []).append(path)
    return grouped


def _home(
    container: str, members: Sequence[str], theirs: Sequence[Field], own: frozenset[str]
) -> str | None:
    """Return which object or list of theirs has most of what stands in one of ours."""
    if not container:
        return ""
    if container.endswith("[]"):
        homes = [each.path for each in theirs if each.path.endswith("[]")]
        homes = [path for path in homes if path.count("[]") == container.count("[]")]
    else:
        homes = ["", *(each.path for each in theirs if "[]" not in each.path)]
    best: tuple[float, str | None] = (0.0, None)
    names = split_words(last(container))
    for home in homes:
        there = _pair_members(members, home, theirs, own, set())
        score = float(len(there))
        words = set(split_words(last(home)))
        if score and (words & {*names} or words & CONTAINERS.get(last(container), frozenset())):
            score += 1.5
        if score > best[0]:
            best = (score, home)
    return best[1]


def _pair_members(
    members: Sequence[str],
    home: str,
    theirs: Sequence[Field],
    own: frozenset[str],
    taken: set[str],
) -> dict[str, Field]:
    """Return the fields of one home that our members are."""
    inner = [
        (each, each.path.removeprefix(home).removeprefix("."))
        for each in theirs
        if (not home or each.path.startswith(f"{home}.")) and each.path not in taken
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
    used: set[str] = set()
    for _, _, path, each in ranked:
        if path not in found and each.path not in used:
            found[path] = each
            used.add(each.path)
    return found


def _rank(ours: str, path: str, theirs: Field, own: frozenset[str]) -> float | None:
    """Return how far a field of theirs is from one of ours, None when it is another."""
    if not _has_our_kind(ours, theirs):
        return None
    *above, name = path.split(".")
    words = tuple(word for word in split_words(name) if word != "hydra")
    if above and {*words} <= GENERIC:
        words = split_words(above[-1]) + words
    bare = _bare(words, own)
    wanted, names = split_words(ours), MEANINGS.get(ours, _UNKNOWN).names
    ranks = [0.0] if name == ours else []
    ranks += [1.0] if words == wanted else []
    ranks += [2.0] if bare == wanted or words == _bare(wanted, own) else []
    ranks += [2.5] if len(translated_values(ours, theirs.values)) > 1 else []
    ranks += [3.0 + names.index(each) for each in (words, bare) if each in names]
    return min(ranks) + _DEPTH * len(above) if ranks else None


def _bare(words: Words, own: frozenset[str]) -> Words:
    """Return the words of a name without what it is all about."""
    while len(words) > 1 and words[0] in own:
        words = words[1:]
    return words


def _has_our_kind(ours: str, theirs: Field) -> bool:
    if ours == "isCompleted" and theirs.kinds == {"string"}:
        # A text says so only where the specification lists what it may say.
        return bool(translated_values(ours, theirs.values))
    kinds = MEANINGS.get(ours, _UNKNOWN).kinds
    return theirs.kinds != {"object"} and not (theirs.kinds and kinds and not theirs.kinds & kinds)


def translated_values(ours: str, listed: Sequence[str]) -> dict[str, str]:
    """Return which of their listed values each word of ours is, where it is found."""
    meaning = MEANINGS.get(ours, _UNKNOWN)
    words = ("true",) if ours == "isCompleted" else meaning.values
    found: dict[str, str] = {}
    for word in words:
        names = {word.lower(), *SYNONYMS.get(word, ())}
        there = next((each for each in listed if each.lower() in names), None)
        if there is not None:
            found[word] = there
    return found


def _values(found: Mapping[str, Field], known: Mapping[str, Field]) -> dict[str, dict[str, str]]:
    """Return the words that differ, by our field. Severities and stages are read in any case."""
    tables: dict[str, dict[str, str]] = {}
    for path, each in found.items():
        name = last(path)
        listed = known.get(f"{each.path}[]", each).values
        table = translated_values(name, listed)
        differs = any(ours != theirs for ours, theirs in table.items())
        if differs and name not in {"severity", "stage"}:
            tables[name] = table
    return tables
