"""Scheduled reports, against the sandbox."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bestdefense_async import (
    BestDefense,
    Binding,
    ConfigError,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RetryPolicy,
    ScanOptions,
)
from bestdefense_async.sandbox import Sandbox

pytestmark = pytest.mark.bd_sandbox(sites=3)


async def test_a_schedule_is_created_listed_and_deleted(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """What was asked for is what is listed, with times that have a zone."""
    site = bd_sandbox.site_ids[1]
    options = ScanOptions(
        types=("security", "dns"), intensity="standard", mode="ai", testing_type="api"
    )
    made = await bd_client.schedules.create(
        site,
        options,
        cadence="weekly",
        day="Monday",
        time="03:00",
        timezone="Europe/Zurich",
        test_users=["anna", "ben"],
    )
    assert (made.site_id, made.hostname) == (site, bd_sandbox.hostnames[1])
    assert (made.types, made.intensity) == (("security", "dns"), "standard")
    assert (made.mode, made.testing_type) == ("ai", "api")
    assert (made.cadence, made.day_of_week, made.day_of_month) == ("weekly", "monday", None)
    assert made.when == "weekly on monday at 03:00 Europe/Zurich"
    assert made.test_users == ("anna", "ben")
    # The calendar begins on a Monday at 08:00 UTC; in winter Zurich is an hour ahead.
    assert made.created_at is not None
    assert made.created_at.replace(second=0) == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert made.next_run_at == datetime(2026, 1, 12, 2, tzinfo=UTC)
    (listed,) = await bd_client.schedules.list()
    assert listed == made
    await bd_client.schedules.delete(made)
    assert await bd_client.schedules.list() == ()
    with pytest.raises(NotFound):
        await bd_client.schedules.delete(made.id)


async def test_a_time_without_a_zone_is_utc_and_says_so(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """An hour that the server may read in its own zone is no hour."""
    site = bd_sandbox.site_ids[0]
    made = await bd_client.schedules.create(site, cadence="monthly", day=31, time="23:30")
    (arrived,) = bd_sandbox.assert_requested("schedules.create", times=1)
    assert arrived.json == {
        "siteId": site,
        "types": ["security"],
        "cadence": "monthly",
        "dayOfMonth": 31,
        "time": "23:30",
        "timezone": "UTC",
    }
    assert made.when == "monthly on day 31 at 23:30 UTC"


@pytest.mark.parametrize(
    ("when", "cron"),
    [
        ({"cadence": "daily", "time": "03:05"}, "5 3 * * *"),
        ({"cadence": "weekly", "day": "sunday", "time": "23:59"}, "59 23 * * 0"),
        ({"cadence": "weekly", "day": "saturday"}, "0 0 * * 6"),
        ({"cadence": "monthly", "day": 15, "time": "00:30"}, "30 0 15 * *"),
        ({"cadence": "weekly"}, "0 0 * * 0"),
        ({"cadence": "monthly"}, "0 0 1 * *"),
        ({"cadence": "*/15 3 * * 1-5"}, "*/15 3 * * 1-5"),
    ],
)
async def test_a_host_that_wants_cron_gets_cron(
    bd_sandbox: Sandbox, when: dict[str, Any], cron: str
) -> None:
    """What is not said is what `@daily`, `@weekly` and `@monthly` mean in cron."""
    bd_sandbox.fault("schedules.create", status=200, body='{"success": true, "data": {}}')
    plan = Binding(
        method="POST",
        template="/api/schedules",
        request={"cron": "plan.cron", "timezone": "plan.zone"},
        unsent=("cadence", "dayOfWeek", "dayOfMonth", "time"),
    )
    async with BestDefense(
        bd_sandbox.token, bd_sandbox.url, bindings={"schedules.create": plan}
    ) as bd:
        with pytest.raises(OutcomeUnknown):
            await bd.schedules.create(bd_sandbox.site_ids[0], **when)
        with pytest.raises(ConfigError, match="must say cron on this host"):
            await bd.schedules.create(bd_sandbox.site_ids[0], cadence="fortnightly")
    (arrived,) = bd_sandbox.requests("schedules.create")
    zone = {"zone": "UTC"} if "time" in when else {}
    assert arrived.json["plan"] == {"cron": cron, **zone}
    assert arrived.json.keys() == {"siteId", "types", "plan"}


async def test_what_is_left_to_the_server_is_not_sent(bd_client: BestDefense) -> None:
    """The server's own choices come back."""
    (site, *_) = await bd_client.sites.list()
    made = await bd_client.schedules.create(site, cadence="daily")
    assert (made.types, made.intensity, made.test_users) == (("security",), "quick", ())
    assert (made.mode, made.testing_type, made.when) == ("analog", "web", "daily at 08:00 UTC")


async def test_a_word_the_server_does_not_know_is_its_to_refuse(bd_client: BestDefense) -> None:
    """Enumerations are open."""
    (site, *_) = await bd_client.sites.list()
    with pytest.raises(InvalidRequest, match="daily, weekly, monthly"):
        await bd_client.schedules.create(site, cadence="hourly")


@pytest.mark.parametrize(
    ("options", "when", "says"),
    [
        ({"types": ["dns"], "mode": "ai"}, {}, "belong to a security scan"),
        ({"types": ["seo"], "intensity": "quick"}, {}, "belong to a security scan"),
        ({"callback_secret": "0" * 64}, {}, "no callback"),
        ({}, {"test_users": "anna"}, "test_users must be a list"),
        ({}, {"day": "monday"}, "A daily schedule"),
        ({}, {"cadence": "weekly", "day": 1}, "one of monday, tuesday"),
        ({}, {"cadence": "weekly", "day": "someday"}, "one of monday, tuesday"),
        ({}, {"cadence": "monthly", "day": "monday"}, "whole number from 1 to 31"),
        ({}, {"cadence": "monthly", "day": 32}, "whole number from 1 to 31"),
        ({}, {"time": "3:00"}, "from 00:00 to 23:59"),
        ({}, {"time": "24:00"}, "from 00:00 to 23:59"),
        ({}, {"time": 3}, "time must be a text"),
        ({}, {"timezone": "UTC"}, "belongs to a time"),
        ({}, {"cadence": "0 3 * * *", "time": "03:00"}, "by itself"),
        ({}, {"cadence": "0 3 * * *", "day": "monday"}, "by itself"),
        ({}, {"time": "03:00", "timezone": "Zurich; DROP"}, "such as UTC or Europe/Zurich"),
    ],
)
async def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    bd_sandbox: Sandbox,
    bd_client: BestDefense,
    options: dict[str, Any],
    when: dict[str, Any],
    says: str,
) -> None:
    """Instead of being dropped in silence; by the rules of a scan where a scan has them."""
    with pytest.raises(ConfigError, match=says):
        await bd_client.schedules.create(
            "s", ScanOptions(**options), **{"cadence": "daily", **when}
        )
    assert bd_sandbox.count("schedules.create") == 0


@pytest.mark.bd_sandbox(plan="starter")
async def test_a_plan_without_schedules_is_told_from_a_missing_permission(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """One is bought, the other granted."""
    (site, *_) = await bd_client.sites.list()
    with pytest.raises(PermissionDenied, match="plan") as plan:
        await bd_client.schedules.create(site, cadence="daily")
    nobody = bd_client.with_token(bd_sandbox.add_token(permissions=set()))
    with pytest.raises(PermissionDenied, match="manage scheduled reports") as permission:
        await nobody.schedules.list()
    assert (plan.value.is_plan, permission.value.is_plan) == (True, False)
    assert permission.value.permission == "manage scheduled reports"


@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"kind": "reset", "after_effect": True}, {"status": 200, "body": "{}"}],
)
async def test_a_creation_whose_answer_is_lost_is_not_sent_again(
    bd_sandbox: Sandbox, bd_client: BestDefense, fault: dict[str, object]
) -> None:
    """Nor is one whose answer cannot be read."""
    bd_sandbox.fault("schedules.create", **fault)
    site = bd_sandbox.site_ids[0]
    with pytest.raises(OutcomeUnknown) as caught:
        await bd_client.schedules.create(site, cadence="daily")
    assert (caught.value.operation, caught.value.subject) == ("schedules.create", site)
    assert bd_sandbox.count("schedules.create") == 1


async def test_a_deletion_that_finds_nothing_on_its_second_try_is_done(bd_sandbox: Sandbox) -> None:
    """The first try has done it, and only its answer was lost."""
    async with BestDefense(bd_sandbox.token, bd_sandbox.url, retry=RetryPolicy(base=0.01)) as bd:
        made = await bd.schedules.create(bd_sandbox.site_ids[0], cadence="daily")
        bd_sandbox.fault("schedules.delete", kind="drop", after_effect=True, times=1)
        await bd.schedules.delete(made)
        assert bd_sandbox.count("schedules.delete") == 2
        assert await bd.schedules.list() == ()
        bd_sandbox.fault("schedules.delete", status=503, times=1)
        await bd.schedules.delete(await bd.schedules.create(made.site_id or "", cadence="daily"))
        assert await bd.schedules.list() == ()
