"""What the terminal says of a run, without any file: what was found, what fails, what to do."""

from __future__ import annotations

import os
import pty
import re
import select
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from bestdefense_async.cli.terminal.outcomes import SHOWN, findings_text
from bestdefense_async.cli.terminal.words import today
from bestdefense_async.models import Finding, Outcome, RiskSummary, Severity
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.gate.waivers import Waiver, Waivers
from tests.support.command import LONGEST
from tests.support.runs import fleet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bestdefense_async.testing.process import SandboxProcess
    from tests.support.command import Command
    from tests.support.inside import Inside

RUN = fleet(20)


def screen(
    command: Command, *arguments: str, env: Mapping[str, str], columns: int = 80
) -> tuple[int, str]:
    """Return the exit code, and all that a terminal of so many columns shows of a command."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as side:
        variables = {**env, "COLUMNS": str(columns), "TERM": "xterm"}
        process = command.start(*arguments, env=variables, stdin=side, stdout=side, stderr=side)
    shown = b""
    deadline = time.monotonic() + LONGEST
    with os.fdopen(ours, "rb", buffering=0) as terminal, process:
        while True:
            ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, shown
            try:
                piece = terminal.read(65_536)
            except OSError:  # how a terminal ends whose last program has left
                break
            if not piece:
                break
            shown += piece
    return process.returncode, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def flat(text: str) -> str:
    """Return what a terminal shows without its line breaks."""
    return " ".join(text.split())


@pytest.mark.parametrize("columns", [40, 80])
def test_a_stranger_finds_out_what_failed_and_how_to_accept_it(
    command: Command, served: SandboxProcess, names: list[str], columns: int
) -> None:
    """From the terminal alone: which findings failed the gate, and the command that waives one.

    The command is typed as it stands there, with a reason in place of WHY; in the end the same gate
    passes.
    """
    scan = ("scan", *names[:30], "--fail-on", "critical")
    code, shown = screen(command, *scan, env=served.env, columns=columns)
    assert code == 1, shown
    table = shown[shown.index("TARGET") :].replace("\r", "").splitlines()
    assert [line for line in table if len(line) > columns and "bestdefense waive" not in line] == []

    said = re.search(r"What fails the gate: (\d+) findings?", shown)
    assert said is not None, shown
    findings = shown[said.end() : shown.index("To accept one:")]
    assert findings.count("fingerprint") == findings.count("critical") == int(said[1])
    assert f"gate: FAILED, {said[1]} critical >= critical" in flat(shown)

    typed = re.search(
        r"To accept one: bestdefense (waive \w+ --reason WHY --until 90d)", flat(shown)
    )
    assert typed is not None, shown
    then = ""
    for fingerprint in re.findall(r"fingerprint ([0-9a-f]{12})", findings):
        words = typed[1].replace("WHY", "SEC-412").split()
        words[1] = fingerprint
        code, then = screen(command, *words, env={}, columns=columns)
        assert code == 0, then
    judging = re.search(r"bestdefense (gate --run last --waivers \S+)", flat(then))
    assert judging is not None, then
    gate = (*judging[1].split(), "--fail-on", "critical", "--allow-incomplete", "100%")
    code, shown = screen(command, *gate, env={}, columns=columns)
    assert code == 0, shown
    assert "gate: PASSED" in shown


def text_of(outcomes: list[Outcome], *, least: str | None = None, width: int = 80) -> str:
    """Return what is told of a run that fails on high findings."""
    verdict = judge(outcomes, GatePolicy(fail_on=Severity("high")))
    wanted = None if least is None else Severity(least)
    return findings_text(verdict, least=wanted, width=width)


def site(number: int, count: int, severity: str = "high") -> Outcome:
    """Return a site with so many findings."""
    findings = tuple(
        Finding(
            severity=Severity(severity), title=f"Weakness {at}", url=f"/page/{at}", cwe="CWE-79"
        )
        for at in range(count)
    )
    return Outcome(
        index=number,
        target=f"s{number}.example",
        status="done",
        risk=RiskSummary(),
        findings=findings,
    )


def test_twenty_are_told_and_the_rest_is_counted() -> None:
    """A log is no report."""
    text = text_of([site(number, 10) for number in range(6)])
    assert text.count("fingerprint") == SHOWN
    assert "and 40 more findings: see -o report.html" in text


def test_a_run_that_nothing_names_is_waived_by_whole_fingerprints() -> None:
    """What came over stdin is nowhere to be looked up."""
    verdict = judge([site(0, 1)], GatePolicy(fail_on=Severity("high")))
    told = findings_text(verdict, least=None, waive_with=None)
    assert re.search(r"bestdefense waive [0-9a-f]{32} --reason WHY", told)
    assert re.search(r"bestdefense waive [0-9a-f]{12} --reason WHY", text_of([site(0, 1)]))


def test_of_few_sites_everything_is_told() -> None:
    """Whoever scans one site wants to see what it has, also what fails nothing."""
    few = [site(0, 30), site(1, 30, "low")]
    assert text_of(few, least="informational").count("fingerprint") == 60
    assert text_of(few, least="medium").count("fingerprint") == 30
    assert "What else was found: 30 findings" in text_of(few, least="low")


def test_what_is_known_or_waived_is_counted_and_not_listed() -> None:
    """With a baseline only what is open is worth a line; nothing goes without a word."""
    before = [site(0, 3)]
    now = [evolve(site(0, 5), report_id="later"), site(1, 2, "low")]
    waiver = Waiver(reason="x", expires=today(), weakness="CWE-79", target="s1.*")
    waivers = Waivers(entries=(waiver,), today=today())
    verdict = judge(now, GatePolicy(fail_on=None), baseline=before, waivers=waivers)

    text = findings_text(verdict, least=Severity("low"))
    of_high = findings_text(verdict, least=Severity("high"))
    all_known = judge(now[:1], GatePolicy(fail_on=None), baseline=[site(0, 5)])

    assert "What was found: 2 findings" in text
    assert text.count("fingerprint") == 2
    assert text.endswith("Not listed: 3 known from the baseline, 2 waived\n")
    assert of_high.endswith("Not listed: 3 known from the baseline\n")
    assert findings_text(all_known, least=Severity("low")) == (
        "Not listed: 5 known from the baseline\n"
    )


def test_nothing_is_told_where_nothing_fails() -> None:
    """Of many sites."""
    assert text_of([site(number, 3, "low") for number in range(9)], least="low") == ""


def test_what_sites_say_cannot_steer_the_terminal() -> None:
    """Titles and places quote attackers."""
    finding = Finding(severity=Severity("high"), title="\x1b[2Jx\n::error::y", url="https://a/\x07")
    text = text_of([evolve(site(0, 0), findings=(finding,))])
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\n::error" not in text


def test_findings_go_to_stderr_where_stdout_is_data(inside: Inside) -> None:
    """And stand on stdout only once where it is for people."""
    inside.save("run.json", RUN)
    table = inside("gate", "--run", "run.json")
    data = inside("gate", "--run", "run.json", "--format", "json")
    assert ("What fails the gate" in table.out, "What fails" in table.err) == (True, False)
    assert ("What fails the gate" in data.out, "What fails" in data.err) == (False, True)


def test_a_waiver_that_ends_soon_is_told(inside: Inside) -> None:
    """A week before, so that nobody is surprised by a red pipeline."""
    inside.save("run.json", RUN)
    finding = next(one for one in RUN.outcomes if one.findings).findings[0]
    for days, is_told in ((6, True), (30, False)):
        (inside.directory / "w.toml").write_text(
            f'[[waiver]]\nweakness = "{finding.cwe}"\ntarget = "*"\nreason = "x"\n'
            f"expires = {today() + timedelta(days)}\n"
        )
        ended = inside("gate", "--run", "run.json", "--waivers", "w.toml")
        assert ("the waiver of line 1 ends in 6 days" in ended.err) is is_told


def listed(command: Command) -> dict[str, Any]:
    """Return the only run there is."""
    run: dict[str, Any]
    [run] = command("runs", "list", "-f", "jsonl").events
    return run


@pytest.mark.bd_sandbox(speed=60.0, sites=20, scenario="mixed")
def test_what_was_refused_is_not_to_be_resumed(
    command: Command, bd_sandbox_process: SandboxProcess
) -> None:
    """It would be refused again: what has to be done first is said, and the run can be pruned."""
    env = bd_sandbox_process.env
    sites = command("sites", "list", "-f", "jsonl", env=env).events
    ended = command("scan", "--all", "-q", env=env)
    refused = ended.err.count("was refused with status")
    assert refused, sites

    assert "to resume" not in ended.err
    assert "do first what is asked for above" in ended.err
    assert f"then: bestdefense scan --resume {listed(command)['run']}" in ended.err
    run = listed(command)
    assert (run["state"], run["failed"]) == ("ended", refused)
    assert len(command("runs", "prune", "--keep", "0", "-f", "jsonl").events) == 1
