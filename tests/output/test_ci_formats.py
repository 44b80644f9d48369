"""SARIF, JUnit and Markdown: valid, within the limits of their readers, and harmless."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from jsonschema import Draft7Validator

from bestdefense_async.models import RiskSummary
from bestdefense_async.output.gate import Policy, judge
from bestdefense_async.output.junit import junit
from bestdefense_async.output.markdown import markdown
from bestdefense_async.output.run import Row, Run
from bestdefense_async.output.sarif import MOST_RESULTS, sarif
from tests.support.runs import done, failed, fleet, hostile, not_started, run_of

SHARED = Path(__file__).parents[3] / "shared" / "data"
SMALL = run_of(
    done("a.example", critical=1, high=2, low=1),
    done("b.example"),
    failed("c.example"),
    not_started("d.example"),
    Row(target="e.example", outcome="done", site_id="s-e", risk=RiskSummary(high=4)),
)
RUNS = [
    pytest.param(SMALL, id="small"),
    pytest.param(fleet(200), id="fleet"),
    pytest.param(hostile(), id="hostile"),
    pytest.param(run_of(started_at=None, finished_at=None, base_url="http://["), id="empty"),
]


def shared(name: str) -> Path:
    """Return a schema that lies beside the checkout; skip where it does not."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} does not lie beside this checkout")
    return path


def sarif_run(run: Run) -> dict[str, Any]:
    """Return the one run of the SARIF log of `run`."""
    [only] = json.loads(sarif(run, judge(run.rows, Policy())))["runs"]
    assert isinstance(only, dict)
    return only


def cases(run: Run, **rules: Any) -> dict[tuple[str, str], str]:
    """Return by site and case what JUnit says: passed, failure or error."""
    suite = ET.fromstring(junit(run, judge(run.rows, Policy(**rules))))  # noqa: S314 - our own
    return {
        (case.get("classname", ""), case.get("name", "")): next((r.tag for r in case), "passed")
        for case in suite.iter("testcase")
    }


@pytest.mark.parametrize("run", RUNS)
def test_sarif_is_valid(run: Run) -> None:
    """The schema of OASIS accepts every run."""
    schema = json.loads(shared("sarif-schema-2.1.0.json").read_text(encoding="utf-8"))

    Draft7Validator(schema).validate(json.loads(sarif(run, judge(run.rows, Policy()))))


@pytest.mark.parametrize("run", RUNS)
def test_sarif_keeps_the_rules_of_github(run: Run) -> None:
    """No scheme in an artifact, a fingerprint per result, a score and a help text per rule."""
    only = sarif_run(run)
    rules = {rule["id"]: rule for rule in only["tool"]["driver"]["rules"]}

    assert {result["ruleId"] for result in only["results"]} == rules.keys()
    for result in only["results"]:
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"[A-Za-z0-9._~%/-]+", uri)
        assert not uri.startswith("/")
        assert ".." not in uri.split("/")
        assert result["partialFingerprints"]["primaryLocationLineHash"]
        assert result["message"]["text"].isprintable()
    for rule in rules.values():
        assert 0.0 <= float(rule["properties"]["security-severity"]) <= 10.0
        assert rule["help"]["text"]
        assert len(rule["properties"]["tags"]) <= 20


def test_sarif_names_place_level_and_weakness() -> None:
    """One result says where, how bad and what."""
    first = sarif_run(SMALL)["results"][0]

    assert first["ruleId"] == "CWE-89"
    assert first["level"] == "error"
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a.example/path/0"
    assert first["properties"]["url"] == "https://a.example/path/0"
    assert "https://a.example/path/0" in first["message"]["text"]


def test_sarif_says_which_sites_have_no_verdict() -> None:
    """A log without results is not a clean fleet."""
    [invocation] = sarif_run(run_of(failed("c.example")))["invocations"]
    notes = [note["message"]["text"] for note in invocation["toolExecutionNotifications"]]

    assert invocation["executionSuccessful"] is False
    assert "c.example has no verdict: failed, ServerError: 503 from the API" in notes


def test_sarif_shows_findings_that_are_only_counted() -> None:
    """An answer without a list must not look like one without findings."""
    texts = [result["message"]["text"] for result in sarif_run(SMALL)["results"]]

    assert "4 not listed one by one (high) at e.example" in texts


def test_sarif_keeps_the_worst_five_thousand_and_says_so() -> None:
    """GitHub shows no more; what is left out is of lower severity."""
    rows = [done(f"s{number}.example", high=1, low=3) for number in range(2_000)]
    only = sarif_run(run_of(*rows))
    levels = [result["level"] for result in only["results"]]
    notes = str(only["invocations"][0]["toolExecutionNotifications"])

    assert len(levels) == MOST_RESULTS
    assert levels.count("error") == 2_000
    assert "3,000 findings of lower severity left out" in notes


def test_a_finding_keeps_its_fingerprint_when_its_id_and_evidence_change() -> None:
    """Otherwise every scan would open all alerts anew."""
    before, after = (
        [
            result["partialFingerprints"]
            for result in sarif_run(run_of(done("a.example", high=3)))["results"]
        ]
        for _ in range(2)
    )

    assert before == after
    assert len({str(item) for item in before}) == 3


@pytest.mark.parametrize("run", RUNS)
def test_junit_is_valid(run: Run) -> None:
    """The schema that Jenkins and Ant go by accepts every run."""
    schema = xmlschema.XMLSchema(str(shared("junit.xsd")))

    schema.validate(junit(run, judge(run.rows, Policy())))


def test_junit_has_one_case_per_site_and_weakness() -> None:
    """A hit of the gate is a failure, a missing verdict an error, all else passes."""
    assert cases(SMALL) == {
        ("a.example", "CWE-89 SQL Injection"): "failure",
        ("a.example", "CWE-79 Cross-site Scripting"): "failure",
        ("a.example", "CWE-918 Server-Side Request Forgery"): "failure",
        ("a.example", "CWE-614 Sensitive Cookie Without Secure Attribute"): "passed",
        ("b.example", "no findings"): "passed",
        ("c.example", "scan"): "error",
        ("d.example", "scan"): "error",
        ("e.example", "Not listed"): "failure",
    }


def test_junit_without_a_threshold_fails_nothing() -> None:
    """Whoever set no threshold sees findings, and errors for what is unknown."""
    assert set(cases(SMALL, fail_on="none").values()) == {"passed", "error"}


def test_junit_counts_what_it_lists() -> None:
    """CI systems show the numbers of the suite before they read its cases."""
    suite = ET.fromstring(junit(SMALL, judge(SMALL.rows, Policy())))  # noqa: S314 - our own

    assert suite.attrib == {
        "name": "nightly",
        "timestamp": "2026-09-21T14:13:20",
        "hostname": "scanner.example",
        "tests": "8",
        "failures": "4",
        "errors": "2",
        "skipped": "0",
        "time": "120.0",
    }


def test_markdown_says_verdict_numbers_worst_and_gaps() -> None:
    """A person reading the job's summary needs nothing else first."""
    text = markdown(SMALL, judge(SMALL.rows, Policy()))

    assert text.startswith("## ❌ Security scan: failed\n\n- `1 critical, 6 high >= high on 2 of")
    assert "| Critical | 1 | 1 |" in text
    assert "| Not scanned | 2 |  |" in text
    assert "| `a.example` | 1 | 2 | 1 |" in text
    assert "| `CWE-79 Cross-site Scripting` | High | 1 | 1 |" in text
    assert "| `c.example` | failed | `ServerError: 503 from the API` |" in text


def test_hostile_text_makes_no_markup_in_markdown() -> None:
    """Outside of code spans there is nothing but our own words, and each table keeps its shape."""
    text = markdown(hostile(), judge(hostile().rows, Policy()))
    ours = re.sub(r"`[^`\n]*`", "", text)

    assert "`" not in ours
    assert not re.search(r"[<\[@]|://|\(javascript", ours)
    for line in text.splitlines():
        assert line.isprintable() or "⚠" in line
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert tables
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


@pytest.mark.parametrize("run", [fleet(4_500), hostile()], ids=["thousands", "hostile"])
def test_markdown_stays_below_the_limit_of_a_step_summary(run: Run) -> None:
    """GitHub drops a summary that is too large as a whole."""
    assert len(markdown(run, judge(run.rows, Policy())).encode()) < 100_000
