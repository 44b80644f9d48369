"""Sites and reports, against the sandbox."""

import asyncio
import json

import pytest

from bestdefense_async import (
    BestDefense,
    ConfigError,
    DeadlineExceeded,
    EnvelopeError,
    NotFound,
    PermissionDenied,
    PollTimeout,
    ScanFailed,
    ScanOptions,
    UnknownSite,
)
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import AttemptTimeout
from bestdefense_async.resources.identity import CreatedIds
from bestdefense_async.resources.reports import Reports
from bestdefense_async.sandbox import Sandbox

FAST = PollPolicy(speed=600.0)


async def test_a_scan_from_host_name_to_findings() -> None:
    """Find, create, wait, read: the documented flow."""
    async with (
        Sandbox(sites=4, speed=6000.0) as sandbox,
        BestDefense(sandbox.token, sandbox.url) as bd,
    ):
        site = await bd.sites.find(sandbox.hostnames[2].upper() + ".")
        assert site.id == sandbox.site_ids[2]
        report = await bd.reports.create(
            site, ScanOptions(types=("security", "dns"), intensity="quick", mode="analog")
        )
        progress = await bd.reports.wait(report.id, timeout=20, policy=FAST)
        assert progress.is_completed
        alerts = await bd.reports.findings(report.id)
        assert alerts.risk.total == len(alerts.findings)
        sandbox.assert_no_duplicates()


async def test_a_host_name_nobody_has_is_an_error() -> None:
    """It names the host."""
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        with pytest.raises(UnknownSite, match="nowhere"):
            await bd.sites.find("nowhere.example")


async def test_a_scan_that_does_not_end_is_given_up_with_its_id() -> None:
    """It goes on at the server."""
    async with (
        Sandbox(sites=1, speed=0.001) as sandbox,
        BestDefense(sandbox.token, sandbox.url) as bd,
    ):
        report = await bd.reports.create(sandbox.site_ids[0])
        with pytest.raises(PollTimeout) as caught:
            await bd.reports.wait(report.id, timeout=0.1)
        assert caught.value.report_id == report.id


async def test_a_wait_survives_what_passes() -> None:
    """Polls that fail are repeated; a 404 right after the creation is patience."""
    async with (
        Sandbox(sites=1, speed=6000.0) as sandbox,
        BestDefense(sandbox.token, sandbox.url) as bd,
    ):
        report = await bd.reports.create(sandbox.site_ids[0])
        sandbox.fault("reports.progress", status=404, times=1)
        sandbox.fault("reports.progress", status=503, nth=2, times=5)
        assert (await bd.reports.wait(report.id, timeout=20, policy=FAST)).is_completed


@pytest.mark.parametrize("is_completed", [False, True])
@pytest.mark.parametrize("status", ["failed", "Cancelled", "error"])
async def test_an_end_in_failure_ends_the_wait_in_the_words_of_the_server(
    bd_client: BestDefense, bd_sandbox: Sandbox, status: str, *, is_completed: bool
) -> None:
    """Also beside `isCompleted: true`: a failed scan is no clean site."""
    report = await bd_client.reports.create(bd_sandbox.site_ids[0])
    data = {"isCompleted": is_completed, "status": status, "message": "The site is gone."}
    bd_sandbox.fault(
        "reports.progress", status=200, body=json.dumps({"success": True, "data": data})
    )

    with pytest.raises(ScanFailed, match="The site is gone") as caught:
        await bd_client.reports.wait(report.id, timeout=20, policy=FAST)

    assert (caught.value.report_id, caught.value.status) == (report.id, status)
    assert bd_sandbox.count("reports.progress") == 1


async def test_a_progress_of_another_shape_ends_the_wait_at_the_third_time(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """A host whose answers have changed would be asked for ever, and nobody told."""
    report = await bd_client.reports.create(bd_sandbox.site_ids[0])
    body = json.dumps({"success": True, "data": {"status": "completed"}})
    bd_sandbox.fault("reports.progress", status=200, body=body)

    with pytest.raises(EnvelopeError, match=r"data\.isCompleted is missing"):
        await bd_client.reports.wait(report.id, timeout=20, policy=FAST)

    assert bd_sandbox.count("reports.progress") == 3


async def test_foreign_and_absent_are_the_same_404() -> None:
    """The API does not tell them apart (documented)."""
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        report = await bd.reports.create(sandbox.site_ids[0])
        stranger = bd.with_token(sandbox.add_token(organization="other"))
        for view, report_id in ((stranger, report.id), (bd, "0" * 8)):
            with pytest.raises(NotFound):
                await view.reports.progress(report_id)


async def test_a_missing_permission_is_named() -> None:
    """A person must know what to ask for."""
    async with Sandbox(sites=1) as sandbox:
        token = sandbox.add_token(permissions=set())
        async with BestDefense(token, sandbox.url) as bd:
            with pytest.raises(PermissionDenied) as caught:
                await bd.reports.create(sandbox.site_ids[0])
    assert caught.value.permission == "create reports"


async def test_a_report_without_security_part_has_no_verdict() -> None:
    """It is never read as zero findings."""
    async with (
        Sandbox(sites=1, speed=0.001) as sandbox,
        BestDefense(sandbox.token, sandbox.url) as bd,
    ):
        report = await bd.reports.create(sandbox.site_ids[0])
        with pytest.raises(EnvelopeError, match="no verdict"):
            await bd.reports.findings(report.id)


@pytest.mark.looptime
async def test_the_time_for_findings_is_for_both_of_their_requests(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """The second has what the first has left."""
    report = await bd_client.reports.create(bd_sandbox.site_ids[0])
    overview = json.dumps({"success": True, "data": {"security": {"id": 7}}})
    bd_sandbox.fault("reports.overview", status=200, body=overview, delay=0.3)
    bd_sandbox.fault("vortex.alerts", delay=5.0)
    loop = asyncio.get_running_loop()
    started = loop.time()

    with pytest.raises((AttemptTimeout, DeadlineExceeded)):
        await bd_client.reports.findings(report, timeout=0.5)

    assert bd_sandbox.count("vortex.alerts") == 1
    assert loop.time() - started == pytest.approx(0.5, abs=0.1)


async def test_the_two_id_spaces_are_not_mixed_up() -> None:
    """A report's id is text, a security report's a number."""
    async with BestDefense("token", "http://127.0.0.1:9") as bd:
        with pytest.raises(ConfigError):
            await bd.vortex.alerts("7f2c")  # type: ignore[arg-type]
        with pytest.raises(ConfigError):
            await bd.reports.progress("../sites")


async def test_options_are_sent_as_documented() -> None:
    """What is left to the server is left out; a five-line fake shows the body."""
    seen = []

    class Recorder:
        async def send(self, request, *, timeout=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            seen.append(request.json)
            return request.read({"success": True, "id": len(seen)})

    reports = Reports(Recorder(), None, None, CreatedIds())  # type: ignore[arg-type]
    await reports.create("s1")
    await reports.create(
        "s1", ScanOptions(types=("security", "seo"), intensity="quick", callback_secret="ab" * 32)
    )
    with pytest.raises(ConfigError):
        await reports.create("s1", ScanOptions(types=("seo",), intensity="quick"))
    assert seen == [
        {"options": {"security": {"enabled": True}}},
        {
            "options": {
                "security": {"enabled": True, "options": {"scanIntensity": "quick"}},
                "seo": {"enabled": True},
                "callback": {"secret": "ab" * 32},
            }
        },
    ]
