"""From paired fields to the pairs a binding needs: only those that would not land by themselves.

What stands in one object of ours often stands in one of theirs. Then the object itself is moved,
with all that nobody has named, and after it only the members with other names.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.specification.pairing import Pair


def binding_pairs(pairs: Sequence[Pair]) -> dict[str, str]:
    """Return fields of ours to theirs, containers first."""
    containers = _containers(pairs)
    named = {ours: theirs for ours, theirs in containers.items() if ours != theirs}
    for pair in pairs:
        if _lands_at(pair.theirs, named) != pair.ours:
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


def _lands_at(theirs: str, named: dict[str, str]) -> str:
    """Return where a field lands when only containers are moved: with the innermost of them."""
    best: tuple[int, str] = (-1, theirs)
    for ours, there in named.items():
        for mark in (".", "[]."):
            start = f"{there}{mark}" if there or mark == "[]." else ""
            if theirs.startswith(start) and len(start) > best[0]:
                best = (len(start), f"{ours}{mark}{theirs[len(start) :]}")
    return best[1]
