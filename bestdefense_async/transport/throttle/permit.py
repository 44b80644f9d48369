"""The right to send one request now, and whom its queue and it speak to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from types import TracebackType

    from bestdefense_async.transport.observe import WaitReason


HELD_FOR: Final = 0.02
"""Seconds until a book that another process holds is asked for again."""


class SharedStore(Protocol):
    """What all processes with the token know of each other's calls."""

    def look(self) -> bool:
        """Learn what is new; return whether calls of others are in flight."""
        ...

    def is_ours(self) -> bool:
        """Learn what is new and keep the others out until the end of this turn of the loop.

        False when another process does so now.
        """
        ...

    def changed(self) -> None:
        """Record that there is something new to tell."""
        ...


class Issuer(Protocol):
    """The queue that a permit comes from, as the permit sees it."""

    def try_enter(self, permit: Permit) -> bool:
        """Let the permit begin now, if nobody waits and its turn is there."""
        ...

    def wait(self, permit: Permit) -> Coroutine[Any, Any, None]:
        """Return what to await until the permit's turn has come and is booked."""
        ...

    def expected_wait(self, *, again: bool) -> float | None:
        """Return for how long a call that asks now waits at least, None while nobody can tell."""
        ...

    def reason(self) -> WaitReason:
        """Return why a call that asks now has to wait."""
        ...

    def is_stale(self, sent: float) -> bool:
        """Return whether the class was paused since a call was admitted at `sent`."""
        ...

    def answered(self, permit: Permit, headers: Mapping[str, str]) -> None:
        """Settle a call whose answer's headers were seen just now."""
        ...

    def refused(self, permit: Permit, headers: Mapping[str, str], *, is_settled: bool) -> float:
        """Pause the class; return how many seconds the pause lasts from now."""
        ...

    def unsent(self) -> None:
        """Take a permit back whose call certainly never left."""
        ...

    def lost(self) -> None:
        """Settle a call that may have been sent and whose answer nobody saw."""
        ...


_NEVER: Final = -math.inf


class Permit:
    """The right to send one request now, held for as long as `async with` lasts.

    `enter`, `wait` and `leave` are the same without the coroutine where nothing has to be waited
    for. Say what became of it with exactly one of `answered`, `refused` and `unsent`. Leaving the
    block with none of them called means: it may have been sent. Then the permit stays spent,
    stamped a little in the future.
    """

    __slots__ = ("_is_in_flight", "_queue", "again", "deadline", "sent")

    deadline: float | None
    """Loop time until which to wait, None for as long as it takes."""

    again: bool
    """Whether the call had its turn before and goes to the front."""

    sent: float
    """Loop time at which the call was admitted, minus infinity before."""

    def __init__(self, queue: Issuer, *, deadline: float | None, again: bool) -> None:
        self._queue = queue
        self._is_in_flight = False
        self.deadline = deadline
        self.again = again
        self.sent = _NEVER

    async def __aenter__(self) -> Self:
        if not self.enter():
            await self.wait()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def enter(self) -> bool:
        """Take the turn if it is there at once; else use `wait`. Either way `leave` in the end.

        Raises:
            WrongLoop: The limits are in use in another event loop.
        """
        return self._queue.try_enter(self)

    def wait(self) -> Coroutine[Any, Any, None]:
        """Return what to await until the turn has come.

        Raises:
            LimitWaitTooLong: It cannot come before the permit's deadline. Nothing was sent.
        """
        return self._queue.wait(self)

    def leave(self) -> None:
        """End the permit: if nobody said what became of it, it may have been sent."""
        if self._leaves():
            self._queue.lost()

    @property
    def expected_wait(self) -> float | None:
        """Seconds that `wait` takes at least if it is called now, None while nobody can tell."""
        return self._queue.expected_wait(again=self.again)

    @property
    def reason(self) -> WaitReason:
        """Why a call that asks now has to wait."""
        return self._queue.reason()

    def begin(self, now: float) -> None:
        """Record that the turn has come. For the queue alone."""
        self.sent = now
        self._is_in_flight = True

    @property
    def is_stale(self) -> bool:
        """Whether the class was paused after this permit was granted.

        Ask after any wait between the grant and the sending, for a connection slot for example:
        with a stale permit call `unsent`, leave the block and ask with `again=True`.
        """
        return self._queue.is_stale(self.sent)

    def answered(self, headers: Mapping[str, str]) -> None:
        """Record that the headers of an answer other than 429 were seen just now.

        Args:
            headers: Names in lower case. Rate headers among them correct the limits.
        """
        if self._leaves():
            self._queue.answered(self, headers)

    def refused(self, headers: Mapping[str, str]) -> float:
        """Pause the class for everybody with this token after a 429 seen just now.

        Returns:
            Seconds until the pause ends. Do not sleep: ask again with `again=True`.
        """
        return self._queue.refused(self, headers, is_settled=not self._leaves())

    def unsent(self) -> None:
        """Give the permit back: certainly not one byte of the request was sent."""
        if self._leaves():
            self._queue.unsent()

    def _leaves(self) -> bool:
        """Return whether the call was in flight until now."""
        was_in_flight, self._is_in_flight = self._is_in_flight, False
        return was_in_flight
