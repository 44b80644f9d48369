"""How long a call and a client may last, and how an end reaches what is under way.

`CancelScope`: a stretch of one task that can be cut short, at a deadline or from outside. Every
call enters one, so it is `asyncio.timeout` without what that one costs beside an HTTP request: no
coroutine to enter and to leave, no enum of states, and no timer of its own. The rules are the
same: a cut is a cancellation, and it becomes an error only where nobody else cancels the task too.

`DeadlineWheel`: the deadlines of all scopes, in buckets of time. `Home`: the process and the loop
that everything of a client belongs to. `Lifetime`: what ends together.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import enum
import math
import os
from typing import TYPE_CHECKING, Final, Self

from bestdefense_async.errors import BestDefenseError, ClientClosed, DeadlineExceeded, WrongLoop

if TYPE_CHECKING:
    from types import TracebackType

FINEST: Final = 2.0**-10
"""The finest grid of deadlines in seconds."""
_MOST_GRIDS: Final = 64


class Cut(enum.Enum):
    """Why a scope was cut."""

    DEADLINE = enum.auto()
    CLOSED = enum.auto()


class CancelScope:
    """Use it once, as `with`, inside the task that it may cancel.

    Raises:
        ClientClosed: On leaving, when the lifetime ended meanwhile.
        DeadlineExceeded: On leaving, when a deadline passed that nobody inside took back.
    """

    # Defaults of the class: what nearly no scope needs is not written into each.
    bucket: set[CancelScope] | None = None
    """Where the wheel keeps the deadline, None without one."""
    cut_by: Cut | None = None
    """Why the task was cancelled from here, None while it was not."""
    _task: asyncio.Task[object] | None = None
    _cancelling: int = 0

    def __init__(self, lifetime: Lifetime) -> None:
        self.lifetime = lifetime
        """What it ends with at the latest."""

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A scope belongs to a task.")
        self.lifetime.enter(self)
        self._task = task
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        DeadlineWheel.disarm(self)
        why = self.cut_by
        is_ours = why is not None and self.take_back(error, why)
        self._task = None
        self.lifetime.leave(self)
        if is_ours:
            raise self.was_late() if why is Cut.DEADLINE else self.was_closed()

    def cut(self, why: Cut) -> None:
        """Cancel the task, unless the scope was cut before or left."""
        if self.cut_by is None and self._task is not None:
            self.cut_by = why
            self._task.cancel()

    def take_back(self, error: BaseException | None, why: Cut) -> bool:
        """Undo a cut. Return whether `error` is its cancellation, and nobody else's too."""
        if self.cut_by is not why or self._task is None:
            return False
        self.cut_by = None
        is_alone = self._task.uncancel() <= self._cancelling
        return is_alone and isinstance(error, asyncio.CancelledError)

    def was_closed(self) -> BestDefenseError:
        """Return the error for an end from outside."""
        return ClientClosed("The client was closed during this call.")

    def was_late(self) -> BestDefenseError:
        """Return the error for a deadline that passed."""
        return DeadlineExceeded("The time for this call ran out before it was sent.")


class DeadlineWheel:
    """Deadlines of many scopes, in buckets: one timer per bucket, and none is ever cancelled.

    A deadline is rounded up by at most 1/64 of the time that was given.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buckets: dict[float, tuple[set[CancelScope], asyncio.TimerHandle]] = {}
        self._grids: dict[float, float] = {}

    def arm(self, scope: CancelScope, seconds: float) -> None:
        """Cut `scope` after that many seconds, in place of its deadline up to now."""
        grid = self._grids.get(seconds) or self._grid(seconds)
        self._put(scope, math.ceil((self._loop.time() + seconds) / grid) * grid)

    def arm_at(self, scope: CancelScope, when: float) -> None:
        """Cut `scope` at that loop time, in place of its deadline up to now."""
        self._put(scope, math.ceil(when / FINEST) * FINEST)

    def _put(self, scope: CancelScope, due: float) -> None:
        if scope.bucket is not None:
            scope.bucket.discard(scope)
        found = self._buckets.get(due)
        if found is None:
            # In a context of its own: a timer must not keep that of whoever came first.
            timer = self._loop.call_at(due, self._fall_due, due, context=contextvars.Context())
            found = self._buckets[due] = (set(), timer)
        scope.bucket = found[0]
        found[0].add(scope)

    def _grid(self, seconds: float) -> float:
        grid = max(math.ldexp(1.0, math.frexp(max(seconds, FINEST))[1] - 7), FINEST)
        if len(self._grids) < _MOST_GRIDS:
            self._grids[seconds] = grid
        return grid

    @staticmethod
    def disarm(scope: CancelScope) -> None:
        """Forget the scope's deadline; what was cut stays cut."""
        if scope.bucket is not None:
            scope.bucket.discard(scope)
            scope.bucket = None

    def close(self) -> None:
        """Forget all deadlines."""
        for _, timer in self._buckets.values():
            timer.cancel()
        self._buckets.clear()

    def _fall_due(self, due: float) -> None:
        for scope in self._buckets.pop(due)[0]:
            scope.bucket = None
            scope.cut(Cut.DEADLINE)


class Home:
    """The process that made a client, and the first loop that uses it."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wheel: DeadlineWheel | None = None

    def check(self) -> asyncio.AbstractEventLoop:
        """Return the running loop; the first one becomes the home.

        Raises:
            WrongLoop: The client belongs to another loop, or another process.
        """
        loop = asyncio.get_running_loop()
        if self._loop is loop and self._process == os.getpid():
            return loop
        if self._process != os.getpid():
            raise WrongLoop("This client was opened before a fork: open one per process.")
        if self._loop is not None:
            raise WrongLoop(
                "This client belongs to another event loop (a second asyncio.run, another thread, "
                "or a fixture of another scope): open one per loop."
            )
        self._loop = loop
        return loop

    @property
    def wheel(self) -> DeadlineWheel:
        """The deadlines of all that happens here."""
        if self._wheel is None:
            self._wheel = DeadlineWheel(self.check())
        return self._wheel

    def close(self) -> None:
        """Forget all deadlines."""
        if self._wheel is not None:
            self._wheel.close()


class Lifetime:
    """What ends together: scopes, between entering and leaving them."""

    def __init__(self, home: Home) -> None:
        self.home: Home = home
        self.is_over: bool = False
        self._scopes: set[CancelScope] = set()
        self._emptied = asyncio.Event()

    def __len__(self) -> int:
        """Return how many scopes are under way."""
        return len(self._scopes)

    def check(self) -> asyncio.AbstractEventLoop:
        """Return the running loop when something may begin on it.

        Raises:
            ClientClosed: It is over.
            WrongLoop: It belongs to another loop, or another process.
        """
        loop = self.home.check()
        if self.is_over:
            raise ClientClosed("The client is closed.")
        return loop

    def enter(self, scope: CancelScope) -> None:
        """Register a scope that is being entered.

        Raises:
            ClientClosed, WrongLoop: As for `check`.
        """
        self.check()
        self._scopes.add(scope)

    def leave(self, scope: CancelScope) -> None:
        """Forget a scope that is being left."""
        self._scopes.discard(scope)
        if self.is_over and not self._scopes:
            self._emptied.set()

    async def end(self, *, drain: float = 0.0) -> None:
        """Refuse what is new and end what is under way; returns when it has ended.

        May be called again, also while an earlier call still waits.

        Args:
            drain: Seconds that what is under way may take to end by itself.

        Raises:
            WrongLoop: It belongs to another loop or process; nothing has been ended.
        """
        loop = self.home.check()
        self.is_over = True
        if drain > 0 and self._scopes:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(drain):
                    await self._emptied.wait()
        for scope in self._scopes:
            # In the next turn of the loop, so that what is ready to leave still leaves.
            loop.call_soon(scope.cut, Cut.CLOSED)
        if self._scopes:
            await self._emptied.wait()
