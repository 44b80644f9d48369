"""Whether a process that holds shards still lives: its session tells it long before its lease.

A lease has to be long, because a busy machine or a slow network must not lose what it works on. But
most workers that are gone have died, and the server sees the end of their connections at once. So
each process keeps a session that does nothing but hold a lock. A shard whose owner has no such
session any more need not wait for the end of the lease.

A session may end while its process lives: somebody ends it, or the server restarts. It is opened
again at once, and others wait for `GRACE` before they believe it. Should they be wrong, the fence
keeps the old owner out, as after a lease that ran out.

Behind a pooler that hands out sessions by the transaction, such a lock says nothing about the
process. There only the lease counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from typing import TYPE_CHECKING, Final

import psycopg

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bestdefense_async.distributed.address import Address

GRACE: Final = 2.0
"""Seconds in which a process may open another session before its shards go to others."""
_PAUSE: Final = 0.25
_LOCKS: Final = 0x4244
"""The first half of the keys of our locks; the second half is made of the owner's name."""
_MARK: Final = "*"
"""Ends the name of an owner that has a session."""

IS_GONE: Final = (
    f"(right(owner, 1) = '{_MARK}' AND NOT EXISTS (SELECT FROM pg_locks"  # noqa: S608 - ours
    " WHERE locktype = 'advisory' AND granted AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND classid = {_LOCKS} AND objid = hashtext(owner)::oid))"
)
"""Whether the owner of a shard has lost its session: a condition in SQL."""


class Presence:
    """The session of a process, for as long as `keep` runs.

    Args:
        address: The database.
        changed: Called when the name of the owner has changed, or the session was opened again:
            the shards of this process should say so.
    """

    def __init__(self, address: Address, *, changed: Callable[[], Awaitable[None]]) -> None:
        self._address = address
        self._changed = changed
        self._name = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
        self._is_shown = False

    @property
    def owner(self) -> str:
        """What shards are marked with that are held here: no two processes have the same."""
        return self._name + _MARK if self._is_shown else self._name

    @property
    def names(self) -> list[str]:
        """The owner's name with and without a session."""
        return [self._name, self._name + _MARK]

    async def keep(self) -> None:
        """Hold a session until this is cancelled. Returns where that cannot tell anything."""
        while True:
            try:
                session = await self._connect()
            except (psycopg.Error, OSError):
                await self._show(is_shown=False)
                await asyncio.sleep(_PAUSE)
                continue
            with contextlib.suppress(psycopg.Error, OSError):
                async with session:
                    if not await self._lock(session):
                        return
                    await self._show(is_shown=True)
                    async for _ in session.notifies():  # there are none: it waits for the end
                        pass

    async def _connect(self) -> psycopg.AsyncConnection:
        """Return a session. Cancelled, it waits: the driver would leave an open socket behind."""
        connecting = asyncio.ensure_future(
            psycopg.AsyncConnection.connect(self._address.conninfo, autocommit=True)
        )
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            with contextlib.suppress(psycopg.Error, OSError):
                await (await connecting).close()
            raise

    async def _lock(self, session: psycopg.AsyncConnection) -> bool:
        """Take the lock, unless a pooler is between us and the server; return whether we have it.

        It is a shared one: the server may not have noticed yet that our last session has ended.
        """
        cursor = await session.execute(
            "SELECT CASE WHEN pg_backend_pid() = %s"
            " THEN pg_try_advisory_lock_shared(%s, hashtext(%s)) END",
            (session.info.backend_pid, _LOCKS, self._name + _MARK),
        )
        row = await cursor.fetchone()
        return row is not None and row[0] is True

    async def _show(self, *, is_shown: bool) -> None:
        if is_shown or self._is_shown:
            self._is_shown = is_shown
            await self._changed()
