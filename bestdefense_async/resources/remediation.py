"""AI remediation: repairs as pull requests. Paths are our guess: see `ProvisionalRoute`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from bestdefense_async.core.check import check_id, check_text
from bestdefense_async.core.codec import structure
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError
from bestdefense_async.models import Remediation, RemediationList, Triggered
from bestdefense_async.resources.arguments import (
    REMEDIATION,
    REPORT,
    finding_id_of,
    id_of,
    optional_seconds,
)
from bestdefense_async.resources.identity import one_called
from bestdefense_async.resources.pages import iterate
from bestdefense_async.resources.protocol import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from bestdefense_async.models import Finding, Report, ReportSummary
    from bestdefense_async.resources.identity import CreatedIds
    from bestdefense_async.resources.protocol import Transport


class Remediations(Resource):
    """Have findings repaired, and see what became of it."""

    def __init__(self, transport: Transport, ids: CreatedIds) -> None:
        super().__init__(transport)
        self._ids = ids

    async def trigger(
        self,
        report: Report | ReportSummary | str,
        *,
        finding: Finding | str | None = None,
        weakness: str | None = None,
        timeout: float | None = None,
    ) -> Triggered:
        """Start the repair of one finding, or of all findings of a weakness; costs a credit.

        Never sends a second trigger by itself: that would cost a second credit.

        Args:
            report: The report that has the finding, or its id.
            finding: A finding, or its id; give this or `weakness`.
            weakness: `Finding.weakness`, for the whole group.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: Neither or both are given, or an argument cannot be meant, such as a
                finding without an id. Nothing was sent.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            OutcomeUnknown: It may have been started and its answer is lost: list them and see.
            QuotaExceeded: There are no credits left.
            PermissionDenied: The organization lacks `AI remediation`.
            NotFound: There is no such report or finding, or it is another organization's.
            BestDefenseError: Anything else that `errors` names; then nothing was started.

        Source: api-facts, "trigger AI remediation of a finding or a group". (described; the names
            on the wire are inferred)
        """
        if (finding is None) == (weakness is None):
            raise ConfigError("Give either a finding or the name of a weakness.")
        report_id = check_id("report_id", id_of(REPORT, report))
        if finding is not None:
            finding_id = finding_id_of(finding)
            body, what = {"findingId": finding_id}, f"finding {finding_id}"
        else:
            body = {"weakness": check_text("weakness", weakness)}
            what = f"weakness {weakness}"
        return await self._send(
            "remediation.trigger",
            json={"reportId": report_id, **body},
            subject=f"{what} of report {report_id}",
            read=self._triggered,
            timeout=timeout,
        )

    async def list(self, *, timeout: float | None = None) -> RemediationList:
        """Return all remediations of the organization, over all pages, and the credits left.

        Args:
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "Remediation". (described)
        """
        wait = optional_seconds("timeout", timeout)
        lists: list[RemediationList] = []

        def read(payload: object) -> tuple[Remediation, ...]:
            lists.append(structure(payload, RemediationList))
            return lists[-1].remediations

        pages = iterate(self._transport, ROUTES["remediation.list"], read, timeout=wait)
        remediations = tuple([each async for each in pages])
        return evolve(lists[-1], remediations=remediations)

    def iterate(self, *, timeout: float | None = None) -> AsyncGenerator[Remediation, None]:
        """Yield the remediations as `list` returns them, a page at a time.

        Args:
            timeout: Seconds that all requests together may take.

        Raises:
            BestDefenseError: As for `list`.
        """

        def read(payload: object) -> tuple[Remediation, ...]:
            return structure(payload, RemediationList).remediations

        wait = optional_seconds("timeout", timeout)
        return iterate(self._transport, ROUTES["remediation.list"], read, timeout=wait)

    async def get(
        self, remediation: Remediation | str, *, timeout: float | None = None
    ) -> Remediation:
        """Return one remediation, as it is now.

        Args:
            remediation: A remediation, or its id.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: This names no remediation. Nothing was sent.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            NotFound: It does not exist, or is another organization's.
            IntegrityError: The answer is about another one.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "Remediation". (described)
        """
        remediation_id = id_of(REMEDIATION, remediation)

        read = one_called("remediation", Remediation, remediation_id)
        return await self._send(
            "remediation.get", {"remediation_id": remediation_id}, read=read, timeout=timeout
        )

    def _triggered(self, payload: object) -> Triggered:
        triggered = structure(payload, Triggered)
        self._ids.add("remediation.trigger", triggered.remediation.id)
        return triggered
