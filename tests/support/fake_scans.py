"""The few operations of the client that a group needs, in five lines each and in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ConnectError,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Sent,
)
from bestdefense_async.models import (
    Alerts,
    Overview,
    Progress,
    Report,
    RiskSummary,
    ScanOptions,
    Site,
)
from bestdefense_async.polling.scheduler import PollScheduler
from bestdefense_async.runs.site_index import SiteIndex
from tests.support.virtual_time import run_virtual

if TYPE_CHECKING:
    from bestdefense_async.core.request import Claim

T = TypeVar("T")
Fault = Callable[[str, str, int], Awaitable[None]]
"""Called with operation, subject and how often that was asked; raises what goes wrong."""


async def no_fault(operation: str, subject: str, nth: int) -> None:
    """Let everything go well."""


def denied(operation: str = "") -> AuthError:
    """Return a 401."""
    return AuthError("The token is dead.", status=401, operation=operation)


def absent() -> NotFound:
    """Return a 404."""
    return NotFound("There is no such thing.", status=404)


def unknown(site_id: str) -> OutcomeUnknown:
    """Return the error of a creation whose answer is lost."""
    return OutcomeUnknown("reset", operation="reports.create", subject=site_id, sent_at=time.time())


@contextlib.asynccontextmanager
async def claimed(claim: Claim | None) -> AsyncIterator[None]:
    """Take a claim, and give it back when what follows did no work: as a client does."""
    if claim is not None:
        await claim.take()
    try:
        yield
    except BestDefenseError as error:
        if claim is not None and (error.sent is Sent.NO or isinstance(error, RateLimited)):
            await claim.give_back()
        raise


class FakeScans:
    """Sites `h0` to `h<n>`, with the ids `s0` to `s<n>` and the reports `r-s0` and so on."""

    def __init__(
        self,
        sites: int = 10,
        *,
        duration: float = 60.0,
        fault: Fault = no_fault,
        delay: float = 0.01,
    ) -> None:
        self.sites = self.reports = self.vortex = self
        self.durations: dict[str, float] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.denied: Counter[tuple[str, str]] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.created: dict[str, float] = {}
        self.null_overviews = 0
        self._polls: PollScheduler | None = None
        self._site_index: SiteIndex | None = None
        self._now: Counter[str] = Counter()
        self._made: Counter[str] = Counter()
        self._sites = sites
        self._duration = duration
        self._fault = fault
        self._delay = delay

    @property
    def polls(self) -> PollScheduler:
        """What waits for reports: one for all groups, as a client has one per token."""
        if self._polls is None:
            self._polls = PollScheduler(self.progress, limit=64)
        return self._polls

    @property
    def site_index(self) -> SiteIndex:
        """What finds sites: one for all groups, as a client has one per token."""
        if self._site_index is None:
            self._site_index = SiteIndex(self.list)
        return self._site_index

    def calls(self, operation: str) -> int:
        """Return how often an operation was asked for."""
        return sum(count for (name, _), count in self.asked.items() if name == operation)

    @property
    def active(self) -> int:
        """Scans that are created and not complete."""
        now = asyncio.get_running_loop().time()
        return sum(now < start + self._of(site) for site, start in self.created.items())

    def _of(self, site_id: str) -> float:
        return self.durations.get(site_id, self._duration)

    async def _ask(self, operation: str, subject: str) -> None:
        self.asked[operation, subject] += 1
        self._now[operation] += 1
        self.most_at_once[operation] = max(self.most_at_once[operation], self._now[operation])
        try:
            await asyncio.sleep(self._delay)
            await self._fault(operation, subject, self.asked[operation, subject])
        except AuthError:
            self.denied[operation, subject] += 1  # did no work
            raise
        finally:
            self._now[operation] -= 1

    async def list(self) -> tuple[Site, ...]:
        """Return the sites, their names in capitals and with a dot."""
        await self._ask("list", "")
        return tuple(Site(id=f"s{n}", hostname=f"H{n}.Example.") for n in range(self._sites))

    async def create(
        self, site: str, options: ScanOptions | None = None, *, claim: Claim | None = None
    ) -> Report:
        """Start a scan."""
        try:
            async with claimed(claim):
                await self._ask("create", site)
        except (ConnectError, RateLimited):
            self.denied["create", site] += 1
            raise
        self.created[site] = asyncio.get_running_loop().time()
        self._made[site] += 1
        again = "" if self._made[site] == 1 else f".{self._made[site]}"
        return Report(id=f"r-{site}{again}")

    async def progress(self, report_id: str) -> Progress:
        """Return whether its time is over."""
        await self._ask("progress", report_id)
        site_id = report_id.removeprefix("r-").partition(".")[0]
        age = asyncio.get_running_loop().time() - self.created.get(site_id, 0.0)
        return Progress(is_completed=age >= self._of(site_id))

    async def overview(self, report_id: str) -> Overview:
        """Return the overview, null the first `null_overviews` times."""
        await self._ask("overview", report_id)
        is_early = self.asked["overview", report_id] <= self.null_overviews
        return Overview(security_id=None if is_early else _security_of(report_id))

    async def alerts(self, security_id: int) -> Alerts:
        """Return as many findings as the number of the site."""
        await self._ask("alerts", str(security_id))
        return Alerts(risk=RiskSummary(high=security_id % 1_000_000))


def _security_of(report_id: str) -> int:
    """Return the number of the site, and another one for each further scan of it."""
    number, _, again = report_id.removeprefix("r-s").partition(".")
    return int(number) + 1_000_000 * (int(again or 1) - 1)


def hosts(count: int) -> list[str]:
    """Return the names of the first sites."""
    return [f"h{n}.example" for n in range(count)]


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a test in virtual time; afterwards no task may be left, and no error unseen."""

    async def checked() -> T:
        unseen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, seen: unseen.append(seen))
        result = await main()
        for _ in range(5):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not unseen, unseen
        return result

    return run_virtual(checked(), start=1_000.0)


def kinds(outcomes: list[Any]) -> Counter[str]:
    """Count the outcomes by their word."""
    return Counter(outcome.status for outcome in outcomes)


def errors_of(outcomes: list[Any]) -> list[type[BestDefenseError]]:
    """Return the kinds of errors, in order."""
    return [type(outcome.error) for outcome in outcomes if outcome.status != "done"]
