"""Parts of runs: those that wait for somebody, those that are ours, and how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from bestdefense_async.models import ScanOptions
from bestdefense_async.runs.inputs import IndexedInput
from bestdefense_async.runs.store.journal import StoreJournal

if TYPE_CHECKING:
    from bestdefense_async.runs.store.connection import StoreConnection

SHARD_SIZE: Final = 200
"""Inputs of a shard: so many scans cost one job of the engine."""
SIZE: Final = f"least(shard.last - shard.first + 1.0, {SHARD_SIZE}.0)"
"""Targets of a shard, in SQL; of one that is a whole run, as many as others have."""


@frozen(kw_only=True)
class WaitingShard:
    """A shard that somebody should take."""

    run: int
    number: int
    credential: str
    base_url: str
    turn: int
    """How many targets its organization has had when it ends: the fewest are served first."""
    problem: str | None = None
    """Why it was left, if something is wrong."""
    is_woken: bool = False
    """Whether a job of the engine waits to wake somebody for it."""


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


@define
class Place:
    """Room of a worker for one shard, until it is left."""

    room: Room
    scans: int
    """Scans that it is for: as many as a shard may have, until it is known how many it has."""
    is_known: asyncio.Event = field(factory=asyncio.Event)
    """Set when that is known."""

    def shrink(self, scans: int) -> None:
        """Keep room for so many scans."""
        self.room.give_back(self.scans - scans)
        self.scans = scans
        self.is_known.set()

    def close(self) -> None:
        """Give it up."""
        self.shrink(0)


class Room:
    """How many scans a worker follows at a time. A shard needs room for as many as it may have.

    What a shard does not need, and each scan of it that ends, is room for others. So a hundred
    organizations with ten targets each do not wait for each other, and a shard whose last scan
    takes hours keeps nobody out.

    Args:
        shards: For so many full ones there is room.
    """

    def __init__(self, shards: int) -> None:
        self._free = shards * SHARD_SIZE
        self._kept = 0
        self._has_changed = asyncio.Event()

    async def enter(self) -> Place:
        """Return a place for one more shard, once there is one."""
        if self._kept:
            self._kept -= 1
        else:
            await self._reserve()
        return Place(self, SHARD_SIZE)

    async def keep_one(self) -> None:
        """Wait until there is a place for one more shard, and keep it for who enters next."""
        await self._reserve()
        self._kept += 1

    def give_back(self, scans: int) -> None:
        """Let others have room for so many scans."""
        self._free += scans
        self._has_changed.set()

    async def _reserve(self) -> None:
        while self._free < SHARD_SIZE:
            self._has_changed.clear()
            await self._has_changed.wait()
        self._free -= SHARD_SIZE


def served(connection: StoreConnection, credential: str, base_url: str) -> int:
    """Return after how many targets of an organization one more is to come, for a fair share.

    After all of its own that are open, and after what others have had that are waiting: who comes
    later is not served for the time before. So nobody waits for ever.
    """
    (own, others) = connection.execute(
        f"SELECT coalesce(sum({SIZE}), 0)::bigint, coalesce((SELECT min(-priority)"  # noqa: S608 - ours
        "  FROM procrastinate_jobs WHERE status = 'todo' AND priority < 0), 0)"
        " FROM shard JOIN run ON run.id = shard.run WHERE shard.state <> 'ended'"
        " AND run.credential = ? AND run.base_url = ? AND run.cancelled_at IS NULL",
        (credential, base_url),
    ).fetchone()
    return max(int(own), int(others) - SHARD_SIZE)
