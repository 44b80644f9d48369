"""What real answers had that is not known is counted, and what it said is never told."""

from __future__ import annotations

from typing import Any

from bestdefense_async.core.codec import structure
from bestdefense_async.models import Alerts, Outcome
from bestdefense_async.openapi.drift import unknowns_of


def outcome(*findings: dict[str, Any], **counts: int) -> Outcome:
    """Return the outcome of a scan with that answer."""
    answer = structure({"riskSummary": counts, "alerts": [*findings]}, Alerts)
    return Outcome(target="x", status="done", risk=answer.risk, findings=answer.findings)


def counted(*outcomes: Outcome) -> dict[str, tuple[int, int]]:
    """Return how often each came, and in how many answers."""
    found = unknowns_of(outcomes)
    assert {each["operation"] for each in found} <= {"vortex.alerts"}
    return {str(each["member"]): (int(each["count"]), int(each["answers"])) for each in found}


def test_what_is_known_is_no_drift() -> None:
    """Under our names, under the likely ones, and severities in any case."""
    known = {"id": "a", "severity": "HIGH", "name": "XSS", "cweId": 79, "affected_url": "/x"}
    assert unknowns_of([outcome(known, high=1), Outcome(target="y", status="failed")]) == []


def test_unknown_members_are_counted_where_they_stand() -> None:
    """Once for each finding, however deep, and each answer once."""
    one = {"severity": "low", "cvss": {"score": 9.8, "vector": "AV:N"}, "tags": ["a", "b"]}
    two = {"severity": "low", "cvss": {"score": 1}, "refs": [{"href": "x"}, {"href": "y"}]}
    assert counted(outcome(one, two, low=2), outcome(two, low=1)) == {
        "alerts[].cvss.score": (3, 2),
        "alerts[].cvss.vector": (1, 1),
        "alerts[].refs[].href": (2, 2),
        "alerts[].tags[]": (1, 1),
    }


def test_an_unknown_word_is_counted_without_the_word() -> None:
    """Also among the counts, where it is a name."""
    found = unknowns_of([outcome({"severity": "apocalyptic"}, apocalyptic=1)])
    assert [(each["member"], each["what"]) for each in found] == [
        ("alerts[].severity", "unknown value"),
        ("riskSummary.apocalyptic", "unknown member"),
    ]
    assert {each["count"] for each in found} == {each["answers"] for each in found} == {1}


def test_names_that_are_data_are_not_told() -> None:
    """A map by address or by id, or by very many names, would tell what stood in the answer."""
    by_address = {"https://shop.example.com/?token=x": 1, "0b7e5c1a-0000": 2}
    many = {f"customer_{chr(97 + at % 26)}{at // 26}": {"x": 1} for at in range(60)}
    deep: Any = {"a": "x"}
    for _ in range(20):
        deep = {"in": deep}
    finding = {"severity": "low", "seen": by_address, "owners": many, "deep": deep}
    assert counted(outcome(finding, low=1)) == {
        "alerts[].seen.*": (1, 1),
        "alerts[].owners.*.x": (1, 1),
        "alerts[].deep.in.in.in.in": (1, 1),
    }
