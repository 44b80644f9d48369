"""A sandbox holds what it is told to hold: sites, findings, organizations, faults."""

from pathlib import Path
from typing import Any

import pytest

from bestdefense_async.sandbox import FindingSpec, OrganizationSpec, Sandbox, SiteSpec
from bestdefense_async.testing.process import SandboxProcess
from tests.support.sandbox_api import Api, api_on

SHOP = SiteSpec(
    "shop.example.com",
    findings=[
        {"severity": "low", "title": "Version in a header"},
        FindingSpec("critical", title="Search is run as SQL", path="/search?q=1", cwe=89),
        "high",
    ],
)
BLOG = SiteSpec("blog.example.com", findings=[])

FILE = """
seed = 7
speed = 60000
plan = "starter"

[limits]
"sites.list" = [2, 60]

[[sites]]
hostname = "shop.example.com"
duration = 30
findings = ["high", { severity = "low", title = "Version in a header", path = "/about", cwe = 200 }]

[[sites]]
hostname = "blog.example.com"
findings = []

[[organizations]]
name = "acme"
sites = 500
plan = "growth"
credits = 3

[[faults]]
operation = "GET /api/report/*/overview"
status = 503
nth = 2
"""


@pytest.mark.bd_sandbox(sites=[SHOP, BLOG, "plain.example.com"], speed=60_000)
class TestPlantedFindings:
    """Findings that a test planted are what scans find."""

    async def test_a_scan_finds_what_was_planted_and_nothing_else(self, api: Api) -> None:
        """Worst first, with the given texts, and the rest as a scanner would write it."""
        shop, blog, plain = api.sandbox.site_ids
        found = await api.alerts(shop)

        assert found["riskSummary"] == {
            "critical": 1,
            "high": 1,
            "medium": 0,
            "low": 1,
            "informational": 0,
        }
        first, second, third = found["alerts"]
        assert first["title"] == "Search is run as SQL"
        assert first["url"] == "https://shop.example.com/search?q=1"
        assert (first["cwe"], first["weakness"]) == ("CWE-89", "SQL Injection")
        assert second["severity"] == "high"
        assert second["evidence"]
        assert third["title"] == "Version in a header"
        assert (await api.alerts(blog))["alerts"] == []
        assert (await api.alerts(plain))["alerts"]  # nothing was said about it: seeded

    async def test_what_is_planted_later_is_found_by_later_scans(self, api: Api) -> None:
        """A report that exists keeps what it found, as it would at the vendor's."""
        shop = api.sandbox.site_ids[0]
        before = await api.finish(await api.create(shop))
        api.sandbox.plant("shop.example.com", ["medium"])

        found = await api.alerts(shop)
        earlier = (await api.get(f"/api/report/vortex/{before}/alerts")).data

        assert [each["severity"] for each in found["alerts"]] == ["medium"]
        assert len(earlier["alerts"]) == 3

    async def test_a_planted_finding_can_be_remediated(self, api: Api) -> None:
        """By its id, like any other."""
        report = await api.create()
        security = await api.finish(report)
        alerts = (await api.get(f"/api/report/vortex/{security}/alerts")).data["alerts"]

        answer = await api.post(
            "/api/remediations", {"reportId": report, "findingId": alerts[0]["id"]}
        )

        assert answer.data["remediation"]["weakness"] == "SQL Injection"


async def test_sites_can_be_pending_forbidden_slow_or_late() -> None:
    """Each of the special sites of the scenarios can be had by name."""
    sites = [
        SiteSpec("pending.example.com", verified=False),
        SiteSpec("forbidden.example.com", permitted=False),
        SiteSpec("endless.example.com", duration=float("inf")),
        SiteSpec("late.example.com", visible_after=60),
    ]
    async with Sandbox(sites=sites, speed=60_000) as sandbox, api_on(sandbox) as api:
        create = "/api/report/create/for-target/{}"
        body = {"options": {"dns": {"enabled": True}}}
        pending, forbidden, endless, late = sandbox.site_ids
        assert (await api.post(create.format(pending), body)).status == 422
        assert (await api.post(create.format(forbidden), body)).status == 403
        progress = f"/api/report/{await api.create(endless)}/progress"
        assert (await api.get(progress)).data["isCompleted"] is False
        late_progress = f"/api/report/{await api.create(late)}/progress"
        assert (await api.get(late_progress)).status == 404


async def test_an_organization_has_any_size_its_plan_and_its_credits() -> None:
    """And sees nothing of the others."""
    acme = OrganizationSpec("acme", sites=700, plan="starter", credits=0)
    async with Sandbox(sites=1, organizations=[acme]) as sandbox, api_on(sandbox) as api:
        other = sandbox.add_organization("other", sites=["only.example.com"])
        token = sandbox.add_token(organization="acme")
        site = sandbox.sites_of("acme")[0].id
        thorough = {"security": {"enabled": True, "options": {"scanIntensity": "thorough"}}}
        path = f"/api/report/create/for-target/{site}"

        assert len((await api.get("/api/sites", token=token)).data["sites"]) == 700
        assert (await api.post(path, {"options": thorough}, token=token)).status == 403
        assert sandbox.credits("acme") == 0
        listed = (await api.get("/api/sites", token=other)).data["sites"]
        assert [each["hostname"] for each in listed] == ["only.example.com"]
        assert (await api.post(path, {"options": thorough}, token=other)).status == 404
        with pytest.raises(ValueError, match="already"):
            sandbox.add_organization("acme")


async def test_a_scenario_file_says_all_of_it(tmp_path: Path) -> None:
    """Keyword arguments win over what stands in the file."""
    path = tmp_path / "fleet.toml"
    path.write_text(FILE)
    async with Sandbox(scenario=path, plan="growth") as sandbox, api_on(sandbox) as api:
        shop, _ = sandbox.site_ids
        acme = sandbox.add_token(organization="acme")
        alerts = (await api.alerts(shop))["alerts"]
        report = await api.create(shop)
        statuses = [(await api.get("/api/sites")).status for _ in range(3)]
        overview = await api.get(f"/api/report/{report}/overview")

        assert [each["severity"] for each in alerts] == ["high", "low"]
        assert (alerts[1]["url"], alerts[1]["cwe"]) == ("https://shop.example.com/about", "CWE-200")
        assert len((await api.get("/api/sites", token=acme)).data["sites"]) == 500
        assert sandbox.credits("acme") == 3
        assert statuses == [200, 200, 429]
        assert overview.status == 503
        assert sandbox.speed == 60_000


def test_a_process_takes_the_same_settings(tmp_path: Path) -> None:
    """Specs and files alike."""
    path = tmp_path / "fleet.toml"
    path.write_text(FILE)
    with SandboxProcess(scenario=str(path), sites=[SHOP]) as process:
        process.plant("shop.example.com", [FindingSpec("low")])
        token = process.add_organization("other", sites=[BLOG])

        assert token.startswith("bd_sandbox_")
        assert process.requests() == []


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a severity": ({"sites": [{"hostname": "a.example", "findings": ["hgh"]}]}, "severity must be"),
    "a field of a finding": (
        {"sites": [{"hostname": "a.example", "findings": [{"severity": "low", "url": "/"}]}]},
        "a finding has no url",
    ),
    "a path": (
        {"sites": [{"hostname": "a.example", "findings": [{"severity": "low", "path": "x"}]}]},
        "begins with a slash",
    ),
    "a CWE": (
        {"sites": [{"hostname": "a.example", "findings": [{"severity": "low", "cwe": "79"}]}]},
        "cwe must be a number",
    ),
    "findings that are none": (
        {"sites": [{"hostname": "a.example", "findings": "low"}]},
        "findings must be a list",
    ),
    "a field of a site": ({"sites": [{"host": "a.example"}]}, "a site has no host"),
    "a site without a name": ({"sites": [{"duration": 1}]}, "needs its hostname"),
    "a host name": ({"sites": ["https://a.example/"]}, "host name in small letters"),
    "a site twice": ({"sites": ["a.example", "a.example"]}, "twice: a.example"),
    "a site that is none": ({"sites": [7]}, "a site is a text or a table"),
    "sites that are none": ({"sites": "a.example"}, "a number or a list"),
    "a duration": ({"sites": [{"hostname": "a.example", "duration": -1}]}, "duration must be"),
    "a plan": ({"organizations": [{"name": "acme", "plan": "gold"}]}, "plan must be one of"),
    "credits": ({"organizations": [{"name": "acme", "credits": -1}]}, "credits must be"),
    "a name": ({"organizations": [""]}, "an organization's name"),
    "a fault": ({"faults": [{"status": 503}]}, "with the operation it hits"),
    "an operation": ({"faults": [{"operation": "sites.lst", "status": 503}]}, "no operation"),
    "a setting": ({"sitse": 5}, "there is no setting sitse"),
    "a number": ({"seed": 1, "credits": "many"}, "credits must be zero or more, not 'many'"),
    "a kind": ({"limits": {"sites.list": 5}}, "wrong kind"),
}


@pytest.mark.parametrize(("settings", "words"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_one_sentence(settings: dict[str, Any], words: str) -> None:
    """It names what is wrong, before anything is opened."""
    with pytest.raises(ValueError, match=words) as caught:
        Sandbox(**settings)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("sites = [", "is not TOML"), (b"\xff\xfe", "not TOML in UTF-8"), (None, "cannot be read")],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str | bytes | None, words: str) -> None:
    """With what is wrong about it."""
    path = tmp_path / "fleet.toml"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    with pytest.raises(ValueError, match=words) as caught:
        Sandbox(scenario=path)
    assert str(path) in str(caught.value)


async def test_a_name_that_two_organizations_have_is_no_name_to_plant_on() -> None:
    """One customer's findings must not turn up on another's site of the same name."""
    shop = {"hostname": "shop.example.com", "findings": ["low"]}
    async with Sandbox(sites=[shop], organizations=[{"name": "acme", "sites": [shop]}]) as sandbox:
        (theirs,) = sandbox.sites_of("acme")
        with pytest.raises(LookupError, match="2 organizations have a site"):
            sandbox.plant("shop.example.com", ["critical"])
        with pytest.raises(LookupError, match="name it by its id"):
            sandbox.script("shop.example.com", duration=1)
        sandbox.plant(theirs.id, ["critical"])
        (ours,) = sandbox.sites_of("main")

        found = {
            each.organization: each.findings[0].weakness.severity
            for each in (ours, theirs)
            if each.findings
        }
        assert found == {"main": "low", "acme": "critical"}
        # A fault of the name hits both, and requests of the name are those about both.
        assert sandbox.fault("reports.create", site="shop.example.com", status=503).hits == 0
        assert sandbox.requests(site="shop.example.com") == []
