"""The verdict: what fails a run, what leaves it incomplete, and how it is worded."""

from __future__ import annotations

from typing import Any

import pytest

from bestdefense_async.errors import ConfigError
from bestdefense_async.models import Finding, Outcome, RiskSummary, Severity
from bestdefense_async.report.gate.policy import GatePolicy, read_allowance
from bestdefense_async.report.gate.verdict import exit_code, judge
from tests.support.runs import done, error, failed, not_started

CLEAN = done("a.example", medium=2)
HIGH = done("b.example", high=2)
CRITICAL = done("c.example", critical=1)
UNSCANNED = failed("d.example")
ODD = Outcome(target="e.example", status="done", risk=RiskSummary(other={"apocalyptic": 1}))
NO_RISK = Outcome(target="f.example", status="done")


@pytest.mark.parametrize(
    ("outcomes", "rules", "status", "code"),
    [
        pytest.param([CLEAN], {}, "passed", 0, id="below the threshold passes"),
        pytest.param([CLEAN, HIGH], {}, "failed", 1, id="at the threshold fails"),
        pytest.param([CRITICAL], {}, "failed", 1, id="above the threshold fails"),
        pytest.param([CRITICAL], {"fail_on": "none"}, "passed", 0, id="none never fails"),
        pytest.param([CRITICAL], {"fail_on": None}, "passed", 0, id="no threshold never fails"),
        pytest.param([CLEAN], {"fail_on": "medium"}, "failed", 1, id="a lower threshold is harder"),
        pytest.param([ODD], {"fail_on": "critical"}, "failed", 1, id="an unknown severity fails"),
        pytest.param([ODD], {"fail_on": "none"}, "passed", 0, id="unknown severity without rule"),
        pytest.param([CLEAN, UNSCANNED], {}, "incomplete", 3, id="a failed scan is incomplete"),
        pytest.param([NO_RISK], {}, "incomplete", 3, id="done without a risk is incomplete"),
        pytest.param(
            [UNSCANNED], {"fail_on": "none"}, "incomplete", 3, id="none still wants verdicts"
        ),
        pytest.param([], {}, "incomplete", 3, id="an empty run is incomplete"),
        pytest.param(
            [], {"allow_incomplete": "100%"}, "incomplete", 3, id="no allowance covers emptiness"
        ),
        pytest.param([HIGH, UNSCANNED], {}, "failed", 1, id="failed wins over incomplete"),
        pytest.param(
            [CLEAN, UNSCANNED], {"allow_incomplete": 1}, "passed", 0, id="one gap is allowed"
        ),
        pytest.param(
            [CLEAN, UNSCANNED, NO_RISK],
            {"allow_incomplete": 1},
            "incomplete",
            3,
            id="two gaps exceed an allowance of one",
        ),
        pytest.param(
            [CLEAN, UNSCANNED], {"allow_incomplete": "50%"}, "passed", 0, id="half may be missing"
        ),
        pytest.param(
            [CLEAN, UNSCANNED],
            {"allow_incomplete": "49%"},
            "incomplete",
            3,
            id="a share is rounded down",
        ),
        pytest.param(
            [UNSCANNED, NO_RISK],
            {"allow_incomplete": "100%"},
            "incomplete",
            3,
            id="no share covers a run without any verdict",
        ),
        pytest.param(
            [not_started("x", "AuthError")],
            {"allow_incomplete": 1, "fail_on": "none"},
            "incomplete",
            4,
            id="nor does a number",
        ),
        pytest.param(
            [HIGH], {"fail_on": "none", "max_counts": {"high": 2}}, "passed", 0, id="at the limit"
        ),
        pytest.param(
            [HIGH], {"fail_on": "none", "max_counts": {"high": 1}}, "failed", 1, id="over the limit"
        ),
        pytest.param(
            [CRITICAL],
            {"fail_on": "none", "max_counts": {"high": 0}},
            "passed",
            0,
            id="a limit counts its own severity",
        ),
        pytest.param(
            [ODD],
            {"fail_on": "none", "max_counts": {"low": 0}},
            "failed",
            1,
            id="a limit counts unknown severities",
        ),
        pytest.param(
            [CLEAN, not_started("x", "AuthError")], {}, "incomplete", 4, id="a dead token is 4"
        ),
        pytest.param(
            [not_started("x"), not_started("y")], {}, "incomplete", 4, id="nothing permitted is 4"
        ),
        pytest.param(
            [CLEAN, not_started("x")], {}, "incomplete", 3, id="one forbidden site of two is 3"
        ),
        pytest.param(
            [HIGH, not_started("x", "AuthError")], {}, "failed", 1, id="failed wins over refused"
        ),
    ],
)
def test_verdict(outcomes: list[Outcome], rules: dict[str, object], status: str, code: int) -> None:
    """The status and the exit code follow from the outcomes and the rules alone."""
    verdict = judge(outcomes, GatePolicy(**rules))  # type: ignore[arg-type]

    assert (verdict.status, exit_code(verdict)) == (status, code)


@pytest.mark.parametrize(
    ("outcomes", "rules", "sentence"),
    [
        pytest.param(
            [HIGH, done("g.example", high=1), *[CLEAN] * 38],
            {},
            "gate: FAILED, 3 high >= high on 2 of 40 sites",
            id="a failure names rule, findings and sites",
        ),
        pytest.param(
            [HIGH, CRITICAL, UNSCANNED],
            {},
            "gate: FAILED, 1 critical, 2 high >= high on 2 of 3 sites; 1 of 3 sites has no verdict",
            id="failure and gap are both said",
        ),
        pytest.param(
            [CLEAN, UNSCANNED, NO_RISK],
            {},
            "gate: INCOMPLETE, 2 of 3 sites have no verdict",
            id="a gap alone is not said to be clean",
        ),
        pytest.param([], {}, "gate: INCOMPLETE, no site was scanned", id="emptiness is said"),
        pytest.param(
            [CLEAN], {}, "gate: PASSED, nothing >= high on 1 site", id="passing names the rule"
        ),
        pytest.param(
            [CLEAN, UNSCANNED],
            {"allow_incomplete": 1},
            "gate: PASSED, nothing >= high on 2 sites; 1 of 2 sites has no verdict",
            id="an allowed gap is still said",
        ),
        pytest.param(
            [CLEAN],
            {"fail_on": "none"},
            "gate: PASSED, no threshold for 1 site",
            id="without a threshold nothing is promised",
        ),
        pytest.param(
            [HIGH],
            {"max_counts": {"high": 1}},
            "gate: FAILED, 2 high >= high on 1 of 1 site; 2 high > 1 allowed on 1 of 1 site",
            id="every broken rule is said",
        ),
        pytest.param(
            [Outcome(target="a", status="done", risk=RiskSummary(other=dict.fromkeys("pqrst", 2)))],
            {},
            "gate: FAILED, 2 p, 2 q, 2 r, 4 of 2 other severities >= high on 1 of 1 site",
            id="three undocumented severities are named and the rest is counted",
        ),
        pytest.param(
            [CLEAN],
            {"fail_on": "none", "max_counts": {"medium": 2}},
            "gate: PASSED, no more findings than allowed on 1 site",
            id="limits alone promise no more than they say",
        ),
    ],
)
def test_sentence(outcomes: list[Outcome], rules: dict[str, object], sentence: str) -> None:
    """One line says which rule failed, how many findings, on how many sites."""
    assert judge(outcomes, GatePolicy(**rules)).sentence == sentence  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "breaking"),
    [
        pytest.param({}, ["critical", "high", "odd"], id="the threshold and what is worse"),
        pytest.param({"fail_on": "none"}, [], id="no rule"),
        pytest.param(
            {"fail_on": "none", "max_counts": {"high": 1, "medium": 0}},
            ["high", "odd"],
            id="a limit that is exceeded, and what is undocumented",
        ),
        pytest.param({"fail_on": "none", "max_counts": {"high": 2}}, [], id="a limit that is kept"),
        pytest.param(
            {"fail_on": "critical", "max_counts": {"high": 1}},
            ["critical", "high", "odd"],
            id="a threshold and a limit",
        ),
    ],
)
def test_a_verdict_tells_which_severities_failed_the_run(
    rules: dict[str, object], breaking: list[str]
) -> None:
    """A report shows exactly the findings that somebody has to look at."""
    verdict = judge([HIGH], GatePolicy(**rules))  # type: ignore[arg-type]
    severities = [Severity(text) for text in ("critical", "high", "medium", "low", "odd")]

    assert [severity for severity in severities if verdict.breaks(severity)] == breaking
    (judged,) = verdict.outcomes
    failing = [one.finding for one in judged.findings if verdict.fails(one)]
    assert failing == (list(HIGH.findings) if "high" in breaking else [])


def test_a_listed_finding_counts_although_the_summary_forgets_it() -> None:
    """An answer that contradicts itself must not pass the gate."""
    row = Outcome(
        target="a.example",
        status="done",
        risk=RiskSummary(),
        findings=(Finding(severity=Severity.CRITICAL),),
    )

    verdict = judge([row], GatePolicy())

    assert (verdict.status, verdict.findings, verdict.sites) == ("failed", 1, 1)


def test_a_hostile_severity_cannot_steer_the_terminal() -> None:
    """A severity is a server's text; in the verdict it is one printable line."""
    row = Outcome(target="a", status="done", risk=RiskSummary(other={"\x1b[2J\npassed": 1}))

    sentence = judge([row], GatePolicy()).sentence

    assert sentence.isprintable()
    assert "\\x1b[2j\\npassed" in sentence


def test_a_severity_without_a_word_is_called_unknown() -> None:
    """It fails like any that nobody has documented, and can be seen."""
    row = Outcome(
        target="a", status="done", risk=RiskSummary(), findings=(Finding(severity=Severity(" ")),)
    )

    assert judge([row], GatePolicy()).sentence == ("gate: FAILED, 1 unknown >= high on 1 of 1 site")


@pytest.mark.parametrize("text", ["-1", "101%", "half", "", "1.5", "٣"])
def test_a_senseless_allowance_is_refused(text: str) -> None:
    """A typing error must not become a gate that lets everything through."""
    with pytest.raises(ConfigError):
        read_allowance(text)


@pytest.mark.parametrize("threshold", ["hihg", "", "0"])
def test_a_misspelt_threshold_is_refused(threshold: str) -> None:
    """An unknown text as a threshold would rank above critical and never fail."""
    with pytest.raises(ConfigError):
        GatePolicy(fail_on=threshold)


def test_the_rules_of_the_gate_are_given_by_name() -> None:
    """Nobody could tell from a row of values which is which."""
    with pytest.raises(TypeError, match="positional"):
        GatePolicy("high")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "rules",
    [
        {"max_counts": {"high": most}}
        for most in (-1, True, None, "5", 1.5, float("nan"), float("inf"))
    ]
    + [{"max_counts": ["high"]}, {"max_counts": {"none": 1}}, {"max_counts": {3: 1}}]
    + [{"fail_on": 3}, {"fail_on": float("nan")}, {"allow_incomplete": float("nan")}],
    ids=str,
)
def test_what_is_no_rule_is_refused(rules: dict[str, Any]) -> None:
    """With a limit like NaN no number of findings would fail."""
    with pytest.raises(ConfigError):
        GatePolicy(**rules)


def test_the_token_explains_no_gap_of_another_kind() -> None:
    """Forbidden and broken sites together are incomplete, not refused."""
    rows = [not_started("a"), Outcome(target="b", status="failed", error=error("ServerError", "x"))]

    assert exit_code(judge(rows, GatePolicy())) == 3
