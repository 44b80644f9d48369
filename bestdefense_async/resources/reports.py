"""Reports: start a scan, follow it, read what it found.

`Vortex`: security reports of the Vortex engine.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from bestdefense_async.core.check import check_id, check_whole
from bestdefense_async.core.codec import ALERTS_ITEMS, structure, structure_member
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import EnvelopeError
from bestdefense_async.models import Alerts, Overview, Progress, Report, ReportSummary, ScanOptions
from bestdefense_async.resources.arguments import (
    REPORT,
    SITE,
    id_of,
    instance,
    optional_seconds,
    security_choices,
    security_id_of,
)
from bestdefense_async.resources.identity import one_called, progress_of
from bestdefense_async.resources.pages import iterate
from bestdefense_async.resources.protocol import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from bestdefense_async.core.request import Claim
    from bestdefense_async.models import Site
    from bestdefense_async.resources.identity import CreatedIds
    from bestdefense_async.resources.protocol import Polls, Transport


class Reports(Resource):
    """Create reports, which is to start scans, and read them.

    A report is given as its object or as its id, the UUID that `create` answers. The number of a
    security report is another id space: see `Vortex`.

    Args:
        transport: Sends what is asked for.
        vortex: Reads what a security scan found.
        polls: Returns what waits for reports. It is asked for when somebody waits, for it may
            need a running loop.
        ids: What creations have made lately.
    """

    def __init__(
        self, transport: Transport, vortex: Vortex, polls: Callable[[], Polls], ids: CreatedIds
    ) -> None:
        super().__init__(transport)
        self._vortex = vortex
        self._polls = polls
        self._ids = ids

    async def create(
        self,
        site: Site | str,
        options: ScanOptions | None = None,
        *,
        claim: Claim | None = None,
        timeout: float | None = None,
    ) -> Report:
        """Start a scan of a site. Never sends a second creation unless the first did no work.

        Args:
            site: A site, or its id.
            options: What to scan; None is a security scan with the server's defaults.
            claim: Taken in the instant before it is sent, after all waits, and given back when it
                did no work. What taking it raises ends the call, and nothing is sent.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: An argument cannot be meant, such as a host name. Nothing was sent.
            OutcomeUnknown: The scan may have been started and its answer is lost.
            PermissionDenied: The organization lacks `create reports`, or its plan the intensity.
            NotFound: The site does not exist, or is another organization's.
            InvalidRequest: The API does not accept the options, or the site is not verified.
            BestDefenseError: Anything else that `errors` names; then nothing was started.

        Source: api-facts, "create a report". (documented; the answer has no envelope)
        """
        chosen = ScanOptions() if options is None else instance("options", options, ScanOptions)
        return await self._send(
            "reports.create",
            {"site_id": id_of(SITE, site)},
            _creation_body(chosen),
            read=self._created,
            claim=claim,
            timeout=timeout,
        )

    async def list(
        self,
        *,
        limit: int | None = None,
        after: Report | ReportSummary | str | None = None,
        timeout: float | None = None,
    ) -> tuple[ReportSummary, ...]:
        """Return the reports of the organization, the latest first.

        In one request, and one more for each further page that the host names.

        Args:
            limit: Most reports to return; None is all of them.
            after: A report, or its id: only older ones are returned, so this pages through a list.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: The limit is not a whole number above 0, or `after` names no report.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "list and read scans". (described; order and paging inferred)
        """
        found: list[ReportSummary] = []
        async with aclosing(self.iterate(limit=limit, after=after, timeout=timeout)) as reports:
            async for report in reports:
                found.append(report)
                if len(found) == limit:
                    break
        return tuple(found)

    def iterate(
        self,
        *,
        limit: int | None = None,
        after: Report | ReportSummary | str | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[ReportSummary, None]:
        """Yield the reports as `list` returns them, a page at a time.

        Args:
            limit: Most reports of a page; None leaves it to the host.
            after: A report, or its id: only older ones are yielded.
            timeout: Seconds that all requests together may take.

        Raises:
            ConfigError: As for `list`, and the host counts its pages, so it cannot begin `after`.
            BestDefenseError: As for `list`.
        """
        query: dict[str, str | int] = {}
        if limit is not None:
            query["limit"] = check_whole("limit", limit)
        if after is not None:
            query["after"] = check_id("after", id_of(REPORT, after))
        wait = optional_seconds("timeout", timeout)
        route = ROUTES["reports.list"]
        items = {"reports": ReportSummary}
        return iterate(self._transport, route, _summaries, items=items, query=query, timeout=wait)

    async def get(
        self, report: Report | ReportSummary | str, *, timeout: float | None = None
    ) -> ReportSummary:
        """Return what one report is about.

        Args:
            report: A report, or its id.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: This names no report. Nothing was sent.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            NotFound: The report does not exist, or is another organization's.
            IntegrityError: The answer is about another one.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "list and read scans". (described)
        """
        report_id = id_of(REPORT, report)
        read = one_called("report", ReportSummary, report_id)
        return await self._send("reports.get", {"report_id": report_id}, read=read, timeout=timeout)

    async def progress(
        self, report: Report | ReportSummary | str, *, timeout: float | None = None
    ) -> Progress:
        """Return how far a report is.

        Args:
            report: A report, or its id.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: This names no report. Nothing was sent.
            NotFound: The report does not exist, or is another organization's.
            IntegrityError: The answer is about another one.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "progress". (documented)
        """
        report_id = id_of(REPORT, report)
        read = progress_of(report_id)
        return await self._send(
            "reports.progress", {"report_id": report_id}, read=read, timeout=timeout
        )

    async def overview(
        self, report: Report | ReportSummary | str, *, timeout: float | None = None
    ) -> Overview:
        """Return what a report consists of; its security part may be missing early on.

        Args:
            report: A report, or its id.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: This names no report. Nothing was sent.
            NotFound: The report does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "overview". (documented)
        """
        return await self._send(
            "reports.overview",
            {"report_id": id_of(REPORT, report)},
            read=lambda payload: structure(payload, Overview),
            timeout=timeout,
        )

    async def wait(
        self,
        report: Report | ReportSummary | str,
        *,
        timeout: float | None = None,
        policy: PollPolicy | None = None,
        started_ago: float | None = None,
    ) -> Progress:
        """Wait until a report is complete, asking at growing intervals of 6 to 40 s.

        Everybody who waits with one token shares its polls: two waits for one report cost as much
        as one, and a thousand leave room for other calls. A poll that meets a 429, a 5xx or a lost
        connection does not end the wait, nor does a 404 in the first 30 s.

        Args:
            report: A report, or its id.
            timeout: Seconds to wait at most. None waits for ever: a failed scan may never
                become complete, so give a time unless somebody watches.
            policy: How often to ask, and for how long while every poll fails. Of several waits
                for one report the most eager counts.
            started_ago: Seconds since the scan was started, where that is known. The first poll
                is then sent at once, so a report that is complete ends the wait at once. None
                takes it from a `ReportSummary`; else the scan counts as just started, and the
                first poll comes within 12 s.

        Raises:
            ConfigError: An argument cannot be meant. Nothing was sent.
            PollTimeout: Time is up. The scan goes on at the server.
            ScanFailed: The scan has ended without a result, in the server's words.
            EnvelopeError: Three polls in a row were answered in a shape that is not the API's.
            AuthError: The token stopped working; carries the report's id.
            ClientClosed: The client was closed meanwhile.
            BestDefenseError: What the last poll met, when asking again cannot help.

        Source: api-facts, "Polling". (documented; the words for a failure are inferred)
        """
        if started_ago is None and isinstance(report, ReportSummary):
            started_ago = _age(report)
        return await self._polls().wait(
            check_id("report_id", id_of(REPORT, report)),
            timeout=optional_seconds("timeout", timeout),
            policy=None if policy is None else instance("policy", policy, PollPolicy),
            started_ago=optional_seconds("started_ago", started_ago, or_zero=True),
        )

    async def findings(
        self, report: Report | ReportSummary | str, *, timeout: float | None = None
    ) -> Alerts:
        """Return what the security scan of a report found, in two requests: overview and alerts.

        Args:
            report: A report, or its id.
            timeout: Seconds both requests may take, waiting included.

        Raises:
            ConfigError: This names no report. Nothing was sent.
            EnvelopeError: The report has no security part (yet), so there is no verdict; that is
                never read as zero findings.
            NotFound: The report does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "overview" and "alerts of a Vortex security report". (documented)
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        overview = await self.overview(report, timeout=timeout)
        if overview.security_id is None:
            report_id = id_of(REPORT, report)
            raise EnvelopeError(f"Report {report_id} has no security part, so there is no verdict.")
        if timeout is not None:
            # What the first request left of the time; at least a moment, in which the second ends.
            timeout = max(timeout - (loop.time() - started), 1e-3)
        return await self._vortex.alerts(overview, timeout=timeout)

    def _created(self, payload: object) -> Report:
        report = structure(_without(payload, "success"), Report, root="answer")
        self._ids.add("reports.create", report.id)
        return report


def _age(report: ReportSummary) -> float | None:
    """Return the seconds since a report was created, None when it does not say; clocks differ."""
    if report.created_at is None:
        return 0.0 if report.is_completed else None
    return max(time.time() - report.created_at.timestamp(), 0.0)


def _creation_body(options: ScanOptions) -> dict[str, Any]:
    """Return the body of a creation; what is left to the server is left out (documented)."""
    wanted: dict[str, Any] = {kind: {"enabled": True} for kind in options.types}
    if chosen := security_choices(options):
        wanted["security"]["options"] = chosen
    if options.callback_secret is not None:
        wanted["callback"] = {"secret": options.callback_secret}
    return {"options": wanted}


def _without(payload: object, name: str) -> object:
    if not isinstance(payload, dict):
        return payload
    return {key: member for key, member in payload.items() if key != name}


def _summaries(payload: object) -> tuple[ReportSummary, ...]:
    return structure_member(payload, "reports", tuple[ReportSummary, ...])


class Vortex(Resource):
    """Read what a security scan found."""

    async def alerts(self, security: Overview | int, *, timeout: float | None = None) -> Alerts:
        """Return counts and findings of a security report.

        Args:
            security: The overview of a report, or the number in it (`Overview.security_id`), which
                is not the report's id.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: This is neither: the two id spaces must not be mixed up.
            EnvelopeError: The overview has no security part (yet), or the answer no risk summary,
                so there is no verdict. That is never read as zero findings.
            NotFound: There is no such security report, or it is another organization's.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "alerts of a Vortex security report". (path documented; key of the
            summary inferred)
        """
        security_id = security_id_of(security)
        if security_id is None:
            raise EnvelopeError("The report has no security part (yet), so there is no verdict.")
        return await self._send(
            "vortex.alerts",
            {"security_id": str(security_id)},
            items=ALERTS_ITEMS,
            read=lambda payload: structure(payload, Alerts),
            timeout=timeout,
        )
