"""Scans whose results go to a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.models import Registration
from bestdefense_async.resources.arguments import instance
from bestdefense_async.resources.protocol import Resource

if TYPE_CHECKING:
    from bestdefense_async.resources.identity import CreatedIds
    from bestdefense_async.resources.protocol import Transport


class Registrations(Resource):
    """Tie scans to pull requests."""

    def __init__(self, transport: Transport, ids: CreatedIds) -> None:
        super().__init__(transport)
        self._ids = ids

    async def create(self, registration: Registration, *, timeout: float | None = None) -> None:
        """Register a scan, so that its results appear on the pull request.

        Never sends a second registration by itself.

        Args:
            registration: Which scan, and where its results go.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: This is no registration. Nothing was sent.
            OutcomeUnknown: It may have been registered and the answer is lost.
            InvalidRequest: The API does not accept it.
            NotFound: The report does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names; then nothing was registered.

        Source: api-facts, "Registration body". (documented)
        """
        wanted = instance("registration", registration, Registration)
        body = {
            "installationId": wanted.installation_id,
            "reportId": wanted.report_id,
            "repositoryFullName": wanted.repository,
            "pullRequestNumber": wanted.pull_request,
            "commitSha": wanted.commit,
            "checkRunId": wanted.check_run_id,
            "targetUrl": wanted.target_url,
            "scanTypes": [*wanted.scan_types],
            "failCheckOn": wanted.fail_on,
            "callbackSecret": wanted.callback_secret,
        }
        await self._send(
            "registrations.create",
            json=body,
            subject=f"report {wanted.report_id}",
            read=self._registered,
            timeout=timeout,
        )

    def _registered(self, payload: object) -> None:
        """Refuse the answer of a creation, which says as much as this one: success."""
        if isinstance(payload, dict):
            self._ids.refuse("reports.create", str(payload.get("id")))
