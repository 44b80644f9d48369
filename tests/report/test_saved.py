"""Saved runs are read again: journals, event logs and JSON documents, whole, cut off or damaged."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async.errors import JournalMismatch, ServerError, UnknownSite
from bestdefense_async.models import (
    Finding,
    Outcome,
    RiskSummary,
    ScanEvent,
    ScanFinished,
    ScanOptions,
    ScanStarted,
    Severity,
    TargetAccepted,
    TargetRejected,
)
from bestdefense_async.report.formats.json import EventLog, document, saved_events
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.saved import read_run
from tests.support.published import validator
from tests.support.runs import START, done, failed, fleet, hostile, run_of

if TYPE_CHECKING:
    from pathlib import Path

    from bestdefense_async.report.result import RunResult


from typing import TYPE_CHECKING

from bestdefense_async import BestDefense
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.runs import ScanGroup, SqliteStore, Target
from bestdefense_async.runs.store.doors import load
from bestdefense_async.sandbox import Sandbox
from tests.support import stores

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = UnknownSite("no such site", target="b.example")
EVENTS: tuple[ScanEvent, ...] = (
    TargetAccepted(index=0, target="a.example", site_id="s-0"),
    TargetRejected(index=1, target="b.example", reason="unknown_site", error=UNKNOWN),
    ScanStarted(index=0, target="a.example", site_id="s-0", report_id="r-0", started_at=START),
    ScanFinished(
        outcome=Outcome(
            status="not_started", index=1, target="b.example", error=UNKNOWN, finished_at=START + 1
        )
    ),
    ScanFinished(
        outcome=Outcome(
            status="done",
            index=0,
            target="a.example",
            site_id="s-0",
            report_id="r-0",
            risk=RiskSummary(high=1, other={"odd": 2}),
            findings=(Finding(severity=Severity("high"), title="T\x1b[2J", cwe="CWE-79"),),
            started_at=START,
            finished_at=START + 9,
        )
    ),
    TargetAccepted(index=2, target="c.example", site_id="s-2"),
    ScanFinished(
        outcome=Outcome(
            status="failed",
            index=2,
            target="c.example",
            site_id="s-2",
            error=ServerError("down", status=503),
            started_at=float("nan"),
        )
    ),
)


def logged(events: tuple[ScanEvent, ...] = EVENTS) -> str:
    """Return the log of a run with these events."""
    stream = io.StringIO()
    log = EventLog(stream, now=lambda: START)
    log.run_started(run_of(finished_at=None, options=ScanOptions(intensity="quick")))
    for event in events:
        log.write(event)
    refused = [event for event in events if isinstance(event, TargetRejected)]
    twice = {event.index for event in refused if event.reason == "duplicate"}
    finished = [event.outcome for event in events if isinstance(event, ScanFinished)]
    rows = [outcome for outcome in finished if outcome.index not in twice]
    run = run_of(*rows, throttled=((START, START + 1),), outages=((START + 2, START + 4),))
    log.run_summary(run, judge(run.outcomes, GatePolicy()))
    return stream.getvalue()


def read_back(tmp_path: Path, text: str, name: str = "run.jsonl") -> RunResult:
    """Return the run that `text` describes."""
    path = tmp_path / name
    path.write_text(text)
    return read_run(path)


def test_every_event_is_one_ascii_line_that_the_published_schema_accepts() -> None:
    """The log fits the schema that ships with it."""
    text = logged()
    events = validator("events.json")

    lines = text.splitlines()
    records = [json.loads(line) for line in lines]

    for record in records:
        events.validate(record)
    assert [record["event"] for record in records] == [
        "run.started",
        "target.accepted",
        "target.rejected",
        "scan.started",
        "scan.finished",
        "scan.finished",
        "target.accepted",
        "scan.finished",
        "run.summary",
    ]
    assert all(line.isascii() and line.isprintable() for line in lines)


def test_the_summary_carries_counts_verdict_and_exit_code() -> None:
    """The last line alone has what a pipeline needs."""
    summary = json.loads(logged().splitlines()[-1])

    assert summary["targets"] == 3
    assert summary["counts"] == {
        "done": 1,
        "running": 0,
        "failed": 1,
        "unknown": 0,
        "not_started": 1,
    }
    assert (summary["gate"], summary["exit_code"]) == ("failed", 1)


def test_each_line_is_flushed_when_it_happens(tmp_path: Path) -> None:
    """A run that is killed leaves what it had seen."""
    path = tmp_path / "run.jsonl"
    with path.open("w") as stream:
        log = EventLog(stream, now=lambda: START)
        log.run_started(run_of())
        log.write(EVENTS[0])

        assert path.read_text().count("\n") == 2


def test_a_logged_run_can_be_read_again(tmp_path: Path) -> None:
    """Targets stand in the order of the input, with findings, errors and times."""
    run = read_back(tmp_path, logged())

    assert [row.target for row in run.outcomes] == ["a.example", "b.example", "c.example"]
    first, second, third = run.outcomes
    assert first.risk == RiskSummary(high=1, other={"odd": 2})
    assert first.findings[0].title == "T\x1b[2J"
    assert second.error is not None
    assert (second.status, second.error.kind) == ("not_started", "UnknownSite")
    assert third.started_at is None
    assert run.options["intensity"] == "quick"
    assert run.throttled == ((START, START + 1),)
    assert run.outages == ((START + 2, START + 4),)
    assert run.started_at == START


def test_a_log_that_was_cut_off_never_passes(tmp_path: Path) -> None:
    """Targets without an outcome have no verdict; the half line at the end is passed over.

    Neither has what the run had not come to: nobody knows how many targets that were.
    """
    lines = logged().splitlines(keepends=True)
    run = read_back(tmp_path, "".join(lines[:4]) + lines[4][:40])

    assert [(row.status, row.report_id) for row in run.outcomes] == [
        ("running", "r-0"),
        ("not_started", None),
        ("not_started", None),
    ]
    assert judge(run.outcomes, GatePolicy(fail_on=None)).status == "incomplete"


def test_a_log_that_was_cut_off_between_two_targets_never_passes(tmp_path: Path) -> None:
    """Every target in it is done and clean, and its last line is missing."""
    clean = saved_events(run_of(done("a.example")), judge([], GatePolicy()))
    whole = read_back(tmp_path, clean)
    cut = read_back(tmp_path, "".join(clean.splitlines(keepends=True)[:-1]))

    assert judge(whole.outcomes, GatePolicy()).status == "passed"
    assert judge(cut.outcomes, GatePolicy()).status == "incomplete"


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_target_that_was_taken_out_is_missed(form: str, tmp_path: Path) -> None:
    """The number of targets stands in the run; fewer of them are no whole run."""
    run = run_of(done("a.example"), done("b.example"))
    verdict = judge(run.outcomes, GatePolicy())
    if form == "json":
        value = json.loads(document(run, verdict))
        del value["outcomes"][0]
        text = json.dumps(value)
    else:
        lines = saved_events(run, verdict).splitlines(keepends=True)
        text = "".join([lines[0], *lines[2:]])

    assert (
        judge(read_back(tmp_path, text, f"run.{form}").outcomes, GatePolicy()).status
        == "incomplete"
    )


def test_a_duplicate_is_no_target_of_its_own(tmp_path: Path) -> None:
    """A site that was named twice is scanned once and leaves no gap."""
    twice = UnknownSite("named before", target="a.example")
    events = (
        *EVENTS[:1],
        TargetRejected(index=7, target="A.example", reason="duplicate", error=twice),
        ScanFinished(
            outcome=Outcome(status="not_started", index=7, target="A.example", error=twice)
        ),
        EVENTS[4],
    )

    assert [row.target for row in read_back(tmp_path, logged(events)).outcomes] == ["a.example"]


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(run_of(done("a", high=2), failed("b")), id="small"),
        pytest.param(fleet(60), id="fleet"),
        pytest.param(hostile(), id="hostile"),
        pytest.param(run_of(), id="empty"),
    ],
)
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_written_run_is_valid_and_reads_back_equal(
    run: RunResult, form: str, tmp_path: Path
) -> None:
    """Both formats keep all of a run, also text that attacks a viewer."""
    verdict = judge(run.outcomes, GatePolicy())
    if form == "json":
        text = document(run, verdict)
        validator("run.json").validate(json.loads(text))
    else:
        text = saved_events(run, verdict)
        events = validator("events.json")
        for line in text.splitlines():
            events.validate(json.loads(line))

    again = read_back(tmp_path, text, f"run.{form}")

    assert text.isascii()
    assert again.started_at == run.started_at
    assert [row.counts() for row in again.outcomes] == [row.counts() for row in run.outcomes]
    assert document(again, verdict) == document(run, verdict)


SECRET = "ab" * 32


@pytest.mark.parametrize(
    "options",
    [ScanOptions(callback_secret=SECRET), {"callback_secret": SECRET, "mode": "ai"}],
    ids=["as scan options", "as plain values"],
)
def test_the_callback_secret_is_not_kept(options: object) -> None:
    """The secret signs callbacks; a log travels further than it may."""
    run = run_of(options=options)
    verdict = judge(run.outcomes, GatePolicy())

    assert SECRET not in document(run, verdict) + saved_events(run, verdict) + repr(run)


def _line(**record: Any) -> str:
    return json.dumps({"schema_version": 1, **record}) + "\n"


START_LINE = _line(event="run.started", name="x")
END_LINE = _line(event="run.summary", targets=1)
DONE = {"event": "scan.finished", **done("a.example").as_dict()}
HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("not json\n", id="no JSON"),
        pytest.param("[]\n", id="no object"),
        pytest.param(json.dumps({"event": "run.started"}) + "\n", id="no version"),
        pytest.param(START_LINE.replace("1", "2", 1), id="a later version"),
        pytest.param(_line(event="run.summary"), id="no beginning"),
        pytest.param(START_LINE + "{\n" + START_LINE, id="damage in the middle"),
        pytest.param(START_LINE + _line(event="scan.finished"), id="no outcome"),
        pytest.param(
            START_LINE + _line(event="scan.finished", status="done", risk={"high": -1}),
            id="a negative count",
        ),
        pytest.param(
            START_LINE + _line(event="scan.finished", status="done", risk=[]), id="no counts"
        ),
        pytest.param(
            START_LINE + _line(event="scan.finished", status="done", risk={"high": float("nan")}),
            id="NaN",
        ),
        pytest.param(
            START_LINE + _line(event="scan.finished", status="done", risk={}, findings=[{}]),
            id="a finding without severity",
        ),
        pytest.param(
            START_LINE + _line(**DONE) + START_LINE + _line(**{**DONE, "index": 1}) + END_LINE,
            id="two runs behind each other",
        ),
        pytest.param(START_LINE + 2 * _line(**DONE) + END_LINE, id="one target that ends twice"),
        pytest.param(START_LINE + _line(**{**DONE, "index": []}), id="a list as a number"),
        pytest.param(START_LINE + _line(**{**DONE, "index": True}), id="a number that is none"),
        pytest.param(
            START_LINE + _line(**{**DONE, "risk": {"high": 10**16}}), id="a count beyond all counts"
        ),
        pytest.param(
            START_LINE + _line(event="run.summary", throttled=[[1, 0]]).replace("0]", HUGE + "]"),
            id="a time beyond all times",
        ),
        pytest.param(
            START_LINE
            + _line(**{**DONE, "findings": [{"severity": "low", "extra": {"x": 1.5}}]}).replace(
                "1.5", "1e999"
            ),
            id="a number beyond all numbers",
        ),
    ],
)
def test_a_damaged_log_is_refused(text: str, tmp_path: Path) -> None:
    """A run that is misread could pass the gate, so nothing is guessed."""
    with pytest.raises(JournalMismatch):
        read_back(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("new.json", json.dumps({"schema_version": 2, "outcomes": {}})),
        ("new.jsonl", START_LINE.replace("1", "2", 1)),
    ],
)
def test_a_run_of_a_later_version_says_what_to_do(name: str, text: str, tmp_path: Path) -> None:
    """Whoever shares runs has one version that is older than another."""
    with pytest.raises(JournalMismatch) as caught:
        read_back(tmp_path, text, name)

    assert str(caught.value) == (
        f"{name} is no saved run that can be read: a later version wrote it (schema 2, not 1). "
        "Upgrade bestdefense-async to read it."
    )
    assert caught.value.__context__ is None


def test_a_moment_beyond_all_time_is_unknown(tmp_path: Path) -> None:
    """Nothing is guessed, and nothing is lost for it."""
    run = run_of(done("a.example"), started_at=1.25)
    text = document(run, judge(run.outcomes, GatePolicy())).replace("1.25", HUGE)

    assert read_back(tmp_path, text, "run.json").started_at is None


@pytest.mark.parametrize("targets", [-5, "many", None, [1]])
def test_a_number_of_targets_that_is_none_is_no_whole_run(targets: object, tmp_path: Path) -> None:
    """Nobody knows how many targets that were."""
    text = START_LINE + _line(**DONE) + _line(event="run.summary", targets=targets)

    run = read_back(tmp_path, text)

    assert judge(run.outcomes, GatePolicy()).sentence == (
        "gate: INCOMPLETE, 1 of 2 sites has no verdict"
    )


SPEED = 1_200.0


async def test_a_store_gives_the_outcomes_of_its_newest_run(tmp_path: Path) -> None:
    """With findings, in the order of the list, without the duplicate; no server is asked."""
    path = tmp_path / "runs.db"
    async with Sandbox(sites=20, speed=SPEED) as sandbox, SqliteStore(path) as store:
        names = [*sandbox.hostnames, sandbox.hostnames[0], "stranger.example"]
        await stores.create(store)
        held = await store.create(
            base_url=sandbox.url,
            token_key="k",
            options=ScanOptions(intensity="quick"),
            plan=map(Target, names),
        )
        async with (
            BestDefense(sandbox.token, sandbox.url) as client,
            ScanGroup(client, journal=held.journal, polling=PollPolicy(speed=SPEED)) as group,
        ):
            group.feed(await held.record.remaining())
            outcomes = [outcome async for outcome in group]
    run = load(path)

    expected = sorted(outcomes, key=lambda one: one.index)
    assert [row for row in run.outcomes if row.status == "done"] == expected[:20]
    assert [(row.target, row.status) for row in run.outcomes[20:]] == [
        ("stranger.example", "not_started")
    ]
    assert any(row.findings for row in run.outcomes)
    assert run.name == held.name
    assert run.base_url == sandbox.url
    assert run.options["intensity"] == "quick"
    assert run.seconds is not None


async def test_a_run_that_was_cut_off_never_passes(tmp_path: Path) -> None:
    """A target without an outcome has no verdict."""
    path = tmp_path / "runs.db"

    async with SqliteStore(path) as store:
        held = await stores.create(store, plan=[Target("h0.example"), Target("h1.example")])
        await stores.begin(held.journal, 0)
        await held.journal.finished(stores.done(0))
        run = load(path)

    assert run.by_status() == {"done": 1, "running": 0, "failed": 0, "unknown": 0, "not_started": 1}
    assert run.finished_at is None
    assert run.base_url == stores.URL
