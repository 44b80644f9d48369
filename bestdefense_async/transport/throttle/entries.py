"""What processes tell each other of the calls of one class, wherever that is kept.

Each process replaces what it had told by what is true now, and leaves alone what others told. All
moments are those of one clock that they share.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import define, field

if TYPE_CHECKING:
    from bestdefense_async.transport.throttle.queue import LimitQueue

LEASE: Final = 60.0
"""Seconds to wait for a call in flight of a process that may be dead."""


class LimitsOfToken(Protocol):
    """What keeps the limits of one token together with other processes."""

    def adopt(self, limit_class: str, queue: LimitQueue) -> None:
        """Tell a new queue what others did, and keep it informed from now on."""
        ...


class SharedLimits(Protocol):
    """What keeps limits together with other processes, by token."""

    def of(self, token_key: str) -> LimitsOfToken:
        """Return what keeps those of a token, named by a hash of it."""
        ...


@define
class Entry:
    """What is known of one class."""

    stamps: Counter[float] = field(factory=Counter)
    flying: Counter[float] = field(factory=Counter)
    """For each call in flight the moment until which to wait for it."""
    paused_until: float = 0.0

    def without(self, other: Entry) -> Entry:
        """Return what is here beside the other's."""
        return Entry(self.stamps - other.stamps, self.flying - other.flying, self.paused_until)

    def as_plain(self) -> dict[str, Any]:
        """Return it as plain values; `entry_from` reads them."""
        return {
            "stamps": sorted(self.stamps.elements()),
            "flying": sorted(self.flying.elements()),
            "paused_until": self.paused_until,
        }


def entry_from(plain: object) -> Entry | None:
    """Return what was told; None when it cannot be read."""
    if not isinstance(plain, dict) or not _is_moment(plain.get("paused_until")):
        return None
    stamps, flying = plain.get("stamps"), plain.get("flying", [])
    for moments in (stamps, flying):
        if not isinstance(moments, list) or not all(map(_is_moment, moments)):
            return None
    return Entry(Counter(stamps), Counter(flying), plain["paused_until"])


def _is_moment(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def record_others(
    queue: LimitQueue,
    others: Entry,
    known: dict[float, float],
    *,
    now: float,
    wall: float,
    is_new: bool,
) -> dict[float, float]:
    """Record in a queue what others did; return the loop time of each of their stamps.

    Args:
        queue: Who is told.
        others: What they did.
        known: Loop times by stamp: converted once, so that a clock may be set later.
        now: The loop's time.
        wall: The same moment on the shared clock.
        is_new: They have told something since the last time.
    """
    moments = {at: known.get(at, now - max(0.0, wall - at)) for at in others.stamps}
    stamps = [moments[at] for at in others.stamps.elements()]
    stamps += [now - max(0.0, wall - until) for until in others.flying.elements()]
    queue.others(sorted(stamps), pause=others.paused_until - wall if is_new else 0.0)
    return moments


def merged(
    queue: LimitQueue, found: Entry, mine: Entry, *, now: float, wall: float
) -> tuple[Entry, Entry]:
    """Put what a queue did in place of what was told of it: return all, and ours of it.

    Args:
        queue: Whose calls are ours.
        found: What all have told.
        mine: What of it is ours, as we had told it.
        now: The loop's time.
        wall: The same moment on the shared clock.
    """
    stamps, in_flight, paused_until = queue.own()
    pause = paused_until - now
    ours = Entry(
        Counter(round(wall - (now - stamp), 3) for stamp in stamps),
        Counter({round(wall + LEASE, 3): in_flight} if in_flight else {}),
        wall + pause if pause > 0 else 0.0,
    )
    others = found.without(mine)
    over = Counter({until: n for until, n in others.flying.items() if until <= wall})
    oldest = wall - 2.01 * queue.longest_window
    kept = Counter({at: n for at, n in (others.stamps + over).items() if at >= oldest})
    flying = others.flying - over + ours.flying
    return Entry(kept + ours.stamps, flying, ours.paused_until), ours
