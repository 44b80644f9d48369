"""Findings under other names."""

from typing import Any

import pytest

from bestdefense_async.core.codec import structure
from bestdefense_async.models import Alerts

THERE = {
    "name": "Reflected XSS",
    "cweId": 79,
    "location": "/search",
    "proof": "<script>",
    "solution": "Escape.",
    "category": "XSS",
    "risk": "HIGH",
}


def alerts(**finding: Any) -> Any:
    """Return the one finding of an answer."""
    payload = {"riskSummary": {"high": 1}, "alerts": [finding]}
    return structure(payload, Alerts).findings[0]


def test_likely_names_are_read_where_ours_are_missing() -> None:
    """Nobody has to bind a documented operation for them."""
    found = alerts(**THERE)
    assert (found.title, found.cwe, found.url) == ("Reflected XSS", "CWE-79", "/search")
    assert (found.evidence, found.guidance) == ("<script>", "Escape.")
    assert (found.weakness, str(found.severity), found.extra) == ("XSS", "high", {})


def test_our_own_names_count_more() -> None:
    """The other one stays for who wants it."""
    found = alerts(severity="low", title="ours", name="theirs", cwe="CWE-1", cweId=2)
    assert (found.title, found.cwe) == ("ours", "CWE-1")
    assert found.extra == {"name": "theirs", "cweId": 2}


@pytest.mark.parametrize("location", [{"url": "/"}, ["/"], 7, None])
def test_a_member_of_another_type_is_left_alone(location: Any) -> None:
    """It spoils no finding."""
    found = alerts(severity="low", location=location)
    assert found.url is None
    assert found.extra == {"location": location}


@pytest.mark.parametrize(
    ("there", "ours"),
    [
        ({"headline": "b", "name": "a"}, {"title": "a", "extra": {"headline": "b"}}),
        ({"Affected-URL": "/x", "proof_of_concept": "p"}, {"url": "/x", "evidence": "p"}),
        ({"remediation_guidance": "g", "weakness_name": "w"}, {"guidance": "g", "weakness": "w"}),
        ({"CWE": 79}, {"cwe": "CWE-79"}),
    ],
)
def test_a_name_may_be_spelled_in_any_case_and_with_hyphens(
    there: dict[str, Any], ours: dict[str, Any]
) -> None:
    """Of several the likeliest counts."""
    assert alerts(severity="low", **there).as_dict() == {"severity": "low", **ours}
