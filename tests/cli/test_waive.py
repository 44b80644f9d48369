"""Waiving a finding from the terminal."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.cli.terminal.words import today
from bestdefense_async.report.gate.identity import fingerprint
from bestdefense_async.report.gate.waivers import read_waivers
from tests.support.runs import fleet

if TYPE_CHECKING:
    from tests.support.inside import Inside

RUN = fleet(20)
FAILING = [
    (fingerprint(outcome, finding), outcome, finding)
    for outcome in RUN.outcomes
    for finding in outcome.findings
    if finding.severity in {"critical", "high"}
]
WAIVE = ("--run", "run.json", "--until", "30d", "--reason", 'Mended in "January", SEC-412')


@pytest.fixture
def ready(inside: Inside) -> Inside:
    """Return the command beside a saved run."""
    inside.save("run.json", RUN)
    return inside


def test_a_waived_finding_fails_nothing_any_more(ready: Inside) -> None:
    """All failing findings of a run, one after the other, named by their first digits."""
    gate = ("gate", "--run", "run.json", "--allow-incomplete", "100%", "--waivers", "waivers.toml")
    for name in {name for name, _, _ in FAILING}:
        ended = ready("waive", name[:12], *WAIVE)
        assert ended.code == 0, ended.err

    ended = ready(*gate)

    assert ended.code == 0, ended.err
    first = read_waivers(ready.directory / "waivers.toml", today=today()).entries[0]
    assert first.reason == 'Mended in "January", SEC-412'
    assert first.expires == today() + timedelta(30)
    assert first.severity in {"critical", "high"}


def test_the_command_that_a_gate_names_waives_a_finding_of_that_run(ready: Inside) -> None:
    """Whatever the newest run is: it names the file that was judged."""
    ended = ready("gate", "--run", "run.json", "--allow-incomplete", "100%")
    named = ended.out.split("To accept one:\n  bestdefense ")[1].split(" --reason ")[0]

    done = ready(*named.split(), "--reason", "Seen", "--until", "30d")

    assert done.code == 0, done.err
    assert "is waived until" in done.err
    assert read_waivers(ready.directory / "waivers.toml", today=today()).entries[0].severity


def test_the_file_keeps_what_stood_in_it(ready: Inside) -> None:
    """Comments, too: people edit it."""
    file = ready.directory / "mine.toml"
    before = (
        '# ours\n[[waiver]]\nweakness = "CWE-1"\ntarget = "*"\nreason = "x"\nexpires = 2099-01-01'
    )
    file.write_text(before)
    name, outcome, finding = FAILING[0]

    ended = ready("waive", name, *WAIVE, "--waivers", "mine.toml")

    text = file.read_text()
    assert text.startswith(before + "\n\n[[waiver]]\n# ")
    assert outcome.target in text
    assert str(finding.title) in text
    assert f"{finding.severity} at {outcome.target}" in ended.err
    assert len(read_waivers(file, today=today()).entries) == 2


def test_a_finding_is_waived_once(ready: Inside) -> None:
    """A second entry would hide the first one's end."""
    ready("waive", FAILING[0][0], *WAIVE)
    ended = ready("waive", FAILING[0][0], *WAIVE)
    assert ended.code == 2
    assert "waivers.toml, line 1: it is waived already" in ended.err


WRONG = {
    "no fingerprint": (["xyz", *WAIVE], "is not a fingerprint as it is shown"),
    "too few digits": (["ab", *WAIVE], "6 to 32 hexadecimal digits"),
    "an unknown beginning": (["ffffffffff", *WAIVE], "No finding of run run.json"),
    "no reason": ([FAILING[0][0], *WAIVE[:4], "--reason", " "], "--reason must say something"),
    "no end": ([FAILING[0][0], *WAIVE[:2], *WAIVE[4:]], "Missing option '--until'"),
    "an end that is past": ([FAILING[0][0], *WAIVE, "--until", "2020-01-01"], "from today on"),
    "no run": ([FAILING[0][0][:8], *WAIVE, "--run", "nowhere.json"], "nowhere.json"),
}


@pytest.mark.parametrize(("arguments", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_meant_changes_nothing(
    ready: Inside, arguments: list[str], says: str
) -> None:
    """One sentence, exit code 2, and no file."""
    ended = ready("waive", *arguments)
    assert ended.code == 2, ended.err
    assert says in ended.err
    assert not (ready.directory / "waivers.toml").exists()


def test_a_broken_file_is_left_as_it_is(ready: Inside) -> None:
    """Whoever wrote it is told the line."""
    (ready.directory / "waivers.toml").write_text("[[waiver]]\nreson = 1\n")
    ended = ready("waive", FAILING[0][0], *WAIVE)
    assert ended.code == 2
    assert "line 2" in ended.err
    assert (ready.directory / "waivers.toml").read_text() == "[[waiver]]\nreson = 1\n"
