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

    from bestdefense_async.openapi.schema import Field

_UNKNOWN: Final = Meaning()
_DEPTH: Final = 3.0
"""How many names of the table one level further down is worth."""
_NAMED: Final = 1.5
"""How many members the likely name of a home is worth."""


@frozen(kw_only=True)
class Pairing:
    """What fits together, and what does not."""

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
    found: dict[str, Field] = {path: known[path] for path in ours if path in known}
    members_of: dict[str, list[str]] = {}
    for path in (path for path in ours if path not in found):
        members_of.setdefault(path.rpartition(".")[0], []).append(path)
    for container, members in members_of.items():
        if any(path.rpartition(".")[0] == container for path in found):
            home, there = container, _at_home(members, container, theirs, own, {*found})
        else:
            home, there = _home(container, members, theirs, own, {*found})
        if container and home != container and there:
            pairs[container.removesuffix("[]")] = home.removesuffix("[]")
        for path in (path for path in members if path in there):
            found[path] = there[path]
            # Where it ends up when only its container is moved needs no pair.
            if there[path].path != f"{home}.{last(path)}".removeprefix("."):
                pairs[path] = there[path].path
    containers = {path.rpartition(".")[0].removesuffix("[]") for path in found if "." in path}
    return Pairing(
        pairs=pairs, found=frozenset({*found} | containers), values=_values(found, known)
    )


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


def _home(
    container: str,
    members: Sequence[str],
    theirs: Sequence[Field],
    own: frozenset[str],
    taken: set[str],
) -> tuple[str, dict[str, Field]]:
    """Return which object or list of theirs has most of what stands in one of ours, and that."""
    if container.endswith("[]"):
        homes = [each.path for each in theirs if each.path.endswith("[]")]
        homes = [path for path in homes if path.count("[]") == container.count("[]")]
    else:
        homes = (
            ["", *(each.path for each in theirs if "[]" not in each.path)] if container else [""]
        )
    best: tuple[float, str, dict[str, Field]] = (0.0, "", {})
    likely = {*split_words(last(container))} | CONTAINERS.get(last(container), frozenset())
    for home in homes:
        there = _at_home(members, home, theirs, own, taken)
        score = len(there) + (_NAMED if there and likely & {*split_words(last(home))} else 0)
        if score > best[0]:
            best = (score, home, there)
    return best[1:]


def _at_home(
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
    found: dict[str, str] = {}
    for word in ("true",) if ours == "isCompleted" else MEANINGS.get(ours, _UNKNOWN).values:
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
        table = translated_values(name, known.get(f"{each.path}[]", each).values)
        differs = any(ours != theirs for ours, theirs in table.items())
        if differs and name not in {"severity", "stage"}:
            tables[name] = table
    return tables
