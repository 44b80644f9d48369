"""In GitHub Actions: a summary on the page of the job, annotations, and neither elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bestdefense_async.report.formats.github import LARGEST, append_summary
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.writer import write_run
from tests.support.runs import done, failed, fleet, run_of

if TYPE_CHECKING:
    from pathlib import Path

    from bestdefense_async.testing.process import SandboxProcess
    from tests.support.inside import Inside

RUN = run_of(done("a.example", high=2), failed("b.example"))
ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "summary.md"}


@pytest.fixture
def saved(inside: Inside) -> Inside:
    """Return the command in a directory with a run."""
    write_run(inside.directory / "run.json", RUN, judge(RUN.outcomes, GatePolicy()))
    return inside


def test_the_summary_is_appended_to_what_is_there(saved: Inside) -> None:
    """Other steps of a job, and other commands of a step, write there too."""
    summary = saved.directory / "summary.md"
    summary.write_text("# Mine\n")

    assert saved("gate", "--run", "run.json", env=ACTIONS).code == 1
    assert saved("gate", "--run", "run.json", env=ACTIONS).code == 1

    text = summary.read_text()
    assert text.startswith("# Mine\n\n## ❌ Security scan: failed\n")
    assert text.count("## ❌ Security scan: failed") == 2


def test_annotations_go_to_stderr_before_the_verdict(saved: Inside) -> None:
    """The runner reads both streams; stdout stays data, and the verdict stays the last line."""
    ended = saved("gate", "--run", "run.json", "--format", "json", env=ACTIONS)

    lines = ended.err.splitlines()
    assert [line.partition("::")[2].partition("::")[0] for line in lines if line[:2] == "::"] == [
        "error title=Security gate failed",
        "error title=a.example",
        "warning title=b.example has no verdict",
    ]
    assert lines[-1].startswith("gate: FAILED")
    assert "::" not in ended.out.replace("https::", "")


@pytest.mark.parametrize(
    ("env", "arguments"),
    [
        ({}, ["gate", "--run", "run.json"]),
        ({"GITHUB_ACTIONS": "false"}, ["gate", "--run", "run.json"]),
        (ACTIONS, ["report", "run.json"]),
    ],
    ids=["no pipeline", "it says no", "only rendered"],
)
def test_elsewhere_there_is_nothing(
    saved: Inside, env: dict[str, str], arguments: list[str]
) -> None:
    """A person would wonder about both, and `report` judges nothing."""
    ended = saved(*arguments, env=env)

    assert "::" not in ended.err
    assert not (saved.directory / "summary.md").exists()


def test_a_scan_that_passes_is_summed_up_and_not_annotated(
    inside: Inside, served: SandboxProcess, names: list[str]
) -> None:
    """Good news stands on the page and raises no flag."""
    ended = inside("scan", names[0], "-q", "--fail-on", "none", env={**served.env, **ACTIONS})

    assert ended.code == 0, ended.err
    assert "::" not in ended.err.replace("http::", "")
    assert "## ✅ Security scan: passed" in (inside.directory / "summary.md").read_text()


def test_a_summary_that_cannot_be_written_is_no_success(saved: Inside) -> None:
    """As with every other output."""
    env = {"GITHUB_STEP_SUMMARY": "no/such/folder"}

    ended = saved("gate", "--run", "run.json", "--exit-zero", env=env)

    assert ended.code == 3
    assert "The summary of the step could not be written: No such file" in ended.err


@pytest.mark.slow(timeout=300)
def test_a_demo_leaves_the_page_of_the_job_alone(inside: Inside) -> None:
    """What fails there was planted."""
    ended = inside("demo", "--sites", "9", env=ACTIONS)

    assert ended.code == 0, ended.err
    assert "::error" not in ended.err
    assert not (inside.directory / "summary.md").exists()


def test_a_summary_is_whole_or_the_verdict_or_an_error(tmp_path: Path) -> None:
    """GitHub drops a file that is too large with everything in it."""
    path = tmp_path / "summary.md"
    run = fleet(300)
    verdict = judge(run.outcomes, GatePolicy())
    path.write_bytes(b"x" * (LARGEST - 1_000))

    append_summary(path, run, verdict)
    text = path.read_text()[LARGEST - 1_000 :]

    assert text.startswith("\n\n## ❌ Security scan: failed\n\n- `")
    assert "Worst" not in text
    path.write_bytes(b"x" * (LARGEST - 10))
    with pytest.raises(OSError, match="full"):
        append_summary(path, run, verdict)
    assert path.stat().st_size == LARGEST - 10


@pytest.mark.parametrize(
    ("there", "breaks"), [("", 0), ("| a |", 2), ("| a |\n", 1), ("| a |\n\n", 0), ("\n", 1)]
)
def test_a_summary_begins_after_a_blank_line(tmp_path: Path, there: str, breaks: int) -> None:
    """Whatever another step wrote last: a heading behind it would be part of its table."""
    path = tmp_path / "summary.md"
    path.write_text(there)
    run = fleet(3)

    append_summary(path, run, judge(run.outcomes, GatePolicy()))

    assert path.read_text().startswith(there + breaks * "\n" + "## ")
