"""Which field of theirs is which of ours: by name, type and values, each at most once.

A field is named by its own words, or by those of what it stands in where its own mean nothing
(`site.id`). How alike two are is a number from 0 to 1; below `LEAST` they are not the same. Lists
are paired first: what stands in one list of ours stands in one list of theirs.

A binding gets only the pairs it needs (`binding_pairs`). What stands in one object of ours often
stands in one of theirs. Then the object itself is moved, with all that has no name of its own, and
after it only the members with other names.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.openapi.vocabulary import (
    GENERIC,
    MEANINGS,
    WRAPPERS,
    Meaning,
    Words,
    split_words,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from bestdefense_async.openapi.model import Field


LEAST: Final = 0.5
"""How alike two fields must be to be taken for the same."""
_DEPTH: Final = 0.05
"""What each level further down takes from how alike they are."""
_NEAR: Final = 0.04
"""Two that differ by less are equally likely."""
_UNKNOWN: Final = Meaning(names="", kinds=(), is_optional=True)


@frozen(kw_only=True)
class Pair:
    """One field of ours and the one of theirs."""

    ours: str
    theirs: str
    alike: float
    """0 to 1."""


@frozen(kw_only=True)
class Pairing:
    """What fits together, and what does not."""

    pairs: tuple[Pair, ...] = ()
    missing: tuple[str, ...] = ()
    """Fields of ours that they have not."""
    unused: tuple[str, ...] = ()
    """Fields that they demand and we do not have."""
    doubts: tuple[str, ...] = ()
    """One sentence for each pair that could as well be another."""

    @property
    def share(self) -> float:
        """How much of ours was found, 0 to 1; 1 when there is nothing to find."""
        wanted = len(self.pairs) + sum(not is_optional(ours) for ours in self.missing)
        return sum(pair.alike for pair in self.pairs) / wanted if wanted else 1.0

    def theirs(self, ours: str) -> str | None:
        """Return the field of theirs that one of ours is, or None."""
        return next((pair.theirs for pair in self.pairs if pair.ours == ours), None)


def is_optional(ours: str) -> bool:
    """Return whether an operation makes sense without a field of ours."""
    return _meaning(ours).is_optional


def pair_fields(
    ours: Sequence[str], theirs: Sequence[Field], *, subject: frozenset[str] = frozenset()
) -> Pairing:
    """Return which of `theirs` each of `ours` is.

    Args:
        ours: Paths in our names.
        theirs: All that the other side has, containers included.
        subject: Words for what it is all about: they add nothing to a name.
    """
    pairs: list[Pair] = []
    doubts: list[str] = []
    for list_path, members in _by_list(ours).items():
        found, unsure = _pair_level(members, list_path, theirs, subject)
        pairs += found
        doubts += unsure
    taken = {pair.theirs for pair in pairs}
    matched = {pair.ours for pair in pairs}
    return Pairing(
        pairs=tuple(pairs),
        missing=tuple(path for path in ours if path not in matched),
        unused=tuple(demanded(theirs, taken)),
        doubts=tuple(doubts),
    )


def alike(ours: str, words: Words, theirs: Field, *, subject: frozenset[str]) -> float:
    """Return how alike a field of ours and one of theirs, known by `words`, are."""
    meaning = _meaning(ours)
    kinds = theirs.kinds
    if kinds and meaning.kinds and not kinds & meaning.kinds:
        return 0.0
    named = _by_name(split_words(_last(ours)), words, meaning, subject)
    values = {word.lower() for word in theirs.values}
    shared = len(values & meaning.values)
    if values and meaning.values:
        if not shared:
            return named * 0.5
        # The values alone say what it is, where two of ours are among them.
        by_value = 0.7 if shared > 1 else 0.0
        return min(1.0, max(named + 0.05 if named else 0.0, by_value))
    if theirs.format == "uuid" and "integer" in meaning.kinds and named:
        return min(1.0, named + 0.02)
    return named


def _by_name(own: Words, words: Words, meaning: Meaning, subject: frozenset[str]) -> float:
    bare = words
    while len(bare) > 1 and bare[0] in subject:
        bare = bare[1:]
    if words == own:
        return 1.0
    if sorted(words) == sorted(own):
        return 0.95
    if bare == own:
        return 0.92
    for candidate, best in ((words, 0.88), (bare, 0.84)):
        if candidate in meaning.names:
            return best - 0.005 * meaning.names.index(candidate)
    known = [own, *meaning.names]
    overlap = max(_overlap(bare, name) for name in known)
    return 0.6 if overlap >= 0.6 else 0.0  # noqa: PLR2004  # two of three words


def _overlap(one: Words, other: Words) -> float:
    return len(set(one) & set(other)) / len(set(one) | set(other)) if one and other else 0.0


def _pair_level(
    members: Sequence[str], list_path: str, theirs: Sequence[Field], subject: frozenset[str]
) -> tuple[list[Pair], list[str]]:
    """Pair fields that stand at one level of lists: the list of theirs that fits best."""
    best: tuple[float, list[Pair], list[str]] = (0.0, [], [])
    for there in _lists(theirs, list_path.count("[]")):
        pairs, doubts = _pair_members(members, _members(theirs, there), there, subject)
        score = sum(pair.alike for pair in pairs)
        if list_path and _words_of(list_path) == _words_of(there):
            score += 0.5
        if score > best[0]:
            best = (score, pairs, doubts)
    return best[1], best[2]


def _pair_members(
    ours: Sequence[str], theirs: Sequence[Field], list_path: str, subject: frozenset[str]
) -> tuple[list[Pair], list[str]]:
    """Pair fields of one level, once more with the container most of them stand in as their home.

    Its name then says nothing about a member: `job.uuid` is the id of what is asked about.
    """
    pairs, doubts = _pair_from(ours, theirs, list_path, subject)
    homes = Counter(pair.theirs.rpartition(".")[0] for pair in pairs)
    for home, _ in homes.most_common(1):
        if home not in {"", list_path}:
            again, unsure = _pair_from(ours, theirs, home, subject)
            if sum(pair.alike for pair in again) > sum(pair.alike for pair in pairs):
                return again, unsure
    return pairs, doubts


def _pair_from(
    ours: Sequence[str], theirs: Sequence[Field], home: str, subject: frozenset[str]
) -> tuple[list[Pair], list[str]]:
    known = []
    for each in theirs:
        inner = each.path.removeprefix(f"{home}.")
        known.append((each, effective_words(inner, subject), inner.count(".")))
    scores = sorted(
        (
            (alike(path, words, each, subject=subject) - _DEPTH * depth, depth, path, each.path)
            for path in ours
            for each, words, depth in known
        ),
        key=lambda row: (-row[0], row[1]),
    )
    scores = [row for row in scores if row[0] >= LEAST]
    pairs: dict[str, Pair] = {}
    depths: dict[str, int] = {}
    for score, depth, path, there in scores:
        if path not in pairs and there not in depths:
            pairs[path] = Pair(ours=path, theirs=there, alike=score)
            depths[there] = depth
    # What stands far below the field that was taken is an echo of something else.
    doubts = [
        f"{path} may be {pairs[path].theirs} or {there}."
        for score, depth, path, there in scores
        if there not in depths
        and pairs[path].alike - score < _NEAR
        and depth <= depths[pairs[path].theirs] + 1
    ]
    return list(pairs.values()), doubts


def effective_words(path: str, subject: frozenset[str]) -> Words:
    """Return the words a field is known by: with those of what it is in, where needed."""
    names = [part.removesuffix("[]") for part in path.split(".")]
    words = split_words(names[-1])
    for parent in reversed(names[:-1]):
        above = split_words(parent)
        if not set(words) <= GENERIC or set(above) & subject or set(above) <= WRAPPERS:
            break
        words = above + words
    return words


def _by_list(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return paths by the list they stand in, empty for none."""
    grouped: dict[str, list[str]] = {}
    for path in paths:
        grouped.setdefault(path[: path.rfind("[]") + 2] if "[]" in path else "", []).append(path)
    return grouped


def _lists(fields: Iterable[Field], depth: int) -> list[str]:
    """Return the lists of theirs that are as deep as one of ours."""
    if not depth:
        return [""]
    paths = (each.path for each in fields if each.path.endswith("[]"))
    return [path for path in paths if path.count("[]") == depth]


def _members(fields: Iterable[Field], list_path: str) -> list[Field]:
    """Return what stands in a list, or outside of all, and in no list further down.

    A list of plain values is a field itself; a list of objects is none.
    """
    all_fields = list(fields)
    of_objects = {
        each.path.removesuffix("[]")
        for each in all_fields
        if each.path.endswith("[]") and each.kinds & {"object", "array"}
    }
    start = f"{list_path}." if list_path else ""
    return [
        each
        for each in all_fields
        if each.path.startswith(start)
        and "[]" not in each.path[len(start) :]
        and each.path not in of_objects
        and each.kinds != {"object"}
    ]


def demanded(fields: Sequence[Field], sent: Collection[str]) -> list[str]:
    """Return what must be there and is not among what is sent, containers for all in them."""
    found: list[str] = []
    for each in fields:
        path = each.path
        is_sent = any(
            there == path or there.startswith((f"{path}.", f"{path}[]")) for there in sent
        )
        is_within = any(path.startswith(f"{above}.") for above in found)
        if each.is_required and "[]" not in path and not is_sent and not is_within:
            found.append(path)
    return found


def _words_of(path: str) -> Words:
    return split_words(path.removesuffix("[]").rpartition(".")[2])


def _last(path: str) -> str:
    return path.removesuffix("[]").rpartition(".")[2]


def _meaning(path: str) -> Meaning:
    return MEANINGS.get(_last(path), _UNKNOWN)


def binding_pairs(pairs: Sequence[Pair]) -> dict[str, str]:
    """Return fields of ours to theirs, containers first."""
    containers = _containers(pairs)
    named = {ours: theirs for ours, theirs in containers.items() if ours != theirs}
    for pair in pairs:
        if _ends_at(pair.theirs, named) != pair.ours:
            named[pair.ours] = pair.theirs
    return named


def _containers(pairs: Sequence[Pair]) -> dict[str, str]:
    """Return for each container of ours the one of theirs that most of its members are in."""
    votes: dict[str, Counter[str]] = {}
    for pair in pairs:
        ours, theirs = _parent(pair.ours), _parent(pair.theirs)
        if ours:
            votes.setdefault(ours, Counter())[theirs] += 1
    return {ours: count.most_common(1)[0][0] for ours, count in votes.items()}


def _parent(path: str) -> str:
    """Return what a member stands in, without its brackets: of a list, the list itself."""
    return path.rpartition(".")[0].removesuffix("[]")


def _ends_at(theirs: str, named: dict[str, str]) -> str:
    """Return where a field ends when only containers are moved: with the innermost of them."""
    best: tuple[int, str] = (-1, theirs)
    for ours, there in named.items():
        for mark in (".", "[]."):
            start = f"{there}{mark}" if there or mark == "[]." else ""
            if theirs.startswith(start) and len(start) > best[0]:
                best = (len(start), f"{ours}{mark}{theirs[len(start) :]}")
    return best[1]
