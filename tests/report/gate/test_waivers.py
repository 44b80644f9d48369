"""Waivers and baseline: what they take out of the rules, and what they never do."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from bestdefense_async.errors import ConfigError
from bestdefense_async.models import Finding, Outcome, RiskSummary, Severity
from bestdefense_async.report.gate.identity import compare_runs, fingerprint, former_fingerprint
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import Verdict, exit_code, judge
from bestdefense_async.report.gate.waivers import Waiver, Waivers, read_waivers
from tests.support.runs import before, done, failed, hostile, run_of, scanned_before

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 25)
HIGH = done("a.example", high=1)
BEFORE = scanned_before(HIGH)
NAME = fingerprint(HIGH, HIGH.findings[0])
COUNTED = Outcome(target="c.example", status="done", site_id="site-c", risk=RiskSummary(high=1))


def waivers(*entries: dict[str, Any]) -> Waivers:
    """Return waivers, each in force and with a reason unless it says otherwise."""
    usual: dict[str, Any] = {"reason": "accepted", "expires": TODAY}
    return Waivers(entries=tuple(Waiver(**usual | entry) for entry in entries), today=TODAY)


def changed(row: Outcome, **changes: Any) -> Outcome:
    """Return the row with its first finding changed; its summary says nothing else."""
    first, *rest = row.findings
    return evolve(row, findings=(evolve(first, **changes), *rest), risk=RiskSummary())


def states(verdict: Verdict) -> list[str]:
    """Return what became of each waiver."""
    return [use.state for use in verdict.uses]


@pytest.mark.parametrize(
    ("entry", "row", "status"),
    [
        pytest.param({"fingerprint": NAME}, HIGH, "passed", id="its fingerprint"),
        pytest.param({"fingerprint": "0" * 32}, HIGH, "failed", id="another fingerprint"),
        pytest.param(
            {"weakness": "cwe-79", "target": "*.EXAMPLE"}, HIGH, "passed", id="CWE and host"
        ),
        pytest.param(
            {"weakness": "Cross-Site Scripting", "target": "*"}, HIGH, "passed", id="its name"
        ),
        pytest.param({"weakness": "CWE-7*", "target": "*"}, HIGH, "failed", id="no pattern"),
        pytest.param({"weakness": "CWE-79", "target": "b.*"}, HIGH, "failed", id="another host"),
        pytest.param(
            {"weakness": "CWE-79", "target": "site-a.example"}, HIGH, "passed", id="the site id"
        ),
        pytest.param(
            {"weakness": "CWE-79", "target": "a.example"},
            evolve(HIGH, target="https://a.example:8443/login"),
            "passed",
            id="the host of an address",
        ),
        pytest.param(
            {"weakness": "CWE-79", "target": "faß.de"},
            evolve(HIGH, target="https://XN--fa-hia.de./login"),
            "passed",
            id="another form of the host",
        ),
        pytest.param(
            {"weakness": "CWE-79", "target": "*", "url": "a.example/path/*"},
            HIGH,
            "passed",
            id="the location",
        ),
        pytest.param({"weakness": "cwe-079", "target": "*"}, HIGH, "passed", id="a CWE spelled"),
        pytest.param(
            {"weakness": "CWE-79", "target": "*"},
            changed(HIGH, cwe="79", weakness=None),
            "passed",
            id="a CWE that the server spells",
        ),
        pytest.param(
            {"weakness": "CWE-79", "target": "*"},
            changed(HIGH, cwe="CWE-790", weakness="79 others"),
            "failed",
            id="a CWE that begins alike",
        ),
        pytest.param(
            {"weakness": "CWE-79", "target": "https://a.example/"},
            HIGH,
            "passed",
            id="the address of the host",
        ),
        pytest.param(
            {"weakness": "CWE-79", "target": "[2001:db8::1]"},
            evolve(HIGH, target="https://[2001:DB8::1]:8443/"),
            "passed",
            id="an address whose brackets are no pattern",
        ),
        pytest.param(
            {"weakness": "CWE-79", "target": "*", "url": "https://a.example/path/*"},
            HIGH,
            "passed",
            id="the location with its scheme",
        ),
        pytest.param(
            {"weakness": "CWE-79", "target": "*", "url": "/path/*"},
            HIGH,
            "passed",
            id="the path alone",
        ),
        pytest.param(
            {"weakness": "CWE-79", "target": "*", "url": "/pat"},
            HIGH,
            "failed",
            id="the beginning of a path",
        ),
        pytest.param(
            {"weakness": "CWE-79", "target": "*", "url": "a.example/admin/*"},
            HIGH,
            "failed",
            id="another location",
        ),
        pytest.param(
            {"weakness": "CWE-79", "target": "*", "url": "*"},
            changed(HIGH, url=None),
            "failed",
            id="no location at all",
        ),
        pytest.param({"fingerprint": NAME, "severity": Severity.HIGH}, HIGH, "passed", id="level"),
        pytest.param(
            {"fingerprint": NAME, "severity": Severity.HIGH},
            changed(HIGH, severity=Severity.CRITICAL),
            "failed",
            id="became worse than accepted",
        ),
        pytest.param(
            {"fingerprint": NAME},
            changed(HIGH, severity=Severity("apocalyptic")),
            "failed",
            id="a severity nobody has documented",
        ),
        pytest.param({"weakness": "Not listed", "target": "*"}, COUNTED, "failed", id="counted"),
        pytest.param(
            {"fingerprint": NAME, "expires": date(2026, 11, 24)}, HIGH, "failed", id="expired"
        ),
    ],
)
def test_a_waiver_covers_what_it_names_and_nothing_else(
    entry: dict[str, Any], row: Outcome, status: str
) -> None:
    """In doubt a finding fails."""
    assert judge([row], GatePolicy(), waivers=waivers(entry)).status == status


def test_a_finding_keeps_its_name_from_release_to_release() -> None:
    """Files of waivers and code scanning know it by that name."""
    assert NAME == "801f1c0748d0b60e9364e194bc7e3730"
    assert former_fingerprint(HIGH, HIGH.findings[0]) == "db61ce9762b0e46fdb6e7439d5a3f330"


def test_waived_findings_are_counted_and_shown() -> None:
    """The sentence of a pass has the reason."""
    verdict = judge(
        [HIGH, done("b.example", low=2)], GatePolicy(), waivers=waivers({"fingerprint": NAME})
    )

    assert (verdict.waived, verdict.findings, verdict.known, verdict.new) == (1, 0, None, None)
    assert verdict.sentence == "gate: PASSED, nothing >= high on 2 sites; 1 finding waived"
    assert [one.state for one in verdict.outcomes[0].findings] == ["waived"]
    assert [one.state for one in verdict.outcomes[1].findings] == ["open", "open"]
    assert not any(map(verdict.fails, verdict.ranked()))


def test_expired_and_stale_waivers_are_shown() -> None:
    """One that is out of force, and one that matches nothing."""
    old = {"fingerprint": NAME, "expires": date(2026, 1, 1)}
    verdict = judge([HIGH], GatePolicy(), waivers=waivers(old, {"fingerprint": "0" * 32}))

    assert states(verdict) == ["expired", "stale"]
    assert verdict.sentence == (
        "gate: FAILED, 1 high >= high on 1 of 1 site; 1 waiver expired; 1 waiver matching nothing"
    )


def test_two_waivers_of_one_finding_are_both_used() -> None:
    """Neither may be thrown away as stale: the other may end first."""
    both = waivers({"fingerprint": NAME}, {"weakness": "CWE-79", "target": "*"})

    assert states(judge([HIGH], GatePolicy(), waivers=both)) == ["used", "used"]


def test_a_waiver_takes_findings_out_of_every_rule() -> None:
    """Limits count what is open."""
    rows = [done("a.example", high=3)]
    policy = GatePolicy(fail_on=None, max_counts={"high": 2})

    assert judge(rows, policy).status == "failed"
    assert judge(rows, policy, waivers=waivers({"fingerprint": NAME})).status == "passed"


def test_more_are_counted_than_the_waived_one() -> None:
    """A summary that knows of more than the list leaves the difference open."""
    row = evolve(HIGH, risk=RiskSummary(high=2))
    verdict = judge([row], GatePolicy(), waivers=waivers({"fingerprint": NAME}))

    assert verdict.sentence == ("gate: FAILED, 1 high >= high on 1 of 1 site; 1 finding waived")


@pytest.mark.parametrize(
    "row",
    [failed("a.example"), Outcome(target="a.example", status="done"), evolve(HIGH, risk=None)],
)
def test_nothing_excuses_a_target_without_a_verdict(row: Outcome) -> None:
    """Not even its own findings count as waived or known: it was not scanned to the end."""
    wide = waivers({"weakness": "CWE-79", "target": "*"})
    verdict = judge([row], GatePolicy(fail_on=None), waivers=wide, baseline=[BEFORE])

    assert (verdict.status, exit_code(verdict)) == ("incomplete", 3)
    assert (verdict.waived, verdict.known) == (0, 0)


LOW = changed(HIGH, severity=Severity.LOW)


@pytest.mark.parametrize(
    ("row", "baseline", "status"),
    [
        pytest.param(HIGH, [HIGH], "passed", id="the same finding"),
        pytest.param(HIGH, [], "failed", id="an empty baseline"),
        pytest.param(HIGH, [done("b.example", high=1)], "failed", id="of another site"),
        pytest.param(HIGH, [done("a.example")], "failed", id="a site that was clean"),
        pytest.param(HIGH, [evolve(HIGH, risk=None)], "failed", id="no verdict there"),
        pytest.param(HIGH, [evolve(HIGH, status="failed")], "failed", id="failed there"),
        pytest.param(HIGH, [LOW], "failed", id="became worse"),
        pytest.param(LOW, [HIGH], "passed", id="became better"),
        pytest.param(COUNTED, [COUNTED], "failed", id="counted only, in both"),
        pytest.param(
            HIGH, [evolve(HIGH, findings=())], "failed", id="counted only, in the baseline"
        ),
        pytest.param(
            evolve(HIGH, findings=HIGH.findings * 2), [HIGH], "failed", id="twice, once known"
        ),
        pytest.param(
            evolve(HIGH, findings=HIGH.findings * 2),
            [evolve(HIGH, findings=HIGH.findings * 2)],
            "passed",
            id="twice, twice known",
        ),
        pytest.param(
            changed(HIGH, severity=Severity("odd")),
            [changed(HIGH, severity=Severity("other"))],
            "failed",
            id="undocumented severities that differ",
        ),
        pytest.param(
            changed(HIGH, evidence="else", id="else", url="http://a.example/path/0?q=1#x"),
            [HIGH],
            "passed",
            id="other id, evidence and query",
        ),
    ],
)
def test_only_what_the_baseline_lists_is_known(
    row: Outcome, baseline: list[Outcome], status: str
) -> None:
    """Whatever cannot be shown to be old is new."""
    verdict = judge([row], GatePolicy(fail_on="low"), baseline=map(scanned_before, baseline))

    assert verdict.status == status


def test_new_and_known_findings_are_counted_and_shown() -> None:
    """And which sites the baseline knows nothing of."""
    rows = [done("a.example", high=2), done("b.example", high=1)]

    verdict = judge(rows, GatePolicy(), baseline=[BEFORE, failed("b.example")])

    assert (verdict.known, verdict.new) == (1, 2)
    assert verdict.sentence == (
        "gate: FAILED, 2 new high >= high on 2 of 2 sites; 1 finding known from the baseline; "
        "1 site not in the baseline"
    )
    passed = judge([HIGH], GatePolicy(), baseline=[BEFORE])
    assert passed.sentence == (
        "gate: PASSED, nothing new >= high on 1 site; 1 finding known from the baseline"
    )


def test_the_same_results_are_known_and_unchanged() -> None:
    """Also when every text in it is an attack; only what is counted stays new."""
    run = hostile()
    older = before(run)
    verdict = judge(run.outcomes, GatePolicy(), baseline=older.outcomes)

    assert verdict.known == sum(len(row.findings) for row in run.outcomes)
    changes = compare_runs(run, older)
    assert (changes.new.total(), changes.fixed.total()) == (0, 0)


def test_a_finding_that_became_worse_is_fixed_and_new() -> None:
    """So that the older counts, plus what is new, less what is fixed, are the counts of now."""
    changes = compare_runs(run_of(HIGH), before(run_of(LOW)))

    assert (dict(changes.fixed), dict(changes.new)) == ({"low": 1}, {"high": 1})
    assert changes.unchanged.total() == 0


def test_what_was_not_scanned_is_not_fixed() -> None:
    """A site without a verdict mends nothing."""
    assert compare_runs(run_of(failed("a.example")), run_of(BEFORE)).fixed.total() == 0
    assert compare_runs(run_of(done("a.example")), run_of(BEFORE)).fixed.total() == 1


ENTRY = 'fingerprint = "' + "0" * 32 + '"\nreason = "r"\nexpires = 2027-01-31\n'


def read(tmp_path: Path, text: str | bytes) -> Waivers:
    """Return the waivers of a file with this content."""
    path = tmp_path / "waivers.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_waivers(path, today=TODAY)


def test_a_file_of_waivers_is_read(tmp_path: Path) -> None:
    """With every condition, and the line of each entry."""
    text = f'# ours\n[[waiver]]\n{ENTRY}\n[[waiver]]\nweakness = "CWE-79"\ntarget = "*"\n'
    text += 'url = "a/*"\nseverity = "low"\nreason = " because "\nexpires = 2026-11-25\n'

    first, second = read(tmp_path, text).entries

    assert (first.fingerprint, first.reason, first.expires) == ("0" * 32, "r", date(2027, 1, 31))
    assert (first.line, second.line) == (2, 7)
    assert (second.weakness, second.target, second.url) == ("CWE-79", "*", "a/*")
    assert (second.severity, second.reason) == ("low", "because")
    assert str(second) == "CWE-79 at * in a/* up to low"


def test_an_empty_file_waives_nothing(tmp_path: Path) -> None:
    """A team may begin with one."""
    assert read(tmp_path, "# none yet\n").entries == ()


BROKEN = {
    "no TOML": ("[[waiver]\n", "line 1: this is not valid TOML"),
    "other bytes": (b"# caf\xe9\n", "line 1: this is not UTF-8"),
    "an unknown table": ("x = 1\n[[waiver]]\n" + ENTRY, "line 1: 'x' is not known here"),
    "a single table": ("\n[waiver]\n" + ENTRY, "line 2: each entry begins with [[waiver]]"),
    "no reason": (
        '[[waiver]]\nfingerprint = "' + "0" * 32 + '"\nexpires = 2027-01-31\n',
        "line 1: this waiver needs a reason",
    ),
    "an empty reason": ("[[waiver]]\n" + ENTRY.replace('"r"', '" "'), "line 3: reason must be"),
    "no last day": (
        '[[waiver]]\nfingerprint = "' + "0" * 32 + '"\nreason = "r"\n',
        "line 1: this waiver needs a last day",
    ),
    "a day in quotes": (
        "[[waiver]]\n" + ENTRY.replace("2027-01-31", '"2027-01-31"'),
        "line 4: expires must be a day like 2027-01-31",
    ),
    "a moment": (
        "[[waiver]]\n" + ENTRY.replace("2027-01-31", "2027-01-31T10:00:00"),
        "line 4: expires must be a day",
    ),
    "no condition": (
        '[[waiver]]\nreason = "r"\nexpires = 2027-01-31\n',
        "line 1: this waiver needs a fingerprint, or a weakness and a target",
    ),
    "a target alone": (
        '[[waiver]]\ntarget = "*"\nreason = "r"\nexpires = 2027-01-31\n',
        "line 1: this waiver needs a fingerprint, or a weakness and a target",
    ),
    "a misspelt condition in the second entry": (
        f'[[waiver]]\n{ENTRY}[[waiver]]\n{ENTRY}sevrity = "low"\n',
        "line 9: a waiver has no 'sevrity'",
    ),
    "a short fingerprint": ('[[waiver]]\nfingerprint = "00"\n', "line 2: fingerprint must be"),
    "a severity that is none": (
        f'[[waiver]]\n{ENTRY}severity = "hihg"\n',
        "line 5: severity must be one of critical",
    ),
    "inline tables": ('waiver = [{reason = "r"}]\n', "line 1: this waiver needs a fingerprint"),
    "numbers": ("waiver = [1]\n", "line 1: each entry begins with [[waiver]]"),
}


@pytest.mark.parametrize(("text", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_one_sentence_with_the_line(
    text: str | bytes, says: str, tmp_path: Path
) -> None:
    """Nothing is guessed: a waiver too many hides a finding."""
    with pytest.raises(ConfigError, match=r"waivers\.toml") as caught:
        read(tmp_path, text)

    assert says in str(caught.value)
    assert caught.value.__context__ is None


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """It is not the same as an empty one."""
    with pytest.raises(ConfigError, match="cannot be read"):
        read_waivers(tmp_path / "absent.toml", today=TODAY)


def test_a_waiver_names_itself_without_steering_the_terminal() -> None:
    """Its file may come from a pull request."""
    entry = Waiver(weakness="CWE\x1b[2J", target="*", reason="r", expires=TODAY)

    assert str(entry) == "CWE\\x1b[2J at *"


def test_an_odd_finding_is_matched_without_trouble() -> None:
    """A finding may have nothing but a severity."""
    bare = evolve(HIGH, findings=(Finding(severity=Severity.HIGH),))
    name = fingerprint(bare, bare.findings[0])

    assert judge([bare], GatePolicy(), waivers=waivers({"fingerprint": name})).waived == 1
