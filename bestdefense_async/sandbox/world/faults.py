"""Faults: what goes wrong, for which operation, on which of its calls.

| kind | what the client sees |
|---|---|
| `status` | an answer with the given status, body and headers |
| `delay` | the right answer, late |
| `reset` | the connection is reset |
| `drop` | the connection is closed without an answer |
| `hang` | nothing, for as long as it waits |
| `garbage` | a 200 whose body is not what its type says |
| `truncated` | the right headers, a part of the body, then the end of the connection |
| `corrupt` | the right answer with one bit changed |

A fault comes before the effect, so that nothing has happened, or after it: then the scan exists
and its answer is lost. A late, truncated or corrupt answer is the right one otherwise, so its
effect has happened either way. `delay` goes with every kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs
from attrs import define, field, frozen

from bestdefense_async.sandbox.checks import SECONDS, must_be, one_of
from bestdefense_async.sandbox.world.routes import NAMES, Address

if TYPE_CHECKING:
    from bestdefense_async.sandbox.world.ledger import Arrival

Kind = Literal["status", "delay", "reset", "drop", "hang", "garbage", "truncated", "corrupt"]

_STATUSES = range(200, 600)
_ORDINAL = must_be("a number that counts from 1", lambda value: value >= 1)
_SHARE = must_be("between 0 and 1", lambda value: 0 <= value <= 1)


@frozen(kw_only=True)
class FaultPlan:
    """One thing to go wrong. Without nth, times and probability it always does."""

    operation: str
    """An operation, a method with a path, or `*`: the address that `Address.of` reads."""

    kind: Kind = field(default="status", validator=one_of(*get_args(Kind)))
    status: int | None = None
    """Status of the answer, 200 to 599."""

    body: str | bytes | None = None
    """Body of the answer instead of the usual envelope."""

    headers: Mapping[str, str] = field(factory=dict)
    delay: float = field(default=0.0, validator=SECONDS)
    """Seconds of the loop to wait first."""

    nth: int | None = field(default=None, validator=_ORDINAL)
    """The first call that fails, 1-based, counted from when the fault was set."""

    times: int | None = field(default=None, validator=_ORDINAL)
    """How many calls in a row; 1 when only `nth` is given."""

    probability: float | None = field(default=None, validator=_SHARE)
    """The chance of each call, 0 to 1, seeded."""

    site: str | None = None
    """Only calls about this site id or host name."""

    after_effect: bool = False
    """Let the call do its work first."""

    cut: float = field(default=0.5, validator=_SHARE)
    """The share of the body before it is truncated or corrupt."""

    @classmethod
    def of(cls, operation: str, plan: Mapping[str, Any]) -> FaultPlan:
        """Return the plan that keyword arguments describe.

        Raises:
            ValueError: There is no such operation or field, or the plan is impossible.
        """
        Address.of(operation, NAMES)
        fields = {attribute.name for attribute in attrs.fields(cls)} - {"operation"}
        unknown = plan.keys() - fields
        if unknown:
            message = f"a fault has no {', '.join(sorted(unknown))}"
            raise ValueError(message)
        if plan.get("delay") and not plan.keys() & {"kind", "status"}:
            plan = {**plan, "kind": "delay"}
        return cls(operation=operation, **plan)

    def __attrs_post_init__(self) -> None:
        if self.kind == "status" and self.status not in _STATUSES:
            raise ValueError(f"a fault of kind 'status' needs a status 200-599, not {self.status}")


@define(eq=False)
class Fault:
    """A fault that has been set; `remove()` ends it."""

    plan: FaultPlan
    _address: Address = field(repr=False)
    _chance: Random = field(repr=False)
    _owner: list[Fault] = field(repr=False)
    calls: int = 0
    """Calls that it could have hit."""

    hits: int = 0
    """Calls that it has hit."""

    def remove(self) -> None:
        """End this fault; harmless when it is ended already."""
        if self in self._owner:
            self._owner.remove(self)

    def hit(self, arrival: Arrival, site: tuple[str, ...]) -> bool:
        """Count one call and return whether this fault hits it.

        Args:
            arrival: The request.
            site: Id and host name of the site it is about; empty when it is about none.
        """
        plan = self.plan
        if not self._address.means(arrival.operation, arrival.method, arrival.path):
            return False
        if plan.site is not None and plan.site not in site:
            return False
        self.calls += 1
        first = 1 if plan.nth is None else plan.nth
        times = plan.times if plan.times is not None or plan.nth is None else 1
        if self.calls < first or (times is not None and self.calls >= first + times):
            return False
        if plan.probability is not None and self._chance.random() >= plan.probability:
            return False
        self.hits += 1
        return True


@define
class Faults:
    """All faults of one sandbox, in the order they were set."""

    seed: int
    active: list[Fault] = field(factory=list)

    def add(self, plan: FaultPlan) -> Fault:
        """Set a fault and return it."""
        chance = Random(f"{self.seed} {len(self.active)} {plan.operation}")
        address = Address.of(plan.operation, NAMES)
        fault = Fault(plan, address, chance, self.active)
        self.active.append(fault)
        return fault

    def hit(self, arrival: Arrival, site: tuple[str, ...]) -> FaultPlan | None:
        """Return what goes wrong with this call; the first fault that hits it wins."""
        found: FaultPlan | None = None
        for fault in self.active:
            if fault.hit(arrival, site) and found is None:
                found = fault.plan
        return found
