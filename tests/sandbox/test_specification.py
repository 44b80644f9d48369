"""Parity: every operation and every error answers as the sandbox's own specification says."""

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from bestdefense_async.sandbox import Sandbox
from bestdefense_async.sandbox.handlers.docs import document
from bestdefense_async.sandbox.world.routes import OPERATIONS, Operation
from tests.support.sandbox_api import SECURITY, Answer, Api, api_on

pytestmark = pytest.mark.bd_sandbox(sites=12, speed=60_000, read_deadline=0.05)

SPEC = document()
BY_NAME = {operation.name: operation for operation in OPERATIONS}
ANSWERED: dict[str, set[str]] = {}
SECRET = "ab" * 32


def described(operation: Operation) -> Any:
    """Return the operation's entry in the specification."""
    return SPEC["paths"][operation.template][operation.method.lower()]


def check(operation: Operation, answer: Answer) -> None:
    """Hold the answer against the specification."""
    responses = described(operation)["responses"]
    status = str(answer.status)
    assert status in responses, f"{operation.name} answered {status}: {answer.body[:200]!r}"
    media_type = answer.headers["Content-Type"].partition(";")[0]
    content = responses[status]["content"]
    assert media_type in content, f"{operation.name} answered {media_type}"
    schema = content[media_type].get("schema")
    if schema is not None:
        whole = {**schema, "components": SPEC["components"]}
        jsonschema.Draft202012Validator(whole).validate(json.loads(answer.body))
    ANSWERED.setdefault(operation.name, set()).add(status)


async def prepared(api: Api) -> Mapping[str, str]:
    """Make one of everything and return a path for each operation that answers well."""
    sandbox = api.sandbox
    for site in sandbox.site_ids:
        report = await api.create(site)
        security_id = await api.finish(report)
        alerts = (await api.get(f"/api/report/vortex/{security_id}/alerts")).data["alerts"]
        if alerts:
            break
    else:
        raise AssertionError("this fleet has no findings")
    schedule = {"siteId": sandbox.site_ids[0], "types": ["dns"], "cadence": "daily"}
    kept = (await api.post("/api/schedules", schedule)).data["schedule"]["id"]
    remediation = {"reportId": report, "findingId": alerts[0]["id"]}
    card = (await api.post("/api/remediations", remediation)).data["remediation"]["id"]
    scan = (await api.post("/api/network-scans", {"targets": ["10.0.0.1"]})).data["scan"]["id"]
    return {
        "site_id": sandbox.site_ids[3],
        "report_id": report,
        "security_id": str(security_id),
        "schedule_id": kept,
        "remediation_id": card,
        "scan_id": scan,
        "filename": "bestdefense-device-monitor-linux-amd64",
        "finding": alerts[0]["id"],
    }


def path_of(operation: Operation, ids: Mapping[str, str]) -> str:
    """Return the operation's path with an id that exists."""
    if operation.parameter is None:
        return operation.template
    return operation.template.replace(f"{{{operation.parameter}}}", ids[operation.parameter])


def body_of(operation: Operation, ids: Mapping[str, str]) -> Any:
    """Return a body that is accepted."""
    return {
        "reports.create": SECURITY,
        "schedules.create": {"siteId": ids["site_id"], "types": ["dns"], "cadence": "daily"},
        "remediation.trigger": {"reportId": ids["report_id"], "findingId": ids["finding"]},
        "network.start": {"targets": ["10.0.0.1"]},
        "registrations.create": {
            "installationId": "1",
            "reportId": ids["report_id"],
            "repositoryFullName": "owner/name",
            "pullRequestNumber": 0,
            "commitSha": "c0ffee",
            "checkRunId": None,
            "targetUrl": "https://www.example",
            "scanTypes": ["security"],
            "failCheckOn": "high",
            "callbackSecret": SECRET,
        },
    }.get(operation.name)


def test_the_document_is_itself_valid() -> None:
    """Its schemas are schemas, its references lead somewhere, and every row stands in it."""
    for schema in SPEC["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for operation in OPERATIONS:
        entry = described(operation)
        assert entry["operationId"] == operation.name
        assert entry["x-grade"] == operation.grade
        for response in entry["responses"].values():
            assert response["description"]
            for media in response.get("content", {}).values():
                jsonschema.Draft202012Validator.check_schema(media.get("schema", {}))
    text = json.dumps(SPEC)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in SPEC["components"]["schemas"]


async def test_the_document_and_the_page_are_served_to_anybody(api: Api) -> None:
    """The page embeds nothing from elsewhere and links to the document."""
    spec = await api.get("/api/docs.json", token="")
    page = await api.get("/api/docs", token="")

    assert spec.json == SPEC
    assert page.status == 200
    text = page.body.decode()
    assert 'href="/api/docs.json"' in text
    assert "://" not in text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", BY_NAME)
async def test_an_operation_answers_as_specified(api: Api, name: str) -> None:
    """The good answer, and each failure that can be provoked, validate against the document."""
    operation = BY_NAME[name]
    ids = await prepared(api)
    path, body = path_of(operation, ids), body_of(operation, ids)
    sandbox = api.sandbox

    # The body as described is accepted, and validates against the description of requests.
    request = described(operation).get("requestBody")
    assert (request is not None) == (body is not None)
    if request is not None:
        schema = request["content"]["application/json"]["schema"]
        whole = {**schema, "components": SPEC["components"]}
        jsonschema.Draft202012Validator(whole).validate(body)
    good = await api.call(operation.method, path, body)
    check(operation, good)
    assert good.status == 200

    wrong_method = await api.call("PATCH", path)
    assert wrong_method.status == 405
    assert operation.method in wrong_method.headers["Allow"]

    if operation.needs_token:
        for token in ("", sandbox.add_token(expired=True), sandbox.add_token(revoked=True)):
            refused = await api.call(operation.method, path, body, token=token)
            assert refused.status == 401
            check(operation, refused)
        nothing = sandbox.add_token(permissions=set())
        if operation.permission is not None:
            refused = await api.call(operation.method, path, body, token=nothing)
            assert refused.status == 403
            check(operation, refused)
    if operation.parameter is not None:
        absent = path.replace(ids[operation.parameter], "absent")
        missing = await api.call(operation.method, absent, body)
        assert missing.status == 404
        check(operation, missing)
        if operation.parameter != "filename" and operation.needs_token:
            stranger = sandbox.add_token(organization="stranger")
            foreign = await api.call(operation.method, path, body, token=stranger)
            assert foreign.status == 404
            check(operation, foreign)
    if body is not None:
        for raw, headers in (
            (b"{", {}),
            (b"{}", {}),
            (b"{}", {"Content-Type": "text/plain"}),
            (b"x", {"Content-Encoding": "gzip"}),
            (b" " * (1 << 20) + b"{}", {}),
        ):
            bad = await api.call(operation.method, path, raw=raw, headers=headers)
            assert bad.status in {400, 413, 415}
            check(operation, bad)


@pytest.mark.parametrize("name", [name for name, row in BY_NAME.items() if row.needs_token])
async def test_every_operation_can_be_limited(name: str) -> None:
    """The 429 is the specified one, with Retry-After."""
    operation = BY_NAME[name]
    path = operation.template.replace("{", "").replace("}", "")
    async with Sandbox(sites=1, limits={name: (1, 60.0)}) as sandbox, api_on(sandbox) as api:
        await api.call(operation.method, path)
        answer = await api.call(operation.method, path)

        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 0
        check(operation, answer)


async def test_the_rarer_answers_are_specified_too(api: Api) -> None:
    """A pending site, a bad page, absent references, a part of a file, a range beyond its end."""
    sandbox = api.sandbox
    sandbox.sites_of("main")[5].verified = False
    create = BY_NAME["reports.create"]
    pending = await api.post(f"/api/report/create/for-target/{sandbox.site_ids[5]}", SECURITY)
    assert pending.status == 422
    check(create, pending)

    for query, status in (("limit=x", 400), ("after=absent", 404)):
        answer = await api.get(f"/api/reports?{query}")
        assert answer.status == status
        check(BY_NAME["reports.list"], answer)
    ids = {**await prepared(api), "site_id": "absent", "report_id": "absent"}
    for name in ("schedules.create", "remediation.trigger", "registrations.create"):
        answer = await api.post(BY_NAME[name].template, body_of(BY_NAME[name], ids))
        assert answer.status == 404
        check(BY_NAME[name], answer)

    download = BY_NAME["agents.download"]
    path = "/api/agents/download/bestdefense-device-monitor-linux-amd64"
    for asked, status in (("bytes=0-9", 206), ("bytes=99999999-", 416)):
        answer = await api.get(path, headers={"Range": asked})
        assert answer.status == status
        check(download, answer)
    checksum = await api.get(f"{path}.sha256")
    check(download, checksum)


def test_no_answer_is_specified_that_is_never_given() -> None:
    """Runs last: each status in the document was provoked above, but for two that need a flood."""
    if set(ANSWERED) != set(BY_NAME):
        pytest.skip("only a part of this file was run")
    unseen = {
        (name, status)
        for name, operation in BY_NAME.items()
        for status in described(operation)["responses"]
        if status not in ANSWERED[name]
    }

    assert {status for _, status in unseen} <= {"408", "503"}, unseen
