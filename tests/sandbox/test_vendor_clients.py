"""The vendor's own ways of calling the API work unchanged: its shell example and its action."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bestdefense_async.sandbox import Sandbox
from bestdefense_async.testing.process import SandboxProcess
from tests.support.sandbox_api import Api

# The steps of the published example: find the site by host name, create, poll, overview, alerts.
# Nothing but the address and the wait between two polls is ours.
SCRIPT = r"""
set -euo pipefail
auth="Authorization: Bearer $BD_API_TOKEN"

site=$(curl -s -H "$auth" "$BD_BASE_URL/api/sites" \
  | jq -r --arg h "$TARGET_HOST" '.data.sites[] | select(.hostname==$h) | .id')

report=$(curl -s -X POST -H "$auth" -H "Content-Type: application/json" \
  -d '{"options":{"security":{"enabled":true,"options":{"vortexType":"analog","testingType":"web","scanIntensity":"quick"}}}}' \
  "$BD_BASE_URL/api/report/create/for-target/$site" | jq -r '.id')

until [ "$(curl -s -H "$auth" "$BD_BASE_URL/api/report/$report/progress" \
  | jq -r '.data.isCompleted')" = "true" ]; do sleep 0.1; done

security=$(curl -s -H "$auth" "$BD_BASE_URL/api/report/$report/overview" \
  | jq -r '.data.security.id')

curl -s -H "$auth" "$BD_BASE_URL/api/report/vortex/$security/alerts" \
  | jq -c --arg site "$site" --arg report "$report" --arg security "$security" \
    '{site: $site, report: $report, security: $security, risk: .data.riskSummary}'
"""  # noqa: E501 - as published


@pytest.mark.bd_sandbox(sites=20, speed=2_000)
def test_the_published_shell_example_runs_to_the_end(
    bd_sandbox_process: SandboxProcess, tmp_path: Path
) -> None:
    """Curl and jq alone get from a host name to the counts by severity."""
    missing = [tool for tool in ("bash", "curl", "jq") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"the shell example needs {', '.join(missing)}")
    host = "fleet.northgate-clinic.example"
    script = tmp_path / "scan.sh"
    script.write_text(SCRIPT)

    done = subprocess.run(
        ["bash", str(script)],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "TARGET_HOST": host, "NO_PROXY": "*"}
        | bd_sandbox_process.env,
    )

    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert set(result["risk"]) == {"critical", "high", "medium", "low", "informational"}
    assert int(result["security"]) > 0
    assert bd_sandbox_process.scans_per_site() == {result["site"]: 1}
    bd_sandbox_process.assert_no_duplicates()


def failing(risk: dict[str, int], threshold: str) -> int:
    """Return how many findings reach the action's threshold."""
    order = ["critical", "high", "medium", "low"]
    if threshold == "none":
        return 0
    return sum(risk.get(severity, 0) for severity in order[: order.index(threshold) + 1])


@pytest.mark.bd_sandbox(sites=20, speed=100_000)
@pytest.mark.parametrize("day", ["clean", "drift"], ids=["ids are texts", "ids are numbers"])
async def test_the_action_s_client_gets_its_verdict(day: str) -> None:
    """It enables types without nested options, sends a callback secret, and registers the scan."""
    from tests.support.sandbox_api import api_on

    async with (
        Sandbox(sites=20, speed=100_000.0, scenario=day) as sandbox,
        api_on(sandbox) as api,
    ):
        secret = "5a" * 32
        options: dict[str, Any] = {name: {"enabled": True} for name in ("security", "seo", "dns")}
        options["callback"] = {"secret": secret}
        target = sandbox.site_ids[2]
        created = (
            await api.post(f"/api/report/create/for-target/{target}", {"options": options})
        ).json
        assert created["success"] is True
        report = str(created["id"])
        registered = await api.post("/vortex-action/scans/register", registration(report, secret))
        assert registered.json["success"] is True
        while not (await api.get(f"/api/report/{report}/progress")).data["isCompleted"]:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.01)
        overview = (await api.get(f"/api/report/{report}/overview")).data
        alerts = (await api.get(f"/api/report/vortex/{overview['security']['id']}/alerts")).data
        summary = alerts.get("riskSummary") or alerts["risk_summary"]
        risk = {name.lower(): count for name, count in summary.items()}

        assert failing(risk, "none") == 0
        assert failing(risk, "low") == sum(
            risk.get(name, 0) for name in ("critical", "high", "medium", "low")
        )
        sandbox.assert_no_duplicates()


def registration(report: str, secret: str) -> dict[str, Any]:
    """Return what the action sends to tie a scan to a pull request."""
    return {
        "installationId": "4711",
        "reportId": report,
        "repositoryFullName": "owner/name",
        "pullRequestNumber": 12,
        "commitSha": "0" * 40,
        "checkRunId": 99,
        "targetUrl": "https://www.example",
        "scanTypes": ["security"],
        "failCheckOn": "high",
        "callbackSecret": secret,
    }


@pytest.mark.bd_sandbox(sites=1)
@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param({}, 200, id="as the action sends it"),
        pytest.param({"pullRequestNumber": 0, "checkRunId": None}, 200, id="outside of a request"),
        pytest.param({"pullRequestNumber": "12"}, 400, id="a number as text"),
        pytest.param({"pullRequestNumber": None}, 400, id="no pull request number"),
        pytest.param({"checkRunId": True}, 400, id="a flag for a check"),
        pytest.param({"repositoryFullName": "name"}, 400, id="a repository without owner"),
        pytest.param({"scanTypes": []}, 400, id="no scan types"),
        pytest.param({"callbackSecret": "5a"}, 400, id="a short secret"),
        pytest.param({"installationId": None}, 400, id="no installation"),
        pytest.param({"reportId": "absent"}, 404, id="a report that does not exist"),
    ],
)
async def test_a_registration_is_checked(api: Api, change: dict[str, Any], status: int) -> None:
    """Every documented field is required, and the report must be one's own."""
    body = registration(await api.create(), "5a" * 32) | change

    answer = await api.post("/vortex-action/scans/register", body)

    assert answer.status == status
    assert answer.json["success"] is (status == 200)
