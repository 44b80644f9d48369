"""CSV and GitLab's DAST report: whole, harmless, and as their readers take them."""

from __future__ import annotations

import csv as readers
import io
import json
import uuid
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import evolve
from jsonschema import Draft7Validator

from bestdefense_async.models import Finding, Outcome, RiskSummary, Severity
from bestdefense_async.report.formats.csv import COLUMNS, csv
from bestdefense_async.report.formats.gitlab import gitlab
from bestdefense_async.report.gate.identity import fingerprint
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from tests.support.runs import before, done, failed, fleet, hostile, run_of

if TYPE_CHECKING:
    from bestdefense_async.report.result import RunResult

SMALL = run_of(
    done("a.example", critical=1, high=2),
    done("b.example"),
    failed("c.example"),
    Outcome(target="e.example", status="done", site_id="s-e", risk=RiskSummary(high=4)),
    Outcome(target="f.example", status="done", site_id="s-f"),
)
RUNS = [
    pytest.param(SMALL, id="small"),
    pytest.param(fleet(200), id="fleet"),
    pytest.param(hostile(), id="hostile"),
    pytest.param(run_of(started_at=None, finished_at=None), id="empty"),
]
FORMULAS: Final = "=+-@\t\r\uff1d\uff0b\uff0d\uff20"
"""What a spreadsheet may take a cell for that begins with it."""


def rows(run: RunResult, older: RunResult | None = None) -> list[dict[str, str]]:
    """Return the lines of the CSV of a run."""
    text = csv(run, judge(run.outcomes, GatePolicy()), older=older)
    return list(readers.DictReader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("run", RUNS)
def test_no_cell_is_a_formula(run: RunResult) -> None:
    """Whatever a site wrote, each line has all its cells, and none begins like a formula."""
    text = csv(run, judge(run.outcomes, GatePolicy()), older=before(run))

    lines = list(readers.reader(io.StringIO(text, newline=""), strict=True))

    assert lines[0] == list(COLUMNS)
    assert {len(line) for line in lines} == {len(COLUMNS)}
    cells = [cell for line in lines for cell in line]
    assert all(cell.isprintable() and len(cell) <= 32_767 for cell in cells)
    assert not [cell for cell in cells if cell.lstrip().startswith(tuple(FORMULAS))]


def test_no_cell_is_a_formula_where_semicolons_part_cells() -> None:
    """As in the spreadsheets of half of the world, which care for quotes at the edges alone."""
    texts = ("x;=cmd|' /C calc'!A0", 'a;"=1+1"', "b; @SUM(1)", ";;-2", '"=1', "plain; text")
    found = [Finding(severity=Severity("low"), title=text, url=text) for text in texts]
    run = run_of(evolve(done("a.example"), findings=tuple(found)))
    text = csv(run, judge(run.outcomes, GatePolicy()))

    for separator in ",;":
        lines = readers.reader(io.StringIO(text, newline=""), delimiter=separator)
        cells = [cell for line in lines for cell in line]
        assert not [cell for cell in cells if cell.lstrip('" ').startswith(tuple(FORMULAS))]
    assert "plain; text" in text


def test_csv_has_a_line_for_each_finding_and_each_site_without_any() -> None:
    """A clean site and one that was not scanned look different."""
    older = before(run_of(done("a.example", high=1)))
    told = [
        (row["site"], row["status"], row["severity"], row["new"], row["title"], row["error"])
        for row in rows(SMALL, older)
    ]

    assert told == [
        ("a.example", "done", "critical", "yes", "Search parameter is executed as SQL", ""),
        ("a.example", "done", "high", "yes", "Image proxy reaches internal addresses", ""),
        ("e.example", "done", "high", "yes", "4 not listed one by one", ""),
        ("a.example", "done", "high", "no", "Text from the address is run as script", ""),
        ("b.example", "done", "", "", "", ""),
        ("c.example", "failed", "", "", "", "ServerError: 503 from the API"),
        ("f.example", "done, no result", "", "", "", ""),
    ]
    assert rows(SMALL)[0]["fingerprint"] == fingerprint(
        SMALL.outcomes[0], SMALL.outcomes[0].findings[0]
    )


TEXT: Final = {"type": "string", "minLength": 1}
TIME: Final = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$"}
URL: Final = {"type": "string", "pattern": "^(https?|ftp)://.+"}


def an_object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """Return the schema of an object."""
    return {
        "type": "object",
        "required": list(required),
        "properties": required | optional,
    }


def a_list(items: dict[str, Any], least: int = 0) -> dict[str, Any]:
    """Return the schema of a list."""
    return {"type": "array", "minItems": least, "items": items}


TOOL: Final = an_object(
    {"id": TEXT, "name": TEXT, "version": TEXT, "vendor": an_object({"name": TEXT})}
)
GITLAB: Final = an_object(
    {
        "version": {"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$"},
        "scan": an_object(
            {
                "analyzer": TOOL,
                "scanner": TOOL,
                "start_time": TIME,
                "end_time": TIME,
                "status": {"enum": ["success", "failure"]},
                "type": {"enum": ["dast", "api_fuzzing"]},
                "scanned_resources": a_list(
                    an_object({"method": TEXT, "url": TEXT, "type": {"const": "url"}})
                ),
            },
            messages=a_list(
                an_object({"level": {"enum": ["info", "warn", "fatal"]}, "value": TEXT})
            ),
        ),
        "vulnerabilities": a_list(
            an_object(
                {
                    "id": TEXT,
                    "identifiers": a_list(
                        an_object({"type": TEXT, "name": TEXT, "value": TEXT}, url=URL), 1
                    ),
                    "location": an_object(
                        {},
                        hostname={"type": "string"},
                        method={"type": "string"},
                        param={"type": "string"},
                        path={"type": "string"},
                    ),
                },
                name={"type": "string", "maxLength": 255},
                description={"type": "string", "maxLength": 1_048_576},
                severity={"enum": ["Info", "Unknown", "Low", "Medium", "High", "Critical"]},
                solution={"type": "string", "maxLength": 7_000},
                details={
                    "additionalProperties": an_object(
                        {"name": TEXT, "type": {"const": "text"}, "value": {"type": "string"}}
                    )
                },
                evidence=an_object({}, summary={"type": "string"}),
            )
        ),
    }
)
"""What `dast-report-format.json` 15.0.7 of GitLab asks of the members that we write."""


def gitlab_report(run: RunResult, older: RunResult | None = None) -> dict[str, Any]:
    """Return GitLab's report of a run."""
    report = json.loads(gitlab(run, judge(run.outcomes, GatePolicy()), older=older))
    assert isinstance(report, dict)
    return report


@pytest.mark.parametrize("run", RUNS)
def test_gitlab_takes_the_report(run: RunResult) -> None:
    """It refuses a report as a whole that breaks its schema; ids are unique."""
    report = gitlab_report(run, before(run))

    Draft7Validator.check_schema(GITLAB)
    Draft7Validator(GITLAB).validate(report)
    ids = [uuid.UUID(each["id"]) for each in report["vulnerabilities"]]
    assert len(ids) == len(set(ids)) == sum(len(each.reported()) for each in run.outcomes)


def test_gitlab_gets_weakness_place_and_name() -> None:
    """It groups by the first identifier and the location, and resolves what is absent."""
    report = gitlab_report(SMALL)
    first = report["vulnerabilities"][0]
    name = fingerprint(SMALL.outcomes[0], SMALL.outcomes[0].findings[0])

    assert first["severity"] == "Critical"
    assert first["name"] == "SQL Injection"
    assert first["location"] == {
        "hostname": "https://a.example",
        "path": "/path/0",
        "method": "",
        "param": "",
    }
    assert [each["value"] for each in first["identifiers"]] == ["89", name]
    assert (report["scan"]["status"], len(report["scan"]["scanned_resources"])) == ("failure", 3)
    assert "c.example has no verdict" in str(report["scan"]["messages"])
    again = gitlab_report(before(SMALL))
    assert again["vulnerabilities"][0]["id"] == first["id"]


def test_gitlab_has_a_word_for_what_is_not_documented() -> None:
    """The word of the server stands in the details."""
    odd = Finding(severity=Severity("odd"), title="x", url="http://a.example:81/p?b=1&a=2")
    run = run_of(evolve(done("a.example"), findings=(odd,)))
    [only] = gitlab_report(run)["vulnerabilities"]

    assert only["severity"] == "Unknown"
    assert only["details"]["severity"]["value"] == "odd"
    assert only["location"]["hostname"] == "http://a.example:81"
    assert only["location"]["param"] == "a&b"
