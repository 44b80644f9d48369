"""Members of a JSON value from where they stand to where they are wanted.

A field is a path: names joined by dots, and `[]` for each member of a list, as in
`reports[].siteId`. The empty path is the whole value. A pair of paths moves what stands at one
to the other. First everything is taken out, the deepest first, then everything is put in, the
shallowest first: so names can be swapped, and a member can leave an object that moves itself.
What no pair names stays where it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from bestdefense_async.errors import ConfigError, clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_NAME: Final = r"[^.\[\]{}\s]+"
FIELD: Final = re.compile(rf"|(?:\[\]|{_NAME}(?:\[\])?)(?:\.{_NAME}(?:\[\])?)*")
_NOTHING: Final = object()


@frozen(kw_only=True)
class Move:
    """One pair of paths, or what goes through the same list together."""

    source: tuple[str, ...]
    target: tuple[str, ...] | None
    """None: it is taken out and left away."""
    within: tuple[Move, ...] = ()
    """What moves in each member, when a list stands there."""
    is_copy: bool = False
    """Whether it also stays where it was."""


def plan_moves(
    what: str,
    pairs: Iterable[tuple[str, str]],
    *,
    dropped: Iterable[str] = (),
    copied: frozenset[str] = frozenset(),
) -> tuple[Move, ...]:
    """Return pairs of source and target as moves.

    Args:
        what: Whose they are, for the error.
        pairs: Source and target.
        dropped: Sources that go nowhere.
        copied: Last names of targets whose sources stay, too.

    Raises:
        ConfigError: Two pairs move the same, or move to the same.
    """
    grouped: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for source, target in pairs:
        head, _, rest = source.partition("[]")
        there, _, rest_there = target.partition("[]")
        within = grouped.setdefault((head, there), [])
        if rest or rest_there:
            within.append((rest.removeprefix("."), rest_there.removeprefix(".")))
    for heads in zip(*grouped, strict=True):
        twice = next((head for head in heads if heads.count(head) > 1), None)
        if twice is not None:
            raise ConfigError(f"{what} moves {clean_text(twice, longest=80)!r} twice.")
    moves = [
        Move(
            source=_keys(head),
            target=_keys(there),
            within=plan_moves(what, within, copied=copied),
            is_copy=there.rpartition(".")[2] in copied,
        )
        for (head, there), within in grouped.items()
    ]
    return (*moves, *(Move(source=_keys(path), target=None) for path in dropped))


def moved(tree: Any, moves: Sequence[Move]) -> Any:  # noqa: ANN401  # any JSON value
    """Return `tree` with everything where it is wanted; what is missing stays missing."""
    taken: list[tuple[Move, tuple[str, ...], Any]] = []
    for move in sorted(moves, key=lambda each: -len(each.source)):
        tree, value = take_from(tree, move.source)
        if value is _NOTHING:
            continue
        if move.is_copy:
            tree = put_at(tree, move.source, value)
        if move.target is not None:
            taken.append((move, move.target, value))
    for move, target, value in sorted(taken, key=lambda each: len(each[1])):
        is_list = isinstance(value, list) and move.within
        inner = [moved(member, move.within) for member in value] if is_list else value
        tree = put_at(tree, target, inner)
    return {} if tree is _NOTHING else tree


def changed(tree: Any, path: str, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401  # any JSON
    """Return `tree` with what stands at `path` changed, in each member of a list on the way."""
    if not path:
        return [change(each) for each in tree] if isinstance(tree, list) else change(tree)
    if path.startswith("[]"):
        inner = path[2:].removeprefix(".")
        return [changed(e, inner, change) for e in tree] if isinstance(tree, list) else tree
    name, _, rest = path.partition(".")
    if name.endswith("[]"):
        name, rest = name[:-2], f"[].{rest}" if rest else "[]"
    if not isinstance(tree, dict) or tree.get(name) is None:
        return tree
    return {**tree, name: changed(tree[name], rest, change)}


def _keys(path: str) -> tuple[str, ...]:
    return tuple(path.split(".")) if path else ()


def take_from(tree: Any, keys: tuple[str, ...]) -> tuple[Any, Any]:  # noqa: ANN401  # any JSON value
    """Return `tree` without what stands at `keys`, and that; an object left empty goes, too."""
    if not keys:
        return _NOTHING, tree
    if not isinstance(tree, dict) or keys[0] not in tree:
        return tree, _NOTHING
    inner, value = take_from(tree[keys[0]], keys[1:])
    if value is _NOTHING:
        return tree, _NOTHING
    rest = {name: member for name, member in tree.items() if name != keys[0]}
    if inner is not _NOTHING and inner != {}:
        rest[keys[0]] = inner
    return rest, value


def put_at(tree: Any, keys: tuple[str, ...], value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return `tree` with `value` at `keys`, beside what stands there already."""
    members = tree if isinstance(tree, dict) else {}
    if not keys:
        return {**members, **value} if isinstance(value, dict) else value
    return {**members, keys[0]: put_at(members.get(keys[0]), keys[1:], value)}
