"""Models as plain values and as tables: nothing lost, everything escaped, by the schemas."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from referencing import Registry, Resource

from bestdefense_async import (
    Alerts,
    Finding,
    Outcome,
    OutcomeStatus,
    PollPolicy,
    RiskSummary,
    Schedule,
    Severity,
    Site,
)
from bestdefense_async.errors import RunStopped
from bestdefense_async.report.result import RunResult
from bestdefense_async.services.updates import Missed, ScanUpdate

if TYPE_CHECKING:
    from bestdefense_async.sandbox import Sandbox

PACKAGE = Path(__file__).parents[2] / "bestdefense_async"
RUN = json.loads((PACKAGE / "report/formats/schemas/run.json").read_text("utf-8"))
SCAN = json.loads((PACKAGE / "services/schemas/scan.json").read_text("utf-8"))
EVIL = "<script>alert('x')</script>&\""


def check(value: Any, schema: dict[str, Any]) -> None:
    """Hold a value against one of the published schemas."""
    registry: Registry[Any] = Registry().with_resources(
        [(each["$id"], Resource.from_contents(each)) for each in (RUN, SCAN)]
    )
    jsonschema.Draft202012Validator(schema, registry=registry).validate(
        json.loads(json.dumps(value, allow_nan=False))
    )


def test_what_endpoints_return_can_be_written_as_json() -> None:
    """Ids, texts, tuples and times; `extra` too."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    schedule = Schedule(id="7", types=("dns", "seo"), next_run_at=at, extra={"a": [1]})

    assert schedule.as_dict() == {
        "id": "7",
        "site_id": None,
        "hostname": None,
        "types": ["dns", "seo"],
        "intensity": None,
        "mode": None,
        "testing_type": None,
        "cadence": None,
        "day_of_week": None,
        "day_of_month": None,
        "time": None,
        "timezone": None,
        "cron": None,
        "test_users": [],
        "created_at": None,
        "next_run_at": "2026-01-02T03:04:05+00:00",
        "extra": {"a": [1]},
    }
    assert Site(id="a", hostname="b").as_dict() == {"id": "a", "hostname": "b", "extra": {}}
    assert json.loads(json.dumps(schedule.as_dict())) == schedule.as_dict()
    assert Missed(3).as_dict() == {"missed": 3}


@pytest.mark.bd_sandbox(sites=2, speed=3600.0)
async def test_outcomes_runs_and_scans_are_what_their_schemas_say(
    bd_sandbox: Sandbox, bd_client: Any
) -> None:
    """Of a real run: with a result, without one, and on the way."""
    fast = PollPolicy(speed=3600.0)
    async with bd_client.scans(polling=fast) as scans:
        handle = await scans.start(bd_sandbox.hostnames[0])
        check(handle.as_dict(), SCAN)
        async for update in handle.events():
            check(update.as_dict(), SCAN)
        check(handle.as_dict(), SCAN)
        cancelled = await scans.start(bd_sandbox.hostnames[1])
        await cancelled.cancel()
        check(cancelled.as_dict(), SCAN)
    async with bd_client.scan_many([*bd_sandbox.hostnames, "nobody.example"], polling=fast) as run:
        outcomes = [outcome async for outcome in run]
    for outcome in outcomes:
        check(outcome.as_dict(), {"$ref": f"{RUN['$id']}#/$defs/outcome"})
    document = run.result.as_dict()
    check({**document, "schema_version": 1}, {**RUN, "required": sorted(document)})
    assert document["outcomes"] == [each.as_dict() for each in run.result.outcomes]
    assert bd_sandbox.hostnames[0] in run._repr_html_()


class Cells(HTMLParser):
    """The texts of a table, and whatever stands there beside tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag; none has attributes."""
        assert attrs == []
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)


def test_a_notebook_shows_tables_and_runs_nothing() -> None:
    """Findings quote attackers: every text is one, wherever it stands."""
    finding = Finding(severity=Severity("high"), title=EVIL, url=EVIL, cwe="CWE-79")
    low = Finding(severity=Severity("low"), title="small")
    alerts = Alerts(risk=RiskSummary(high=1, low=1), findings=(low, finding))
    outcome = Outcome(
        target=EVIL,
        status=OutcomeStatus.DONE,
        report_id="r",
        risk=alerts.risk,
        findings=alerts.findings,
    )
    failed = Outcome(target="b", status=OutcomeStatus.RUNNING, error=RunStopped(EVIL))
    run = RunResult(outcomes=(failed, outcome), name=EVIL)

    for shown in (alerts, outcome, failed, run):
        cells = Cells(shown._repr_html_())
        assert cells.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
        assert EVIL in "".join(cells.texts)
    texts = Cells(alerts._repr_html_()).texts
    assert texts[0] == "1 high, 1 low"
    assert texts.index("high") < texts.index("small")
    rows = Cells(run._repr_html_()).texts
    assert rows.index("done") < rows.index("running")


def test_a_long_table_says_how_many_are_missing() -> None:
    """A run of thousands does not fill the notebook."""
    many = tuple(Outcome(target=f"h{n}", status=OutcomeStatus.UNKNOWN) for n in range(1000))

    texts = Cells(RunResult(outcomes=many)._repr_html_()).texts

    assert texts[-1] == "and 800 more"
    assert sum(text.startswith("h") for text in texts) <= 202


def test_a_scan_that_waits_has_no_outcome_and_one_that_ended_has() -> None:
    """The schema refuses what contradicts itself."""
    update = ScanUpdate(id="scans--0123456789abcdef-0", tenant=None, target="a", state="ended")  # type: ignore[arg-type]

    with pytest.raises(jsonschema.ValidationError):
        check(update.as_dict(), SCAN)
