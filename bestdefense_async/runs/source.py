"""Where the targets of a run come from: a file, a collection, or anything that can be iterated."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence, Sized
from pathlib import Path
from typing import TypeAlias

from bestdefense_async.errors import ConfigError, TargetError, clean_text
from bestdefense_async.files import STDIN, opened
from bestdefense_async.models import Site
from bestdefense_async.runs.inputs import ExistingScan, IndexedInput, Items, parse_item
from bestdefense_async.runs.targets import Target, decode_lines, read_targets

Source: TypeAlias = str | os.PathLike[str] | Items
"""The path of a list, or any iterable of targets."""

Planned: TypeAlias = Target | Site | TargetError


async def listed(source: Source) -> list[Planned] | None:
    """Return the targets of a file or a collection; None for what is read as the run goes.

    Raises:
        ConfigError: It is no iterable, or a file that cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        return await asyncio.to_thread(_read_list, source)
    if isinstance(source, Sized) and isinstance(source, Iterable):
        return [_checked(item) for item in source]
    if isinstance(source, Iterable | AsyncIterable):
        return None
    raise ConfigError(f"{type(source).__name__} is no list of targets: give a path or an iterable.")


def _read_list(source: str | os.PathLike[str]) -> list[Planned]:
    path: Path | str = STDIN if source == STDIN else Path(source)
    if isinstance(source, str) and isinstance(path, Path) and not path.exists():
        shown = clean_text(repr(source), longest=120)
        raise ConfigError(f"There is no file {shown}. To scan one site, use scan({shown}).")
    with opened(path, what="The list") as stream:
        return list(read_targets(decode_lines(stream)))


def _checked(item: object) -> Planned:
    found = parse_item(item)
    if isinstance(found, ExistingScan):
        raise ConfigError("A run begins with targets: feed scans that exist to a ScanGroup.")
    return found


def indexed(items: list[Planned]) -> list[IndexedInput]:
    """Return targets with the indexes that a store knows them by."""
    return [IndexedInput(index, item) for index, item in enumerate(items)]


async def unknown_of(source: Items, known: set[str]) -> AsyncIterator[Planned | ExistingScan]:
    """Yield what an iterable gives that a run does not have yet, by how the target is written."""
    if isinstance(source, AsyncIterable):
        async for item in source:
            found = parse_item(item)
            if text_of(found) not in known:
                yield found
        return
    for item in source:
        found = parse_item(item)
        if text_of(found) not in known:
            yield found


def planned_counts(items: Sequence[object]) -> dict[str, int]:
    """Return how many inputs a run has, and how many scans they take: `make_plan` wants to know.

    A site that is named in two ways, by its id and its host, is recognised when it is scanned.
    """
    named = [
        (item.host or item.text).lower() if isinstance(item, Target) else item.id.lower()
        for item in items
        if isinstance(item, Target | Site)
    ]
    creations = len(set(named))
    return {
        "targets": len(items),
        "creations": creations,
        "follows": sum(isinstance(item, ExistingScan) for item in items),
        "repeated": len(named) - creations,
    }


def text_of(item: Planned | ExistingScan) -> str:
    """Return a target as it is written."""
    if isinstance(item, Target):
        return item.text
    return item.hostname if isinstance(item, Site) else item.target
