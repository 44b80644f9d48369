"""A client for programs without an event loop: Django, Flask, Celery, a script with threads.

    background = BackgroundClient(store="runs.db")
    scan_id = background.start("shop.example.com")
    sites = background.call(lambda bd: bd.sites.list(), timeout=30.0)

It has a thread with a loop, a client and its scans, made when it is first used. So it may be made
where modules are imported, and used after a fork: each process has its own. There are no
synchronous twins of the resources: `call` runs whatever a client can do.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self, TypeVar

from bestdefense_async.client import BestDefense
from bestdefense_async.core.check import check_seconds
from bestdefense_async.errors import ClientClosed, DeadlineExceeded, LifecycleError, TargetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from bestdefense_async.models import Outcome, ScanOptions, Site
    from bestdefense_async.runs.store.protocol import Store
    from bestdefense_async.runs.targets import Target
    from bestdefense_async.services.handle import ScanHandle
    from bestdefense_async.services.scans import Scans
    from bestdefense_async.services.updates import ScanUpdate
    from bestdefense_async.transport.credentials import TokenSource
    from bestdefense_async.view import View

T = TypeVar("T")


class BackgroundClient:
    """A client on a thread of its own, for any number of threads.

    What it starts goes on in the background. At the end of the interpreter, and at `close`, it is
    drained: what was sent is answered, and the rest is gone on with at the next start, if there is
    a store. Call `close` yourself where a process ends without the interpreter's end, as the
    workers of Celery do.

    Args:
        make: Makes the client, in the thread; `BestDefense` takes its token from the environment.
        store: Where scans are recorded, as for `BestDefense.scans`.
        token_of: Returns the source of an organization's token by its name, for `tenant=`.
        drain: Seconds that calls under way may take at the end.
    """

    def __init__(
        self,
        make: Callable[[], BestDefense] = BestDefense,
        *,
        store: Store | os.PathLike[str] | str | None = None,
        token_of: Callable[[str], TokenSource] | None = None,
        drain: float = 10.0,
    ) -> None:
        self._make = make
        self._store = store
        self._token_of = token_of
        self._drain = check_seconds("drain", drain, or_zero=True)
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._is_closed = False
        self._is_registered = False

    def call(
        self, function: Callable[[BestDefense], Awaitable[T]], *, timeout: float | None = None
    ) -> T:
        """Run an asynchronous function in the thread and return what it returns.

        Args:
            function: Called with the client; a lambda or an `async def`.
            timeout: Seconds it may take, None for no end.

        Raises:
            DeadlineExceeded: It was cut. Of what it had sent the server may have done a part.
            LifecycleError: It is called where a loop runs: use `BestDefense` itself there.
            BaseException: Whatever the function raises.
        """
        return self._run(lambda worker: function(worker.client), timeout)

    def start(
        self,
        site: str | Target | Site,
        *,
        tenant: str | None = None,
        options: ScanOptions | None = None,
        asked_by: str | None = None,
        timeout: float | None = 30.0,
    ) -> str:
        """Start a scan in the background and return the id that finds it.

        The arguments are those of `Scans.start`, but for `tenant`: the name of an organization,
        whose token `token_of` gives.

        Raises:
            DeadlineExceeded: Nobody knows within the time whether there is such a site.
            BestDefenseError: As for `Scans.start`.
        """

        async def start(worker: _Worker) -> str:
            handle = await worker.scans.start(
                site, tenant=worker.view(tenant), options=options, asked_by=asked_by
            )
            return handle.id

        return self._run(start, timeout)

    def find(
        self, id_: str, *, tenant: str | None = None, timeout: float | None = 30.0
    ) -> ScanUpdate | None:
        """Return where a scan stands; None without one, or when it is not of that organization."""

        async def find(worker: _Worker) -> ScanUpdate | None:
            handle = await worker.scans.find(id_, tenant=worker.view(tenant))
            return None if handle is None else handle.update

        return self._run(find, timeout)

    def wait(self, id_: str, *, timeout: float | None = None) -> Outcome:
        """Wait for the outcome of a scan and return it.

        Raises:
            TargetError: There is no such scan.
            DeadlineExceeded: It has not ended in time; it goes on.
            RunStopped: The client was closed; the scan is not lost.
        """

        async def wait(worker: _Worker) -> Outcome:
            return await (await worker.known(id_)).wait()

        return self._run(wait, timeout)

    def cancel(self, id_: str, *, timeout: float | None = 30.0) -> Outcome:
        """Give a scan up, as `ScanHandle.cancel` does, and return its outcome.

        Raises:
            TargetError: There is no such scan.
            LifecycleError: Another process follows it.
        """

        async def cancel(worker: _Worker) -> Outcome:
            return await (await worker.known(id_)).cancel()

        return self._run(cancel, timeout)

    def close(self, *, drain: float | None = None) -> None:
        """Drain and close it; calls that wait end with `ClientClosed`. Again is harmless.

        Args:
            drain: Seconds that calls under way may take; None takes what the client was told.
        """
        seconds = self._drain if drain is None else check_seconds("drain", drain, or_zero=True)
        with self._ours():
            self._is_closed = True
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.close(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, function: Callable[[_Worker], Awaitable[T]], timeout: float | None) -> T:
        if timeout is not None:
            check_seconds("timeout", timeout)
        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - documented for libraries
            raise LifecycleError(
                "A loop runs here, and would stand still: use BestDefense itself, with await."
            )
        return self._opened().run(function, timeout)

    def _opened(self) -> _Worker:
        with self._ours():
            if self._is_closed:
                raise ClientClosed("The background client is closed.")
            if self._worker is None:
                worker = _Worker(self._make, self._store, self._token_of)
                worker.start()
                self._worker = worker
                if not self._is_registered:
                    self._is_registered = True
                    _at_exit(self.close)
            return self._worker

    def _ours(self) -> threading.Lock:
        """Return the lock; a process that was forked gets one of its own, and no worker yet."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._lock = threading.Lock()
            self._worker = None
        return self._lock


def _at_exit(close: Callable[[], None]) -> None:
    """Have `close` called while threads can still work: plain exit handlers come too late.

    asyncio's own threads end by the same list, whose order is the last one first.
    """
    register: Callable[[Callable[[], None]], object]
    register = getattr(threading, "_register_atexit", atexit.register)
    register(close)


class _Worker:
    """The thread of one process, with its loop, its client and its scans."""

    client: BestDefense
    scans: Scans

    def __init__(
        self,
        make: Callable[[], BestDefense],
        store: Store | os.PathLike[str] | str | None,
        token_of: Callable[[str], TokenSource] | None,
    ) -> None:
        self._make = make
        self._store = store
        self._token_of = token_of
        self._drain = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ends = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened: Future[None] = Future()
        # A daemon: who ends it is `close`, which the interpreter calls before it ends.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main()), name="bestdefense-client", daemon=True
        )

    def start(self) -> None:
        """Open the client; raises what that raises, and leaves no thread then."""
        self._thread.start()
        try:
            self._opened.result()
        except BaseException:
            self._thread.join()
            raise

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            async with self._make() as self.client:
                self.scans = self.client.scans(store=self._store, tenant_of=self._tenant_of)
                await self.scans.open()
                self._opened.set_result(None)
                await self._ends.wait()
                await self.scans.aclose(drain=self._drain)
                for task in self._tasks:
                    task.cancel()
                if self._tasks:
                    await asyncio.wait(self._tasks)
        except BaseException as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)

    def view(self, tenant: str | None) -> View | None:
        """Return the view of an organization, None for the client's own."""
        return None if tenant is None else self._tenant_of(tenant)

    def _tenant_of(self, name: str) -> View | None:
        if self._token_of is None:
            return None
        return self.client.with_token(self._token_of(name), name=name)

    async def known(self, id_: str) -> ScanHandle:
        """Return a scan.

        Raises:
            TargetError: There is none.
        """
        handle = await self.scans.find(id_)
        if handle is None:
            raise TargetError("There is no scan with this id.")
        return handle

    def run(self, function: Callable[[_Worker], Awaitable[T]], timeout: float | None) -> T:
        """Run a function in the loop and wait for what it returns."""
        assert self._loop is not None  # noqa: S101 - it was started
        done: Future[T] = Future()
        try:
            self._loop.call_soon_threadsafe(self._begin, function, timeout, done)
        except RuntimeError:  # the loop was closed just now
            raise ClientClosed("The background client is closed.") from None
        return done.result()

    def _begin(
        self, function: Callable[[_Worker], Awaitable[T]], timeout: float | None, done: Future[T]
    ) -> None:
        if self._ends.is_set():
            done.set_exception(ClientClosed("The background client is closed."))
            return
        task = asyncio.get_running_loop().create_task(self._work(function, timeout, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(
        self, function: Callable[[_Worker], Awaitable[T]], timeout: float | None, done: Future[T]
    ) -> None:
        clock = asyncio.timeout(timeout)
        try:
            async with clock:
                done.set_result(await function(self))
        except asyncio.CancelledError:
            done.set_exception(ClientClosed("The background client was closed during this call."))
        except TimeoutError as error:
            late = DeadlineExceeded(f"The call took longer than {timeout:g} s.")
            done.set_exception(late if clock.expired() else error)
        except BaseException as error:  # noqa: BLE001 - whoever called raises it
            done.set_exception(error)

    def close(self, drain: float) -> None:
        """Drain, and end the thread."""

        def end() -> None:
            self._drain = drain
            self._ends.set()

        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(end)
        self._thread.join()
