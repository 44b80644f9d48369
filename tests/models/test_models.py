"""Severities, counts and options."""

import pytest

from bestdefense_async import ConfigError, RiskSummary, ScanOptions, Severity
from bestdefense_async.models import SEVERITIES, Stage


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("HIGH", Severity.HIGH),
        (" Info ", Severity.INFORMATIONAL),
        ("informational", Severity.INFORMATIONAL),
    ],
)
def test_a_severity_is_read_in_any_form(text: str, severity: Severity) -> None:
    """Letter case does not matter, `info` is the wire form of informational."""
    assert Severity(text) == severity
    assert severity.is_known


def test_an_unknown_severity_is_kept_and_ranks_worst() -> None:
    """A gate fails closed on a word it does not know."""
    unknown = Severity("Blocker")
    assert unknown == "blocker"
    assert not unknown.is_known
    assert unknown.rank > max(severity.rank for severity in SEVERITIES)


def test_severities_are_listed_worst_first() -> None:
    """Tables and bands read from here."""
    assert [severity.rank for severity in SEVERITIES] == [4, 3, 2, 1, 0]


def test_counts_add_up_and_unknown_ones_count() -> None:
    """The total and the worst include severities that are not documented."""
    risk = RiskSummary(critical=1, medium=4, informational=8, other={"blocker": 16})
    assert risk.total == 29
    assert risk.worst == "blocker"
    assert list(risk.as_dict()) == [*map(str, SEVERITIES), "blocker"]


def test_no_findings_have_no_worst() -> None:
    """Zero is a number, and none is none."""
    assert RiskSummary().worst is None
    assert RiskSummary(other={"blocker": 0}).worst is None
    assert RiskSummary(low=1).worst == Severity.LOW


@pytest.mark.parametrize(
    "arguments",
    [
        {"types": ()},
        {"types": ("secu rity",)},
        {"types": 7},
        {"types": (None,)},
        {"intensity": 3},
        {"callback_secret": 64},
        {"intensity": ""},
        {"mode": "a\nb"},
        {"callback_secret": "ab"},
    ],
)
def test_options_that_could_not_be_words_are_refused(arguments: dict[str, object]) -> None:
    """Before anything is sent, and without repeating the secret."""
    with pytest.raises(ConfigError):
        ScanOptions(**arguments)  # type: ignore[arg-type]


def test_the_enumerations_of_the_options_are_open() -> None:
    """A word the vendor adds tomorrow can be sent today; the secret is not shown."""
    options = ScanOptions(types="security", intensity="extreme", callback_secret="c0" * 32)
    assert options.types == ("security",)
    assert "c0c0" not in repr(options)


def test_a_stage_is_read_in_any_letter_case_and_an_unknown_one_is_kept() -> None:
    """The enumeration is open."""
    assert Stage(" approved") == Stage.APPROVED == "Approved"
    assert Stage("REVIEW").is_known
    assert Stage("Merged elsewhere") == "Merged elsewhere"
    assert not Stage("Merged elsewhere").is_known
