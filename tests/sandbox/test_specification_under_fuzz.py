"""Whatever is sent, the sandbox answers as its own document says: schemathesis makes it up."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bestdefense_async.sandbox.handlers.docs import document
from bestdefense_async.sandbox.world.routes import OPERATIONS, Operation
from bestdefense_async.testing.process import SandboxProcess

EXAMPLES = 12
"""Requests made up for each operation, half of them wrong on purpose."""

SECURITY = {"options": {"security": {"enabled": True}}}
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    """A sandbox whose scans are over at once, in a process of its own."""
    with SandboxProcess(sites=2, speed=1e6, visible_after=0, limits={}) as process:
        yield process


@pytest.fixture(scope="module")
def session(server: SandboxProcess) -> Iterator[requests.Session]:
    """Connections with the sandbox's token, past every proxy."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {server.token}"
        yield session


@pytest.fixture(scope="module")
def ids(server: SandboxProcess, session: requests.Session) -> dict[str, str]:
    """One thing of each kind that exists, by the name of the parameter that names it."""

    def call(method: str, path: str, body: Any = None) -> Any:
        answer = session.request(method, server.url + path, json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    site = call("GET", "/api/sites")["data"]["sites"][0]
    server.plant(site["hostname"], ["critical"])
    report = call("POST", f"/api/report/create/for-target/{site['id']}", SECURITY)["id"]
    server.advance(86_400)
    security = call("GET", f"/api/report/{report}/overview")["data"]["security"]["id"]
    finding = call("GET", f"/api/report/vortex/{security}/alerts")["data"]["alerts"][0]["id"]
    schedule = {"siteId": site["id"], "types": ["dns"], "cadence": "daily"}
    made = {
        "schedule": call("POST", "/api/schedules", schedule),
        "remediation": call(
            "POST", "/api/remediations", {"reportId": report, "findingId": finding}
        ),
        "scan": call("POST", "/api/network-scans", {"targets": ["10.0.0.1"]}),
    }
    return {
        "site_id": site["id"],
        "report_id": report,
        "security_id": str(security),
        "filename": "bestdefense-device-monitor-linux-amd64",
        **{f"{kind}_id": answer["data"][kind]["id"] for kind, answer in made.items()},
    }


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_answer_stands_in_the_document(
    operation: Operation, server: SandboxProcess, session: requests.Session, ids: dict[str, str]
) -> None:
    """No 5xx, no undocumented status, type, header or shape; for what exists and what does not."""
    described = SCHEMA[operation.template][operation.method]
    right, wrong = (described.as_strategy(generation_mode=mode) for mode in GenerationMode)
    known = ids[operation.parameter] if operation.parameter else ""
    seen: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(right, wrong), exists=st.booleans())
    def one(case: Case[Any], *, exists: bool) -> None:
        if exists and operation.parameter:
            case.path_parameters[operation.parameter] = known
        answer = case.call(base_url=server.url, session=session)
        seen.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    one()
    assert seen
