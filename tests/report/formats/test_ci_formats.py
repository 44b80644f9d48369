"""SARIF, JUnit and Markdown: valid, within the limits of their readers, and harmless."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from attrs import evolve
from junitparser import TestSuite
from sarif_pydantic import Sarif  # type: ignore[import-untyped]

from bestdefense_async.models import Finding, Outcome, RiskSummary, Severity
from bestdefense_async.report.formats.github import annotation_lines
from bestdefense_async.report.formats.junit import junit
from bestdefense_async.report.formats.markdown import markdown
from bestdefense_async.report.formats.sarif import MOST_RESULTS, sarif
from bestdefense_async.report.gate.identity import fingerprint
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import Verdict, judge
from bestdefense_async.report.gate.waivers import Waiver, Waivers
from bestdefense_async.report.text import visible
from bestdefense_async.report.writer import FORMATS, missing_from, renderer
from tests.support.published import junit_validator, sarif_validator
from tests.support.runs import before, done, error, failed, fleet, hostile, not_started, run_of

if TYPE_CHECKING:
    from bestdefense_async.report.result import RunResult

SMALL = run_of(
    done("a.example", critical=1, high=2, low=1),
    done("b.example"),
    failed("c.example"),
    not_started("d.example"),
    Outcome(target="e.example", status="done", site_id="s-e", risk=RiskSummary(high=4)),
)
RUNS = [
    pytest.param(SMALL, id="small"),
    pytest.param(fleet(200), id="fleet"),
    pytest.param(hostile(), id="hostile"),
    pytest.param(run_of(started_at=None, finished_at=None, base_url="http://["), id="empty"),
]


TODAY = date(2026, 11, 25)
WAIVERS = Waivers(
    entries=(
        Waiver(weakness="CWE-89", target="a.*", reason="mended on Monday", expires=TODAY, line=1),
        Waiver(weakness="CWE-79", target="*", reason="gone", expires=date(2026, 1, 1), line=7),
        Waiver(weakness="CWE-1", target="*", reason="none", expires=TODAY, line=13),
    ),
    today=TODAY,
)
OLDER = before(run_of(done("a.example", high=1), done("b.example", medium=1), name="last week"))


def waived(run: RunResult = SMALL, older: RunResult | None = None) -> Verdict:
    """Return the verdict with a used, an expired and a stale waiver."""
    baseline = None if older is None else older.outcomes
    return judge(run.outcomes, GatePolicy(), waivers=WAIVERS, baseline=baseline)


def everything_waived(run: RunResult) -> Verdict:
    """Return the verdict when each finding that has a documented severity is waived."""
    entries = tuple(
        Waiver(fingerprint=fingerprint(row, finding), reason=finding.title or "x", expires=TODAY)
        for row in run.outcomes
        for finding in row.findings
    )
    return judge(run.outcomes, GatePolicy(), waivers=Waivers(entries=entries, today=TODAY))


def sarif_run(run: RunResult) -> dict[str, Any]:
    """Return the one run of the SARIF log of `run`."""
    [only] = json.loads(sarif(run, judge(run.outcomes, GatePolicy())))["runs"]
    assert isinstance(only, dict)
    return only


def cases(
    run: RunResult, verdict: Verdict | None = None, **rules: Any
) -> dict[tuple[str, str], str]:
    """Return by site and case what JUnit says: passed, skipped, failure or error."""
    verdict = judge(run.outcomes, GatePolicy(**rules)) if verdict is None else verdict
    suite = ET.fromstring(junit(run, verdict))  # noqa: S314 - our own
    return {
        (case.get("classname", ""), case.get("name", "").partition(" (")[0]): next(
            (r.tag for r in case), "passed"
        )
        for case in suite.iter("testcase")
    }


@pytest.mark.parametrize("run", RUNS)
def test_sarif_is_valid(run: RunResult) -> None:
    """The schema of OASIS accepts every run, also when it is compared and all is waived."""
    validator = sarif_validator()

    validator.validate(json.loads(sarif(run, judge(run.outcomes, GatePolicy()))))
    validator.validate(json.loads(sarif(run, everything_waived(run), older=before(run))))


@pytest.mark.parametrize("run", RUNS)
def test_sarif_keeps_the_rules_of_github(run: RunResult) -> None:
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

    assert first["ruleId"] == "CWE-89/critical"
    assert first["level"] == "error"
    location = first["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "a.example/path/0"
    assert first["properties"]["url"] == "https://a.example/path/0"
    assert "https://a.example/path/0" in first["message"]["text"]


def test_sarif_lists_which_sites_have_no_verdict() -> None:
    """A log without results is not a clean fleet."""
    [invocation] = sarif_run(run_of(failed("c.example")))["invocations"]
    notes = [note["message"]["text"] for note in invocation["toolExecutionNotifications"]]

    assert invocation["executionSuccessful"] is False
    assert "c.example has no verdict: failed, ServerError: 503 from the API" in notes


def test_what_is_not_named_any_more_is_counted() -> None:
    """Five hundred sites without a verdict are named, and nothing is cut without a word."""
    run = run_of(*(failed(f"{number}.example") for number in range(502)))
    [invocation] = sarif_run(run)["invocations"]
    gitlab = json.loads(renderer("x.gitlab.json")(run, judge(run.outcomes, GatePolicy())))

    more = "and 2 more targets without a verdict"
    assert invocation["toolExecutionNotifications"][-1]["message"]["text"] == more
    assert gitlab["scan"]["messages"][-1]["value"] == more


def test_sarif_shows_findings_that_are_only_counted() -> None:
    """An answer without a list must not look like one without findings."""
    texts = [result["message"]["text"] for result in sarif_run(SMALL)["results"]]

    assert "4 not listed one by one (high) at e.example" in texts


def test_sarif_keeps_what_github_takes_and_says_what_is_missing() -> None:
    """More are refused as a whole; what is left out is the least severe, and named."""
    rows = [done(f"s{number}.example", high=1, low=12) for number in range(1_999)]
    run = run_of(*rows, done("t.example", medium=14))
    only = sarif_run(run)
    levels = [result["level"] for result in only["results"]]
    notes = str(only["invocations"][0]["toolExecutionNotifications"])
    said = "1,001 findings of 26,001 left out of SARIF, the least severe: 1,001 low"

    assert len(levels) == MOST_RESULTS == 25_000
    assert (levels.count("error"), levels.count("warning")) == (1_999, 14)
    assert said in notes
    verdict = judge(run.outcomes, GatePolicy())
    assert missing_from("run.sarif", verdict) == missing_from("RUN.sarif.json", verdict) == said
    assert missing_from("run.csv", verdict) == ""
    assert missing_from("run.sarif", judge(SMALL.outcomes, GatePolicy())) == ""


def test_a_rule_is_a_weakness_at_one_severity() -> None:
    """GitHub and DefectDojo rate an alert by its rule: the least finding must not look worst."""
    worst, least = (
        Finding(severity=Severity(word), cwe=cwe, title="Script is run", url="/a")
        for word, cwe in (("critical", "CWE-79"), ("low", "cwe-079"))
    )
    row = Outcome(
        target="a.example", status="done", risk=RiskSummary(), findings=(least, worst, least)
    )
    only = sarif_run(run_of(row))
    rules = only["tool"]["driver"]["rules"]

    assert [(rule["id"], rule["properties"]["security-severity"]) for rule in rules] == [
        ("CWE-79/critical", "9.5"),
        ("CWE-79/low", "2.5"),
    ]
    assert all("external/cwe/cwe-079" in rule["properties"]["tags"] for rule in rules)
    assert [result["ruleId"] for result in only["results"]] == [
        "CWE-79/critical",
        "CWE-79/low",
        "CWE-79/low",
    ]


def test_several_findings_of_one_place_are_several_alerts() -> None:
    """GitHub takes results with one fingerprint for one alert, so each has a number."""
    one = done("a.example", high=1)
    row = evolve(one, findings=one.findings * 3, risk=RiskSummary())
    hashes = [
        result["partialFingerprints"]["primaryLocationLineHash"]
        for result in sarif_run(run_of(row, evolve(row, report_id="r2")))["results"]
    ]
    name = fingerprint(row, row.findings[0])

    assert hashes == [f"{name}:{number}" for number in range(1, 7)]


@pytest.mark.parametrize("run", RUNS)
def test_a_library_of_others_reads_our_sarif(run: RunResult) -> None:
    """With all results, and for each its rule with a score of its own severity."""
    text = sarif(run, judge(run.outcomes, GatePolicy()))
    [only] = Sarif.model_validate_json(text).runs

    assert len(only.results or ()) == sum(len(each.reported()) for each in run.outcomes)
    rules = {rule.id: rule for rule in only.tool.driver.rules or ()}
    scores = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.5"}
    for result in only.results or ():
        severity = (result.rule_id or "").rpartition("/")[2]
        properties = rules[result.rule_id or ""].properties or {}
        assert properties["security-severity"] == scores.get(
            severity, "0.0" if severity == "informational" else "9.5"
        )


def test_sarif_suppresses_what_is_waived_and_shows_what_is_new() -> None:
    """GitHub shows suppressed alerts as dismissed; the state is relative to the older run."""
    [only] = json.loads(sarif(SMALL, waived(), older=OLDER))["runs"]
    results = {
        (result["properties"]["target"], result["ruleId"]): result for result in only["results"]
    }
    suppressed = {key: each for key, each in results.items() if "suppressions" in each}

    assert list(suppressed) == [("a.example", "CWE-89/critical")]
    assert suppressed["a.example", "CWE-89/critical"]["suppressions"] == [
        {
            "kind": "external",
            "status": "accepted",
            "justification": "mended on Monday (until 2026-11-25)",
        }
    ]
    assert only["results"][-1] == suppressed["a.example", "CWE-89/critical"]
    assert {key: each["baselineState"] for key, each in results.items()} == {
        ("a.example", "CWE-89/critical"): "new",
        ("a.example", "CWE-79/high"): "unchanged",
        ("a.example", "CWE-918/high"): "new",
        ("a.example", "CWE-614/low"): "new",
        ("e.example", "not-listed/high"): "new",
    }
    notes = str(only["invocations"][0]["toolExecutionNotifications"])
    assert "the waiver of line 7 expired on 2026-01-01: CWE-79 at *" in notes
    assert "the waiver of line 13 matches nothing: CWE-1 at *" in notes


def test_every_run_is_of_the_same_category() -> None:
    """Results close only alerts of their own category, and runs have names of their own."""
    ids = [
        sarif_run(run_of(name=name))["automationDetails"]["id"]
        for name in ("20261125-1", "20261126-1", "a/b", "\ud800")
    ]

    assert len(set(ids)) == 4
    assert {name.rpartition("/")[0] for name in ids} == {"bestdefense"}


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
def test_junit_is_valid(run: RunResult) -> None:
    """The schema that Jenkins and Ant go by accepts every run, also when all is waived."""
    schema = junit_validator()

    schema.validate(junit(run, judge(run.outcomes, GatePolicy())))
    schema.validate(junit(run, everything_waived(run), older=before(run)))


def test_junit_has_one_case_per_site_and_weakness() -> None:
    """A hit of the gate is a failure, a missing verdict an error, all else passes."""
    assert cases(SMALL) == {
        ("a_example", "CWE-89 SQL Injection"): "failure",
        ("a_example", "CWE-79 Cross-site Scripting"): "failure",
        ("a_example", "CWE-918 Server-Side Request Forgery"): "failure",
        ("a_example", "CWE-614 Sensitive Cookie Without Secure Attribute"): "passed",
        ("b_example", "no findings"): "passed",
        ("c_example", "scan"): "error",
        ("d_example", "scan"): "error",
        ("e_example", "Not listed"): "failure",
    }


def test_junit_has_one_case_for_a_weakness_however_it_is_spelled() -> None:
    """Whatever is called alike stands in one case, and no finding is lost."""
    texts = [("CWE-79", None), ("cwe-079", None), ("79", None), (None, "CWE-79"), (None, "cwe 79")]
    found = [
        Finding(severity=Severity("high" if at == 3 else "low"), cwe=cwe, weakness=name, url="/a")
        for at, (cwe, name) in enumerate(texts)
    ]
    row = evolve(done("a.example"), findings=tuple(found))

    assert cases(run_of(row)) == {("a_example", "CWE-79"): "failure"}
    suite = ET.fromstring(junit(run_of(row), judge([row], GatePolicy(fail_on="low"))))  # noqa: S314 - our own
    assert [failure.get("message") for failure in suite.iter("failure")] == [
        "1 high, 4 low: CWE-79"
    ]


def test_jenkins_finds_no_dot_to_split_a_class_name_at() -> None:
    """It would take `shop.acme` for a package; the site stands whole in the name of the case."""
    run = run_of(done("shop.acme.com"), failed("https://a.b/c.d"), name="20261125-1")
    suite = TestSuite.fromstring(junit(run, judge(run.outcomes, GatePolicy())))

    assert suite.name == "BestDefense"
    assert [(case.classname, case.name) for case in suite] == [
        ("shop_acme_com", "no findings (shop.acme.com)"),
        ("https://a_b/c_d", "scan (https://a.b/c.d)"),
    ]
    assert {each.name: each.value for each in suite.properties()}["run"] == "20261125-1"


def test_junit_without_a_threshold_fails_nothing() -> None:
    """Without a threshold there are findings, and errors for what is unknown."""
    assert set(cases(SMALL, fail_on="none").values()) == {"passed", "error"}


def test_junit_skips_what_is_waived_or_known() -> None:
    """With the reason; CI systems count skipped cases apart from passed ones."""
    verdict = waived(older=OLDER)
    suite = ET.fromstring(junit(SMALL, verdict, older=OLDER))  # noqa: S314 - our own
    skipped = [case.get("message") for case in suite.iter("skipped")]
    properties = {each.get("name"): each.get("value") for each in suite.iter("property")}

    told = {key: tag for key, tag in cases(SMALL, verdict).items() if key[0] == "a_example"}
    assert told == {
        ("a_example", "CWE-89 SQL Injection"): "skipped",
        ("a_example", "CWE-79 Cross-site Scripting"): "skipped",
        ("a_example", "CWE-918 Server-Side Request Forgery"): "failure",
        ("a_example", "CWE-614 Sensitive Cookie Without Secure Attribute"): "passed",
    }
    assert skipped == [
        "1 known from the baseline",
        "1 waived until 2026-11-25: mended on Monday",
    ]
    assert (properties["new"], properties["fixed"], suite.get("skipped")) == ("3", "1", "2")
    [out] = suite.iter("system-out")
    assert "the waiver of line 13 matches nothing: CWE-1 at *" in str(out.text)


def test_junit_fails_what_exceeds_a_limit() -> None:
    """A limit is a rule like the threshold."""
    told = cases(SMALL, fail_on="none", max_counts={"low": 0, "high": 6})

    assert [key[1] for key, tag in told.items() if tag == "failure"] == [
        "CWE-614 Sensitive Cookie Without Secure Attribute"
    ]


def test_junit_counts_what_it_lists() -> None:
    """CI systems show the numbers of the suite before they read its cases."""
    suite = ET.fromstring(junit(SMALL, judge(SMALL.outcomes, GatePolicy())))  # noqa: S314 - our own

    assert suite.attrib == {
        "name": "BestDefense",
        "timestamp": "2026-09-21T14:13:20",
        "hostname": "scanner.example",
        "tests": "8",
        "failures": "4",
        "errors": "2",
        "skipped": "0",
        "time": "120.0",
    }


def test_markdown_shows_verdict_numbers_worst_and_gaps() -> None:
    """A person reading the job's summary needs nothing else first."""
    text = markdown(SMALL, judge(SMALL.outcomes, GatePolicy()))

    assert text.startswith("## ❌ Security scan: failed\n\n- `1 critical, 6 high >= high on 2 of")
    assert "| Critical | 1 | 1 |" in text
    assert "| Not scanned | 2 |  |" in text
    assert "| `a.example` | 1 | 2 | 1 |" in text
    assert "| `CWE-79 Cross-site Scripting` | High | 1 | 1 |" in text
    assert "| `c.example` | failed | `ServerError: 503 from the API` |" in text


def test_markdown_shows_what_failed_what_is_waived_and_what_changed() -> None:
    """With the name that a waiver needs, and the reason that one gave."""
    text = markdown(SMALL, waived(older=OLDER), older=OLDER)
    name = fingerprint(SMALL.outcomes[0], SMALL.outcomes[0].findings[2])

    assert "- `5 new high >= high on 2 of 5 sites`\n" in text
    assert "- `1 finding waived`\n- `1 finding known from the baseline`\n" in text
    assert f"| `a.example` | `Image proxy reaches internal addresses` | `high` | `{name}` |" in text
    assert "| `e.example` | `4 not listed one by one` | `high` |  |" in text
    assert (
        "### Waived\n\n| Site | Finding | Severity | Until | Reason |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `a.example` | `Search parameter is executed as SQL` | `critical` | 2026-11-25 | "
        "`mended on Monday` |" in text
    )
    assert "### Since `last week`, 2026-09-21 14:13:20 UTC" in text
    assert "| High | 0 | 1 | 1 |" in text
    assert "| Medium | 1 | 0 | 0 |" in text
    assert "- `the waiver of line 7 expired on 2026-01-01: CWE-79 at *`" in text


@pytest.mark.parametrize("is_waived", [False, True], ids=["failing", "waived"])
def test_hostile_text_makes_no_markup_in_markdown(*, is_waived: bool) -> None:
    """Outside of code spans there is only our own text, and each table keeps its shape."""
    run = hostile()
    verdict = everything_waived(run) if is_waived else judge(run.outcomes, GatePolicy())
    text = markdown(run, verdict, older=before(run))
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
def test_markdown_stays_below_the_limit_of_a_step_summary(run: RunResult) -> None:
    """GitHub drops a summary that is too large as a whole."""
    assert len(markdown(run, judge(run.outcomes, GatePolicy())).encode()) < 100_000


def test_annotations_begin_with_the_verdict() -> None:
    """Then the worst sites, then those of which nothing is known."""
    lines = annotation_lines(judge(SMALL.outcomes, GatePolicy()))

    assert lines == [
        (
            "::error title=Security gate failed::1 critical, 6 high >= high on 2 of 5 sites; "
            "2 of 5 sites have no verdict"
        ),
        (
            "::error title=a.example::critical: Search parameter is executed as SQL at "
            "https://a.example/path/0 and 2 more findings"
        ),
        "::error title=e.example::high: 4 not listed one by one",
        "::warning title=c.example has no verdict::503 from the API",
        "::warning title=d.example has no verdict::no scan was started",
    ]


def test_a_run_that_passed_is_not_annotated() -> None:
    """Nothing is to be done."""
    assert annotation_lines(judge(SMALL.outcomes[:2], GatePolicy(fail_on=None))) == []


def runner_reads(line: str) -> tuple[str, dict[str, str], str] | None:
    """Return command, properties and text as the runner of GitHub reads a line."""
    if not (match := re.match(r"\s*::([^: ]*)(?: (.*?))?::(.*)$", line)):
        legacy = re.search(r"##\[([^\] ]*)", line)
        return (legacy[1], {}, "") if legacy else None
    pairs = [pair.split("=", 1) for pair in (match[2] or "").split(",") if "=" in pair]
    marks = [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")]
    properties = dict(pairs)
    text = match[3]
    for code, mark in marks:
        properties = {key: value.replace(code, mark) for key, value in properties.items()}
        text = text.replace(code, mark) if code not in {"%3A", "%2C"} else text
    return match[1], properties, text


NASTY = (
    "a%0A::error::x",
    "::stop-commands::x",
    "##[error]owned",
    "a, file=/etc/passwd",
    "x::y",
    "100%25 ###[add-mask]z",
    "\n##vso[task.setvariable variable=x]y",
)


@pytest.mark.parametrize("text", NASTY)
def test_no_text_becomes_a_command_of_its_own(text: str) -> None:
    """What a site says is shown in an annotation and does nothing else."""
    row = Outcome(target=text, status="failed", error=error(text, text))
    _, line = annotation_lines(judge([row], GatePolicy()))
    command = runner_reads(line)

    assert command is not None
    kind, properties, said = command
    assert (kind, properties) == ("warning", {"title": f"{visible(text)} has no verdict"})
    assert said == visible(text)
    assert runner_reads(visible(text)) is None
    assert "##" not in re.sub(r"##(?![A-Za-z]*\[)", "", line)


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_format_on_stdout_gives_a_runner_no_command(suffix: str, text: str) -> None:
    """A log shows whatever is written, and the runner reads the log."""
    finding = Finding(severity=Severity("high"), title=text, weakness=text, url=text, cwe=text)
    row = Outcome(target=text, status="done", risk=RiskSummary(), findings=(finding,))
    run = run_of(row)
    written = renderer(f"run{suffix}")(run, judge(run.outcomes, GatePolicy()))

    assert [line for line in written.splitlines() if runner_reads(line) is not None] == []
    if suffix == ".json":
        assert json.loads(written)["outcomes"][0]["target"] == text


def test_ten_annotations_are_all_that_is_shown() -> None:
    """GitHub drops the others silently."""
    run = fleet(200)

    assert len(annotation_lines(judge(run.outcomes, GatePolicy()))) == 10
    assert all(
        len(line) < 1_000 for line in annotation_lines(judge(hostile().outcomes, GatePolicy()))
    )
