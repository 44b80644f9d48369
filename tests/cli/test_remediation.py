"""Remediations as commands: of one finding, and of all findings of a saved run."""

from __future__ import annotations

import json
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command import LONGEST, Command, wait_for
from tests.support.terminal import on_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bestdefense_async.testing.process import SandboxProcess
    from tests.support.command import Ended
    from tests.support.inside import Inside

TRIGGER = ("remediation", "trigger")
JSONL = ("--format", "jsonl")


@pytest.fixture
def bd(inside: Inside, bd_sandbox_process: SandboxProcess) -> Callable[..., Ended]:
    """Return the command inside of this process, pointed to a sandbox."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        return inside(*arguments, env={**bd_sandbox_process.env, **(env or {})})

    return run


@pytest.fixture
def findings(inside: Inside, bd: Callable[..., Ended]) -> list[dict[str, Any]]:
    """Scan every site into run.json and return all findings, with their reports."""
    sites = bd("sites", "list", *JSONL).events
    ended = bd("scan", *(site["id"] for site in sites), "-o", "run.json", "-q")
    assert ended.code == 0, ended.err
    rows = json.loads((inside.directory / "run.json").read_text())["outcomes"]
    found = [{**each, "report_id": row["report_id"]} for row in rows for each in row["findings"]]
    assert len(found) > 12
    return found


def outcomes(events: list[dict[str, Any]]) -> Counter[str]:
    """Return how often each outcome occurs."""
    return Counter(event["outcome"] for event in events)


@pytest.mark.bd_sandbox(speed=6000.0, sites=10, credits=500)
def test_the_findings_of_a_run_are_triggered_once_each(
    bd: Callable[..., Ended], bd_sandbox_process: SandboxProcess, findings: list[dict[str, Any]]
) -> None:
    """Those at or above the severity, the worst first; a second time all of them exist."""
    wanted = [one for one in findings if one["severity"] in {"critical", "high", "medium"}]
    arguments = (*TRIGGER, "--from", "run.json", "--min-severity", "medium", *JSONL)

    plan = bd(*arguments, "--dry-run")
    assert bd_sandbox_process.count("remediation.trigger") == 0
    first = bd(*arguments, "-y")
    again = bd(*arguments, "-y")

    assert (plan.code, first.code, again.code) == (0, 0, 0), first.err
    assert outcomes(plan.events) == {"would_trigger": len(wanted)}
    assert f"{len(wanted)} remediations would be triggered, a credit each; credits left: 500" in (
        plan.err
    )
    assert outcomes(first.events) == {"triggered": len(wanted)}
    assert outcomes(again.events) == {"exists": len(wanted)}
    assert bd_sandbox_process.count("remediation.trigger") == len(wanted)
    assert Counter((event["report_id"], event["finding_id"]) for event in first.events) == Counter(
        (one["report_id"], one["id"]) for one in wanted
    )
    ranks = ["critical", "high", "medium"]
    severities = [ranks.index(event["severity"]) for event in plan.events]
    assert severities == sorted(severities)
    assert f"{len(wanted)} triggered; credits left: {500 - len(wanted)}" in first.err


@pytest.mark.bd_sandbox(speed=6000.0, sites=10, credits=3)
def test_when_the_credits_are_spent_the_rest_is_told(
    bd: Callable[..., Ended], bd_sandbox_process: SandboxProcess, findings: list[dict[str, Any]]
) -> None:
    """Exit 3; a list says that nothing is left, and which remediations there are."""
    ended = bd(*TRIGGER, "--from", "run.json", "--min-severity", "low", "-y", *JSONL)
    listed = bd("remediation", "list", "--format", "json")
    shown = bd("remediation", "show", json.loads(listed.out)["remediations"][0]["id"])

    assert ended.code == 3
    assert outcomes(ended.events)["triggered"] == 3
    assert "credits left: 0" in ended.err
    assert "credits" in ended.err.splitlines()[-1]
    assert (listed.code, shown.code) == (0, 0)
    assert len(json.loads(listed.out)["remediations"]) == 3
    assert "credits left: 0" in listed.err
    assert json.loads(listed.out)["remediations"][0]["id"] in shown.out


@pytest.mark.bd_sandbox(speed=6000.0, sites=6, credits=500)
def test_one_weakness_of_a_report_is_one_remediation(
    bd: Callable[..., Ended], bd_sandbox_process: SandboxProcess, findings: list[dict[str, Any]]
) -> None:
    """From a run or by name; the findings it covers are not triggered again."""
    groups = {(one["report_id"], one["weakness"]) for one in findings}
    report, weakness = min(groups)

    one = bd(*TRIGGER, report, "--weakness", weakness, "-y", *JSONL)
    groupwise = (*TRIGGER, "--from", "run.json", "--min-severity", "informational", "-y", *JSONL)
    rest = bd(*groupwise, "--per", "weakness")
    covered = bd(*groupwise)

    assert (one.code, rest.code, covered.code) == (0, 0, 0), one.err
    assert outcomes(one.events) == {"triggered": 1}
    assert outcomes(rest.events) == {"triggered": len(groups) - 1, "exists": 1}
    assert outcomes(covered.events) == {
        "exists": len({(f["report_id"], f["id"]) for f in findings})
    }
    assert bd_sandbox_process.count("remediation.trigger") == len(groups)


@pytest.mark.bd_sandbox(speed=6000.0, sites=10, credits=500)
def test_lost_answers_and_lacking_permissions_have_their_own_ends(
    bd: Callable[..., Ended], bd_sandbox_process: SandboxProcess, findings: list[dict[str, Any]]
) -> None:
    """Unknown is 3 and not sent again; what the organization may not do is 4 and named."""
    arguments = (*TRIGGER, "--from", "run.json", "--min-severity", "low", "-y", *JSONL)
    reader = bd_sandbox_process.add_token(permissions=["view reports"])
    denied = bd(*arguments, env={"BD_API_TOKEN": reader})
    before = bd_sandbox_process.count("remediation.trigger")
    bd_sandbox_process.fault("remediation.trigger", kind="drop", after_effect=True, nth=2, times=1)
    lost = bd(*arguments)

    assert denied.code == 4
    assert "AI remediation" in denied.err
    assert before <= 8
    assert lost.code == 3
    assert outcomes(lost.events)["unknown"] == 1
    assert bd_sandbox_process.count("remediation.trigger") - before == len(lost.events)
    assert "Look for it before you start it again." in lost.err


@pytest.mark.bd_sandbox(speed=6000.0, sites=3)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("r",), "--finding or --weakness"),
        (("--finding", "f"), "REPORT_ID"),
        (("r", "--finding", "f", "--weakness", "w"), "--finding or --weakness"),
        (("r", "--from", "last"), "give nothing beside it"),
        (("--from", "absent.json"), "absent.json"),
        (("r", "--finding", "f"), "Add -y to agree"),
        (("r", "--finding", "f", "--base-url", "http://127.0.0.1:9", "-y"), "connect"),
    ],
)
def test_what_cannot_be_meant_triggers_nothing(
    bd: Callable[..., Ended],
    bd_sandbox_process: SandboxProcess,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    """One sentence, and no credit is spent."""
    ended = bd(*TRIGGER, *arguments)

    assert ended.code in {2, 3}
    assert said in ended.err
    assert ended.out == ""
    assert bd_sandbox_process.count("remediation.trigger") == 0


@pytest.mark.bd_sandbox(speed=6000.0, sites=1)
def test_a_run_of_another_host_and_findings_without_a_name_are_not_triggered(
    bd: Callable[..., Ended], inside: Inside, bd_sandbox_process: SandboxProcess
) -> None:
    """Ids mean nothing elsewhere; a finding that is only counted has none."""
    row = {"target": "a.example", "status": "done", "report_id": "r", "risk": {"high": 2}}
    run = {"schema_version": 1, "base_url": "https://other.example", "outcomes": [row]}
    (inside.directory / "other.json").write_text(json.dumps(run))
    (inside.directory / "own.json").write_text(
        json.dumps({**run, "base_url": bd_sandbox_process.url})
    )

    other = bd(*TRIGGER, "--from", "other.json", "-y")
    own = bd(*TRIGGER, "--from", "own.json", "-y")

    assert (other.code, own.code) == (2, 3)
    assert "https://other.example" in other.err
    assert "2 findings have no name in the run" in own.err


@pytest.mark.bd_sandbox(speed=6000.0, sites=10)
@pytest.mark.parametrize(("answer", "code"), [("n\n", 130), (signal.SIGINT, 130), ("y\n", 0)])
def test_a_person_is_asked_before_credits_are_spent(
    command: Command,
    bd_sandbox_process: SandboxProcess,
    findings: list[dict[str, Any]],
    answer: str | signal.Signals,
    code: int,
) -> None:
    """With the number and what is left; no and Ctrl-C spend nothing."""
    one = findings[0]

    ended = on_terminal(
        *(command, *TRIGGER, one["report_id"], "--finding", one["id"]),
        env=bd_sandbox_process.env,
        asked="[y/N]",
        answer=answer,
    )

    assert ended.code == code, ended.err
    assert "1 remediation would be triggered, a credit each; credits left: 25" in ended.err
    assert bd_sandbox_process.count("remediation.trigger") == (code == 0)


@pytest.mark.bd_sandbox(speed=6000.0, sites=10, credits=500)
def test_an_interruption_tells_what_became_of_each(
    command: Command, bd_sandbox_process: SandboxProcess, findings: list[dict[str, Any]]
) -> None:
    """Those under way end, the others are not sent; 130."""
    bd_sandbox_process.fault("remediation.trigger", delay=0.4)
    arguments = (*TRIGGER, "--from", "run.json", "--min-severity", "informational", "-y", *JSONL)
    with command.start(*arguments, env=bd_sandbox_process.env) as process:
        wait_for(lambda: bd_sandbox_process.count("remediation.trigger") >= 8)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONGEST)

    assert process.returncode == 130, err
    assert "stopping: waiting for answers" in err
    ended = outcomes([json.loads(line) for line in out.splitlines()])
    assert ended["triggered"] == bd_sandbox_process.count("remediation.trigger")
    assert ended["not_triggered"] > 0
    assert ended.total() == len({(one["report_id"], one["id"]) for one in findings})
