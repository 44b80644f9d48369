"""`bestdefense gate`: rules, baselines and waivers on saved runs and finished reports."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.report.formats import sarif as sarif_format
from bestdefense_async.report.gate.identity import fingerprint, former_fingerprint
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.writer import write_run
from tests.support.moved_host import moved_host
from tests.support.runs import before, done, failed, run_of

if TYPE_CHECKING:
    from bestdefense_async import BestDefense
    from bestdefense_async.sandbox import Sandbox
    from bestdefense_async.testing.process import SandboxProcess
    from tests.support.command import Command
    from tests.support.inside import Inside

TODAY = run_of(done("a.example", critical=1, high=2), done("b.example", low=3))
OLDER = before(run_of(done("a.example", critical=1, high=1), done("b.example"), name="last week"))
NAMES = [fingerprint(TODAY.outcomes[0], one) for one in TODAY.outcomes[0].findings]


@pytest.fixture
def gate(inside: Inside) -> Inside:
    """Return the command in a directory with two runs."""
    inside.save("today.json", TODAY)
    inside.save("older.jsonl", OLDER)
    inside.save("same.json", before(TODAY))
    return inside


def waiver(name: str, *, expires: str = "2999-12-31") -> str:
    """Return an entry of a file of waivers."""
    return f'[[waiver]]\nfingerprint = "{name}"\nreason = "accepted"\nexpires = {expires}\n'


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("", 1, "gate: FAILED, 1 critical, 2 high >= high on 1 of 2 sites"),
        ("--fail-on none", 0, "gate: PASSED, no threshold for 2 sites"),
        ("--fail-on none --max-low 2", 1, "gate: FAILED, 3 low > 2 allowed on 1 of 2 sites"),
        ("--max-high 2", 1, "gate: FAILED, 1 critical > 0 allowed on 1 of 2 sites"),
        ("--max-high 2 --max-critical 1", 0, "gate: PASSED, no more findings than allowed"),
        ("--max-low 3", 1, "gate: FAILED, 1 critical, 2 high >= high on 1 of 2 sites"),
        ("--fail-on high --max-high 9", 1, "gate: FAILED, 1 critical, 2 high >= high on 1 of"),
        (
            "--fail-on critical --max-high 1 --max-low 0",
            1,
            (
                "gate: FAILED, 1 critical >= critical on 1 of 2 sites; "
                "2 high > 1 allowed on 1 of 2 sites; 3 low > 0 allowed on 1 of 2 sites"
            ),
        ),
        ("--baseline older.jsonl", 1, "gate: FAILED, 1 new high >= high on 1 of 2 sites; 2 find"),
        ("--baseline same.json", 0, "gate: PASSED, nothing new >= high on 2 sites; 6 findings"),
        ("--exit-zero", 0, "gate: FAILED, 1 critical, 2 high >= high on 1 of 2 sites"),
    ],
)
def test_rules_hold_together(gate: Inside, arguments: str, code: int, says: str) -> None:
    """The last line names each rule that failed, the findings and the sites; no token is needed.

    A limit that somebody gave replaces the usual threshold for its severity, and only that.
    """
    ended = gate("gate", "--run", "today.json", *arguments.split())

    assert ended.code == code, ended.err
    assert ended.err.splitlines()[-1].startswith(says)


@pytest.mark.parametrize(
    "arguments", ["gate --run today.json --baseline", "report today.json --compare"]
)
def test_a_run_is_never_judged_by_itself(gate: Inside, arguments: str) -> None:
    """Also under another name: a gate that approves itself is none."""
    gate.save("copy.jsonl", TODAY)

    for name in ("today.json", "copy.jsonl"):
        ended = gate(*arguments.split(), name)

        assert ended.code == 2
        assert "The earlier run holds the same scan of a.example" in ended.err
        assert ended.out == ""


def test_waivers_are_applied_and_each_that_does_nothing_is_named(gate: Inside) -> None:
    """On stderr for people and in the JSON for programs."""
    entries = [waiver(name) for name in NAMES]
    entries += [waiver("0" * 32), waiver(NAMES[0], expires="2020-01-01")]
    (gate.directory / "waivers.toml").write_text("".join(entries))

    ended = gate("gate", "--run", "today.json", "--waivers", "waivers.toml", "--format", "json")

    assert ended.code == 0
    assert ended.err.splitlines() == [
        f"the waiver of line 13 matches nothing: {'0' * 32}",
        f"the waiver of line 17 expired on 2020-01-01: {NAMES[0]}",
        (
            "gate: PASSED, nothing >= high on 2 sites; 3 findings waived; 1 waiver expired; "
            "1 waiver matching nothing"
        ),
    ]
    document = json.loads(ended.out)
    assert document["gate"]["waived"] == 3
    states = [each["state"] for each in document["gate"]["waivers"]]
    assert states == ["used", "used", "used", "stale", "expired"]
    assert [each["state"] for each in document["outcomes"][0]["findings"]] == ["waived"] * 3
    assert document["outcomes"][0]["findings"][0]["waived_because"] == "accepted"


def test_a_site_that_was_not_scanned_is_waived_by_nothing(gate: Inside) -> None:
    """Baseline and waivers are about findings."""
    gate.save("gap.json", run_of(TODAY.outcomes[0], failed("c.example")))
    (gate.directory / "w.toml").write_text("".join(map(waiver, NAMES)))

    excuses = ("--waivers", "w.toml", "--baseline", "same.json")
    ended = gate("gate", "--run", "gap.json", *excuses)

    assert ended.code == 3
    last = ended.err.splitlines()[-1]
    assert last == "gate: INCOMPLETE, 1 of 2 sites has no verdict; 3 findings waived"


def test_a_run_that_was_cut_off_is_incomplete(gate: Inside) -> None:
    """What it had not come to is unknown, whatever it has seen."""
    gate.save("whole.jsonl", run_of(done("a.example")))
    whole = (gate.directory / "whole.jsonl").read_text()
    (gate.directory / "cut.jsonl").write_text("".join(whole.splitlines(keepends=True)[:-1]))

    assert gate("gate", "--run", "whole.jsonl").code == 0
    assert gate("gate", "--run", "cut.jsonl").code == 3


@pytest.mark.parametrize("name", ["whole.json", "whole.jsonl"])
def test_a_run_may_come_on_stdin(gate: Inside, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As a document or as a log; PowerShell's pipe makes UTF-16 of it."""
    gate.save(name, run_of(done("a.example", high=1)))
    content = (gate.directory / name).read_text().encode("utf-16")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    ended = gate("gate", "--run", "-", "--fail-on", "high")

    assert ended.code == 1
    assert "1 high >= high on 1 of 1 site" in ended.err


REFUSED = {
    "nothing": ("gate", "Nothing to judge"),
    "both": ("gate some-report --run today.json", "Judge either reports or a run"),
    "no such run": ("gate --run absent", "There is no run 'absent'"),
    "no such file": ("gate --run absent.json", "There is no file absent.json"),
    "no such file to compare": ("report today.json --compare a.jsonl", "There is no file a.jsonl"),
    "no such baseline": ("gate --run today.json --baseline absent", "There is no run 'absent'"),
    "itself as baseline": (
        "gate --run today.json --baseline today.json",
        "a scan cannot be compared with itself",
    ),
    "no run at all": ("gate --run w.toml", "w.toml is no saved run that can be read: line 1"),
    "a directory": ("gate --run .", "There is no run '.'"),
    "no such waivers": ("gate --run today.json --waivers absent", "absent cannot be read"),
    "broken waivers": ("gate --run today.json --waivers w.toml", "w.toml, line 2: a waiver has no"),
    "a limit below nothing": ("gate --run today.json --max-high -1", "whole number"),
    "no such report format": ("gate --run today.json --format pdf", "'pdf' is not one of"),
    "a file twice": ("gate --run today.json -o a.md -o a.md", "'a.md' is given twice"),
    "an older run that is none": ("report today.json --compare absent", "There is no run"),
    "a file nobody can write": ("report today.json -o a.pdf", "no format has this suffix"),
}


@pytest.mark.parametrize(("line", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_meant_is_refused_in_one_sentence(
    gate: Inside, line: str, says: str
) -> None:
    """Exit 2, before anything is judged or written."""
    (gate.directory / "w.toml").write_text("[[waiver]]\nexpired = 1\n")

    ended = gate(*line.split())

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert says in ended.err
    assert not list(gate.directory.glob("a.*"))


def test_settings_hold_the_rules_of_a_project(gate: Inside) -> None:
    """So that a pipeline needs no more than `bestdefense gate --run last`."""
    (gate.directory / "w.toml").write_text(waiver(NAMES[0]))
    (gate.directory / "bestdefense.toml").write_text(
        'baseline = "older.jsonl"\nwaivers = "w.toml"\nmax_high = 1\nallow_incomplete = "5%"\n'
    )

    ended = gate("gate", "--run", "today.json")

    assert ended.code == 0, ended.err
    assert "1 finding waived; 1 finding known from the baseline" in ended.err
    assert gate("gate", "--run", "today.json", "--max-high", "0").code == 1


def test_reports_are_judged_by_their_sites(inside: Inside, served: SandboxProcess) -> None:
    """A report is of a site, so a baseline of another scan and a waiver by host fit it."""
    sites = inside("sites", "list", "--format", "jsonl", env=served.env).events
    names = [site["hostname"] for site in sites[:9]]
    scan = ("scan", *names, "--fail-on", "none", "-q", "--format", "json")
    older = inside(*scan, "-o", "older.json", env=served.env)
    rows = json.loads(inside(*scan, env=served.env).out)["outcomes"]
    worst = max(rows, key=lambda row: len(row["findings"]))
    (inside.directory / "w.toml").write_text(
        f'[[waiver]]\nweakness = "{worst["findings"][0]["cwe"]}"\ntarget = "{worst["target"]}"\n'
        'reason = "r"\nexpires = 2999-12-31\n'
    )
    gate = ("gate", worst["report_id"], "--fail-on", "low")

    alone = inside(*gate, env=served.env)
    known = inside(*gate, "--baseline", "older.json", env=served.env)
    waived = inside(*gate, "--waivers", "w.toml", env=served.env)

    assert older.code == 0, older.err
    assert (alone.code, known.code) == (1, 0), known.err
    assert worst["target"] in alone.out
    assert " waived" in waived.err


@pytest.mark.bd_sandbox(sites=1, speed=100_000)
async def test_a_report_whose_scan_has_failed_never_passes(
    command: Command, bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """Also when it counts as complete and its summary is empty: there is no verdict on the site."""
    report = await bd_client.reports.create(bd_sandbox.site_ids[0])
    progress = {"isCompleted": True, "status": "failed", "message": "No answer from the site."}
    bd_sandbox.fault(
        "reports.progress", status=200, body=json.dumps({"success": True, "data": progress})
    )
    env = {"BD_API_TOKEN": bd_sandbox.token, "BD_BASE_URL": bd_sandbox.url}

    ended = await asyncio.to_thread(command, "gate", report.id, env=env)

    assert ended.code == 3, ended.err
    assert "No answer from the site" in ended.err


@pytest.mark.bd_sandbox(sites=9, speed=100_000)
async def test_a_host_that_does_not_tell_the_site_of_a_report_refuses_a_baseline(
    command: Command, bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """Nothing could be known from it; without one the reports are judged as ever."""
    write_run(command.directory / "older.json", OLDER, judge(OLDER.outcomes, GatePolicy()))
    reports = [await bd_client.reports.create(site) for site in await bd_client.sites.list()]
    for each in reports:
        while not (await bd_client.reports.progress(each.id)).is_completed:  # noqa: ASYNC110 - the server decides
            await asyncio.sleep(0.01)
    gate = ("gate", *(each.id for each in reports), "--fail-on", "low")
    async with moved_host(bd_sandbox, {}) as host:
        alone = await asyncio.to_thread(command, *gate, env=host.env)
        baseline = ("--baseline", "older.json")
        refused = await asyncio.to_thread(command, *gate, *baseline, env=host.env)

    assert alone.code == 1, alone.err
    assert (refused.code, refused.err.count("\n")) == (2, 1), refused.err
    assert "does not tell which site a report is of" in refused.err


def test_no_output_is_written_over_what_is_read(gate: Inside) -> None:
    """A baseline, waivers, a list or the run itself: replaced, they would be gone or approve."""
    (gate.directory / "w.toml").write_text(waiver(NAMES[0]))
    (gate.directory / "w.json").hardlink_to(gate.directory / "w.toml")
    (gate.directory / "list.md").write_text("a.example\n")
    before_ = {path: path.read_bytes() for path in gate.directory.iterdir()}

    for arguments in (
        "gate --run today.json --baseline older.jsonl -o ./older.jsonl",
        "gate --run today.json --waivers w.toml -o w.json",
        "report today.json --compare older.jsonl -o older.jsonl",
        "report today.json -o today.json",
        "scan -l list.md -o list.md",
    ):
        ended = gate(*arguments.split(), env={"BD_API_TOKEN": "x", "BD_BASE_URL": "http://[::1]:9"})

        assert ended.code == 2, ended.err
        assert "it is read in the same run" in ended.err
        assert {path: path.read_bytes() for path in before_} == before_


def test_what_sarif_has_no_room_for_is_said(gate: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody counts thousands of results; and the name may end in .sarif.json."""
    monkeypatch.setattr(sarif_format, "MOST_RESULTS", 2)

    ended = gate("gate", "--run", "today.json", "-o", "x.sarif.json", "-o", "y.csv")
    shown = gate("gate", "--run", "today.json", "--format", "sarif")

    line = "4 findings of 6 left out of SARIF, the least severe: 1 high, 3 low"
    assert ended.err.count(line) == shown.err.count(line) == 1
    assert json.loads((gate.directory / "x.sarif.json").read_text())["version"] == "2.1.0"
    assert json.loads(shown.out)["version"] == "2.1.0"


def test_a_waiver_that_should_be_written_anew_is_named(gate: Inside) -> None:
    """With what to write: the former fingerprint still counts."""
    first = TODAY.outcomes[0]
    former = former_fingerprint(first, first.findings[0])
    (gate.directory / "w.toml").write_text(waiver(former))

    ended = gate("gate", "--run", "today.json", "--waivers", "w.toml", "--format", "json")

    line = f"the waiver of line 1 has a fingerprint of the former way, now {NAMES[0]}: {former}"
    assert line in ended.err.splitlines()
    assert "1 waiver with a fingerprint of the former way" in ended.err.splitlines()[-1]
    [told] = json.loads(ended.out)["gate"]["waivers"]
    assert (told["by"], told["now"]) == ("former", NAMES[0])
