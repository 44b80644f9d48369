"""Whether one more creation may start, by how the last ones ended: without clock, chance or sleep.

A creation costs money, is sent once only, and its place is free again as soon as it fails. So a
host that is away would be given the whole list, the faster the quicker it fails. Here a list is
read only as fast as creations *succeed*: each failure that is the host's takes one place away
until the next success, and with no place left nothing starts. Then the host is looked at with a
harmless request, then ONE creation is tried, then two, three and so on.

Lost is what was under way when the host went away, and nothing else: `most` creations are the
price of an outage, however long it is.

    open --each failure takes a place, a success gives all back--> no place left: shut
    shut --a look is answered--> one place --success--> two, three, ... `most`
     ^                                '--lost: a longer wait before the next look
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from attrs import define, field

from bestdefense_async.errors import (
    BestDefenseError,
    ClientError,
    DeadlineExceeded,
    OutcomeUnknown,
    RateLimited,
    Sent,
    ServerError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_STARTING: Final = 8
"""Creations under way at the same time, which is what an outage costs. Scans take minutes, so 8 at
half a second each are more than a list needs; 32 lose four times as much."""
FIRST_WAIT: Final = 0.5
"""Seconds until the first look at a host that is away; each further one waits twice as long."""
LONGEST_WAIT: Final = 10.0
"""No wait between two looks is longer."""
LONGEST_AFTER_TRIAL: Final = 30.0
"""No wait after a creation that was tried and lost is longer. A host whose creations alone are
down answers every look, and would be given one creation per look."""

_HOST_STATUSES: Final = {408, 425}
_MOST_DOUBLINGS: Final = 30


class Fate(enum.Enum):
    """What the end of a creation says about the host."""

    THERE = enum.auto()
    """It took the creation, or refused this one target."""
    AWAY = enum.auto()
    """It did not take a creation that it should have taken."""
    NOTHING = enum.auto()
    """The store, the client or the program was in the way."""


def met_by(error: BestDefenseError) -> BestDefenseError:
    """Return what a creation met at the host, also where its own error says what to do now."""
    cause = error.__cause__ if isinstance(error, OutcomeUnknown) else None
    return cause if isinstance(cause, BestDefenseError) else error


def fate_of(error: BestDefenseError | None) -> Fate:
    """Return what the error of a creation says about the host; None is a success."""
    if error is None:
        return Fate.THERE
    error = met_by(error)
    if isinstance(error, ServerError | TransportError | RateLimited | OutcomeUnknown):
        return Fate.AWAY
    if isinstance(error, ClientError) and error.status in _HOST_STATUSES:
        return Fate.AWAY
    if isinstance(error, DeadlineExceeded):  # before it was sent, our own limits were in the way
        return Fate.NOTHING if error.sent is Sent.NO else Fate.AWAY
    return Fate.THERE if error.sent is Sent.YES else Fate.NOTHING


def may_start_later(error: BestDefenseError) -> bool:
    """Return whether a creation certainly did no work, and only the host is at fault."""
    if isinstance(error, RateLimited):
        return True
    return error.sent is Sent.NO and fate_of(error) is Fate.AWAY


@define
class Admission:
    """How many creations may start now: asked before each start, told how each ended."""

    most: int = MOST_STARTING
    places: int = field(init=False)
    """Creations that may be under way: one more with each success, up to `most`."""
    failures: int = field(default=0, init=False)
    """Places that failures took away since the last success."""
    under_way: int = field(default=0, init=False)
    """Creations of this round that have not ended."""
    is_shut: bool = field(default=False, init=False)
    is_trial: bool = field(default=False, init=False)
    """Whether the next creation shows if the host takes creations again."""
    round: int = field(default=0, init=False)
    """One more with each stop. What started in an earlier round says nothing any more."""
    looks: int = field(default=0, init=False)
    """Looks since the stop that found the host away."""
    trials: int = field(default=0, init=False)
    """Single creations in a row that were tried and lost."""

    def __attrs_post_init__(self) -> None:
        self.places = self.most

    def room(self) -> int:
        """Return how many more creations may start now."""
        return 0 if self.is_shut else max(0, self.places - self.failures - self.under_way)

    def began(self) -> int:
        """Record that a creation starts. Returns the round, which `ended` wants to know."""
        self.under_way += 1
        return self.round

    def ended(self, begun_in: int, fate: Fate) -> None:
        """Record how a creation of that round ended."""
        if begun_in != self.round:
            return
        self.under_way -= 1
        if fate is Fate.THERE:
            self.failures = self.looks = self.trials = 0
            self.is_trial = False
            self.places = min(self.most, self.places + 1)
        elif fate is Fate.AWAY:
            self.failures += 1
            if self.failures >= self.places:
                self.shut()

    def shut(self) -> None:
        """Start nothing until a look has found the host."""
        if self.is_shut:
            return
        self.trials += self.is_trial
        self.is_shut, self.is_trial = True, False
        self.round += 1
        self.under_way = self.failures = self.looks = 0

    def looked(self, *, is_there: bool) -> None:
        """Record what a look has shown. When the host is there, one creation may start."""
        if not self.is_shut:
            return
        if is_there:
            self.is_shut, self.is_trial, self.places = False, True, 1
        else:
            self.looks += 1

    def wait(self, uniform: Callable[[float, float], float]) -> float:
        """Return the seconds until the next look.

        A look costs nothing. A creation that is tried and lost may have to be looked up by a
        person, so each one in a row doubles the wait before the next.
        """
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self.looks, _MOST_DOUBLINGS))
        if self.looks == 0:
            after = FIRST_WAIT * 2.0 ** min(self.trials, _MOST_DOUBLINGS)
            wait = min(LONGEST_AFTER_TRIAL, max(wait, after))
        return wait * uniform(0.5, 1.0)
