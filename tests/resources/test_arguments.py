"""Things are given as objects or as ids; what cannot be meant is refused, and nothing is sent."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bestdefense_async import (
    BestDefense,
    ConfigError,
    EnvelopeError,
    Finding,
    Overview,
    Registration,
    Remediation,
    Report,
    ReportSummary,
    RiskSummary,
    Schedule,
    Severity,
    Site,
)
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.models import AgentFile, NetworkScan
from bestdefense_async.sandbox import Sandbox

Call = Callable[..., Awaitable[object]]

SCANNED = 0.02
"""Seconds after which a scan at speed 1e6 has ended; a loop may count in milliseconds."""

REGISTRATION = Registration(
    installation_id="1",
    report_id="r",
    repository="owner/name",
    commit="c0ffee",
    target_url="https://a.example",
    callback_secret="ab" * 32,
)
FILE = AgentFile(filename="agent", sha256="0" * 64)

BY_ID: dict[str, Callable[[BestDefense, Any], Awaitable[object]]] = {
    "reports.create": lambda bd, site: bd.reports.create(site),
    "schedules.create": lambda bd, site: bd.schedules.create(site, cadence="daily"),
    "reports.get": lambda bd, report: bd.reports.get(report),
    "reports.progress": lambda bd, report: bd.reports.progress(report),
    "reports.overview": lambda bd, report: bd.reports.overview(report),
    "reports.findings": lambda bd, report: bd.reports.findings(report),
    "reports.wait": lambda bd, report: bd.reports.wait(report, timeout=1),
    "reports.list": lambda bd, report: bd.reports.list(after=report),
    "remediation.trigger": lambda bd, report: bd.remediation.trigger(report, weakness="w"),
    "remediation.get": lambda bd, remediation: bd.remediation.get(remediation),
    "network.progress": lambda bd, scan: bd.network.progress(scan),
    "network.wait": lambda bd, scan: bd.network.wait(scan, timeout=1),
    "network.findings": lambda bd, scan: bd.network.findings(scan),
    "schedules.delete": lambda bd, schedule: bd.schedules.delete(schedule),
}
"""Every call that names something by its id, with the thing as its argument."""
OF_A_REPORT = [name for name in BY_ID if name.startswith("reports.") and name != "reports.create"]

INSTEAD_OF_A_HOST = {
    "schedules.delete": "schedules.list",
    "remediation.get": "remediation.list",
    "network.progress": "network.start",
    "network.wait": "network.start",
    "network.findings": "network.start",
}

TIMED: dict[str, Call] = {
    "sites.list": lambda bd, timeout: bd.sites.list(timeout=timeout),
    "sites.find": lambda bd, timeout: bd.sites.find("a.example", timeout=timeout),
    "reports.create": lambda bd, timeout: bd.reports.create("s", timeout=timeout),
    "reports.list": lambda bd, timeout: bd.reports.list(timeout=timeout),
    "reports.get": lambda bd, timeout: bd.reports.get("r", timeout=timeout),
    "reports.progress": lambda bd, timeout: bd.reports.progress("r", timeout=timeout),
    "reports.overview": lambda bd, timeout: bd.reports.overview("r", timeout=timeout),
    "reports.findings": lambda bd, timeout: bd.reports.findings("r", timeout=timeout),
    "reports.wait": lambda bd, timeout: bd.reports.wait("r", timeout=timeout),
    "vortex.alerts": lambda bd, timeout: bd.vortex.alerts(1, timeout=timeout),
    "schedules.list": lambda bd, timeout: bd.schedules.list(timeout=timeout),
    "schedules.create": lambda bd, timeout: bd.schedules.create("s", cadence="d", timeout=timeout),
    "schedules.delete": lambda bd, timeout: bd.schedules.delete("s", timeout=timeout),
    "remediation.trigger": lambda bd, timeout: bd.remediation.trigger(
        "r", weakness="w", timeout=timeout
    ),
    "remediation.list": lambda bd, timeout: bd.remediation.list(timeout=timeout),
    "remediation.get": lambda bd, timeout: bd.remediation.get("r", timeout=timeout),
    "network.start": lambda bd, timeout: bd.network.start(["10.0.0.1"], timeout=timeout),
    "network.progress": lambda bd, timeout: bd.network.progress("n", timeout=timeout),
    "network.wait": lambda bd, timeout: bd.network.wait("n", timeout=timeout),
    "network.findings": lambda bd, timeout: bd.network.findings("n", timeout=timeout),
    "registrations.create": lambda bd, timeout: bd.registrations.create(
        REGISTRATION, timeout=timeout
    ),
    "agents.manifest": lambda bd, timeout: bd.agents.manifest(timeout=timeout),
    "agents.download": lambda bd, timeout: bd.agents.download(FILE, Path(), timeout=timeout),
}
"""Every call that sends something, with a timeout."""

OTHERS: dict[str, Callable[[BestDefense, Any], Awaitable[object]]] = {
    "a host name to find": lambda bd, given: bd.sites.find(given),
    "options of a report": lambda bd, given: bd.reports.create("s", given),
    "options of a schedule": lambda bd, given: bd.schedules.create("s", given, cadence="d"),
    "a cadence": lambda bd, given: bd.schedules.create("s", cadence=given),
    "test users": lambda bd, given: bd.schedules.create("s", cadence="d", test_users=given),
    "a test user": lambda bd, given: bd.schedules.create("s", cadence="d", test_users=[given]),
    "targets": lambda bd, given: bd.network.start(given),
    "a target": lambda bd, given: bd.network.start([given]),
    "a jump box": lambda bd, given: bd.network.start(["a"], jump_box=given),
    "an intensity": lambda bd, given: bd.network.start(["a"], intensity=given),
    "a finding": lambda bd, given: bd.remediation.trigger("r", finding=given),
    "a weakness": lambda bd, given: bd.remediation.trigger("r", weakness=given),
    "a registration": lambda bd, given: bd.registrations.create(given),
    "a policy": lambda bd, given: bd.reports.wait("r", timeout=1, policy=given),
    "a policy of a network": lambda bd, given: bd.network.wait("n", timeout=1, policy=given),
    "a security report": lambda bd, given: bd.vortex.alerts(given),
    "a file": lambda bd, given: bd.agents.download(given, Path()),
    "a directory": lambda bd, given: bd.agents.download(FILE, given),
    "whether to verify": lambda bd, given: bd.agents.download(FILE, Path(), allow_unverified=given),
    "whether to keep a part": lambda bd, given: bd.agents.download(FILE, Path(), keep_part=given),
    "whom to tell": lambda bd, given: bd.agents.download(FILE, Path(), on_progress=given),
}
"""The other arguments, each with what is given for it."""
MAY_BE_NONE = {
    *("options of a report", "options of a schedule", "a jump box", "an intensity"),
    *("a policy", "a policy of a network", "whom to tell"),
}

NOTHING: list[Any] = [None, "", "\ud800", -7, 0.5, [None], b"x", object()]


@pytest_asyncio.fixture
async def bd(bd_client: BestDefense, bd_sandbox: Sandbox) -> AsyncIterator[BestDefense]:
    """A client that must not send anything."""
    yield bd_client
    assert bd_sandbox.count("*") == 0


@pytest.mark.parametrize("call", BY_ID)
async def test_what_names_nothing_is_refused(bd: BestDefense, call: str) -> None:
    """Neither an object of the API nor the text of an id."""
    for given in (*NOTHING, True, uuid.UUID(int=7), "..", "a b"):
        if given is None and call == "reports.list":
            continue  # None begins at the beginning
        with pytest.raises(ConfigError):
            await BY_ID[call](bd, given)


@pytest.mark.parametrize("call", OTHERS)
async def test_what_cannot_be_meant_is_refused(bd: BestDefense, call: str) -> None:
    """Whatever the argument is for: checked like a constructor's."""
    for given in NOTHING:
        if given is None and call in MAY_BE_NONE:
            continue
        with pytest.raises(ConfigError):
            await OTHERS[call](bd, given)


@pytest.mark.parametrize("call", TIMED)
async def test_what_is_no_time_is_refused(bd: BestDefense, call: str) -> None:
    """A call that is cut off at once would leave its outcome unknown."""
    for timeout in (0, -1, float("nan"), float("inf"), 10**400, "30", True, [1.0]):
        with pytest.raises(ConfigError, match="timeout must be a finite number of seconds above 0"):
            await TIMED[call](bd, timeout)


async def test_what_is_no_age_is_refused(bd: BestDefense) -> None:
    """Zero is one: the scan has just been started."""
    for age in (-1, float("nan"), float("inf"), "30", True):
        with pytest.raises(
            ConfigError, match="started_ago must be a finite number of seconds 0 or more"
        ):
            await bd.reports.wait("r", timeout=1, started_ago=age)  # type: ignore[arg-type]


@pytest.mark.parametrize("call", BY_ID)
async def test_a_host_name_instead_of_an_id_is_told(bd: BestDefense, call: str) -> None:
    """With the call that is wanted instead."""
    wanted = INSTEAD_OF_A_HOST.get(call, "sites.find")
    for host in ("shop.example.com", "bücher.example.", "https://a.b/x", "10.0.0.7", "a.b:80"):
        with pytest.raises(ConfigError, match="is a host name, not the id of a") as caught:
            await BY_ID[call](bd, host)
        assert wanted in str(caught.value)


@pytest.mark.parametrize("call", OF_A_REPORT)
async def test_the_number_of_a_security_report_is_told(bd: BestDefense, call: str) -> None:
    """The two id spaces are never interchanged."""
    with pytest.raises(ConfigError, match=r"vortex\.alerts\(number\) reads it"):
        await BY_ID[call](bd, 10**5000)
    with pytest.raises(ConfigError, match=r"vortex\.alerts\(overview\)"):
        await BY_ID[call](bd, Overview(security_id=7))


async def test_a_report_instead_of_a_security_report_is_told(bd: BestDefense) -> None:
    """With the call that goes from one to the other."""
    for given in ("0b2f6a4e", Report(id="0b2f6a4e"), -1, 10**5000):
        with pytest.raises(ConfigError, match=r"reports\.findings\(report\)"):
            await bd.vortex.alerts(given)  # type: ignore[arg-type]


async def test_an_overview_without_a_security_part_has_no_alerts(bd: BestDefense) -> None:
    """That is never read as zero findings, and there is nothing to ask for."""
    with pytest.raises(EnvelopeError, match="no verdict"):
        await bd.vortex.alerts(Overview(security_id=None))


async def test_the_object_of_another_thing_is_told(bd: BestDefense) -> None:
    """What was given, what is wanted, and where to get it."""
    with pytest.raises(ConfigError, match=r"A report or its id is wanted, not a Site: reports\.cr"):
        await bd.reports.progress(Site(id="s", hostname="a.example"))  # type: ignore[arg-type]


async def test_a_finding_without_an_id_is_told(bd: BestDefense) -> None:
    """Its id is inferred, so it may be missing; its weakness can be given instead."""
    finding = Finding(severity=Severity.HIGH)
    with pytest.raises(ConfigError, match="give its weakness"):
        await bd.remediation.trigger("r", finding=finding)


@pytest.mark.bd_sandbox(sites=2, speed=6000.0)
async def test_objects_and_ids_are_taken_alike(bd_client: BestDefense, bd_sandbox: Sandbox) -> None:
    """Every call that names something takes what another call has returned, or its id."""
    fast = PollPolicy(speed=600.0)
    site = await bd_client.sites.find(bd_sandbox.hostnames[1])
    made = [await bd_client.reports.create(one) for one in (site, site.id)]
    await bd_client.schedules.create(site.id, cadence="daily")
    schedule = await bd_client.schedules.create(site, cadence="daily")
    for one in (made[0], made[0].id, made[1]):
        assert (await bd_client.reports.wait(one, timeout=20, policy=fast)).is_completed
        assert (await bd_client.reports.progress(one)).is_completed
    found = await bd_client.reports.findings(made[0])
    assert found == await bd_client.reports.findings(made[0].id)
    overview = await bd_client.reports.overview(made[0].id)
    assert overview == await bd_client.reports.overview(made[0])
    assert await bd_client.vortex.alerts(overview) == found
    assert await bd_client.vortex.alerts(overview.security_id or 0) == found
    summary = await bd_client.reports.get(made[0])
    assert await bd_client.reports.get(summary) == await bd_client.reports.get(made[0].id)
    for one in (made[1], made[1].id):
        assert [each.id for each in await bd_client.reports.list(after=one)] == [made[0].id]
    triggered = await bd_client.remediation.trigger(summary, finding=found.findings[0])
    again = await bd_client.remediation.get(triggered.remediation)
    assert again == await bd_client.remediation.get(again.id)
    scan = await bd_client.network.start(("10.0.0.1",))
    for each in (scan, scan.id):
        await bd_client.network.wait(each, timeout=20, policy=fast)
        assert (await bd_client.network.progress(each)).is_completed
        assert isinstance((await bd_client.network.findings(each)).risk, RiskSummary)
    await bd_client.schedules.delete(schedule)
    for left in await bd_client.schedules.list():
        await bd_client.schedules.delete(left.id)


@pytest.mark.bd_sandbox(sites=1, speed=1e6)
@pytest.mark.parametrize("given", ["summary", "age", "complete"])
async def test_a_report_whose_age_is_known_is_looked_at_at_once(
    bd_client: BestDefense, bd_sandbox: Sandbox, given: str
) -> None:
    """One poll, and no wait, when it is complete; else the first poll comes within 12 s."""
    made = await bd_client.reports.create(bd_sandbox.site_ids[0])
    await asyncio.sleep(SCANNED)
    created = datetime.now(UTC) - timedelta(hours=1)
    known: dict[str, Any] = {
        "summary": {"report": ReportSummary(id=made.id, created_at=created)},
        "complete": {"report": ReportSummary(id=made.id, is_completed=True)},
        "age": {"report": made, "started_ago": 3600.0},
    }
    # A policy whose first poll would come in an hour or so, if the age were not known.
    slow = PollPolicy(shortest=7200.0, longest=7200.0)

    progress = await bd_client.reports.wait(**known[given], timeout=5, policy=slow)

    assert progress.is_completed
    assert bd_sandbox.count("reports.progress") == 1


@pytest.mark.bd_sandbox(sites=1, speed=1e6)
async def test_a_network_scan_whose_age_is_known_is_looked_at_at_once(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """As a report is."""
    scan = await bd_client.network.start(["10.0.0.1"])
    await asyncio.sleep(SCANNED)
    slow = PollPolicy(shortest=7200.0, longest=7200.0)

    assert (
        await bd_client.network.wait(scan, timeout=5, policy=slow, started_ago=0.0)
    ).is_completed
    assert bd_sandbox.count("network.progress") == 1


MODELS = [Remediation(id="1"), Schedule(id="1"), NetworkScan(id="1"), Report(id="1")]


@pytest.mark.parametrize("given", MODELS, ids=lambda model: type(model).__name__)
async def test_equal_ids_of_different_things_are_not_mixed_up(
    bd: BestDefense, given: object
) -> None:
    """An object says what it is, so one of another kind is refused even where its id would do."""
    for call, noun in (
        (bd.schedules.delete, Schedule),
        (bd.remediation.get, Remediation),
        (bd.network.progress, NetworkScan),
        (bd.reports.progress, Report),
    ):
        if not isinstance(given, noun):
            with pytest.raises(ConfigError, match="is wanted, not a"):
                await call(given)  # type: ignore[arg-type]
