"""JUnit XML, as Jenkins and most CI systems read it.

One case per site and kind of weakness: `<failure>` when it breaks the gate's threshold, `<error>`
when the site has no verdict, and a passing case for what is below the threshold or clean. Every
text is made printable first, because XML cannot hold control characters at all.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from junitparser import Error, Failure, SystemErr, SystemOut, TestCase, TestSuite

from bestdefense_async.output.text import moment, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bestdefense_async.models import Finding, Severity
    from bestdefense_async.output.gate import Verdict
    from bestdefense_async.output.run import Row, Run

_MOST_PLACES: Final = 20
"""Places named in one failure."""


def junit(run: Run, verdict: Verdict) -> str:
    """Return the run as one JUnit test suite in XML that ends with a line break."""
    suite = TestSuite(_token(run.name))
    suite.timestamp = _timestamp(run.started_at)
    suite.hostname = _host(run.base_url)
    suite.add_property("gate", verdict.word)
    suite.add_property("sentence", visible(verdict.sentence, longest=600))
    suite.add_testcases(
        [case for row in run.rows for case in _cases(row, threshold=verdict.threshold)]
    )
    suite.time = round(run.seconds or 0.0, 3)
    suite.append(SystemOut(visible(verdict.sentence, longest=600)))  # type: ignore[no-untyped-call]
    suite.append(SystemErr(""))  # type: ignore[no-untyped-call]
    xml: bytes = suite.tostring()  # type: ignore[no-untyped-call]
    return xml.decode() + "\n"


def _cases(row: Row, *, threshold: Severity | None) -> Iterator[TestCase]:
    target = _token(row.target)
    seconds = 0.0
    if row.started_at is not None and row.finished_at is not None:
        seconds = round(max(row.finished_at - row.started_at, 0.0), 3)
    if not row.has_verdict:
        case = TestCase("scan", target, seconds)
        kind, message = ("NoRisk", "The scan has no risk summary.")
        if row.error is not None:
            kind, message = row.error.kind, row.error.message
        text = visible(f"{row.outcome}: {message}", longest=600)
        case.result = [Error(text, _token(kind))]
        yield case
        return
    kinds: dict[str, list[Finding]] = {}
    for finding in row.reported():
        kinds.setdefault(_kind(finding), []).append(finding)
    if not kinds:
        yield TestCase("no findings", target, seconds)
    for place, kind in enumerate(sorted(kinds)):
        case = TestCase(kind, target, 0.0 if place else seconds)
        hits = [
            finding
            for finding in kinds[kind]
            if threshold is not None and finding.severity.rank >= threshold.rank
        ]
        if hits:
            case.result = [_failure(hits)]
        yield case


def _failure(hits: list[Finding]) -> Failure:
    hits = sorted(hits, key=lambda hit: (-hit.severity.rank, hit.url or "", hit.title or ""))
    counts = Counter(visible(hit.severity, longest=40) for hit in hits)
    message = ", ".join(f"{count} {word}" for word, count in counts.items())
    lines = [
        f"{visible(hit.severity, longest=40)}: {visible(hit.title or 'not named')} "
        f"{visible(hit.url or '')}".rstrip()
        for hit in hits[:_MOST_PLACES]
    ]
    if len(hits) > _MOST_PLACES:
        lines.append(f"and {len(hits) - _MOST_PLACES} more")
    title = visible(hits[0].title or "not named")
    failure = Failure(f"{message}: {title}", _token(hits[0].severity))
    failure.text = "\n".join(lines)
    return failure


def _kind(finding: Finding) -> str:
    parts = (finding.cwe, finding.weakness if finding.weakness != finding.cwe else None)
    return _token(" ".join(part for part in parts if part) or finding.title or "not named")


def _token(text: str) -> str:
    """Return text as XML's `token`: no space at an end, none doubled, never empty."""
    return " ".join(visible(text, longest=200).split()) or "not named"


def _timestamp(epoch: float | None) -> str:
    """Return UTC without a zone, as the schema wants it; the epoch itself when unknown."""
    known = epoch if epoch is not None and moment(epoch) != "unknown" else 0.0
    return datetime.fromtimestamp(int(known), UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _host(base_url: str) -> str:
    try:
        host = urlsplit(base_url).hostname
    except ValueError:
        host = None
    return _token(host or "localhost")
