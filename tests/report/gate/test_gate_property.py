"""Whatever options are combined, no finding and no target goes missing without a word."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from bestdefense_async.models import SEVERITIES, Finding, Outcome, RiskSummary, Severity
from bestdefense_async.report.gate.identity import fingerprint
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import exit_code, judge
from bestdefense_async.report.gate.waivers import Waiver, Waivers
from tests.support.runs import scanned_before

TODAY = date(2026, 11, 25)
WORDS = (*SEVERITIES, Severity("apocalyptic"))

findings = st.builds(
    Finding,
    severity=st.sampled_from(WORDS),
    title=st.sampled_from(("Script is run", "Script is run.", "Script is stored", None)),
    url=st.sampled_from(("https://a.example:443/a?q=1", "/a?q", "/a?other", "/b", "prose", None)),
    cwe=st.sampled_from(("CWE-79", "cwe-79", "CWE-89", None)),
)
risks = st.builds(
    RiskSummary,
    critical=st.integers(0, 2),
    high=st.integers(0, 2),
    low=st.integers(0, 2),
    other=st.sampled_from(({}, {"apocalyptic": 1})),
)
outcomes = st.builds(
    Outcome,
    target=st.sampled_from(("a.example", "https://a.example/x", "b.example")),
    status=st.sampled_from(("done", "done", "done", "running", "failed", "unknown", "not_started")),
    site_id=st.sampled_from((None, "site-a", "site-b")),
    report_id=st.sampled_from(("r1", "r2")),
    risk=st.one_of(st.none(), risks),
    findings=st.lists(findings, max_size=4).map(tuple),
)
runs = st.lists(outcomes, max_size=4)
policies = st.builds(
    GatePolicy,
    fail_on=st.sampled_from((*SEVERITIES, None)),
    max_counts=st.dictionaries(st.sampled_from(SEVERITIES), st.integers(0, 3), max_size=2),
    allow_incomplete=st.sampled_from((0, 1, "50%", "100%")),
)
conditions: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    (
        {"weakness": "CWE-79", "target": "*"},
        {"weakness": "cwe-89", "target": "a.*", "severity": Severity.LOW},
        {"weakness": "CWE-79", "target": "*", "url": "a.example/*"},
    )
)


@st.composite
def waivers(draw: st.DrawFn, run: list[Outcome]) -> Waivers:
    """Return waivers by condition, and by fingerprints of the run and of nothing."""
    names = [fingerprint(each, finding) for each in run for finding in each.findings]
    entries = [
        Waiver(reason="r", expires=draw(st.sampled_from((TODAY, date(2026, 1, 1)))), **condition)
        for condition in draw(st.lists(conditions, max_size=2))
    ]
    entries += [
        Waiver(reason="r", expires=TODAY, fingerprint=name)
        for name in draw(st.lists(st.sampled_from([*names, "0" * 32]), max_size=2))
    ]
    return Waivers(entries=tuple(entries), today=TODAY)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_nothing_disappears_without_a_word(data: st.DataObject) -> None:
    """Every finding is open, waived or known, and whatever is not open is counted in the verdict.

    A pass has no open finding that a rule forbids, and no more targets without a verdict than
    the rules allow; the sentence says how many there are.
    """
    run = data.draw(runs)
    policy = data.draw(policies)
    chosen = data.draw(st.one_of(st.none(), waivers(run)))
    baseline = data.draw(st.one_of(st.none(), runs))
    baseline = None if baseline is None else [scanned_before(one) for one in baseline]

    verdict = judge(run, policy, baseline=baseline, waivers=chosen)

    assert [each.outcome for each in verdict.outcomes] == run
    states: Counter[str] = Counter()
    still_open: Counter[Severity] = Counter()
    for each in verdict.outcomes:
        assert [one.finding for one in each.findings] == list(each.outcome.reported())
        listed = Counter(one.state for one in each.findings)
        states.update(listed)
        left = Counter(each.outcome.counts())
        left.subtract(one.finding.severity for one in each.findings if one.state != "open")
        assert min(left.values(), default=0) >= 0
        assert Counter(each.open_counts()) == +left
        still_open.update(left)
        if not each.outcome.has_verdict:
            assert listed.keys() <= {"open"}
    assert (verdict.waived, verdict.known or 0) == (states["waived"], states["known"])
    for number, words in (
        (verdict.waived, f"{verdict.waived} finding"),
        (verdict.known, "known from the baseline"),
        (verdict.missing, "no verdict"),
        (verdict.reworded, "by weakness and path alone"),
        (sum(use.state == "expired" for use in verdict.uses), "expired"),
        (sum(use.state == "stale" for use in verdict.uses), "matching nothing"),
    ):
        assert not number or words in verdict.sentence
    missing = [one for one in run if not one.has_verdict]
    assert verdict.missing == len(missing)
    if exit_code(verdict) == 0:
        assert run
        assert len(missing) <= policy.allow_incomplete.of(len(run))
        assert not any(count and verdict.breaks(severity) for severity, count in still_open.items())
        if policy.fail_on is not None:
            assert (
                max((s.rank for s, n in still_open.items() if n), default=-1) < policy.fail_on.rank
            )
        for severity, most in policy.max_counts.items():
            unknown = sum(count for each, count in still_open.items() if not each.is_known)
            assert still_open[severity] + unknown <= most


@settings(max_examples=100, deadline=None)
@given(run=st.lists(outcomes, min_size=1, max_size=4), policy=policies)
def test_waivers_and_baselines_never_make_a_verdict_of_none(
    run: list[Outcome], policy: GatePolicy
) -> None:
    """What was not scanned is missing however much is excused."""
    wide = Waivers(
        entries=(Waiver(weakness="CWE-79", target="*", reason="r", expires=TODAY),), today=TODAY
    )
    blind = [evolve(each, status="failed") for each in run]

    verdict = judge(blind, policy, baseline=map(scanned_before, run), waivers=wide)

    assert (verdict.waived, verdict.known, verdict.missing) == (0, 0, len(run))
    assert "no verdict" in verdict.sentence
