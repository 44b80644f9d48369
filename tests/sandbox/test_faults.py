"""Faults strike the calls they are planned for, as planned, before or after the effect."""

import asyncio
import errno
from typing import Any

import aiohttp
import pytest

from bestdefense_async.sandbox import Sandbox
from tests.support.sandbox_api import SECURITY, Api, api_on
from tests.support.waiting import until

pytestmark = pytest.mark.bd_sandbox(sites=4)


async def statuses(api: Api, count: int, path: str = "/api/sites") -> list[int]:
    """Return the statuses of some calls."""
    return [(await api.get(path)).status for _ in range(count)]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        pytest.param({}, [503, 503, 503, 503], id="always"),
        pytest.param({"nth": 2}, [200, 503, 200, 200], id="the second call"),
        pytest.param({"times": 2}, [503, 503, 200, 200], id="the first two calls"),
        pytest.param({"nth": 2, "times": 2}, [200, 503, 503, 200], id="two from the second on"),
        pytest.param({"probability": 0}, [200, 200, 200, 200], id="never"),
        pytest.param({"probability": 1}, [503, 503, 503, 503], id="with certainty"),
    ],
)
async def test_a_fault_strikes_the_calls_it_is_planned_for(
    api: Api, bd_sandbox: Sandbox, plan: dict[str, Any], expected: list[int]
) -> None:
    """The nth call, a number of calls, or a share of them."""
    fault = bd_sandbox.fault("sites.list", status=503, **plan)

    assert await statuses(api, 4) == expected
    assert fault.hits == expected.count(503)


async def test_chance_is_seeded() -> None:
    """The same seed strikes the same calls, another one others."""

    async def pattern(seed: int) -> list[int]:
        async with Sandbox(seed=seed, sites=1) as sandbox, api_on(sandbox) as api:
            sandbox.fault("sites.list", status=503, probability=0.5)
            return await statuses(api, 40)

    first = await pattern(1)

    assert first == await pattern(1)
    assert first != await pattern(2)
    assert 5 < first.count(503) < 35


async def test_nth_counts_from_when_the_fault_was_set(api: Api, bd_sandbox: Sandbox) -> None:
    """Earlier calls do not count, so a test need not know how many there were."""
    await statuses(api, 3)
    bd_sandbox.fault("sites.list", status=500, nth=1)

    assert await statuses(api, 2) == [500, 200]


async def test_a_removed_fault_strikes_no_more(api: Api, bd_sandbox: Sandbox) -> None:
    """Removing it twice is harmless."""
    fault = bd_sandbox.fault("sites.list", status=500)
    before = await statuses(api, 1)
    fault.remove()
    fault.remove()

    assert before + await statuses(api, 1) == [500, 200]


async def test_a_fault_may_be_about_one_site(api: Api, bd_sandbox: Sandbox) -> None:
    """By id or host name, also for calls that name only the report or the security report."""
    bad, good = bd_sandbox.site_ids[1], bd_sandbox.site_ids[2]
    reports = {site: await api.create(site) for site in (bad, good)}
    bd_sandbox.fault("*", status=502, site=bd_sandbox.hostnames[1])

    for site, expected in ((bad, 502), (good, 200)):
        progress = await api.get(f"/api/report/{reports[site]}/progress")
        created = await api.post(f"/api/report/create/for-target/{site}", SECURITY)
        assert (progress.status, created.status) == (expected, expected)
    assert (await api.get("/api/sites")).status == 200


async def test_the_first_fault_that_strikes_wins(api: Api, bd_sandbox: Sandbox) -> None:
    """Others still count the call."""
    bd_sandbox.fault("sites.list", status=500, nth=2)
    bd_sandbox.fault("*", status=503, times=3)

    assert await statuses(api, 4) == [503, 500, 503, 200]


async def test_the_answer_of_a_fault_can_be_chosen(api: Api, bd_sandbox: Sandbox) -> None:
    """Status, body and headers, HTML by its look."""
    headers = {"Retry-After": "7"}
    bd_sandbox.fault("sites.list", status=503, body="<h1>gone</h1>", headers=headers, times=1)
    bd_sandbox.fault("sites.list", status=200, body='{"success": false}', nth=2)
    bd_sandbox.fault("sites.list", status=599, nth=3)

    page, lie, plain = [await api.get("/api/sites") for _ in range(3)]

    assert (page.status, page.body) == (503, b"<h1>gone</h1>")
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Retry-After"] == "7"
    assert (lie.status, lie.json) == (200, {"success": False})
    assert plain.status == 599
    assert plain.json["success"] is False


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["status", "reset", "drop", "hang", "garbage"])
async def test_a_lost_creation_happens_only_when_the_fault_is_after_its_effect(
    api: Api, bd_sandbox: Sandbox, kind: str, *, after_effect: bool
) -> None:
    """The client cannot tell the difference; the sandbox can."""
    site = bd_sandbox.site_ids[0]
    status = {"status": 504} if kind == "status" else {}
    bd_sandbox.fault("reports.create", kind=kind, after_effect=after_effect, **status)

    try:
        async with asyncio.timeout(0.2 if kind == "hang" else 5):
            answer = await api.post(f"/api/report/create/for-target/{site}", SECURITY)
    except TimeoutError:
        seen = "hang"
    except aiohttp.ServerDisconnectedError:
        seen = "drop"
    except aiohttp.ClientOSError as error:
        seen = "reset" if error.errno == errno.ECONNRESET else repr(error)
    else:
        seen = "status" if answer.status == 504 else "garbage"
        assert answer.headers["Content-Type"] == "application/json"

    assert seen == kind
    assert bd_sandbox.count("reports.create") == 1
    assert bd_sandbox.scans_per_site() == ({site: 1} if after_effect else {})


async def test_a_truncated_answer_promises_more_than_comes(api: Api, bd_sandbox: Sandbox) -> None:
    """The headers are the right ones and the scan exists."""
    site = bd_sandbox.site_ids[0]
    bd_sandbox.fault("reports.create", kind="truncated")

    with pytest.raises(aiohttp.ClientPayloadError):
        await api.post(f"/api/report/create/for-target/{site}", SECURITY)

    assert bd_sandbox.scans_per_site() == {site: 1}


async def test_a_corrupt_answer_differs_in_one_bit(api: Api, bd_sandbox: Sandbox) -> None:
    """The length is right."""
    right = (await api.get("/api/sites")).body
    bd_sandbox.fault("sites.list", kind="corrupt", times=1, cut=0.3)
    wrong = (await api.get("/api/sites")).body

    different = [(a, b) for a, b in zip(right, wrong, strict=True) if a != b]
    assert len(different) == 1
    assert (different[0][0] ^ different[0][1]).bit_count() == 1


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_a_delay_alone_only_delays(
    api: Api, bd_sandbox: Sandbox, *, after_effect: bool
) -> None:
    """While the client waits, the scan exists already or not yet; then all is well."""
    site = bd_sandbox.site_ids[0]
    bd_sandbox.fault("reports.create", delay=0.3, after_effect=after_effect)

    pending = asyncio.create_task(api.create(site))
    await until(lambda: bd_sandbox.count("reports.create") == 1)
    for _ in range(20):  # what is done before the delay is done now
        await asyncio.sleep(0)
    meanwhile = bd_sandbox.scans_per_site()
    await pending

    assert meanwhile == ({site: 1} if after_effect else {})
    assert bd_sandbox.scans_per_site() == {site: 1}


async def test_the_ledger_tells_what_arrived(api: Api, bd_sandbox: Sandbox) -> None:
    """Operation, site, report, time, status, and no token."""
    site = bd_sandbox.site_ids[0]
    report = await api.create(site)
    await api.get(f"/api/report/{report}/progress")
    await api.get("/nothing")
    bd_sandbox.fault("sites.list", kind="hang")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await api.get("/api/sites")

    rows = [(row.operation, row.site_id, row.report_id, row.status) for row in bd_sandbox.ledger]
    assert rows == [
        ("reports.create", site, None, 200),
        ("reports.progress", site, report, 200),
        ("unknown", None, None, 404),
        ("sites.list", None, None, None),
    ]
    times = [row.at for row in bd_sandbox.ledger]
    assert times == sorted(times)
    assert times[-1] <= asyncio.get_running_loop().time()
    assert bd_sandbox.token not in repr(bd_sandbox.ledger)


async def test_duplicates_are_found(api: Api, bd_sandbox: Sandbox) -> None:
    """Two scans of one site are one too many."""
    first, second = bd_sandbox.site_ids[:2]
    await api.create(first)
    await api.create(second)
    bd_sandbox.assert_no_duplicates()
    await api.create(second)

    with pytest.raises(AssertionError, match=second):
        bd_sandbox.assert_no_duplicates()
    assert bd_sandbox.scans_per_site() == {first: 1, second: 2}


@pytest.mark.parametrize(
    ("operation", "plan"),
    [
        pytest.param("reports.creat", {"status": 503}, id="an operation that does not exist"),
        pytest.param("sites.list", {}, id="no kind and no status"),
        pytest.param("sites.list", {"status": 99}, id="a status that does not exist"),
        pytest.param("sites.list", {"kind": "explode"}, id="a kind that does not exist"),
        pytest.param("sites.list", {"status": 503, "nht": 1}, id="a misspelt field"),
        pytest.param("sites.list", {"status": 503, "nth": 0}, id="nth from zero"),
        pytest.param("sites.list", {"status": 503, "probability": 2}, id="a chance above one"),
        pytest.param("sites.list", {"delay": float("nan")}, id="a delay that is no number"),
    ],
)
async def test_an_impossible_fault_is_refused_when_it_is_set(
    bd_sandbox: Sandbox, operation: str, plan: dict[str, Any]
) -> None:
    """A fault that would silently never strike makes a test worthless."""
    with pytest.raises(ValueError, match=r"\w"):
        bd_sandbox.fault(operation, **plan)


async def test_a_fault_about_an_unknown_site_is_refused(bd_sandbox: Sandbox) -> None:
    """It would never strike."""
    with pytest.raises(LookupError):
        bd_sandbox.fault("*", status=503, site="nowhere.example")
