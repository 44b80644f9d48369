"""Which findings are the same: stable over spelling and wording, distinct where they differ."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from bestdefense_async.errors import ConfigError
from bestdefense_async.models import Finding, Outcome, RiskSummary, Severity
from bestdefense_async.report.gate.identity import (
    FindingPlace,
    compare_runs,
    fingerprint,
    former_fingerprint,
    weakness_at,
)
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.gate.waivers import Waiver, Waivers
from tests.support.runs import before, done, run_of, scanned_before

if TYPE_CHECKING:
    from bestdefense_async.report.gate.verdict import Verdict

TODAY = date(2026, 11, 25)
URL = "https://shop.example.com/a?q=1"
FINDING = Finding(severity=Severity.HIGH, title="Script is run", url=URL, cwe="CWE-79")


def site(*findings: Finding, target: str = "shop.example.com") -> Outcome:
    """Return a site with these findings."""
    return Outcome(
        target=target,
        status="done",
        site_id="site-1",
        report_id="report-now",
        risk=RiskSummary(),
        findings=findings,
    )


def name_of(target: str = "shop.example.com", **changes: Any) -> str:
    """Return the fingerprint of the finding with these changes."""
    finding = evolve(FINDING, **changes)
    return fingerprint(site(finding, target=target), finding)


def waived(found: Outcome, *names: str) -> Verdict:
    """Return the verdict about a site when these fingerprints are waived."""
    entries = tuple(Waiver(fingerprint=name, reason="r", expires=TODAY, line=3) for name in names)
    return judge([found], GatePolicy(), waivers=Waivers(entries=entries, today=TODAY))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("https://shop.example.com:443/a", ("shop.example.com", "/a", "")),
        ("http://shop.example.com:80/a", ("shop.example.com", "/a", "")),
        ("https://shop.example.com:8443/a", ("shop.example.com:8443", "/a", "")),
        ("HTTPS://u:p@SHOP.example.com./a#top", ("shop.example.com", "/a", "")),
        ("shop.example.com/a", ("shop.example.com", "/a", "")),
        ("//shop.example.com/a", ("shop.example.com", "/a", "")),
        ("https://shop.example.com", ("shop.example.com", "/", "")),
        ("https://fa\u00df.de/\u00fc", ("xn--fa-hia.de", "/%C3%BC", "")),
        ("/a/./b/../%7Euser/%c3%bc%2f", ("", "/a/~user/%C3%BC%2F", "")),
        ("/a/..", ("", "/", "")),
        ("/../a/", ("", "/a/", "")),
        ("/a?q=1&name=%41&q=2", ("", "/a", "name&q")),
        ("?q", ("", "/", "q")),
        ("/a?&x=1&&y=2&", ("", "/a", "x&y")),
        ("/a?", ("", "/a", "")),
        ("/to?u=https://other.example/", ("", "/to", "u")),
        ("https://[2001:DB8::1]:443/", ("[2001:db8::1]", "/", "")),
        ("the  session cookie", ("", "the session cookie", "")),
        ("http://[", ("", "http://[", "")),
        ("", ("", "", "")),
    ],
)
def test_a_place_has_one_spelling(text: str, place: tuple[str, str, str]) -> None:
    """RFC 3986 says in 6.2.2 and 6.2.3 which spellings mean the same."""
    found = FindingPlace.of(text)

    assert (found.host, found.path, found.parameters) == place


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"url": "https://shop.example.com:443/a?q=2"}, id="the usual port"),
        pytest.param({"url": "/a?q"}, id="the path alone"),
        pytest.param({"url": "SHOP.example.com/./a?q=%3Cx"}, id="no scheme, capitals, dots"),
        pytest.param({"title": "Script  is RUN."}, id="a full stop more"),
        pytest.param({"cwe": "cwe-079"}, id="another way to write a CWE"),
        pytest.param({"cwe": "79"}, id="the number alone"),
        pytest.param({"weakness": "Cross-site Scripting"}, id="a name beside the CWE"),
        pytest.param({"id": "x", "evidence": "x", "guidance": "x"}, id="what is no part of it"),
        pytest.param({"severity": Severity.LOW}, id="another severity"),
        pytest.param({"target": "site-1"}, id="a target that is written as the id of its site"),
        pytest.param({"target": "https://SHOP.example.com/x"}, id="a target that is an address"),
    ],
)
def test_spelling_changes_no_fingerprint(changes: dict[str, Any]) -> None:
    """A finding is not new because somebody wrote it in another way."""
    assert name_of(**changes) == name_of()


@pytest.mark.parametrize(
    ("changes", "is_near"),
    [
        pytest.param({"title": "Script is stored"}, True, id="another title"),
        pytest.param({"url": "/a?name=1"}, True, id="another parameter"),
        pytest.param({"url": "https://cdn.example.com/a?q=1"}, True, id="another host"),
        pytest.param({"url": "https://shop.example.com:8443/a?q=1"}, True, id="another port"),
        pytest.param({"url": "/b?q=1"}, False, id="another path"),
        pytest.param({"url": "/A?q=1"}, False, id="a path in capitals"),
        pytest.param({"cwe": "CWE-80"}, False, id="another weakness"),
        pytest.param({"cwe": None}, False, id="no weakness"),
    ],
)
def test_what_differs_has_a_fingerprint_of_its_own(
    changes: dict[str, Any], *, is_near: bool
) -> None:
    """Waiving one finding waives no other; the last part is the weakness at its path."""
    assert name_of(**changes) != name_of()
    assert (weakness_at(name_of(**changes)) == weakness_at(name_of())) is is_near


def test_sites_do_not_share_fingerprints() -> None:
    """The same weakness at the same path of two sites is two findings."""
    one = site(FINDING)

    assert fingerprint(evolve(one, site_id="site-2"), FINDING) != fingerprint(one, FINDING)


@pytest.mark.parametrize(
    ("now", "is_known"),
    [
        pytest.param([evolve(FINDING, title="Other words")], [True], id="other words"),
        pytest.param([evolve(FINDING, url="/a?other=1")], [True], id="another parameter"),
        pytest.param([evolve(FINDING, title="More"), FINDING], [False, True], id="one more"),
        pytest.param(
            [evolve(FINDING, severity=Severity.CRITICAL, title="Worse")], [False], id="worse"
        ),
        pytest.param([evolve(FINDING, url="/b")], [False], id="elsewhere"),
    ],
)
def test_reworded_findings_are_known_and_told(now: list[Finding], is_known: list[bool]) -> None:
    """The last part decides only about what nothing else matches, and the verdict says so."""
    found = site(*now)
    verdict = judge([found], GatePolicy(), baseline=[scanned_before(site(FINDING))])
    states = [one.state for one in verdict.outcomes[0].findings]

    assert [state == "known" for state in states] == is_known
    assert ("1 of these by weakness and path alone" in verdict.sentence) == (is_known == [True])
    changes = compare_runs(run_of(found), before(run_of(site(FINDING))))
    assert len(changes.unchanged_findings) == sum(is_known)
    assert changes.reworded == (is_known == [True])


def test_a_waiver_with_a_former_fingerprint_still_counts_and_says_so() -> None:
    """Files of waivers outlive versions; the line has what to write in its place."""
    found = site(FINDING)
    verdict = waived(found, former_fingerprint(found, FINDING))

    assert verdict.sentence == (
        "gate: PASSED, nothing >= high on 1 site; 1 finding waived; "
        "1 waiver with a fingerprint of the former way"
    )
    [use] = verdict.uses
    assert use.needs_attention
    assert str(use).startswith(
        f"the waiver of line 3 has a fingerprint of the former way, now {name_of()}: "
    )


def test_a_waiver_follows_other_words_when_it_fits_one_finding_alone() -> None:
    """Where it could mean either of two, it means neither."""
    other = evolve(FINDING, title="Other words")
    another = evolve(FINDING, title="And others")

    one = waived(site(other), name_of())
    assert (one.status, one.waived, one.reworded) == ("passed", 1, 1)
    assert "1 finding waived; 1 of these by weakness and path alone" in one.sentence
    line = str(one.uses[0])
    assert (
        f"fits by weakness and path alone: the finding is now {name_of(title='Other words')}"
        in (line)
    )
    assert waived(site(other, another), name_of()).waived == 0
    exact = waived(site(FINDING, other), name_of())
    assert [one.state for one in exact.outcomes[0].findings] == ["waived", "open"]
    assert not exact.uses[0].needs_attention


@pytest.mark.parametrize(("now", "earlier"), [(1.0, 1.0), (None, 1.0), (1.0, None), (None, None)])
def test_a_scan_is_never_its_own_baseline(now: float | None, earlier: float | None) -> None:
    """It would approve whatever it has found: a gate that cannot fail is refused."""
    found = evolve(site(FINDING), started_at=now)

    with pytest.raises(ConfigError, match=r"same scan of shop\.example\.com, report report-now"):
        judge([found], GatePolicy(), baseline=[evolve(found, started_at=earlier)])
    with pytest.raises(ConfigError, match="cannot be compared with itself"):
        compare_runs(run_of(found), run_of(evolve(found, started_at=earlier)))


def test_servers_may_count_their_reports_anew() -> None:
    """Two scans of different times are two, whatever they are called."""
    found = evolve(site(FINDING), started_at=2.0)

    assert judge([found], GatePolicy(), baseline=[evolve(found, started_at=1.0)]).known == 1


def test_a_site_that_is_not_named_is_known_by_its_host() -> None:
    """A target may be an address, whose path does not matter."""
    earlier, now = (evolve(done(text, high=1), site_id=None) for text in ("a.example", "A.example"))

    verdict = judge([evolve(now, report_id="x")], GatePolicy(), baseline=[earlier])

    assert verdict.known == 1


def test_one_of_two_that_are_equal_is_new() -> None:
    """Even where they are the same value: what occurs once more is one more."""
    now, earlier = run_of(site(FINDING, FINDING)), before(run_of(site(FINDING)))
    changes = compare_runs(now, earlier)

    found = judge(now.outcomes, GatePolicy()).ranked(changes)

    assert [(one.is_new, one.occurrence) for one in found] == [(True, 2), (False, 1)]
