"""Reports: start a scan, follow it, read what it found.

`Vortex`: security reports of the Vortex engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bestdefense_async.core.codec import structure, structure_member
from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError, EnvelopeError, IntegrityError
from bestdefense_async.models import (
    Alerts,
    Overview,
    Progress,
    Report,
    ReportSummary,
    ScanOptions,
    Site,
)
from bestdefense_async.resources.protocol import check_identity, send_creation

if TYPE_CHECKING:
    from collections.abc import Callable

    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.resources.protocol import Polls, Transport


class Reports:
    """Create reports, which is to start scans, and read them.

    Args:
        transport: Sends what is asked for.
        vortex: Reads what a security scan found.
        polls: Returns what waits for reports. It is asked for when somebody waits, for it may
            need a running loop.
    """

    def __init__(self, transport: Transport, vortex: Vortex, polls: Callable[[], Polls]) -> None:
        self._transport = transport
        self._vortex = vortex
        self._polls = polls

    async def create(self, site: Site | str, options: ScanOptions | None = None) -> Report:
        """Start a scan of a site. Never sends a second creation unless the first did no work.

        Args:
            site: A site, or its id.
            options: What to scan; None is a security scan with the server's defaults.

        Raises:
            OutcomeUnknown: The scan may have been started and its answer is lost.
            PermissionDenied: The organization lacks `create reports`, or its plan the intensity.
            NotFound: The site does not exist, or is another organization's.
            InvalidRequest: The API does not accept the options, or the site is not verified.
            BestDefenseError: Anything else that `errors` names; then nothing was started.

        Source: api-facts, "create a report". (documented; the answer has no envelope)
        """
        site_id = site.id if isinstance(site, Site) else site
        request = build_request(
            ROUTES["reports.create"], {"site_id": site_id}, _creation_body(options or ScanOptions())
        )
        return await send_creation(
            self._transport,
            request,
            lambda payload: structure(_without(payload, "success"), Report, root="answer"),
        )

    async def list(
        self, *, limit: int | None = None, after: str | None = None
    ) -> tuple[ReportSummary, ...]:
        """Return the reports of the organization, the latest first, in one request.

        Args:
            limit: Most reports to return; None is all of them.
            after: Id of a report: only older ones are returned, so this pages through a list.

        Raises:
            ConfigError: The limit is not a whole number above 0.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "list and read scans". (described; order and paging inferred)
        """
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ConfigError("The limit of a list must be a whole number above 0.")
        words: dict[str, str | int | None] = {"limit": limit, "after": after}
        query = {name: word for name, word in words.items() if word is not None}
        payload = await self._transport.send(build_request(ROUTES["reports.list"], query=query))
        return structure_member(payload, "reports", tuple[ReportSummary, ...])

    async def get(self, report_id: str) -> ReportSummary:
        """Return what one report is about.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            NotFound: The report does not exist, or is another organization's.
            IntegrityError: The answer is about another one.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "list and read scans". (described)
        """
        request = build_request(ROUTES["reports.get"], {"report_id": report_id})
        report = structure_member(await self._transport.send(request), "report", ReportSummary)
        check_identity("report", report_id, report.id)
        return report

    async def progress(self, report_id: str) -> Progress:
        """Return how far a report is.

        Raises:
            NotFound: The report does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "progress". (documented)
        """
        request = build_request(ROUTES["reports.progress"], {"report_id": report_id})
        progress = structure(await self._transport.send(request), Progress)
        _check_identity(progress, report_id)
        return progress

    async def overview(self, report_id: str) -> Overview:
        """Return what a report consists of; its security part may be missing early on.

        Raises:
            NotFound: The report does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "overview". (documented)
        """
        request = build_request(ROUTES["reports.overview"], {"report_id": report_id})
        return structure(await self._transport.send(request), Overview)

    async def wait(
        self, report_id: str, *, timeout: float | None = None, policy: PollPolicy | None = None
    ) -> Progress:
        """Wait until a report is complete, asking at growing intervals of 6 to 40 s.

        Everybody who waits with one token shares its polls: two waits for one report cost as much
        as one, and a thousand leave room for other calls. A poll that meets a 429, a 5xx or a lost
        connection does not end the wait, nor does a 404 in the first 30 s.

        Args:
            report_id: The report.
            timeout: Seconds to wait at most. None waits for ever: a failed scan may never
                become complete, so give a time unless somebody watches.
            policy: How often to ask, and for how long while every poll fails. Of several waits
                for one report the most eager counts.

        Raises:
            PollTimeout: Time is up. The scan goes on at the server.
            AuthError: The token stopped working; carries the report's id.
            ClientClosed: The client was closed meanwhile.
            BestDefenseError: What the last poll met, when asking again cannot help.
        """
        return await self._polls().wait(report_id, timeout=timeout, policy=policy)

    async def findings(self, report_id: str) -> Alerts:
        """Return what the security scan of a report found: overview, then alerts.

        Raises:
            EnvelopeError: The report has no security part (yet), so there is no verdict; that is
                never read as zero findings.
            BestDefenseError: Anything else that `errors` names.
        """
        overview = await self.overview(report_id)
        if overview.security_id is None:
            raise EnvelopeError(f"Report {report_id} has no security part, so there is no verdict.")
        return await self._vortex.alerts(overview.security_id)


def _creation_body(options: ScanOptions) -> dict[str, Any]:
    """Return the body of a creation; what is left to the server is left out (documented)."""
    wanted: dict[str, Any] = {kind: {"enabled": True} for kind in options.types}
    security = {
        "vortexType": options.mode,
        "testingType": options.testing_type,
        "scanIntensity": options.intensity,
    }
    chosen = {name: word for name, word in security.items() if word is not None}
    if chosen:
        if "security" not in wanted:
            raise ConfigError("Mode, intensity and testing type belong to a security scan.")
        wanted["security"]["options"] = chosen
    if options.callback_secret is not None:
        wanted["callback"] = {"secret": options.callback_secret}
    return {"options": wanted}


def _without(payload: object, name: str) -> object:
    if not isinstance(payload, dict):
        return payload
    return {key: member for key, member in payload.items() if key != name}


def _check_identity(progress: Progress, report_id: str) -> None:
    """Refuse another report's progress, where the answer names the report it is about."""
    answered = progress.extra.get("id")
    if isinstance(answered, str) and len(answered) == len(report_id) and answered != report_id:
        raise IntegrityError(f"The progress of report {report_id} was answered with another's.")


class Vortex:
    """Read what a security scan found."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def alerts(self, security_id: int) -> Alerts:
        """Return counts and findings of a security report.

        Args:
            security_id: The number in the overview (`Overview.security_id`), not the report's id.

        Raises:
            ConfigError: The id is not a number: the two id spaces must not be mixed up.
            EnvelopeError: The answer has no risk summary. That is never read as zero findings.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "alerts of a Vortex security report". (path documented)
        """
        if isinstance(security_id, bool) or not isinstance(security_id, int):
            raise ConfigError("A security report has a number as its id; a report's id is another.")
        request = build_request(ROUTES["vortex.alerts"], {"security_id": str(security_id)})
        return structure(await self._transport.send(request), Alerts)
