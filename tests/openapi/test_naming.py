"""From pairs of fields to a binding: applied to an answer of theirs, it gives ours."""

from typing import Any

import pytest

from bestdefense_async.core.binding import Binding, bind
from bestdefense_async.core.route import ROUTES
from bestdefense_async.openapi.pairing import Pair, binding_pairs


def pairs(names: dict[str, str]) -> list[Pair]:
    """Return pairs of fields."""
    return [Pair(ours=ours, theirs=theirs, alike=1.0) for ours, theirs in names.items()]


CASES: dict[str, tuple[str, dict[str, str], Any, Any]] = {
    "all the same": (
        "schedules.list",
        {"schedules[].id": "schedules[].id"},
        {"schedules": [{"id": "1", "x": 1}]},
        {"schedules": [{"id": "1", "x": 1}]},
    ),
    "another list, with what nobody named": (
        "schedules.list",
        {"schedules[].id": "items[].id", "schedules[].siteId": "items[].site.id"},
        {"items": [{"id": "1", "site": {"id": "s", "n": 1}, "x": 1}], "page": 1},
        {"schedules": [{"id": "1", "siteId": "s", "site": {"n": 1}, "x": 1}], "page": 1},
    ),
    "an empty list": (
        "schedules.list",
        {"schedules[].id": "items[].id"},
        {"items": []},
        {"schedules": []},
    ),
    "the answer is the list": (
        "schedules.list",
        {"schedules[].id": "[].uuid"},
        [{"uuid": "1", "x": 1}],
        {"schedules": [{"id": "1", "x": 1}]},
    ),
    "the answer is the thing": (
        "schedules.create",
        {"schedule.id": "id", "schedule.cadence": "plan.every"},
        {"id": "1", "plan": {"every": "daily"}, "x": 1},
        {"schedule": {"id": "1", "cadence": "daily", "x": 1}},
    ),
    "the thing beside something else": (
        "remediation.trigger",
        {"remediation.id": "fix.id", "remediation.stage": "fix.status", "creditsRemaining": "left"},
        {"fix": {"id": "1", "status": "Review", "x": 1}, "left": 4},
        {"remediation": {"id": "1", "stage": "Review", "x": 1}, "creditsRemaining": 4},
    ),
    "the thing around something else": (
        "remediation.trigger",
        {"remediation.id": "id", "creditsRemaining": "credits.left"},
        {"id": "1", "credits": {"left": 4}},
        {"remediation": {"id": "1"}, "creditsRemaining": 4},
    ),
    "names that are swapped": (
        "remediation.get",
        {"remediation.id": "remediation.reportId", "remediation.reportId": "remediation.id"},
        {"remediation": {"id": "a", "reportId": "b"}},
        {"remediation": {"id": "b", "reportId": "a"}},
    ),
    "counts beside the findings": (
        "network.findings",
        {"riskSummary.high": "high", "riskSummary.low": "low", "alerts[].title": "items[].name"},
        {"high": 1, "low": 0, "items": [{"name": "x"}]},
        {"riskSummary": {"high": 1, "low": 0}, "alerts": [{"title": "x"}]},
    ),
}


@pytest.mark.parametrize(("name", "names", "theirs", "ours"), CASES.values(), ids=CASES.keys())
def test_an_answer_lands_where_ours_stands(
    name: str, names: dict[str, str], theirs: Any, ours: Any
) -> None:
    """With all that nobody has named."""
    binding = Binding(
        method="POST",
        template="/".join(["/x", *(f"{{{part}}}" for part in ROUTES[name].parts)]),
        answer=binding_pairs(pairs(names)),
    )
    assert bind(name, binding).answer_here(theirs) == ours


def test_only_what_would_not_land_by_itself_is_named() -> None:
    """A file of bindings is for people, too."""
    names = {
        "schedules[].id": "items[].id",
        "schedules[].cadence": "items[].cadence",
        "schedules[].siteId": "items[].target",
    }
    assert binding_pairs(pairs(names)) == {
        "schedules": "items",
        "schedules[].siteId": "items[].target",
    }
    assert binding_pairs(pairs({"siteId": "siteId", "cadence": "every"})) == {"cadence": "every"}
