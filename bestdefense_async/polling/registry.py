"""The schedulers of a client: one per token, and one lane of workers for all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from bestdefense_async.polling.scheduler import WORKERS, PollScheduler, open_lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from bestdefense_async.core.limiting.limit import Limit
    from bestdefense_async.models import Progress

LANE: Final = 2 / 3
"""Most of the client's connections that polls may take."""
BELOW: Final = 0.95
"""Share of a limit that polls spend; the rest is for those who ask for a progress themselves."""


class PollSchedulers:
    """One `PollScheduler` per token; one that nobody waits with or holds is forgotten.

    Args:
        max_in_flight: Requests the client may have under way. Polls take two thirds of them at
            most, and never more than 64, so that creations and downloads find room.
        limits: Those of `reports.progress`. Where there are some, they are the budget: polls are
            spread evenly below them, and the most useful one goes first.
    """

    def __init__(self, *, max_in_flight: int, limits: tuple[Limit, ...] = ()) -> None:
        self._workers = max(1, min(WORKERS, int(max_in_flight * LANE)))
        self._rate = min((BELOW * limit.calls / limit.per for limit in limits), default=None)
        self._lane = open_lane(self._workers)
        self._by_key: WeakValueDictionary[Hashable, PollScheduler] = WeakValueDictionary()

    def __len__(self) -> int:
        """Return how many tokens have a scheduler at present."""
        return len(self._by_key)

    def of(self, key: Hashable, progress: Callable[[str], Awaitable[Progress]]) -> PollScheduler:
        """Return the scheduler of a token, which polls with `progress` when it is a new one.

        While somebody waits the event loop holds it; otherwise it lasts as long as it is held.

        Args:
            key: What tells it apart: the token, and the kind of ids that are waited for.
            progress: Sends one poll.
        """
        scheduler = self._by_key.get(key)
        if scheduler is None:
            scheduler = PollScheduler(progress, lane=self._lane, rate=self._rate)
            self._by_key[key] = scheduler
        return scheduler

    async def aclose(self) -> None:
        """End every wait with `ClientClosed`; returns when no poll is under way any more."""
        tasks = {task for one in list(self._by_key.values()) for task in one.close()}
        if tasks:
            await asyncio.wait(tasks)
