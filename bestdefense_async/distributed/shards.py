"""Parts of runs: those that wait for somebody, those that are ours, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import field, frozen

from bestdefense_async.models import ScanOptions
from bestdefense_async.runs.inputs import IndexedInput
from bestdefense_async.runs.store.journal import StoreJournal

SHARD_SIZE: Final = 200
"""Inputs of a shard: so many scans cost one job of the engine."""


@frozen(kw_only=True)
class WaitingShard:
    """A shard that somebody should take."""

    run: int
    number: int
    credential: str
    base_url: str
    turn: int
    """How many shards of its organization go before it."""
    problem: str | None = None
    """Why it was left, if something is wrong."""


@frozen(kw_only=True)
class HeldShard:
    """A shard that is ours until its journal is closed."""

    run: int
    number: int
    fence: int
    name: str
    """The run's name."""
    credential: str
    options: ScanOptions
    remaining: Sequence[IndexedInput] = field(repr=False)
    journal: StoreJournal = field(repr=False)


@frozen(kw_only=True)
class ShardCounts:
    """How far a run in shards is."""

    shards: dict[str, int]
    """Shards by state."""
    problems: tuple[str, ...]
    """Why shards are blocked."""
    is_cancelled: bool

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens by itself."""
        is_left = not (self.shards.get("held") or self.shards.get("ready"))
        return is_left or (self.is_cancelled and not self.shards.get("held"))
