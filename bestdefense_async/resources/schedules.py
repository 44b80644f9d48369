"""Scheduled reports. Paths are our guess: see `ProvisionalRoute`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async import vendor
from bestdefense_async.core.check import check_id, check_text, check_whole
from bestdefense_async.core.codec import structure_member
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError
from bestdefense_async.models import ScanOptions, Schedule
from bestdefense_async.resources.arguments import (
    SCHEDULE,
    SITE,
    id_of,
    instance,
    optional_seconds,
    security_choices,
    texts,
)
from bestdefense_async.resources.pages import iterate
from bestdefense_async.resources.protocol import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from bestdefense_async.models import Site
    from bestdefense_async.resources.identity import CreatedIds
    from bestdefense_async.resources.protocol import Transport

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_CRON: Final = re.compile(r"\S+( \S+){4}")


class Schedules(Resource):
    """Create, list and delete scheduled reports."""

    def __init__(self, transport: Transport, ids: CreatedIds) -> None:
        super().__init__(transport)
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
        day: str | int | None = None,
        time: str | None = None,
        timezone: str | None = None,
        test_users: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Schedule:
        """Let a site be scanned again and again. Never sends a second creation by itself.

        Args:
            site: A site, or its id.
            options: What to scan, as for `reports.create`; None is a security scan with the
                server's defaults.
            cadence: daily, weekly or monthly; a cron expression for a host that takes one.
            day: Of a weekly schedule like `monday`, of a monthly one 1 to 31; None leaves it to
                the server, which also decides what becomes of a day that a month does not have.
            time: When it begins on these days, from 00:00 to 23:59; None leaves it to the server.
            timezone: Where it is that time, like `Europe/Zurich`; None is UTC.
            test_users: The accounts the scan signs in with.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: An argument cannot be meant, such as a host name for the site, a day for a
                daily schedule, or a mode without a security scan. Nothing was sent.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            OutcomeUnknown: The schedule may exist and the answer is lost: list them and see.
            PermissionDenied: The organization lacks `manage scheduled reports`, or the plan.
            NotFound: The site does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names; then nothing was created.

        Source: api-facts, "schedule a report": site, type, intensity, test users, cadence.
            (described; the names on the wire are inferred, and so is that the cadence has a day, a
            time and a zone of its own)
        """
        chosen = ScanOptions() if options is None else instance("options", options, ScanOptions)
        if chosen.callback_secret is not None:
            raise ConfigError("A schedule has no callback, so it takes no secret for one.")
        site_id = check_id("site_id", id_of(SITE, site))
        when = _when(cadence, day, time, timezone)
        body: dict[str, Any] = {
            "siteId": site_id,
            "types": [*chosen.types],
            **security_choices(chosen),
            **when,
        }
        if users := texts("test_users", test_users, like="['jane']"):
            body["testUsers"] = users
        return await self._send(
            "schedules.create",
            json=body,
            subject=site_id,
            read=self._created,
            given={"cron": _cron(when)},
            timeout=timeout,
        )

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
        await self._send(
            "schedules.delete", {"schedule_id": id_of(SCHEDULE, schedule)}, timeout=timeout
        )


def _schedules(payload: object) -> tuple[Schedule, ...]:
    return structure_member(payload, "schedules", tuple[Schedule, ...])


def _when(cadence: object, day: object, time: object, timezone: object) -> dict[str, str | int]:
    """Return when a schedule scans, in the API's names.

    Raises:
        ConfigError: These do not belong together, or one of them is none.
    """
    when: dict[str, str | int] = {"cadence": check_text("cadence", cadence)}
    is_cron = _CRON.fullmatch(str(cadence)) is not None
    if is_cron and (day, time) != (None, None):
        raise ConfigError("A cron expression says by itself on which day and at what time.")
    if day is not None:
        when |= _day(str(cadence), day)
    if time is not None:
        text = check_text("time", time)
        if not _TIME.fullmatch(text):
            raise ConfigError("time must be written from 00:00 to 23:59, such as 03:00.")
        # Never left to a guess: an hour means nothing without its zone.
        when |= {"time": text, "timezone": "UTC"}
    if timezone is not None:
        if time is None and not is_cron:
            raise ConfigError("A time zone belongs to a time: give both.")
        if not _ZONE.fullmatch(zone := check_text("timezone", timezone)):
            raise ConfigError("timezone must be a name such as UTC or Europe/Zurich.")
        when["timezone"] = zone
    return when


def _day(cadence: str, day: object) -> dict[str, str | int]:
    if cadence == "daily":
        raise ConfigError("A daily schedule scans on every day, so it takes none.")
    if cadence == "monthly" or (cadence != "weekly" and not isinstance(day, str)):
        return {"dayOfMonth": check_whole("The day of a month", day, most=31)}
    word = day.lower() if isinstance(day, str) else day
    if word not in vendor.WEEKDAYS:
        raise ConfigError(f"The day of a week must be one of {', '.join(vendor.WEEKDAYS)}.")
    return {"dayOfWeek": str(word)}


def _cron(when: Mapping[str, str | int]) -> str | None:
    """Return a cadence as cron writes it, None for a word that is none of ours.

    What is not said is what `@daily`, `@weekly` and `@monthly` mean in cron.
    """
    cadence = str(when["cadence"])
    if _CRON.fullmatch(cadence):
        return cadence
    hour, minute = map(int, str(when.get("time", "00:00")).split(":"))
    weekday = (vendor.WEEKDAYS.index(str(when.get("dayOfWeek", "sunday"))) + 1) % 7
    days = {
        "daily": "* * *",
        "weekly": f"* * {weekday}",
        "monthly": f"{when.get('dayOfMonth', 1)} * *",
    }
    return f"{minute} {hour} {days[cadence]}" if cadence in days else None
