"""The described operations keep state: schedules, remediation, network scans, agents, reports."""

import asyncio
import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from bestdefense_async.sandbox import Sandbox
from bestdefense_async.sandbox.world.agents import BLOCK
from tests.support.sandbox_api import SECURITY, Api

pytestmark = pytest.mark.bd_sandbox(sites=12, speed=60_000)

HOUR, DAY = 3600, 86_400
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BIG = "big.bin"


async def test_reports_are_listed_latest_first(api: Api) -> None:
    """The whole list comes at once; `limit` and `after` page through it."""
    reports = [await api.create(site) for site in api.sandbox.site_ids[:5]]

    listed = (await api.get("/api/reports")).data["reports"]
    page = (await api.get(f"/api/reports?limit=2&after={reports[3]}")).data["reports"]
    shown = (await api.get(f"/api/report/{reports[0]}")).data["report"]

    assert [report["id"] for report in listed] == reports[::-1]
    assert [report["id"] for report in page] == [reports[2], reports[1]]
    assert shown["siteId"] == api.sandbox.site_ids[0]
    assert shown["hostname"] == api.sandbox.hostnames[0]
    assert shown["types"] == ["security"]
    assert shown["options"] == SECURITY["options"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=", "limit=1234567", "&" * 30])
async def test_a_bad_page_is_refused(api: Api, query: str) -> None:
    """A page size that is none is a 400, and so is a query that is mostly separators."""
    assert (await api.get(f"/api/reports?{query}")).status == 400


async def test_a_page_after_nothing_is_not_found(api: Api) -> None:
    """The cursor must be a report of the organization."""
    assert (await api.get("/api/reports?after=nothing")).status == 404


async def test_a_schedule_is_kept_until_it_is_deleted(api: Api) -> None:
    """Created, listed with its next run, deleted, gone; nothing starts before its time."""
    site = api.sandbox.site_ids[1]
    wanted = {"siteId": site, "types": ["security", "dns"], "cadence": "weekly"}
    created = (await api.post("/api/schedules", wanted)).data["schedule"]
    listed = (await api.get("/api/schedules")).data["schedules"]
    path = f"/api/schedules/{created['id']}"
    deleted = await api.call("DELETE", path)
    again = await api.call("DELETE", path)
    api.sandbox.advance(30 * DAY)

    assert UUID.fullmatch(created["id"])
    assert {name: created[name] for name in wanted} == wanted
    chosen: dict[str, Any] = {"vortexType": "analog", "testingType": "web"}
    chosen |= {"scanIntensity": "quick", "dayOfWeek": "monday", "dayOfMonth": None}
    chosen |= {"time": "08:00", "timezone": "UTC"}
    assert {name: created[name] for name in chosen} == chosen
    assert created["createdAt"].startswith("2026-01-05T08:00:")
    assert created["nextRunAt"] == "2026-01-12T08:00:00Z"
    assert [schedule["id"] for schedule in listed] == [created["id"]]
    assert (deleted.status, again.status) == (200, 404)
    assert (await api.get("/api/schedules")).data["schedules"] == []
    assert (await api.get("/api/reports")).data["reports"] == []


async def test_a_schedule_starts_its_scans_when_their_time_comes(api: Api) -> None:
    """With its types, mode and intensity, each in its own time, listed like every other one."""
    site, other = api.sandbox.site_ids[:2]
    wanted = {
        "siteId": site,
        "types": ["security", "dns"],
        "vortexType": "ai",
        "testingType": "api",
        "scanIntensity": "standard",
        "cadence": "weekly",
        "dayOfWeek": "wednesday",
        "time": "03:30",
        "timezone": "Europe/Zurich",
    }
    await api.post("/api/schedules", wanted)
    daily = {"siteId": other, "types": ["dns"], "cadence": "daily", "time": "08:00"}
    await api.post("/api/schedules", daily)
    api.sandbox.advance(2 * DAY)
    reports = (await api.get("/api/reports")).data["reports"]
    begun = [(report["siteId"], report["createdAt"]) for report in reports]
    shown = (await api.get(f"/api/report/{reports[1]['id']}")).data["report"]
    security_id = await api.finish(reports[1]["id"])

    assert begun == [
        (other, "2026-01-07T08:00:00Z"),
        (site, "2026-01-07T02:30:00Z"),
        (other, "2026-01-06T08:00:00Z"),
    ]
    assert shown["options"]["security"]["options"] == {
        name: wanted[name] for name in ("vortexType", "testingType", "scanIntensity")
    }
    assert shown["options"]["dns"] == {"enabled": True}
    assert (await api.get(f"/api/report/vortex/{security_id}/alerts")).status == 200
    # No request has asked for these scans, so none of them is a scan too many.
    assert api.sandbox.scans_per_site() == {}
    api.sandbox.advance(7 * DAY)
    assert len((await api.get("/api/reports")).data["reports"]) == 3 + 7 + 1


async def test_time_that_passes_by_itself_starts_scans_too(api: Api) -> None:
    """Nobody has to tell the sandbox that a schedule has come to its time."""
    wanted = {"siteId": api.sandbox.site_ids[0], "types": ["dns"], "cadence": "daily"}
    await api.post("/api/schedules", wanted)
    address = f"{api.sandbox.url}/api/reports"
    headers = {"Authorization": f"Bearer {api.sandbox.token}"}
    api.sandbox._open.clock.skip(DAY)  # noqa: SLF001 - as if a day had passed, and nothing else

    async with api.session.get(address, headers=headers) as answer:
        reports = (await answer.json())["data"]["reports"]

    assert [report["createdAt"] for report in reports] == ["2026-01-06T08:00:00Z"]


@pytest.mark.bd_sandbox(epoch=datetime(2027, 1, 30, 12, tzinfo=UTC).timestamp())
async def test_a_schedule_keeps_to_the_calendar(api: Api) -> None:
    """A short month has its last day instead of the 31st, and summer time shifts the hour."""
    wanted = {
        "siteId": api.sandbox.site_ids[0],
        "types": ["dns"],
        "cadence": "monthly",
        "dayOfMonth": 31,
        "time": "09:00",
        "timezone": "Europe/Zurich",
    }
    await api.post("/api/schedules", wanted)
    api.sandbox.advance(95 * DAY)

    reports = (await api.get("/api/reports")).data["reports"]

    assert [report["createdAt"] for report in reports] == [
        "2027-04-30T07:00:00Z",
        "2027-03-31T07:00:00Z",
        "2027-02-28T08:00:00Z",
        "2027-01-31T08:00:00Z",
    ]


@pytest.mark.bd_sandbox(speed=1)
async def test_a_scheduled_scan_is_as_old_as_its_time(api: Api) -> None:
    """It began when the schedule came to it, not when somebody looked."""
    site = api.sandbox.site_ids[0]
    api.sandbox.script(site, duration=1000)
    wanted = {"siteId": site, "types": ["security"], "cadence": "daily", "time": "09:00"}
    await api.post("/api/schedules", wanted)
    api.sandbox.advance(HOUR + 500)

    (report,) = (await api.get("/api/reports")).data["reports"]

    progress = (await api.get(f"/api/report/{report['id']}/progress")).data
    assert progress["percentage"] in {50, 51}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"siteId": "absent"}, 404),
        ({"siteId": 7}, 400),
        ({"cadence": "hourly"}, 400),
        ({"types": []}, 400),
        ({"types": "dns"}, 400),
        ({"types": ["security"], "scanIntensity": "extreme"}, 400),
        ({"types": ["security"], "vortexType": 7}, 400),
        ({"testUsers": [1]}, 400),
        ({"dayOfWeek": "monday"}, 400),
        ({"dayOfMonth": 3}, 400),
        ({"cadence": "weekly", "dayOfWeek": "someday"}, 400),
        ({"cadence": "monthly", "dayOfMonth": 32}, 400),
        ({"cadence": "monthly", "dayOfMonth": True}, 400),
        ({"time": "24:00"}, 400),
        ({"time": "3:00"}, 400),
        ({"timezone": "Europe/Nowhere"}, 400),
        ({"timezone": "../../etc/passwd"}, 400),
        ({"timezone": "Europe"}, 400),
    ],
)
async def test_an_invalid_schedule_is_refused(
    api: Api, change: dict[str, Any], status: int
) -> None:
    """Nothing is kept."""
    wanted = {"siteId": api.sandbox.site_ids[0], "types": ["dns"], "cadence": "daily"} | change

    assert (await api.post("/api/schedules", wanted)).status == status
    assert (await api.get("/api/schedules")).data["schedules"] == []


@pytest.mark.bd_sandbox(scenario="mixed")
async def test_only_what_may_be_scanned_can_be_scheduled(api: Api) -> None:
    """A pending site and one that is not permitted are refused as for a scan."""
    ids = api.sandbox.site_ids
    answers = {}
    for site in ids:
        wanted = {"siteId": site, "types": ["dns"], "cadence": "daily"}
        answers[site] = (await api.post("/api/schedules", wanted)).status

    assert sorted(answers.values()) == [200] * (len(ids) - 2) + [403, 422]


@pytest.mark.bd_sandbox(plan="starter")
async def test_a_starter_plan_scans_networks_quickly_only(api: Api) -> None:
    """Higher intensities need a better plan, whatever is scanned."""
    wanted = {"targets": ["10.0.0.1"]}

    quick = await api.post("/api/network-scans", wanted)
    thorough = await api.post("/api/network-scans", {**wanted, "scanIntensity": "thorough"})

    assert (quick.status, thorough.status) == (200, 403)
    assert "plan" in thorough.json["message"]


@pytest.mark.bd_sandbox(plan="starter")
async def test_a_starter_plan_has_no_schedules(api: Api) -> None:
    """403 names the plan."""
    wanted = {"siteId": api.sandbox.site_ids[0], "types": ["dns"], "cadence": "daily"}

    answer = await api.post("/api/schedules", wanted)

    assert answer.status == 403
    assert "plan" in answer.json["message"]


async def a_finding(api: Api) -> tuple[str, dict[str, Any]]:
    """Return a report and one of its findings."""
    for site in api.sandbox.site_ids:
        report = await api.create(site)
        security_id = await api.finish(report)
        alerts = (await api.get(f"/api/report/vortex/{security_id}/alerts")).data["alerts"]
        if alerts:
            return report, alerts[0]
    raise AssertionError("this fleet has no findings")


@pytest.mark.bd_sandbox(credits=2)
async def test_a_remediation_costs_a_credit_until_none_is_left(
    api: Api, bd_sandbox: Sandbox
) -> None:
    """One for a finding, one for a weakness type; the third is refused and not kept."""
    report, finding = await a_finding(api)
    one = {"reportId": report, "findingId": finding["id"]}
    group = {"reportId": report, "weakness": finding["weakness"]}

    first = await api.post("/api/remediations", one)
    second = await api.post("/api/remediations", group)
    third = await api.post("/api/remediations", one)

    assert first.data["remediation"]["findingId"] == finding["id"]
    assert first.data["creditsRemaining"] == 1
    assert second.data["remediation"]["findingId"] is None
    assert second.data["remediation"]["weakness"] == finding["weakness"]
    assert third.status == 403
    assert "credits" in third.json["message"]
    assert bd_sandbox.credits() == 0
    listed = (await api.get("/api/remediations")).data
    assert len(listed["remediations"]) == 2
    assert listed["creditsRemaining"] == 0


@pytest.mark.bd_sandbox(speed=6_000, credits=60)
async def test_a_review_ends_in_one_of_three_stages(api: Api) -> None:
    """Every card is in Review at first, then Approved, Blocked or Rejected, and stays so."""
    report, finding = await a_finding(api)
    body = {"reportId": report, "findingId": finding["id"]}
    cards = [(await api.post("/api/remediations", body)).data["remediation"] for _ in range(60)]
    listed = cards
    while any(card["stage"] == "Review" for card in listed):
        await asyncio.sleep(0.05)
        listed = (await api.get("/api/remediations")).data["remediations"]
    shown = (await api.get(f"/api/remediations/{cards[0]['id']}")).data["remediation"]

    assert {card["stage"] for card in cards} == {"Review"}
    assert {card["stage"] for card in listed} == {"Approved", "Blocked", "Rejected"}
    assert shown == next(card for card in listed if card["id"] == cards[0]["id"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"findingId": "x"}, 400),
        ({"reportId": "absent", "findingId": "x"}, 404),
        ({"reportId": "own", "findingId": "absent"}, 404),
        ({"reportId": "own", "findingId": "x", "weakness": "y"}, 400),
        ({"reportId": "own"}, 400),
    ],
)
async def test_an_invalid_remediation_costs_nothing(
    api: Api, body: dict[str, str], status: int
) -> None:
    """Refused before a credit is taken."""
    report = await api.create()
    sent = {name: report if value == "own" else value for name, value in body.items()}

    assert (await api.post("/api/remediations", sent)).status == status
    assert api.sandbox.credits() == 25


async def test_a_network_scan_is_followed_to_its_findings(api: Api) -> None:
    """Started with targets and a jump box, it moves on and lists what it found."""
    targets = [f"10.20.0.{host}" for host in range(60)]
    started = await api.post("/api/network-scans", {"targets": targets, "jumpBox": "dmz-1"})
    scan = started.data["scan"]
    path = f"/api/network-scans/{scan['id']}"
    while not (progress := (await api.get(f"{path}/progress")).data)["isCompleted"]:
        assert progress["percentage"] < 100
    findings = (await api.get(f"{path}/findings")).data

    assert scan == {"id": scan["id"], "targets": targets, "jumpBox": "dmz-1"}
    assert progress == {"isCompleted": True, "percentage": 100}
    assert findings["alerts"]
    assert len(findings["alerts"]) == sum(findings["riskSummary"].values())
    assert all(alert["url"].startswith("tcp://10.20.0.") for alert in findings["alerts"])


@pytest.mark.parametrize("targets", [[], "10.0.0.1", ["a b"], ["10.0.0.1", ""], ['x"y'], None])
async def test_bad_targets_are_refused(api: Api, targets: Any) -> None:
    """A target is a name, an address or a network."""
    assert (await api.post("/api/network-scans", {"targets": targets})).status == 400


async def test_the_manifest_lists_what_can_be_downloaded(api: Api, bd_sandbox: Sandbox) -> None:
    """Size and checksum of the manifest are those of the bytes, and of the `.sha256` beside it."""
    files = (await api.get("/api/agents/manifest")).data["files"]
    names = {file["filename"] for file in files}
    file = files[1]
    path = f"/api/agents/download/{file['filename']}"
    content = await api.get(path)
    checksum = await api.get(f"{path}.sha256")

    assert "bestdefense-device-monitor-windows-amd64.exe" in names
    assert {"darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64"} <= {
        each["platform"] for each in files
    }
    assert file["url"] == bd_sandbox.url + path
    assert len(content.body) == file["size"]
    assert hashlib.sha256(content.body).hexdigest() == file["sha256"]
    assert checksum.body.decode().split() == [file["sha256"], file["filename"]]
    assert (await api.get("/api/agents/download/absent.exe")).status == 404
    assert (await api.get("/api/agents/download/absent.exe.sha256")).status == 404


@pytest.mark.bd_sandbox(agent_sizes={BIG: 3 * BLOCK + 17}, limits={"agents.download": None})
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        (f"bytes={BLOCK - 5}-{BLOCK + 4}", BLOCK - 5, BLOCK + 4),
        (f"bytes={3 * BLOCK}-", 3 * BLOCK, 3 * BLOCK + 16),
        ("bytes=-17", 3 * BLOCK, 3 * BLOCK + 16),
        (f"bytes=5-{9 * BLOCK}", 5, 3 * BLOCK + 16),
        (f"bytes=-{9 * BLOCK}", 0, 3 * BLOCK + 16),
    ],
)
async def test_a_range_is_the_same_bytes(api: Api, asked: str, first: int, last: int) -> None:
    """A 206 says which part it is, and is that part of the whole."""
    path = f"/api/agents/download/{BIG}"
    whole = await api.get(path)

    part = await api.get(path, headers={"Range": asked, "If-Range": whole.headers["ETag"]})

    assert whole.status == 200
    assert whole.body[:BLOCK] != whole.body[BLOCK : 2 * BLOCK]
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert part.status == 206
    assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole.body)}"
    assert part.headers["ETag"] == whole.headers["ETag"]
    assert part.body == whole.body[first : last + 1]


@pytest.mark.bd_sandbox(agent_sizes={BIG: 1000}, limits={"agents.download": None})
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": "bytes=1000-"}, 416),
        ({"Range": "bytes=-0"}, 416),
        ({"Range": "bytes=0-1,5-6"}, 200),
        ({"Range": "bytes=9-1"}, 200),
        ({"Range": "lines=1-2"}, 200),
        ({"Range": "bytes=-"}, 200),
        ({"Range": "bytes=5-", "If-Range": '"another"'}, 200),
    ],
)
async def test_other_ranges_get_everything_or_a_416(
    api: Api, headers: dict[str, str], status: int
) -> None:
    """Beyond the end is a 416 that tells the size; what is not understood gets the whole file."""
    answer = await api.get(f"/api/agents/download/{BIG}", headers=headers)

    assert answer.status == status
    if status == 416:
        assert answer.headers["Content-Range"] == "bytes */1000"
    else:
        assert len(answer.body) == 1000


@pytest.mark.bd_sandbox(agent_sizes={BIG: 4 * BLOCK}, limits={"agents.download": None})
async def test_a_download_cut_again_and_again_can_be_pieced_together(api: Api) -> None:
    """Each answer is cut in half; the pieces, asked for by range, are the whole."""
    path = f"{api.sandbox.url}/api/agents/download/{BIG}"
    headers = {"Authorization": f"Bearer {api.sandbox.token}"}
    fault = api.sandbox.fault("agents.download", kind="truncated", times=3)
    pieces = bytearray()
    for _ in range(4):
        sent = headers | {"Range": f"bytes={len(pieces)}-"}
        async with api.session.get(path, headers=sent) as response:
            try:
                async for chunk in response.content.iter_any():
                    pieces += chunk
            except aiohttp.ClientPayloadError:
                continue
    whole = await api.get(f"/api/agents/download/{BIG}")

    assert fault.hits == 3
    assert bytes(pieces) == whole.body


@pytest.mark.bd_sandbox(agent_sizes={BIG: 1 << 40, "empty.bin": 0})
async def test_a_terabyte_costs_a_block(api: Api) -> None:
    """A part of any file is made on the way; an empty file is empty."""
    file = api.sandbox._open.agents.files[BIG]  # noqa: SLF001 - hashing a terabyte takes an hour
    chunks = file.chunks((1 << 40) - 10)

    assert len(b"".join(chunks)) == 10
    assert (await api.get("/api/agents/download/empty.bin")).body == b""
