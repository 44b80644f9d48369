"""Limits that hold for all processes with a token, on any machine: a row for each class of calls.

The rule is the one of `core.limiting`, applied by each process under the row's lock: it learns what
the others have told, hands out to its own waiting calls whatever is due, and tells what it did, in
one transaction for all calls that wait. So nobody else decides meanwhile. The moments are the
server's. A call in flight stands there with a lease; when its process dies it counts as made then.

The database is a help, never a condition: when it cannot be reached for a while, each process goes
on by what it knows, and says so once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from typing import TYPE_CHECKING, Final, Self

import psycopg

from bestdefense_async.core.limiting.window import CLOCK_RATE
from bestdefense_async.distributed.address import Address
from bestdefense_async.distributed.schema import SCHEMA
from bestdefense_async.transport.throttle.queue import LOOK_AGAIN
from bestdefense_async.transport.throttle.shared_store import (
    Entry,
    entry_from,
    merged,
    record_others,
)

if TYPE_CHECKING:
    from types import TracebackType

    from bestdefense_async.transport.throttle.queue import LimitQueue

log: logging.Logger = logging.getLogger("bestdefense_async.distributed")

PATIENCE: Final = 5.0
"""Seconds without an answer of the database after which calls go on without it."""
GATHER: Final = 0.02
"""Seconds for which what was done is gathered before it is told."""
_PAUSE: Final = 0.25


class ServerClock:
    """By how many seconds the server's clock is ahead of the loop's: between two bounds.

    An answer shows a moment between question and answer, and a busy process sees the answer late.
    So calls of ours are told as late as they may have been, and those of others are taken to be as
    young as they may be. What each answer shows narrows the bounds.
    """

    def __init__(self) -> None:
        self.least: float = -math.inf
        self.most: float = math.inf
        self._seen = 0.0

    def shown(self, moment: float, *, asked: float, seen: float) -> None:
        """Record the moment that an answer shows; the others are the loop's."""
        drift = (seen - self._seen) * (CLOCK_RATE - 1)
        least, most = moment - seen, moment - asked
        self.least = max(self.least - drift, least)
        self.most = min(self.most + drift, most)
        if self.least > self.most:  # somebody has set the clock
            self.least, self.most = least, most
        self._seen = seen


class PostgresLimits:
    """Keeps limits in a database. Use it as `async with`, around the clients that it is given to.

    Costs one connection, and one transaction for all calls of a class that are let go together and
    one for their answers. Classes without a limit cost nothing.

    Args:
        address: A URL like `postgresql://user@host/name`.

    Raises:
        ConfigError: It is none.
    """

    def __init__(self, address: str) -> None:
        self._address = Address.of(address)
        self._connection: psycopg.AsyncConnection | None = None
        self._lock = asyncio.Lock()
        self._rows: dict[tuple[str, str], _Row] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Tell what was done last, and close the connection. Again is harmless."""
        for row in self._rows.values():
            await row.aclose()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def of(self, token_key: str) -> _Rows:
        """Return what keeps the limits of a token."""
        return _Rows(self, token_key)

    def row(self, token_key: str, limit_class: str, queue: LimitQueue) -> _Row:
        """Return what keeps one class of a token together with others."""
        row = self._rows[token_key, limit_class] = _Row(self, (token_key, limit_class), queue)
        return row

    @contextlib.asynccontextmanager
    async def transaction(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Give the connection with an open transaction."""
        async with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = await psycopg.AsyncConnection.connect(
                    self._address.conninfo, autocommit=True
                )
                await self._connection.execute(f"SET search_path = {SCHEMA}")
            async with self._connection.transaction():
                yield self._connection


class _Rows:
    """The limits of one token, each shared with other processes when it is first met."""

    def __init__(self, limits: PostgresLimits, token_key: str) -> None:
        self._limits = limits
        self._token_key = token_key

    def adopt(self, limit_class: str, queue: LimitQueue) -> None:
        """Keep a queue together with those of others, if it has a limit."""
        if queue.longest_window > 0:
            queue.share(self._limits.row(self._token_key, limit_class, queue))


class _Row:
    """One class of a token: what its queue asks as its `SharedStore`."""

    def __init__(self, limits: PostgresLimits, key: tuple[str, str], queue: LimitQueue) -> None:
        self._limits = limits
        self._key = key
        self._queue = queue
        self._found = Entry()
        self._mine = Entry()
        """What of it is ours, as we had told it."""
        self._moments: dict[float, float] = {}
        self._clock = ServerClock()
        self._is_open = False
        """Whether the row is locked by us: what is due may be handed out."""
        self._are_others_flying = False
        self._synced_at = 0.0
        self._failing_since: float | None = None
        self._is_wanted = False
        self._task: asyncio.Task[None] | None = None

    def look(self) -> bool:
        """Return whether calls of others are in flight; learn soon how they went."""
        now = asyncio.get_running_loop().time()
        if self._are_others_flying and not self._is_open and now > self._synced_at + LOOK_AGAIN:
            self._sync_soon()
        return self._are_others_flying

    def is_ours(self) -> bool:
        """Return whether what is due may be handed out now; if not, it may be soon."""
        if self._is_open:
            return True
        self._sync_soon()
        since = self._failing_since
        return since is not None and asyncio.get_running_loop().time() > since + PATIENCE

    def changed(self) -> None:
        """Tell soon what was done; at once, where it is done under the lock."""
        if not self._is_open:
            self._sync_soon()

    async def aclose(self) -> None:
        """Tell what was done last."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await asyncio.wait([self._task])
            self._task.cancel()
            await asyncio.wait([self._task])

    def _sync_soon(self) -> None:
        self._is_wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._sync())

    async def _sync(self) -> None:
        while self._is_wanted:
            self._is_wanted = False
            try:
                await self._exchange()
            except (psycopg.Error, OSError) as error:
                self._failed(error)
                self._is_wanted = True
                await asyncio.sleep(_PAUSE)
            else:
                self._failing_since = None
                await asyncio.sleep(GATHER)

    def _failed(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = now
            log.warning("Limits cannot be shared: %s", self._limits._address.clean(str(error)))  # noqa: SLF001
        if now > self._failing_since + PATIENCE:
            self._queue.look_again()

    async def _exchange(self) -> None:
        """Learn, decide and tell, while nobody else can."""
        loop = asyncio.get_running_loop()
        async with self._limits.transaction() as connection:
            asked = loop.time()
            cursor = await connection.execute(
                "INSERT INTO rate (token_key, limit_class, content) VALUES (%s, %s, '')"
                " ON CONFLICT (token_key, limit_class) DO UPDATE SET content = rate.content"
                " RETURNING content, extract(epoch FROM clock_timestamp())::float8",
                self._key,
            )
            content, wall = await cursor.fetchone()
            now = self._synced_at = loop.time()
            self._clock.shown(wall, asked=asked, seen=now)
            found = entry_from(json.loads(content or "null")) or Entry()
            others = found.without(self._mine)
            is_new = found != self._found
            self._are_others_flying = bool(others.flying)
            if is_new or others.flying:
                self._moments = record_others(
                    self._queue,
                    others,
                    self._moments,
                    now=now,
                    wall=now + self._clock.least,
                    is_new=is_new,
                )
            self._is_open = True
            try:
                self._queue.look_again()
            finally:
                self._is_open = False
            told, mine = merged(
                self._queue, found, self._mine, now=now, wall=now + self._clock.most
            )
            await connection.execute(
                "UPDATE rate SET content = %s WHERE token_key = %s AND limit_class = %s",
                (json.dumps(told.as_plain()), *self._key),
            )
        self._found, self._mine = told, mine
