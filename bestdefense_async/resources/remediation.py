"""AI remediation: repairs as pull requests. Paths are our guess: see `ProvisionalRoute`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.core.codec import structure, structure_member
from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError
from bestdefense_async.models import Remediation, RemediationList, Triggered
from bestdefense_async.resources.protocol import check_identity, send_creation

if TYPE_CHECKING:
    from bestdefense_async.resources.protocol import Transport


class Remediations:
    """Have findings repaired, and see what became of it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def trigger(
        self, report_id: str, *, finding_id: str | None = None, weakness: str | None = None
    ) -> Triggered:
        """Start the repair of one finding, or of all findings of a weakness; costs a credit.

        Never sends a second trigger by itself: that would cost a second credit.

        Args:
            report_id: The report that has the finding.
            finding_id: `Finding.id`; give this or `weakness`.
            weakness: `Finding.weakness`, for the whole group.

        Raises:
            ConfigError: Neither or both are given.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            OutcomeUnknown: It may have been started and its answer is lost: list them and see.
            QuotaExceeded: There are no credits left.
            PermissionDenied: The organization lacks `AI remediation`.
            NotFound: There is no such report or finding, or it is another organization's.
            BestDefenseError: Anything else that `errors` names; then nothing was started.

        Source: api-facts, "trigger AI remediation of a finding or a group". (described; the names
            on the wire are inferred)
        """
        given = {"findingId": finding_id, "weakness": weakness}
        body = {name: value for name, value in given.items() if value is not None}
        if len(body) != 1:
            raise ConfigError("Give either the id of a finding or the name of a weakness.")
        what = f"finding {finding_id}" if weakness is None else f"weakness {weakness}"
        request = build_request(
            ROUTES["remediation.trigger"],
            json={"reportId": report_id, **body},
            subject=f"{what} of report {report_id}",
        )
        return await send_creation(
            self._transport, request, lambda payload: structure(payload, Triggered)
        )

    async def list(self) -> RemediationList:
        """Return all remediations of the organization and the credits left, in one request.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "Remediation". (described)
        """
        payload = await self._transport.send(build_request(ROUTES["remediation.list"]))
        return structure(payload, RemediationList)

    async def get(self, remediation_id: str) -> Remediation:
        """Return one remediation.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            NotFound: It does not exist, or is another organization's.
            IntegrityError: The answer is about another one.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "Remediation". (described)
        """
        request = build_request(ROUTES["remediation.get"], {"remediation_id": remediation_id})
        payload = await self._transport.send(request)
        remediation = structure_member(payload, "remediation", Remediation)
        check_identity("remediation", remediation_id, remediation.id)
        return remediation
