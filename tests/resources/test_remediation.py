"""AI remediation, against the sandbox."""

import asyncio

import pytest

from bestdefense_async import (
    BestDefense,
    ConfigError,
    Finding,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    QuotaExceeded,
)
from bestdefense_async.models import Stage
from bestdefense_async.sandbox import Sandbox

pytestmark = pytest.mark.bd_sandbox(sites=6, speed=60_000)


async def a_finding(bd: BestDefense) -> tuple[str, Finding]:
    """Return the id of a report and one of its findings."""
    for site in await bd.sites.list():
        report = await bd.reports.create(site)
        while not (await bd.reports.progress(report.id)).is_completed:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        found = (await bd.reports.findings(report.id)).findings
        if found:
            return report.id, found[0]
    raise AssertionError("this fleet has no findings")


@pytest.mark.bd_sandbox(credits=2)
async def test_a_finding_and_a_weakness_are_repaired_until_credits_run_out(
    bd_client: BestDefense,
) -> None:
    """Each answer says what is left; the refusal for want of credits has an error of its own."""
    report, finding = await a_finding(bd_client)
    one = await bd_client.remediation.trigger(report, finding=finding.id)
    group = await bd_client.remediation.trigger(report, weakness=finding.weakness)
    assert (one.credits_remaining, group.credits_remaining) == (1, 0)
    assert one.remediation.finding_id == finding.id
    assert group.remediation.finding_id is None
    assert group.remediation.weakness == finding.weakness
    assert one.remediation.stage == Stage.REVIEW
    with pytest.raises(QuotaExceeded, match="credits"):
        await bd_client.remediation.trigger(report, finding=finding.id)
    listed = await bd_client.remediation.list()
    assert listed.credits_remaining == 0
    assert [each.id for each in listed.remediations] == [one.remediation.id, group.remediation.id]
    shown = await bd_client.remediation.get(one.remediation.id)
    assert (shown.id, shown.report_id) == (one.remediation.id, report)


async def test_a_trigger_is_for_a_finding_or_for_a_weakness(bd_client: BestDefense) -> None:
    """Not for both, and not for neither."""
    with pytest.raises(ConfigError):
        await bd_client.remediation.trigger("r")
    with pytest.raises(ConfigError):
        await bd_client.remediation.trigger("r", finding="f", weakness="w")


async def test_a_lost_trigger_is_not_sent_again(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """It may have cost a credit; a second one certainly would."""
    report, finding = await a_finding(bd_client)
    bd_sandbox.fault("remediation.trigger", kind="drop", after_effect=True)
    with pytest.raises(OutcomeUnknown, match=f"finding {finding.id} of report {report}"):
        await bd_client.remediation.trigger(report, finding=finding.id)
    assert bd_sandbox.count("remediation.trigger") == 1
    assert bd_sandbox.credits() == 24


async def test_absent_and_forbidden_are_told_apart(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """A 404 says nothing about permissions, a 403 names the one that is missing."""
    with pytest.raises(NotFound):
        await bd_client.remediation.trigger("absent", finding="x")
    with pytest.raises(NotFound):
        await bd_client.remediation.get("absent")
    reader = bd_client.with_token(bd_sandbox.add_token(permissions={"view reports"}))
    assert (await reader.remediation.list()).remediations == ()
    with pytest.raises(PermissionDenied) as caught:
        await reader.remediation.trigger("absent", finding="x")
    assert caught.value.permission == "AI remediation"
