"""Settles creations whose answer was lost, where the host can list reports.

A report is the lost one when it is of the same site, was created when the creation was under way,
and is not known otherwise. Two that fit, or none, settle nothing: a scan that is taken for missing
would be started twice, so only a person may say that there is none.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Protocol

from attrs import frozen

from bestdefense_async.errors import ConfigError
from bestdefense_async.runs.store.protocol import UnknownScan

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from bestdefense_async.models import ReportSummary
    from bestdefense_async.runs.store.protocol import Record

CLOCKS: Final = 120.0
"""Seconds by which the clocks of this machine and the server may differ."""
UNDER_WAY: Final = 3600.0
"""Seconds in which a creation that was claimed has left: it may have waited for a rate limit."""
PAGE: Final = 500
"""Reports asked for at once. (inferred: no paging is documented)"""
MOST_PAGES: Final = 1000


@frozen(kw_only=True)
class Settlement:
    """What the search for a lost creation found."""

    lost: UnknownScan
    report_id: str | None = None
    """The scan that it started; None when that cannot be decided."""
    candidates: tuple[str, ...] = ()
    """Reports that fit when there are several."""

    @property
    def reason(self) -> str:
        """What was found, in a few words."""
        if self.report_id is not None:
            return "found"
        if self.candidates:
            return f"{len(self.candidates)} reports fit: {', '.join(self.candidates)}"
        return "no report of that site and time is listed"


class Listing(Protocol):
    """Lists reports: the client's `reports`."""

    def iterate(
        self, *, limit: int | None = None, after: str | None = None
    ) -> AsyncGenerator[ReportSummary, None]:
        """Yield reports, the latest first, over all pages that the host names."""


class Unsettled(Protocol):
    """A journal that knows what is unknown."""

    async def unknowns(self) -> Sequence[UnknownScan]:
        """Return the creations whose answer is lost."""

    async def known_reports(self) -> set[str]:
        """Return the ids of all scans the journal knows."""

    async def found(self, index: int, *, report_id: str) -> None:
        """Record that a lost creation has started this scan."""


async def reconcile(reports: Listing, journal: Unsettled) -> list[Settlement]:
    """Search for every creation of a run whose answer is lost, and record what was found.

    Costs one request for each 500 reports of the organization since the first of them.

    Raises:
        ProvisionalRoute: The host's path for listing reports is not confirmed.
        JournalError: What was found cannot be written.
        BestDefenseError: The reports cannot be listed.
    """
    lost = await journal.unknowns()
    if not lost:
        return []
    listed = await _listed(reports, since=min(each.claimed_at for each in lost) - CLOCKS)
    settlements = match(lost, listed, known=await journal.known_reports())
    for each in settlements:
        if each.report_id is not None:
            await journal.found(each.lost.index, report_id=each.report_id)
    return settlements


async def mark_absent(record: Record, targets: Iterable[str]) -> None:
    """Record that there is no scan of these targets, as a person says: they are started again.

    Raises:
        ConfigError: One of them is not unknown in this run; then nothing was changed.
    """
    wanted = tuple(targets)
    lost = {each.target: each.index for each in await record.unknowns()} if wanted else {}
    for target in wanted:
        if target not in lost:
            raise ConfigError(f"{target!r} is not unknown in this run: nothing was changed.")
    for target in wanted:
        await record.forget(lost[target])


def match(
    lost: Iterable[UnknownScan], listed: Iterable[ReportSummary], *, known: set[str]
) -> list[Settlement]:
    """Return what was found for each lost creation.

    A report without a site or a time fits nothing: it is unknown whose it is.
    """
    by_site: dict[str, list[ReportSummary]] = {}
    for report in listed:
        if report.id not in known and report.site_id is not None:
            by_site.setdefault(report.site_id.lower(), []).append(report)
    return [_settled(one, by_site.get(one.site_id.lower(), [])) for one in lost]


def _settled(lost: UnknownScan, reports: list[ReportSummary]) -> Settlement:
    first, last = lost.claimed_at - CLOCKS, lost.claimed_at + UNDER_WAY
    fitting = tuple(
        report.id
        for report in reports
        if report.created_at is not None and first <= report.created_at.timestamp() <= last
    )
    if len(fitting) == 1:
        return Settlement(lost=lost, report_id=fitting[0])
    return Settlement(lost=lost, candidates=fitting)


async def _listed(reports: Listing, *, since: float) -> list[ReportSummary]:
    """Return all reports back to a moment.

    Pages that the host names are followed. Where it names none, what is older than the last report
    is asked for; a host that does not page answers them all at once.
    """
    listed: list[ReportSummary] = []
    seen: set[str] = set()
    for _ in range(MOST_PAGES):
        before = len(listed)
        try:
            pages = reports.iterate(limit=PAGE, after=listed[-1].id if listed else None)
            async with aclosing(pages):
                async for report in pages:
                    if report.id not in seen:
                        seen.add(report.id)
                        listed.append(report)
                    count = len(listed) - before
                    if count and count % PAGE == 0 and _is_past(listed[-PAGE:], since):
                        return listed
        except ConfigError:
            # A host that counts its pages cannot begin after a report: it has shown all of them.
            if not listed:
                raise
            break
        if len(listed) - before < PAGE or _is_past(listed[before:], since):
            break
    return listed


def _is_past(page: Sequence[ReportSummary], since: float) -> bool:
    """Return whether a page leads from the latest to the oldest and has passed a moment."""
    times = [report.created_at.timestamp() for report in page if report.created_at is not None]
    return bool(times) and times == sorted(times, reverse=True) and times[-1] < since
