"""Limits that hold for all processes with a token, at once and one after the other.

`Entry` is what processes tell each other of the calls of one class, wherever that is kept. Each
replaces what it had told by what is true now, and leaves alone what others told. All moments are
those of one clock that they share. `SavedState` keeps it in a small file.

A process that knows nothing of the last hour can only start slowly and be refused, and two that
know nothing of each other spend everything twice. So the stamps of calls with a window are kept: as
wall-clock times, one JSON file per token, replaced as a whole, readable by its owner alone.

Before a call leaves, its process locks the directory, reads what the others have written since,
decides, and writes and lets go at the end of the same turn of the event loop, microseconds later.
Who finds it locked asks again `HELD_FOR` later, and goes on without the lock when the same holder
has had it for `PATIENCE`: it was stopped, and nobody should hang for that. A call in flight stands
in the file as the moment until which to wait for it; when its process is killed, it counts as made
then.

The file is a help, never a condition: what cannot be read counts as unknown history, what cannot be
written is lost. Our own calls are counted on the loop's clock whatever the file says. A clock that
was set back makes the calls of others look younger, never older than they are: the file says when
it was written, and what was written in the future was written now.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import define, field

from bestdefense_async.files import replace_file, try_lock
from bestdefense_async.transport.throttle.permit import HELD_FOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bestdefense_async.transport.throttle.queue import LimitQueue

VERSION: Final = 1

LARGEST_FILE: Final = 4_000_000
"""Bytes; a larger file is not ours."""

PATIENCE: Final = 5.0
"""Seconds after which a lock counts for nothing that the same holder still has."""

_LARGEST_SKEW: Final = 60.0
"""Seconds: a clock that is ahead by less is as good as ours."""

_log = logging.getLogger(__name__)

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

    def earlier(self, seconds: float) -> Entry:
        """Return it with every moment that much earlier."""
        stamps = Counter({at - seconds: count for at, count in self.stamps.items()})
        flying = Counter({until - seconds: count for until, count in self.flying.items()})
        return Entry(stamps, flying, max(0.0, self.paused_until - seconds))

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


class SavedState:
    """The file of one token and the lanes that ask it: their `Book`."""

    def __init__(self, path: Path, *, wall_clock: Callable[[], float]) -> None:
        self._path = path
        self._wall_clock = wall_clock
        self._queues: dict[str, LimitQueue] = {}
        self._found: dict[str, Entry] = {}
        self._mine: dict[str, Entry] = {}
        """What of it is ours, as we wrote it."""
        self._moments: dict[str, dict[float, float]] = {}
        """Loop time of each stamp of others: converted once, so that a clock may be set later."""
        self._version: object = None
        """Tells the file that was read last from any other."""
        self._written = 0.0
        self._ahead = 0.0
        """Seconds by which the clock was ahead that wrote the file of that moment."""
        self._lock = -1
        self._held: tuple[float, object] | None = None
        """Since when somebody else has had the lock, and the file as that one found it."""
        self._is_due = False
        self._is_broken = False

    @staticmethod
    def file(directory: Path, token_key: str) -> Path:
        """Return where the state of a token stands."""
        return directory / f"{token_key}.json"

    @classmethod
    def calls_since(cls, directory: Path, token_key: str, since: float) -> dict[str, int]:
        """Return how many calls of a token are on record since a moment (wall clock), by limit."""
        found, _ = _read(cls.file(directory, token_key)) or ({}, 0.0)
        return {
            name: sum(count for at, count in entry.stamps.items() if at >= since)
            for name, entry in found.items()
        }

    def adopt(self, limit_class: str, queue: LimitQueue) -> None:
        """Tell a new queue what other processes did, and keep it informed from now on."""
        if queue.longest_window <= 0:
            return
        self._queues[limit_class] = queue
        self.look()
        if limit_class in self._found:
            self._tell(limit_class, queue, self._found[limit_class], is_new=True)
        queue.share(self)

    def look(self) -> bool:
        """Learn what other processes have written; return whether calls of theirs are in flight."""
        version = _version(self._path)
        is_new = False
        if version is not None and version != self._version:
            self._version = version
            found = self._read()
            if found is not None and found != self._found:
                is_new, self._found = True, found
        is_anyone_flying = False
        for name, queue in self._queues.items():
            entry = self._found.get(name)
            if entry is None:
                continue
            others = entry.without(self._mine.get(name, Entry()))
            is_anyone_flying |= bool(others.flying)
            if is_new or others.flying:
                self._tell(name, queue, others, is_new=is_new)
        return is_anyone_flying

    def is_ours(self) -> bool:
        """Learn what is new and keep the others out until the end of this turn of the loop."""
        if self._lock >= 0:
            return True
        if not self._take_lock():
            return False
        self._version = None  # whatever it looks like, it is read now
        self.look()
        self._is_due = True
        asyncio.get_running_loop().call_soon(self._write)
        return True

    def changed(self) -> None:
        """Write soon: once for all that happens in this turn of the loop."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._write)

    def _read(self) -> dict[str, Entry] | None:
        """Return what the file says in moments of the present clock; None when that is nothing."""
        read = _read(self._path)
        if read is None:
            return None
        found, written = read
        if written != self._written:
            ahead = written - self._wall_clock()
            self._written, self._ahead = written, ahead if ahead > _LARGEST_SKEW else 0.0
            if self._ahead:
                self._mine = {name: mine.earlier(ahead) for name, mine in self._mine.items()}
        if not self._ahead:
            return found
        return {name: entry.earlier(self._ahead) for name, entry in found.items()}

    def _tell(self, name: str, queue: LimitQueue, others: Entry, *, is_new: bool) -> None:
        now, wall = asyncio.get_running_loop().time(), self._wall_clock()
        known = self._moments.get(name, {})
        self._moments[name] = record_others(queue, others, known, now=now, wall=wall, is_new=is_new)

    def _take_lock(self) -> bool:
        """Keep the others out; where there are no locks, or nobody lets go, go on without."""
        descriptor = -1
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path.parent, os.O_RDONLY)
            if try_lock(descriptor):
                self._lock, descriptor = descriptor, -1
                self._held = None
                return True
        except OSError:
            return True
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        # Who has the lock writes before letting go: another file is another holder.
        now, version = asyncio.get_running_loop().time(), _version(self._path)
        if self._held is None or self._held[1] != version:
            self._held = (now, version)
        return now > self._held[0] + PATIENCE

    def _write(self) -> None:
        if not self._is_due:
            return
        if self._lock < 0 and not self._take_lock():
            asyncio.get_running_loop().call_later(HELD_FOR, self._write)
            return
        self._is_due = False
        try:
            self.look()
            self._merge()
            # Unsynced: it is written often, and what a power cut takes is soon out of date.
            content = _as_json(self._found, self._wall_clock()).encode()
            replace_file(self._path, content, is_private=True, is_durable=False)
            self._version = _version(self._path)
            if self._held is not None:
                self._held = (self._held[0], self._version)
        except OSError as error:
            if not self._is_broken:
                _log.warning("limits are not kept across restarts: %s", error.strerror)
            self._is_broken = True
        finally:
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    def _merge(self) -> None:
        """Put what our lanes did in place of what we had written of them."""
        now, wall = asyncio.get_running_loop().time(), self._wall_clock()
        for name, queue in self._queues.items():
            found, mine = self._found.get(name, Entry()), self._mine.get(name, Entry())
            self._found[name], self._mine[name] = merged(queue, found, mine, now=now, wall=wall)


def _version(path: Path) -> object:
    """Return what tells one state of the file from the next, None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _read(path: Path) -> tuple[dict[str, Entry], float] | None:
    """Return what can be used of the file, and when it was written; None when that is nothing."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return None
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        return None
    classes = content.get("classes")
    if not isinstance(classes, dict):
        return None
    found = {name: entry_from(plain) for name, plain in classes.items()}
    written: Any = content.get("written")
    return (
        {name: entry for name, entry in found.items() if entry is not None},
        written if _is_moment(written) else 0.0,
    )


def _as_json(classes: dict[str, Entry], wall: float) -> str:
    content = {name: entry.as_plain() for name, entry in classes.items()}
    return json.dumps({"version": VERSION, "written": wall, "classes": content})
