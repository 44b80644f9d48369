"""A worker: takes shards of runs from the database and carries them out, until it is stopped.

The engine wakes it and counts how many shards it has. Who owns a shard is decided by the store: a
job is done when its shard was taken, and a worker whose connection to the engine breaks goes on
with what it has while another engine is started.

    job (run, shard) -> take it by our fence -> the same ScanGroup as everywhere -> ended
                            '-- not ours to take: go away   |-- stopped, host away --> ready again
                                                            '-- dead token --> blocked for a while
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from procrastinate import worker as engine_worker
from procrastinate.jobs import DeleteJobCondition

from bestdefense_async.distributed import engine
from bestdefense_async.distributed.credentials import check_name
from bestdefense_async.distributed.presence import GRACE
from bestdefense_async.distributed.shards import Room, WaitingShard
from bestdefense_async.distributed.store import PostgresStore
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ConfigError,
    JournalError,
    JournalMismatch,
    LifecycleError,
    QuotaExceeded,
)
from bestdefense_async.runs.group import ScanGroup

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from procrastinate import App

    from bestdefense_async.client import BestDefense
    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.distributed.shards import HeldShard, Place
    from bestdefense_async.transport.credentials import TokenSource
    from bestdefense_async.view import View

log: logging.Logger = logging.getLogger("bestdefense_async.distributed")

DRAIN: Final = 20.0
"""Seconds that a stop waits for what was sent: less than half of a lease."""
BLOCKED_FOR: Final = 300.0
"""Seconds for which a shard is left alone whose token was refused."""
AWAY_FOR: Final = 30.0
"""Seconds for which a shard is left alone that was not ended: its host takes nothing."""
SWEEP: Final = "* * * * * */5"
"""When shards are looked for that nobody has and no job waits for: cron, with seconds."""
_AGAIN: Final = 0.25
"""Seconds until another engine is started in place of one that has failed."""

_TAKEN_AT_ONCE: Final = 4
"""Shards that are being taken at the same time: a host may be slow to list its sites."""


class Worker:
    """Carries out runs that were enqueued; any number of them, on any machines.

    Args:
        client: What it sends with: its host is the only one whose runs are taken. It is not closed.
        address: The database.
        credentials: Tokens by the names that runs call them by. Runs of others are left alone.
        concurrency: Shards of 200 scans at the same time, or as many smaller ones as are as much.
        drain: Seconds that a stop waits for answers to what was sent.
        max_starting: Creations under way in one shard: so many may become unknown when the worker
            is killed.
        polling: How often scans are asked for.
        lease: Seconds after which others may take its shards when it is not heard of.
        sweep: When shards are looked for that nobody has.

    Raises:
        ConfigError: An argument makes no sense.
    """

    def __init__(
        self,
        client: BestDefense,
        address: str,
        *,
        credentials: Mapping[str, TokenSource],
        concurrency: int = 10,
        drain: float = DRAIN,
        max_starting: int = 8,
        polling: PollPolicy | None = None,
        lease: float = 45.0,
        sweep: str = SWEEP,
    ) -> None:
        if not credentials:
            raise ConfigError("A worker without a credential can do nothing: name one.")
        if concurrency < 1:
            raise ConfigError("concurrency must be 1 or more.")
        if not 0 <= drain <= lease / 2:
            raise ConfigError(
                f"drain must be {lease / 2:g} s or less, half of the time after which another "
                "worker may take over."
            )
        self.store: PostgresStore = PostgresStore(address, lease=lease)
        """Where the runs are."""
        self._client = client
        self._views = {
            check_name(name): client.with_token(source, name=name)
            for name, source in credentials.items()
        }
        self._concurrency = concurrency
        self._drain = drain
        self._max_starting = max_starting
        self._polling = polling
        self._sweep_at = sweep
        self._room = Room(concurrency)
        self._groups: dict[tuple[int, int, int], ScanGroup] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._drains: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._app: App | None = None
        self._engine: engine_worker.Worker | None = None
        self._told = ""
        self.ended: int = 0
        """Shards that this worker has ended."""

    @property
    def shards(self) -> int:
        """How many shards it has now."""
        return len(self._groups)

    @property
    def is_ready(self) -> bool:
        """Whether it takes shards: it is not stopping, and the database answers."""
        renewed = self.store.database.renewed_at
        if renewed is None or self._stopping.is_set() or self._engine is None:
            return False
        return asyncio.get_running_loop().time() - renewed < self.store.database.lease / 2

    def stop(self) -> None:
        """Take nothing more, let what was sent be answered, and leave the rest to others."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._engine is not None:
            self._engine.shutdown_graceful_timeout = self._drain + 5.0
            self._engine.stop()  # type: ignore[no-untyped-call]
        for group in self._groups.values():
            self._drain_soon(group)

    async def run(self) -> None:
        """Work until `stop`. Used once.

        Raises:
            JournalError: The database cannot be used: it cannot be reached at the start, or its
                tables are of another version.
        """
        if self._app is not None:
            raise LifecycleError("A Worker runs once: make another.")
        self._app = engine.open_app(self.store.database.address)
        self._register(self._app)
        try:
            await self.store.database.writer()
            self.store.database.on_beat.append(self._beaten)
            self.store.database.keep()
            await self.store.database.renew()
            async with self._app.open_async():
                self._start(self._sweep(0))  # what a worker has left that was here before
                while not self._stopping.is_set():
                    await self._run_engine(self._app)
                await self._left()
        except engine.FAULTS as error:
            cause = error.__cause__
            raise self.store.database.to_error(
                cause if isinstance(cause, Exception) else error
            ) from None
        finally:
            await self._left()
            await self.store.aclose()

    async def _run_engine(self, app: App) -> None:
        """Let the engine work until it is stopped, or has lost the database."""
        queues = [engine.queue_of(name, self._client.base_url) for name in self._views]
        self._engine = engine_worker.Worker(
            app=app,
            queues=[*queues, engine.COMMON_QUEUE],
            name="bestdefense",
            concurrency=min(self._concurrency, _TAKEN_AT_ONCE),
            delete_jobs=DeleteJobCondition.ALWAYS,
            install_signal_handlers=False,
            # Shards outlive the engine that has woken them: see `_wake`.
            shutdown_graceful_timeout=0.5,
        )
        try:
            await self._engine.run()  # type: ignore[no-untyped-call]
        except engine.FAULTS as error:
            log.warning("The engine has lost the database: %s", type(error).__name__)
        finally:
            self._engine = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN):
                await self._stopping.wait()

    async def _left(self) -> None:
        """Wait until all shards were left."""
        self.stop()
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._drains:
            await asyncio.wait(self._drains)

    def _register(self, app: App) -> None:
        app.task(name=engine.SHARD_TASK)(self._wake)
        sweep = app.task(name=engine.SWEEP_TASK, queue=engine.COMMON_QUEUE, queueing_lock="sweep")
        app.periodic(cron=self._sweep_at)(sweep(self._sweep))

    async def _wake(self, run: int, shard: int) -> None:
        """Begin to carry out a shard, if it is there to be taken, and wait until another may come.

        The engine brings the next one when this returns. It may cancel this when it has lost the
        database: the shard goes on.
        """
        engine.expect_failure()
        if self._stopping.is_set():
            return
        place = await self._room.enter()
        self._start(self._scan(run, shard, place))
        await place.is_known.wait()
        await self._room.keep_one()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            is_ours = isinstance(error, BestDefenseError)
            log.error("A shard was left: %s", error, exc_info=None if is_ours else error)

    async def _scan(self, run: int, number: int, place: Place) -> None:
        with contextlib.closing(place):
            try:
                held = await self._take(run, number)
            except BestDefenseError as error:  # its lease, if it was taken, runs out
                log.warning("Shard %s of run %s was not taken: %s", number, run, error)
                return
            if held is None:
                return
            place.shrink(len(held.remaining))
            try:
                refusal = await self._carry_out(held, place)
            finally:
                self._groups.pop((run, number, held.fence), None)
            try:
                await self._leave(held, refusal)
            except JournalError as error:  # its lease runs out
                log.warning("Shard %s of run %s was left: %s", number, held.name, error)

    async def _take(self, run: int, number: int) -> HeldShard | None:
        """Take a shard that is of our host, and of the organization of our token."""
        found = await self.store.shard(run, number)
        if found is None or self._stopping.is_set():
            return None
        view = self._views.get(found.credential)
        if view is None or found.base_url != self._client.base_url:
            log.warning("A shard of %s at %s is left to others.", found.credential, found.base_url)
            return None
        base_url = self._client.base_url
        try:
            key = await view.token_key()
            try:
                return await self.store.take_shard(run, number, base_url=base_url, token_key=key)
            except JournalMismatch:  # perhaps the token was renewed: the sites tell
                ids = [site.id for site in await view.sites.list()]
                return await self.store.take_shard(
                    run, number, base_url=base_url, token_key=key, site_ids=ids
                )
        except (AuthError, ConfigError, JournalMismatch) as error:
            await self._block(found, error)
            return None

    async def _block(self, shard: WaitingShard, error: BestDefenseError) -> None:
        problem = f"credential {shard.credential}: {error}"
        log.warning("A shard waits: %s", problem)
        await self.store.block(shard.run, shard.number, seconds=BLOCKED_FOR, problem=problem)

    async def _carry_out(self, held: HeldShard, place: Place) -> BestDefenseError | None:
        """Scan what is left of a shard; return why nothing more was started, if so."""
        view: View = self._views[held.credential]
        group = ScanGroup(
            view,
            options=held.options,
            max_active=max(len(held.remaining), 1),
            max_starting=self._max_starting,
            polling=self._polling,
            journal=held.journal,
        )
        async with group:
            self._groups[held.run, held.number, held.fence] = group
            if self._stopping.is_set():  # what was fed nothing would end with nothing done
                await group.drain(0.0)
            else:
                group.feed(held.remaining)
            async for _ in group:
                place.shrink(place.scans - 1)
        return group.refusal

    async def _leave(self, held: HeldShard, refusal: BestDefenseError | None) -> None:
        """Leave a shard: it has ended, or others may have it, now or later."""
        if held.journal.has_ended:
            self.ended += 1
            return
        try:
            await self._release(held, refusal)
        finally:
            await held.journal.aclose()

    async def _release(self, held: HeldShard, refusal: BestDefenseError | None) -> None:
        with contextlib.suppress(JournalError):
            await held.journal.flush()  # who takes it next knows all that is known here
        if isinstance(refusal, AuthError | QuotaExceeded):
            problem = f"credential {held.credential}: {refusal}"
            log.warning("A shard of run %s waits: %s", held.name, problem)
            await self.store.release(held, blocked_for=BLOCKED_FOR, problem=problem)
        elif self._stopping.is_set() or refusal is None:
            await self.store.release(held)
            if self._app is not None:
                waiting = WaitingShard(
                    run=held.run,
                    number=held.number,
                    credential=held.credential,
                    base_url=self._client.base_url,
                    turn=0,
                )
                with contextlib.suppress(*engine.FAULTS):  # the sweep does it, too
                    await engine.wake(self._app, [waiting])
        else:
            await self.store.release(held, blocked_for=AWAY_FOR, problem=str(refusal))

    def _drain_soon(self, group: ScanGroup) -> None:
        task = asyncio.get_running_loop().create_task(group.drain(self._drain))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    def _beaten(self, held: list[tuple[int, int, int, bool]]) -> None:
        """Leave the shards of runs that were cancelled, and those that others have by now."""
        ours = {(run, shard, fence): is_cancelled for run, shard, fence, is_cancelled in held}
        for key, group in self._groups.items():
            if ours.get(key, True):
                self._drain_soon(group)

    async def _sweep(self, timestamp: int) -> None:  # noqa: ARG002 - the engine's keyword
        """Begin what is due, and wake somebody for each shard that nobody has and no job waits for.

        A periodic task of the engine: of all workers, one does it.
        """
        engine.expect_failure()
        if self._app is None or self._stopping.is_set():
            return
        with contextlib.suppress(*engine.FAULTS, JournalError):
            await engine.replace_stalled(self._app)
            await self.store.begin_due()
            if gone := await self.store.owners_without_session():
                await asyncio.sleep(GRACE)
                await self.store.end_leases(gone)
            waiting = await self.store.waiting()
            await engine.wake(self._app, [each for each in waiting if not each.is_woken])
            self._say_what_waits(waiting)

    def _say_what_waits(self, waiting: Sequence[WaitingShard]) -> None:
        """Say which shards wait for others, when that has changed."""
        others = {
            f"{each.credential} at {each.base_url}"
            for each in waiting
            if each.credential not in self._views or each.base_url != self._client.base_url
        }
        told = ", ".join(sorted(others))
        if told and told != self._told:
            log.warning("Shards wait for a worker with another credential: %s.", told)
        self._told = told
