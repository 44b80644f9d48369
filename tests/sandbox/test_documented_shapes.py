"""The documented operations answer with exactly the documented fields."""

import uuid
from typing import Any

import pytest

from bestdefense_async.sandbox import Sandbox
from tests.support.sandbox_api import SECURITY, Api

pytestmark = pytest.mark.bd_sandbox(sites=3, speed=6_000)

SECRET = "0123456789abcdef" * 4


async def test_sites_are_listed_with_id_and_hostname(api: Api, bd_sandbox: Sandbox) -> None:
    """The list holds the whole fleet, each site with a UUID and a name nobody can own."""
    answer = await api.get("/api/sites")

    assert set(answer.json) == {"success", "message", "data", "error"}
    assert answer.json["error"] is None
    assert [site["id"] for site in answer.data["sites"]] == bd_sandbox.site_ids
    assert [site["hostname"] for site in answer.data["sites"]] == bd_sandbox.hostnames
    assert all(set(site) == {"id", "hostname"} for site in answer.data["sites"])
    assert all(uuid.UUID(site["id"]).version == 4 for site in answer.data["sites"])
    assert all(site["hostname"].endswith(".example") for site in answer.data["sites"])


async def test_a_creation_answers_at_top_level_without_data(api: Api) -> None:
    """Creating a report is the known exception to the envelope."""
    site = api.sandbox.site_ids[0]

    answer = await api.post(f"/api/report/create/for-target/{site}", SECURITY)

    assert set(answer.json) == {"success", "message", "status", "id"}
    assert answer.json["success"] is True
    assert answer.json["status"] == answer.status == 200
    assert uuid.UUID(answer.json["id"]).version == 4


@pytest.mark.bd_sandbox(speed=0.001)
async def test_a_scan_is_followed_to_its_findings(api: Api) -> None:
    """Progress, overview and alerts lead from the report's UUID to the findings by a number."""
    report = await api.create()
    early = await api.get(f"/api/report/{report}/overview")
    api.sandbox.advance(86_400)
    security_id = await api.finish(report)
    late = await api.get(f"/api/report/{report}/overview")
    alerts = await api.get(f"/api/report/vortex/{security_id}/alerts")

    assert early.data == {"security": None}
    assert late.data == {"security": {"id": security_id}}
    assert set(alerts.data) == {"riskSummary", "alerts"}
    summary = alerts.data["riskSummary"]
    assert list(summary) == ["critical", "high", "medium", "low", "informational"]
    for severity, count in summary.items():
        assert count == sum(each["severity"] == severity for each in alerts.data["alerts"])


@pytest.mark.bd_sandbox(percentage=False)
async def test_progress_can_be_told_without_the_undocumented_percentage(api: Api) -> None:
    """With the key switched off only `isCompleted` is told."""
    api.sandbox.script(api.sandbox.site_ids[0], duration=float("inf"))
    report = await api.create()

    answer = await api.get(f"/api/report/{report}/progress")

    assert answer.data == {"isCompleted": False}


async def test_the_percentage_grows_to_a_hundred_only_at_the_end(api: Api) -> None:
    """A hundred per cent and completion are told by the same answer."""
    report = await api.create()
    seen: list[Any] = []
    while not seen or not seen[-1]["isCompleted"]:
        seen.append((await api.get(f"/api/report/{report}/progress")).data)

    percentages = [each["percentage"] for each in seen]
    assert percentages == sorted(percentages)
    assert percentages[-1] == 100
    assert 100 not in percentages[:-1]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"security": {"enabled": True}}, id="nested options are left out"),
        pytest.param(
            {
                "security": {
                    "enabled": True,
                    "options": {
                        "vortexType": "ai",
                        "testingType": "api",
                        "scanIntensity": "thorough",
                    },
                }
            },
            id="every documented nested option is given",
        ),
        pytest.param(
            {"seo": {"enabled": True}, "dns": {"enabled": True}, "whois": {"enabled": True}},
            id="other types than security",
        ),
        pytest.param(
            {"dns": {"enabled": True, "depth": 3}, "future": {"enabled": True, "x": [1]}},
            id="unknown options are kept",
        ),
        pytest.param(
            {"dns": {"enabled": True}, "callback": {"secret": SECRET}}, id="a callback secret"
        ),
    ],
)
async def test_scan_options_are_accepted(api: Api, options: dict[str, Any]) -> None:
    """Whatever is documented starts a scan, and what is not documented does not stop it."""
    report = await api.create(body={"options": options})

    kept = (await api.get(f"/api/report/{report}")).data["report"]["options"]
    assert kept == {name: value for name, value in options.items() if name != "callback"}


async def test_a_report_without_security_has_no_security_report(api: Api) -> None:
    """The overview of a finished DNS report says null."""
    report = await api.create(body={"options": {"dns": {"enabled": True}}})
    while not (await api.get(f"/api/report/{report}/progress")).data["isCompleted"]:
        pass

    assert (await api.get(f"/api/report/{report}/overview")).data == {"security": None}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param({}, "options must be", id="no options"),
        pytest.param({"options": []}, "options must be", id="options are a list"),
        pytest.param({"options": {"security": True}}, "security must be", id="a type is a flag"),
        pytest.param(
            {"options": {"dns": {"enabled": "yes"}}}, "true or false", id="enabled is a text"
        ),
        pytest.param({"options": {"dns": {"enabled": False}}}, "At least one", id="all off"),
        pytest.param(
            {"options": {"security": {"enabled": True, "options": {"scanIntensity": "extreme"}}}},
            "scanIntensity",
            id="an unknown intensity",
        ),
        pytest.param(
            {"options": {"dns": {"enabled": True}, "callback": {"secret": SECRET[:-1]}}},
            "64 hexadecimal",
            id="a secret that is too short",
        ),
        pytest.param(
            {"options": {"dns": {"enabled": True}, "callback": {"secret": "g" * 64}}},
            "64 hexadecimal",
            id="a secret that is not hexadecimal",
        ),
    ],
)
async def test_invalid_options_start_nothing(api: Api, body: Any, reason: str) -> None:
    """A 400 in the envelope says what is wrong, and no scan exists."""
    site = api.sandbox.site_ids[0]

    answer = await api.post(f"/api/report/create/for-target/{site}", body)

    assert answer.status == 400
    assert answer.json["success"] is False
    assert reason in answer.json["message"]
    assert api.sandbox.scans_per_site() == {}


async def test_the_page_for_people_is_html(api: Api) -> None:
    """A person's browser sends no token and gets a page."""
    report = await api.create()

    answer = await api.get(f"/report/{report}", token="")

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert api.sandbox.hostnames[0].encode() in answer.body


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/nothing", "/api/sites/", "/api/report/create", "/_sandbox/ledger"]
)
async def test_unknown_paths_answer_html(api: Api, path: str) -> None:
    """A Symfony application answers a page where no route matches."""
    answer = await api.get(path)

    assert answer.status == 404
    assert answer.headers["Content-Type"].startswith("text/html")


async def test_a_known_path_names_the_methods_it_knows(api: Api) -> None:
    """A wrong method answers 405 in the envelope, with Allow."""
    answer = await api.call("PUT", "/api/schedules")

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, POST"
    assert answer.json["success"] is False


@pytest.mark.bd_sandbox(plan="starter")
async def test_a_starter_plan_has_quick_scans_only(api: Api) -> None:
    """Higher intensities need a higher plan."""
    site = api.sandbox.site_ids[0]
    options = {"security": {"enabled": True, "options": {"scanIntensity": "standard"}}}

    refused = await api.post(f"/api/report/create/for-target/{site}", {"options": options})

    assert refused.status == 403
    assert "plan" in refused.json["message"]
    assert await api.create(site)
