"""Files of a run: the format by the suffix, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.errors import ConfigError
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.writer import FORMATS, check_outputs, renderer, write_run
from tests.support.runs import done, hostile, run_of

if TYPE_CHECKING:
    from pathlib import Path

    from bestdefense_async.report.result import RunResult

RUN = run_of(done("a.example", high=1))
VERDICT = judge(RUN.outcomes, GatePolicy())


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("run", [RUN, hostile(), run_of()], ids=["small", "hostile", "empty"])
def test_every_suffix_gives_a_file(suffix: str, run: RunResult, tmp_path: Path) -> None:
    """Each format takes each run, also one full of attacks, and says the same every time."""
    path = tmp_path / f"run{suffix}"

    verdict = judge(run.outcomes, GatePolicy())

    write_run(path, run, verdict)
    before = path.read_bytes()
    write_run(path, run, verdict)

    assert before
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208 - the whole directory, as it is


def test_the_suffix_may_be_written_in_capitals(tmp_path: Path) -> None:
    """A report is HTML whatever the letters."""
    assert renderer(tmp_path / "R.HTML") is renderer("r.html")


@pytest.mark.parametrize("name", ["run.pdf", "run", ".html", "run.html.bak"])
def test_an_unknown_suffix_is_refused(name: str, tmp_path: Path) -> None:
    """The message lists the ones there are, and nothing is written."""
    with pytest.raises(ConfigError, match=r"\.jsonl, \.json"):
        write_run(tmp_path / name, RUN, VERDICT)

    assert not list(tmp_path.iterdir())


def test_a_link_is_written_through(tmp_path: Path) -> None:
    """Who made a link means what it leads to."""
    path, target = tmp_path / "run.json", tmp_path / "target"
    path.symlink_to(target)

    write_run(path, RUN, VERDICT)

    assert path.is_symlink()
    assert json.loads(target.read_text())["targets"] == 1


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """A directory in the way is an error; no half file stays behind."""
    path = tmp_path / "run.json"
    path.mkdir()

    with pytest.raises(OSError, match=r"run\.json"):
        write_run(path, RUN, VERDICT)

    assert [item.name for item in tmp_path.iterdir()] == ["run.json"]


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    """A typing error in a path must not make directories."""
    with pytest.raises(FileNotFoundError):
        write_run(tmp_path / "absent" / "run.json", RUN, VERDICT)


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("run.sarif.json", "x.sarif"),
        ("RUN.SARIF.JSON", "x.sarif"),
        ("gl-dast-report.json", "x.gitlab.json"),
        ("run.gitlab", "x.gitlab.json"),
        ("run.html.json", "x.json"),
        ("sarif.json", "x.json"),
    ],
)
def test_the_end_of_a_name_says_which_json_is_meant(name: str, like: str) -> None:
    """Many tools call SARIF `.sarif.json`, and GitLab its report by a name of its own."""
    assert renderer(name) is renderer(like)


def test_no_output_is_written_over_another_or_over_what_is_read(tmp_path: Path) -> None:
    """Whatever it is called: a baseline that a run replaces would approve the next one."""
    listing, link = tmp_path / "list.md", tmp_path / "link.md"
    listing.write_text("a.example\n")
    link.symlink_to(listing)
    (tmp_path / "hard.md").hardlink_to(listing)
    same = (listing, link, tmp_path / "hard.md", tmp_path / "x" / ".." / "list.md")
    (tmp_path / "x").mkdir()

    for path in same:
        with pytest.raises(ConfigError, match="it is read in the same run"):
            check_outputs([tmp_path / "run.json", path], ["-", listing])
        with pytest.raises(ConfigError, match="is given twice"):
            check_outputs([listing, path], ["last"])
    check_outputs([listing, tmp_path / "run.json"], ["-", "last", tmp_path / "other"])


def test_what_is_redirected_to_stdin_is_not_written_over(tmp_path: Path) -> None:
    """A list may be read as `-`, and be a file all the same."""
    listing = tmp_path / "list.md"
    listing.write_text("a.example\n")
    code = "import sys; from bestdefense_async.report.writer import check_outputs as check;"
    code += "check([sys.argv[1]], ['-'])"
    ended = []
    for output in (listing, tmp_path / "x.md"):
        with listing.open() as stdin:
            command = [sys.executable, "-c", code, str(output)]
            ended.append(
                subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)
            )

    assert [each.returncode for each in ended] == [1, 0]
    assert "list.md' cannot be written: it is read in the same run, as '-'" in ended[0].stderr
