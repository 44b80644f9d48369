"""JUnit XML, as Jenkins and most CI systems read it.

Jenkins takes what stands before the last dot of a class name for a package, and groups the results
of runs by the name of their suite. So the class is the site without dots, the suite has one name,
and the site as it is written stands in the name of each case.

One case per site and kind of weakness: `<failure>` when it breaks a rule of the gate, `<error>`
when the site has no verdict, and a passing case for what breaks none or is clean. `<skipped>` is
what would break one but is waived or known from the baseline: CI systems count it apart and show
why. Every text is made printable first, because XML cannot hold control characters at all.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from junitparser import Error, Failure, Skipped, SystemErr, SystemOut, TestCase, TestSuite

from bestdefense_async.report.gate.identity import called, compare_runs, cwe_number, weakness_of
from bestdefense_async.report.summary import counted_severities, gap_kind
from bestdefense_async.report.text import utc_time, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bestdefense_async.models import Finding
    from bestdefense_async.report.gate.verdict import JudgedFinding, JudgedOutcome, Verdict
    from bestdefense_async.report.result import RunResult

_MOST_LISTED: Final = 20
"""Findings, or reasons, named in one result."""


def junit(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the run as one JUnit test suite in XML that ends with a line break.

    With an older run the suite has the numbers of new and fixed findings as properties.
    """
    suite = TestSuite("BestDefense")
    suite.timestamp = utc_time(run.started_at)
    suite.hostname = _host(run.base_url)
    suite.add_property("run", _token(run.name))
    suite.add_property("gate", verdict.status)
    suite.add_property("sentence", visible(verdict.sentence, longest=600))
    if older is not None:
        changes = compare_runs(run, older)
        suite.add_property("new", str(changes.new.total()))
        suite.add_property("fixed", str(changes.fixed.total()))
    suite.add_testcases([case for judged in verdict.outcomes for case in _cases(judged, verdict)])
    suite.time = round(run.seconds or 0.0, 3)
    lines = [visible(line, longest=600) for line in (verdict.sentence, *verdict.waiver_lines)]
    suite.append(SystemOut("\n".join(lines)))  # type: ignore[no-untyped-call]
    suite.append(SystemErr(""))  # type: ignore[no-untyped-call]
    xml: bytes = suite.tostring()  # type: ignore[no-untyped-call]
    return xml.decode() + "\n"


def _cases(judged: JudgedOutcome, verdict: Verdict) -> Iterator[TestCase]:
    outcome = judged.outcome
    target = _token(outcome.target).replace(".", "_")
    site = f" ({visible(outcome.target, longest=120)})"
    seconds = 0.0
    if outcome.started_at is not None and outcome.finished_at is not None:
        seconds = round(max(outcome.finished_at - outcome.started_at, 0.0), 3)
    if not outcome.has_verdict:
        case = TestCase(_token(f"scan{site}"), target, seconds)
        text = visible(f"{outcome.status}: {outcome.error or gap_kind(outcome)}", longest=600)
        case.result = [Error(text, _token(gap_kind(outcome)))]
        yield case
        return
    kinds: dict[str, list[JudgedFinding]] = {}
    for one in judged.findings:
        kinds.setdefault(weakness_of(one.finding), []).append(one)
    named: dict[str, list[JudgedFinding]] = {}
    for found in kinds.values():  # two kinds may be called alike
        named.setdefault(min(_kind(one.finding) for one in found), []).extend(found)
    if not named:
        yield TestCase(_token(f"no findings{site}"), target, seconds)
    for number, kind in enumerate(sorted(named)):
        case = TestCase(_token(kind + site), target, 0.0 if number else seconds)
        breaking = [one for one in named[kind] if verdict.breaks(one.finding.severity)]
        hits = [one.finding for one in breaking if one.state == "open"]
        suppressed = [one for one in breaking if one.state != "open"]
        if hits:
            case.result = [_failure(hits)]
        elif suppressed:
            case.result = [Skipped(_reason_to_skip(suppressed))]
        yield case


def _reason_to_skip(suppressed: list[JudgedFinding]) -> str:
    """Return why findings that would break a rule do not."""
    reasons = Counter(
        "known from the baseline"
        if one.waiver is None
        else f"waived until {one.waiver.expires}: {visible(one.waiver.reason)}"
        for one in suppressed
    )
    listed = [f"{count} {reason}" for reason, count in reasons.items()]
    more = len(listed) - _MOST_LISTED
    return "; ".join([*listed[:_MOST_LISTED], *([f"and {more} more reasons"] if more > 0 else [])])


def _failure(hits: list[Finding]) -> Failure:
    hits = sorted(hits, key=lambda hit: (-hit.severity.rank, hit.url or "", hit.title or ""))
    lines = [
        f"{visible(hit.severity, longest=40)}: {visible(called(hit))} "
        f"{visible(hit.url or '')}".rstrip()
        for hit in hits[:_MOST_LISTED]
    ]
    if len(hits) > _MOST_LISTED:
        lines.append(f"and {len(hits) - _MOST_LISTED} more")
    counts = counted_severities(hit.severity for hit in hits)
    failure = Failure(f"{counts}: {visible(called(hits[0]))}", _token(hits[0].severity))
    failure.text = "\n".join(lines)
    return failure


def _kind(finding: Finding) -> str:
    number = cwe_number(finding.cwe)
    cwe = f"CWE-{number}" if number else finding.cwe
    parts = (cwe, finding.weakness if finding.weakness != finding.cwe else None)
    return _token(" ".join(part for part in parts if part) or finding.title or "not named")


def _token(text: str) -> str:
    """Return text as XML's `token`: no space at an end, none doubled, never empty."""
    return " ".join(visible(text, longest=400).split()) or "not named"


def _host(base_url: str) -> str:
    try:
        host = urlsplit(base_url).hostname
    except ValueError:
        host = None
    return _token(host or "localhost")
