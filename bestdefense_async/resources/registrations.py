"""Scans whose results go to a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES

if TYPE_CHECKING:
    from bestdefense_async.models import Registration
    from bestdefense_async.resources.protocol import Transport


class Registrations:
    """Tie scans to pull requests."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, registration: Registration) -> None:
        """Register a scan, so that its results appear on the pull request.

        Never sends a second registration by itself.

        Raises:
            OutcomeUnknown: It may have been registered and the answer is lost.
            InvalidRequest: The API does not accept it.
            NotFound: The report does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names; then nothing was registered.

        Source: api-facts, "Registration body". (documented)
        """
        body = {
            "installationId": registration.installation_id,
            "reportId": registration.report_id,
            "repositoryFullName": registration.repository,
            "pullRequestNumber": registration.pull_request,
            "commitSha": registration.commit,
            "checkRunId": registration.check_run_id,
            "targetUrl": registration.target_url,
            "scanTypes": [*registration.scan_types],
            "failCheckOn": registration.fail_on,
            "callbackSecret": registration.callback_secret,
        }
        route = ROUTES["registrations.create"]
        subject = f"report {registration.report_id}"
        await self._transport.send(build_request(route, json=body, subject=subject))
