"""`bestdefense report`: a saved run rendered again, and compared with an older one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from bestdefense_async.cli.options.verdict import FORMATS
from bestdefense_async.report.writer import FORMATS as SUFFIXES
from tests.support.published import validator
from tests.support.runs import before, done, failed, hostile, run_of

if TYPE_CHECKING:
    from bestdefense_async.testing.process import SandboxProcess
    from tests.support.inside import Inside

TODAY = run_of(done("a.example", critical=1, high=2), failed("b.example"), name="today")
OLDER = before(
    run_of(done("a.example", high=1, medium=1), done("b.example", low=1), name="last week")
)


@pytest.fixture
def report(inside: Inside) -> Inside:
    """Return the command in a directory with two runs and one that attacks whoever shows it."""
    inside.save("today.json", TODAY)
    inside.save("older.jsonl", OLDER)
    inside.save("hostile.json", hostile())
    inside.save("before.json", before(hostile()))
    return inside


def test_a_saved_run_is_rendered_in_every_format_at_once(report: Inside) -> None:
    """Without a token, and with exit 0: `report` shows, `gate` judges."""
    names = [f"out{suffix}" for suffix in SUFFIXES]
    options = [word for name in names for word in ("-o", name)]

    ended = report("report", "today.json", *options)

    assert ended.code == 0, ended.err
    assert "a.example" in ended.out
    assert ended.err.splitlines()[-1].startswith("gate: FAILED, 1 critical, 2 high >= high")
    assert all((report.directory / name).stat().st_size for name in names)
    again = report("report", "out.jsonl", "--format", "json")
    assert again.out == (report.directory / "out.json").read_text()


def test_the_table_says_what_is_new_and_what_is_fixed(report: Inside) -> None:
    """By severity, and one by one; what was not scanned this time is not fixed."""
    ended = report("report", "today.json", "--compare", "older.jsonl", "--min-severity", "medium")

    _, counts, listed, *_ = (block.splitlines() for block in ended.out.split("\n\n"))
    assert [line.split() for line in counts] == [
        ["SEVERITY", "FIXED", "NEW", "UNCHANGED"],
        ["critical", "0", "1", "0"],
        ["high", "0", "1", "1"],
        ["medium", "1", "0", "0"],
    ]
    assert [line.split()[:3] for line in listed] == [
        ["CHANGE", "SEVERITY", "TARGET"],
        ["new", "critical", "a.example"],
        ["new", "high", "a.example"],
        ["fixed", "medium", "a.example"],
    ]


def test_the_json_says_what_changed_and_its_schemas_hold(report: Inside) -> None:
    """Both documents are what `schemas/*.json` describe."""
    arguments = ("report", "today.json", "--compare", "older.jsonl", "--format")

    document = json.loads(report(*arguments, "json").out)
    events = report(*arguments, "jsonl").events

    validator("run.json").validate(document)
    for event in events:
        validator("events.json").validate(event)
    changes = document["changes"]
    assert changes == events[-1]["changes"]
    assert (changes["new"]["critical"], changes["fixed"]["medium"]) == (1, 1)
    assert changes["unchanged"]["high"] == 1
    assert [each["change"] for each in changes["findings"]] == ["new", "new", "fixed"]


def test_the_html_and_markdown_say_what_changed(report: Inside) -> None:
    """Whoever reads them needs no other tool."""
    arguments = ("report", "today.json", "--compare", "older.jsonl")
    plain = report("report", "today.json", "--format", "html").out

    assert "Fixed and new" in report(*arguments, "--format", "html").out
    assert "Fixed and new" not in plain
    assert "| Medium | 1 | 0 | 0 |" in report(*arguments, "--format", "md").out


@pytest.mark.parametrize("format_", FORMATS)
def test_a_hostile_run_breaks_no_format_and_no_terminal(report: Inside, format_: str) -> None:
    """Titles of 10 kB, markup, control sequences, formulas and commands to runners."""
    ended = report("report", "hostile.json", "--compare", "before.json", "--format", format_)

    assert ended.code == 0, ended.err
    for line in (ended.out + ended.err).splitlines():
        assert line.replace("\ufe0f", "").isprintable()
        assert not line.lstrip().startswith("::error")
        assert "##[" not in line
    if format_ in {"json", "sarif"}:
        json.loads(ended.out)
    elif format_ == "jsonl":
        assert ended.events
    elif format_ == "xml":
        ET.fromstring(ended.out)  # noqa: S314 - our own
    elif format_ == "html":
        assert "<script" not in ended.out


def test_a_run_of_this_user_is_found_by_its_name(
    inside: Inside, served: SandboxProcess, names: list[str]
) -> None:
    """`last`, a name or its beginning; also when the state is kept elsewhere."""
    env = {**served.env, "BD_STATE_DIR": "state"}
    assert inside("scan", names[0], "-q", env=env).code == 0
    path = inside.directory / "state" / "runs.db"
    state = {"BD_STATE_DIR": "state"}
    run = json.loads(inside("runs", "list", "--format", "json", env=state).out)["runs"][0]["run"]

    told = [
        json.loads(inside("report", name, "--format", "json", env=state).out)["outcomes"]
        for name in ("last", run, run[:-2], str(path))
    ]

    assert [row["target"] for row in told[0]] == [names[0]]
    assert all(rows == told[0] for rows in told)
    assert inside("gate", "--run", "last", "--fail-on", "none", env=state).code == 0
    missing = inside("report", "last")
    assert (missing.code, missing.err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--fail-on", "critical"], "nothing >= critical"),
        ([], "no threshold"),
        (["--max-low", "0", "--allow-incomplete", "5%"], "low > 0 allowed"),
    ],
)
def test_a_run_is_judged_by_what_it_began_with(
    inside: Inside, served: SandboxProcess, names: list[str], asked: list[str], said: str
) -> None:
    """By its record and by its files, shown again and gone on with, until somebody says else."""
    env = {**served.env, "BD_STATE_DIR": str(inside.directory)}
    inside("scan", *names[:9], *asked, "-q", "-o", "run.json", "-o", "run.jsonl", env=env)

    for words in (["last"], ["run.json"], ["run.jsonl"]):
        ended = inside("report", *words, "-q", env=env)
        assert (ended.code, said in ended.err.splitlines()[-1]) == (0, True), ended.err
    assert said in inside("scan", "--resume", "last", "-q", env=env).err.splitlines()[-1]
    assert ">= low" in inside("report", "last", "--fail-on", "low", env=env).err
    assert ">= high" in inside("gate", "--run", "last", env=env).err
    piped = inside("report", "last", env={**env, "CI": "true"}).err
    assert (said if asked else ">= high") in piped


def test_rules_in_a_saved_run_that_are_none_are_refused(report: Inside) -> None:
    """In one sentence: a threshold that is misread would be another one."""
    saved = json.loads((report.directory / "today.json").read_text())
    for policy in ({"fail_on": "worst"}, {"max_counts": {"high": "many"}}, {"max_counts": 3}):
        (report.directory / "odd.json").write_text(json.dumps({**saved, "policy": policy}))
        ended = report("report", "odd.json")
        assert (ended.code, len(ended.err.splitlines())) == (2, 1), ended.err
