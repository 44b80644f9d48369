"""Fleets look like real ones, are the same for the same seed, and have the day they were given."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bestdefense_async.sandbox import Sandbox
from bestdefense_async.sandbox.world.findings import (
    HOSTILE_TEXTS,
    findings_of,
    network_findings_of,
)
from bestdefense_async.sandbox.world.fleet import Fleet, hostname
from bestdefense_async.sandbox.world.settings import Settings
from bestdefense_async.sandbox.world.specs import SCENARIOS
from tests.support.sandbox_api import SECURITY, Api, api_on

HOSTS = [hostname(1, "main", index) for index in range(5_000)]


def test_host_names_are_valid_and_different() -> None:
    """200,000 of them, all under a name that nobody can own."""
    names = [hostname(7, "main", index) for index in range(200_000)]

    assert len(set(names)) == len(names)
    label = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
    pattern = re.compile(rf"{label}(\.{label})*\.example")
    assert all(pattern.fullmatch(name) and len(name) < 100 for name in names)


def test_a_seed_decides_everything() -> None:
    """Names, ids and findings come back with the seed, and differ without it."""

    def made(seed: int) -> list[Any]:
        fleet = Fleet(seed)
        fleet.add("main", 50)
        sites = fleet.of("main")
        found = [[each.id for each in findings_of(seed, site.hostname)] for site in sites]
        return [[site.id for site in sites], [site.hostname for site in sites], found]

    assert made(1) == made(1)
    assert all(one != other for one, other in zip(made(1), made(2), strict=True))


def test_severities_come_in_plausible_shares() -> None:
    """Few sites are critical, some are spotless, and small findings are the usual ones."""
    per_site = [Counter(each.weakness.severity for each in findings_of(1, host)) for host in HOSTS]
    total: Counter[str] = sum(per_site, Counter())
    sites = len(HOSTS)

    assert 0.01 < sum(1 for found in per_site if found["critical"]) / sites < 0.2
    assert 0.1 < sum(1 for found in per_site if found["high"]) / sites < 0.6
    assert 0.05 < sum(1 for found in per_site if not found) / sites < 0.3
    assert total["critical"] < total["high"] < total["medium"] < total["low"]
    assert 2 < total.total() / sites < 20


def test_findings_differ_by_host_and_by_place() -> None:
    """No host has one finding twice, and no two findings share an id."""
    identities = [each.id for host in HOSTS[:1_000] for each in findings_of(1, host)]
    places = [
        (host, each.weakness.cwe, each.path)
        for host in HOSTS[:1_000]
        for each in findings_of(1, host)
    ]

    assert len(set(identities)) == len(identities)
    assert len(set(places)) == len(places)


def test_networks_have_findings_of_their_own() -> None:
    """Some targets have some, the worst are the rarest."""
    found = Counter(
        each.weakness.severity
        for target in range(2_000)
        for each in network_findings_of(1, f"10.0.0.{target}")
    )

    assert 0 < found["critical"] < found["high"] < found["medium"] < found["low"] < 1_000


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_scenario_can_be_scanned_by_the_patient(scenario: str) -> None:
    """Whoever repeats what failed gets a verdict on all sites that can have one."""
    settings = {"sites": 8, "speed": 20_000.0, "scenario": scenario}
    settings["limits"] = dict.fromkeys(SCENARIOS["throttled"].limits)
    async with Sandbox(**settings) as sandbox, api_on(sandbox) as api:  # type: ignore[arg-type]
        for fault in list(sandbox._open.faults.active):  # noqa: SLF001 - delays need no proof here
            if fault.plan.kind == "delay":
                fault.remove()

        async def patient(method: str, path: str, body: Any = None) -> Any:
            for _ in range(200):
                answer = await api.call(method, path, body)
                if answer.status not in {429, 503}:
                    return answer
            raise AssertionError(path)

        verdicts = refused = endless = 0
        for site in (await patient("GET", "/api/sites")).data["sites"]:
            path = f"/api/report/create/for-target/{site['id']}"
            created = await patient("POST", path, SECURITY)
            if created.status != 200:
                assert created.status in {403, 422}
                refused += 1
                continue
            report = created.json["id"]
            for _ in range(500):
                progress = (await patient("GET", f"/api/report/{report}/progress")).data
                if progress["isCompleted"]:
                    break
                await asyncio.sleep(0.002)
            else:
                endless += 1
                continue
            overview = (await patient("GET", f"/api/report/{report}/overview")).data
            security_id = overview["security"]["id"]
            await patient("GET", f"/api/report/vortex/{security_id}/alerts")
            verdicts += 1
        sandbox.assert_no_duplicates()

    assert verdicts + refused + endless == 8
    assert refused == (2 if scenario == "mixed" else 0)
    assert endless == (1 if scenario == "slow" else 0)


def test_a_fleet_of_one_is_never_special() -> None:
    """A single site can always be scanned, whatever the scenario."""
    for name in SCENARIOS:
        fleet = Fleet(1)
        fleet.add("main", 1)
        fleet.arrange("main", SCENARIOS[name])
        [site] = fleet.of("main")
        assert site.verified
        assert site.permitted
        assert site.duration is None


@pytest.mark.bd_sandbox(scenario="mixed", sites=200)
async def test_the_mixed_day_has_what_a_demonstration_needs(api: Api) -> None:
    """One pending site, one forbidden, some 429s, and scans of half a second to four."""
    sandbox = api.sandbox
    path = "/api/report/create/for-target/"
    statuses = [(await api.post(path + site, SECURITY)).status for site in sandbox.site_ids]
    scans = sandbox._open.scans.by_id.values()  # noqa: SLF001 - their durations are no answer
    seconds = [scan.duration / 60.0 for scan in scans]

    assert Counter(statuses) == {200: 195, 429: 3, 403: 1, 422: 1}
    assert min(seconds) >= 0.49
    assert max(seconds) <= 4.01


@pytest.mark.bd_sandbox(scenario="hostile", sites=40, speed=1_000_000)
async def test_hostile_findings_attack_whoever_shows_them(api: Api) -> None:
    """Markup, terminal escapes, direction overrides, formulas and enormous titles all come."""
    texts = []
    for site in api.sandbox.site_ids:
        for alert in (await api.alerts(site))["alerts"]:
            texts += [alert["title"], alert["evidence"], alert["guidance"], alert["weakness"]]
    progress = await api.get(f"/api/report/{await api.create()}/progress")
    absent = await api.get("/api/report/absent/progress")

    assert set(texts) == set(HOSTILE_TEXTS)
    for part in ("<script>", "\x1b[2J", "\x1b]52;", "\u202e", "=cmd", "::error::"):
        assert any(part in text for text in texts), part
    assert max(map(len, texts)) >= 10_000
    assert "\x1b[2J" in progress.json["message"]
    assert "\x1b[2J" in absent.json["message"]


@pytest.mark.bd_sandbox(scenario="drift", sites=40, speed=1_000_000)
async def test_a_drifted_api_sends_what_nobody_has_documented(api: Api) -> None:
    """Ids are numbers, keys are renamed, severities unknown; the documented facts still hold."""
    site = (await api.get("/api/sites")).data["sites"][0]
    created = await api.post(f"/api/report/create/for-target/{site['id']}", SECURITY)
    progress = (await api.get(f"/api/report/{created.json['id']}/progress")).data
    found = [await api.alerts(each) for each in api.sandbox.site_ids]
    severities = {alert["severity"] for each in found for alert in each["findings"]}

    assert set(site) > {"id", "hostname"}
    assert isinstance(created.json["id"], int)
    assert isinstance(progress["isCompleted"], bool)
    assert set(progress) > {"isCompleted", "phase"}
    assert set(found[0]) == {"risk_summary", "findings"}
    assert "CATASTROPHIC" in severities
    assert "info" in severities


def test_every_scenario_is_described() -> None:
    """The documentation's table has a row for each."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "sandbox.md").read_text("utf-8")

    assert all(f"| `{name}` |" in text for name in SCENARIOS)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"scenario": "sunny"}, "scenario"),
        ({"policy": "leaky"}, "policy"),
        ({"retry_after": "minutes"}, "retry_after"),
        ({"plan": "gold"}, "plan"),
        ({"speed": 0}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"read_deadline": 0}, "read_deadline"),
        ({"visible_after": -1.0}, "visible_after"),
        ({"sites": -1}, "sites"),
        ({"sites": 200_001}, "sites"),
        ({"port": 65_536}, "port"),
        ({"credits": -1}, "credits"),
        ({"limits": {"sites.lst": (1, 1.0)}}, "sites.lst"),
        ({"limits": {"sites.list": (0, 1.0)}}, "sites.list"),
        ({"agent_sizes": {"../x": 1}}, "agent_sizes"),
        ({"host": "0.0.0.0"}, "allow_remote"),  # noqa: S104 - it is refused
        ({"host": "somewhere"}, "IP address"),
        ({"host": "0.0.0.0", "allow_remote": True, "control": True}, "loopback"),  # noqa: S104
    ],
    ids=json.dumps,
)
def test_an_impossible_setting_is_refused_before_anything_opens(
    settings: dict[str, Any], reason: str
) -> None:
    """The message names the setting."""
    with pytest.raises(ValueError, match=reason):
        Sandbox(**settings)


def test_the_keyword_arguments_are_those_of_the_settings() -> None:
    """What a type checker accepts is what the sandbox accepts."""
    import attrs

    from bestdefense_async.sandbox.world.settings import Options

    assert set(Options.__annotations__) == {field.name for field in attrs.fields(Settings)}
