"""Scheduled reports. Paths are our guess: see `ProvisionalRoute`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bestdefense_async.core.check import check_id, check_text
from bestdefense_async.core.codec import structure_member
from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError
from bestdefense_async.models import ScanOptions, Schedule
from bestdefense_async.resources.arguments import (
    SCHEDULE,
    SITE,
    id_of,
    instance,
    optional_seconds,
    texts,
)
from bestdefense_async.resources.pages import iterate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from bestdefense_async.core.request import Request
    from bestdefense_async.models import Site
    from bestdefense_async.resources.identity import CreatedIds
    from bestdefense_async.resources.protocol import Transport


class Schedules:
    """Create, list and delete scheduled reports."""

    def __init__(self, transport: Transport, ids: CreatedIds) -> None:
        self._transport = transport
        self._ids = ids

    async def list(self, *, timeout: float | None = None) -> tuple[Schedule, ...]:
        """Return all schedules of the organization, in the API's order, over all pages.

        Args:
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            PermissionDenied: The organization lacks `manage scheduled reports`, or the plan.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "schedule a report". (described)
        """
        return tuple([each async for each in self.iterate(timeout=timeout)])

    def iterate(self, *, timeout: float | None = None) -> AsyncGenerator[Schedule, None]:
        """Yield the schedules as `list` returns them, a page at a time.

        Args:
            timeout: Seconds that all requests together may take.

        Raises:
            BestDefenseError: As for `list`.
        """
        wait = optional_seconds("timeout", timeout)
        return iterate(self._transport, ROUTES["schedules.list"], _schedules, timeout=wait)

    async def create(
        self,
        site: Site | str,
        options: ScanOptions | None = None,
        *,
        cadence: str,
        test_users: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Schedule:
        """Let a site be scanned again and again. Never sends a second creation by itself.

        Args:
            site: A site, or its id.
            options: Types and intensity; None is a security scan with the server's defaults.
            cadence: daily, weekly or monthly.
            test_users: The accounts the scan signs in with.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: The options hold what a schedule has no place for, or an argument cannot
                be meant, such as a host name for the site. Nothing was sent.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            OutcomeUnknown: The schedule may exist and the answer is lost: list them and see.
            PermissionDenied: The organization lacks `manage scheduled reports`, or the plan.
            NotFound: The site does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names; then nothing was created.

        Source: api-facts, "schedule a report": site, type, intensity, test users, cadence.
            (described; the names on the wire are inferred)
        """
        chosen = ScanOptions() if options is None else instance("options", options, ScanOptions)
        if (chosen.mode, chosen.testing_type, chosen.callback_secret) != (None, None, None):
            raise ConfigError("A schedule takes types and intensity, no other scan options.")
        site_id = check_id("site_id", id_of(SITE, site))
        body: dict[str, Any] = {
            "siteId": site_id,
            "types": [*chosen.types],
            "cadence": check_text("cadence", cadence),
        }
        if chosen.intensity is not None:
            body["scanIntensity"] = chosen.intensity
        if users := texts("test_users", test_users, like="['jane']"):
            body["testUsers"] = users
        request = build_request(
            ROUTES["schedules.create"], json=body, subject=site_id, read=self._created
        )
        return await self._transport.send(request, timeout=optional_seconds("timeout", timeout))

    def _created(self, payload: object) -> Schedule:
        made = structure_member(payload, "schedule", Schedule)
        self._ids.add("schedules.create", made.id)
        return made

    async def delete(self, schedule: Schedule | str, *, timeout: float | None = None) -> None:
        """Delete a schedule; reports it has made stay.

        Args:
            schedule: A schedule, or its id.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: This names no schedule. Nothing was sent.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            NotFound: It does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "schedule a report". (that it can be deleted is inferred)
        """
        request: Request[object] = build_request(
            ROUTES["schedules.delete"], {"schedule_id": id_of(SCHEDULE, schedule)}
        )
        await self._transport.send(request, timeout=optional_seconds("timeout", timeout))


def _schedules(payload: object) -> tuple[Schedule, ...]:
    return structure_member(payload, "schedules", tuple[Schedule, ...])
