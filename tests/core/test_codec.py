"""JSON values into models."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestdefense_async.core.codec import builder, structure, structure_in_detail
from bestdefense_async.errors import EnvelopeError
from bestdefense_async.models import (
    AgentManifest,
    Alerts,
    Finding,
    NetworkScan,
    Overview,
    Progress,
    Remediation,
    RemediationList,
    Report,
    ReportSummary,
    RiskSummary,
    Schedule,
    Severity,
    Site,
    Triggered,
)

MODELS: tuple[Any, ...] = (
    *(AgentManifest, Alerts, Finding, NetworkScan, Overview, Progress, Remediation, Report),
    *(RemediationList, ReportSummary, RiskSummary, Schedule, Site, Triggered),
    *(tuple[Finding, ...], tuple[ReportSummary, ...]),
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
            {"isCompleted": False, "status": "failed", "message": "No answer from the site."},
            Progress,
            Progress(is_completed=False, status="failed", message="No answer from the site."),
            id="progress that says how and why",
        ),
        pytest.param(
            {"isCompleted": True, "status": 3, "message": None},
            Progress,
            Progress(is_completed=True, extra={"status": 3, "message": None}),
            id="a status of another type spoils no documented answer",
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
            {"riskSummary": [], "alerts": []},
            Alerts,
            Alerts(risk=RiskSummary()),
            id="an empty map is a list in PHP",
        ),
        pytest.param(
            {"security": []},
            Overview,
            Overview(security_id=None),
            id="a security part that PHP wrote empty",
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
        pytest.param(
            {"isCompleted": False, "percentage": "40"},
            Progress,
            "data.percentage is not a number",
            id="text is no percentage",
        ),
        pytest.param([], Progress, "data is not an object", id="a list for an object"),
        pytest.param(None, Alerts, "data is not an object", id="null for an object"),
        pytest.param({}, Alerts, "data.riskSummary is missing", id="no summary is never zero"),
        pytest.param({"riskSummary": None}, Alerts, "data.riskSummary", id="a null summary"),
        pytest.param({"riskSummary": [0]}, Alerts, "riskSummary is not an object", id="a list"),
        pytest.param({"riskSummary": [[]]}, Alerts, "riskSummary is not an object", id="lists"),
        pytest.param({"security": [7]}, Overview, "data.security is not", id="a list for a part"),
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


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02T03:04:05.678+05:30", "2026-01-02T03:04:05.678000+05:30"),
        (" 2026-01-02 03:04:05 ", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02", "2026-01-02T00:00:00+00:00"),
        (1767323045, "2026-01-02T03:04:05+00:00"),
        (1767323045000, "2026-01-02T03:04:05+00:00"),
        (1767323045.5, "2026-01-02T03:04:05.500000+00:00"),
    ],
)
def test_a_time_always_has_a_zone(written: object, expected: str) -> None:
    """One without is UTC; a number counts seconds, or milliseconds when it is that large."""
    report = structure({"id": "r", "createdAt": written}, ReportSummary)
    assert report.created_at is not None
    assert report.created_at.isoformat() == expected


@pytest.mark.parametrize(
    "written",
    ["", "soon", "2026-13-01", "2026-01-02T03:04:60Z", "10000-01-01", True, [], 1e300, 10**400],
)
def test_what_is_no_time_is_named_by_its_path(written: object) -> None:
    """Never a crash, never a wrong time."""
    with pytest.raises(EnvelopeError, match=r"data\.createdAt is not a time"):
        structure({"id": "r", "createdAt": written}, ReportSummary)


def test_described_models_need_nothing_but_an_id() -> None:
    """Their members are guesses, so one that is missing must not hide the rest."""
    assert structure({"id": 7}, ReportSummary) == ReportSummary(id="7")
    assert structure({"id": 7, "siteId": 8}, Schedule) == Schedule(id="7", site_id="8")
    assert structure({"id": 7, "findingId": None}, Remediation) == Remediation(id="7")
    assert structure({"id": 7}, NetworkScan) == NetworkScan(id="7")


def test_a_guess_of_another_type_spoils_nothing() -> None:
    """A schedule whose day is a number stays readable, and the day reachable."""
    strange = {"dayOfWeek": 1, "dayOfMonth": "5", "time": {"hour": 3}, "vortexType": ["ai"]}
    payload = {"id": "s", "cron": "0 3 * * *", "timezone": None, **strange}

    made = structure(payload, Schedule)

    assert made == Schedule(id="s", cron="0 3 * * *", extra=strange)


@pytest.mark.parametrize(
    ("payload", "model", "path"),
    [
        ({"id": "s", "types": "dns"}, Schedule, r"data\.types is not a list"),
        ({"id": "s", "testUsers": ["a", 1]}, Schedule, r"data\.testUsers\[1\] is not text"),
        ({"id": "s", "scanIntensity": 3}, Schedule, r"data\.scanIntensity"),
        ({"id": "r", "stage": " "}, Remediation, r"data\.stage is not a stage"),
        ({"remediation": {}, "creditsRemaining": 1}, Triggered, r"data\.remediation"),
        ({"remediation": {"id": "r"}, "creditsRemaining": "1"}, Triggered, "creditsRemaining"),
    ],
)
def test_a_described_model_of_another_shape_is_named_by_its_path(
    payload: object, model: type, path: str
) -> None:
    """What is there must be of the right type."""
    with pytest.raises(EnvelopeError, match=path):
        structure(payload, model)


NAMES = (
    *("id", "siteId", "reportId", "findingId", "hostname", "types", "scanIntensity", "createdAt"),
    *("severity", "title", "url", "evidence", "weakness", "isCompleted", "percentage", "status"),
    *("message", "security", "riskSummary", "alerts", "findings", "files", "filename", "size"),
    *("stage", "remediation", "remediations", "creditsRemaining", "targets", "jumpBox", "cadence"),
    *("testUsers", "nextRunAt", "extra", "high", "unknown"),
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.floats()
    | st.sampled_from(["", " ", "x", "High", "info", "review", "2026-01-02T03:04:05Z", "7"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=12,
)
PAYLOADS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=10) | VALUES


@settings(max_examples=400)
@given(PAYLOADS)
def test_what_is_fast_accepts_what_is_careful_accepts(payload: Any) -> None:
    """One says where a payload does not fit, the other only whether; they never disagree."""
    for model in MODELS:
        try:
            found: object = builder(model)(payload, model)
        except Exception:  # noqa: BLE001  # whatever it raises, it refuses
            found = None
        try:
            expected = structure_in_detail(payload, model, root="data")
        except EnvelopeError:
            expected = None
        assert repr(found) == repr(expected)


def test_an_extra_of_the_server_s_stays_in_extra() -> None:
    """The attribute's own name is no name on the wire."""
    site = structure({"id": "1", "hostname": "a", "extra": {"b": 1}}, Site)
    assert site.extra == {"extra": {"b": 1}}
