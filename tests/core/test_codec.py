"""JSON values into models."""

from typing import Any

import pytest

from bestdefense_async.core.codec import structure
from bestdefense_async.errors import EnvelopeError
from bestdefense_async.models import (
    AgentManifest,
    Alerts,
    Finding,
    Overview,
    Progress,
    Report,
    RiskSummary,
    Severity,
    Site,
)


@pytest.mark.parametrize(
    ("payload", "model", "expected"),
    [
        pytest.param(
            {"id": "0042", "hostname": "a.example", "tags": [1]},
            Site,
            Site(id="0042", hostname="a.example", extra={"tags": [1]}),
            id="unknown members are kept, zeros in front too",
        ),
        pytest.param(
            {"id": 42, "message": None, "status": 201},
            Report,
            Report(id="42", status=201),
            id="an id may be a number and becomes text",
        ),
        pytest.param(
            {"isCompleted": False, "percentage": 40},
            Progress,
            Progress(is_completed=False, percentage=40.0),
            id="progress with a percentage",
        ),
        pytest.param(
            {"security": None}, Overview, Overview(security_id=None), id="no security part yet"
        ),
        pytest.param(
            {"security": {"id": 7}, "seo": 1},
            Overview,
            Overview(security_id=7, extra={"seo": 1}),
            id="a security part",
        ),
        pytest.param(
            {"riskSummary": {"HIGH": 2, "Info": 1, "blocker": 3}},
            Alerts,
            Alerts(risk=RiskSummary(high=2, informational=1, other={"blocker": 3})),
            id="severities in any case, unknown ones kept",
        ),
        pytest.param(
            {"risk_summary": {}, "findings": [{"severity": "low", "line": 3}]},
            Alerts,
            Alerts(
                risk=RiskSummary(),
                findings=(Finding(severity=Severity.LOW, extra={"line": 3}),),
            ),
            id="the other names of summary and list",
        ),
    ],
)
def test_a_payload_becomes_a_model(payload: Any, model: type, expected: object) -> None:
    """Shapes of the facts, and those that are inferred beside them."""
    assert structure(payload, model) == expected


@pytest.mark.parametrize(
    ("payload", "model", "path"),
    [
        pytest.param({}, Progress, "data.isCompleted is missing", id="a member is missing"),
        pytest.param({"isCompleted": 1}, Progress, "data.isCompleted", id="1 is not true"),
        pytest.param({"isCompleted": "true"}, Progress, "data.isCompleted", id="text is not true"),
        pytest.param([], Progress, "data is not an object", id="a list for an object"),
        pytest.param(None, Alerts, "data is not an object", id="null for an object"),
        pytest.param({}, Alerts, "data.riskSummary is missing", id="no summary is never zero"),
        pytest.param({"riskSummary": None}, Alerts, "data.riskSummary", id="a null summary"),
        pytest.param({"riskSummary": {"high": -1}}, Alerts, "riskSummary.high", id="minus one"),
        pytest.param(
            {"riskSummary": {"high": True}}, Alerts, "riskSummary.high", id="true is no count"
        ),
        pytest.param(
            {"riskSummary": {"high": "5"}}, Alerts, "riskSummary.high", id="text is no count"
        ),
        pytest.param(
            {"riskSummary": {}, "alerts": [{"severity": "low"}, {"severity": 9}]},
            Alerts,
            r"data.alerts\[1\].severity",
            id="deep in a list",
        ),
        pytest.param(
            {"security": {"id": "7"}}, Overview, "data.security.id", id="an id space mixed up"
        ),
        pytest.param({"id": True}, Report, "data.id", id="true is no id"),
        pytest.param({"id": ""}, Report, "data.id", id="nothing is no id"),
        pytest.param({"files": {}}, AgentManifest, "data.files is not a list", id="not a list"),
    ],
)
def test_another_shape_is_an_error_with_its_path(payload: Any, model: type, path: str) -> None:
    """The path says where to look; the value stays out of the message."""
    with pytest.raises(EnvelopeError, match=path):
        structure(payload, model)


def test_an_error_does_not_repeat_the_value() -> None:
    """A field may hold what must not be logged."""
    with pytest.raises(EnvelopeError) as caught:
        structure({"isCompleted": "S3CRET"}, Progress)
    assert "S3CRET" not in repr(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
