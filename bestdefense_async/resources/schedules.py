"""Scheduled reports. Paths are our guess: see `ProvisionalRoute`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.core.codec import structure_member
from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError
from bestdefense_async.models import ScanOptions, Schedule, Site
from bestdefense_async.resources.protocol import send_creation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.resources.protocol import Transport


class Schedules:
    """Create, list and delete scheduled reports."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> tuple[Schedule, ...]:
        """Return all schedules of the organization, in the API's order, in one request.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            PermissionDenied: The organization lacks `manage scheduled reports`, or the plan.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "schedule a report". (described)
        """
        payload = await self._transport.send(build_request(ROUTES["schedules.list"]))
        return structure_member(payload, "schedules", tuple[Schedule, ...])

    async def create(
        self,
        site: Site | str,
        options: ScanOptions | None = None,
        *,
        cadence: str,
        test_users: Sequence[str] = (),
    ) -> Schedule:
        """Let a site be scanned again and again. Never sends a second creation by itself.

        Args:
            site: A site, or its id.
            options: Types and intensity; None is a security scan with the server's defaults.
            cadence: daily, weekly or monthly.
            test_users: The accounts the scan signs in with.

        Raises:
            ConfigError: The options hold what a schedule has no place for.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            OutcomeUnknown: The schedule may exist and the answer is lost: list them and see.
            PermissionDenied: The organization lacks `manage scheduled reports`, or the plan.
            NotFound: The site does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names; then nothing was created.

        Source: api-facts, "schedule a report": site, type, intensity, test users, cadence.
            (described; the names on the wire are inferred)
        """
        chosen = ScanOptions() if options is None else options
        if (chosen.mode, chosen.testing_type, chosen.callback_secret) != (None, None, None):
            raise ConfigError("A schedule takes types and intensity, no other scan options.")
        if isinstance(test_users, str):
            raise ConfigError("The test users must be a list of names.")
        site_id = site.id if isinstance(site, Site) else site
        body = {
            "siteId": site_id,
            "types": [*chosen.types],
            "scanIntensity": chosen.intensity,
            "cadence": cadence,
            "testUsers": [*test_users] or None,
        }
        given = {name: value for name, value in body.items() if value is not None}
        request = build_request(ROUTES["schedules.create"], json=given, subject=site_id)
        return await send_creation(
            self._transport,
            request,
            lambda payload: structure_member(payload, "schedule", Schedule),
        )

    async def delete(self, schedule: Schedule | str) -> None:
        """Delete a schedule; reports it has made stay.

        Args:
            schedule: A schedule, or its id.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            NotFound: It does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "schedule a report". (that it can be deleted is inferred)
        """
        schedule_id = schedule.id if isinstance(schedule, Schedule) else schedule
        request = build_request(ROUTES["schedules.delete"], {"schedule_id": schedule_id})
        await self._transport.send(request)
