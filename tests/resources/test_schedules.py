"""Scheduled reports, against the sandbox."""

from datetime import UTC, timedelta

import pytest

from bestdefense_async import (
    BestDefense,
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
    options = ScanOptions(types=("security", "dns"), intensity="standard")
    made = await bd_client.schedules.create(
        site, options, cadence="weekly", test_users=["anna", "ben"]
    )
    assert (made.site_id, made.hostname) == (site, bd_sandbox.hostnames[1])
    assert (made.types, made.intensity, made.cadence) == (
        ("security", "dns"),
        "standard",
        "weekly",
    )
    assert made.test_users == ("anna", "ben")
    assert made.created_at is not None
    assert made.created_at.tzinfo is UTC
    assert made.next_run_at is not None
    assert made.next_run_at - made.created_at > timedelta(0)
    (listed,) = await bd_client.schedules.list()
    assert (listed.id, listed.next_run_at) == (made.id, made.next_run_at)
    await bd_client.schedules.delete(made)
    assert await bd_client.schedules.list() == ()
    with pytest.raises(NotFound):
        await bd_client.schedules.delete(made.id)


async def test_what_is_left_to_the_server_is_not_sent(bd_client: BestDefense) -> None:
    """The server's own intensity comes back."""
    (site, *_) = await bd_client.sites.list()
    made = await bd_client.schedules.create(site, cadence="daily")
    assert (made.types, made.intensity, made.test_users) == (("security",), "quick", ())


async def test_a_word_the_server_does_not_know_is_its_to_refuse(bd_client: BestDefense) -> None:
    """Enumerations are open."""
    (site, *_) = await bd_client.sites.list()
    with pytest.raises(InvalidRequest, match="daily, weekly, monthly"):
        await bd_client.schedules.create(site, cadence="hourly")


async def test_options_without_a_place_in_a_schedule_are_refused(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """Instead of being dropped in silence."""
    with pytest.raises(ConfigError):
        await bd_client.schedules.create("s", ScanOptions(mode="ai"), cadence="daily")
    with pytest.raises(ConfigError):
        await bd_client.schedules.create("s", cadence="daily", test_users="anna")
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
