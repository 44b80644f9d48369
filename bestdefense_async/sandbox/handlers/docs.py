"""The sandbox's own operations: its specification, the page to try it on, and its control.

The first two are open: they hold no data. Control calls the methods of a sandbox in another process
by their names; it is served only where it was asked for, to whoever has the control token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs

from bestdefense_async.sandbox.data import read_text
from bestdefense_async.sandbox.replies import (
    HTML_TYPE,
    JSON_TYPE,
    Reply,
    encoded,
    not_found,
    refuse,
    wrapped,
)
from bestdefense_async.sandbox.schemas import (
    BARE,
    COMPONENTS,
    COUNT,
    DATA,
    ID,
    REQUESTS,
    TEXT,
    Schema,
    ref,
    shape,
)
from bestdefense_async.sandbox.world.routes import OPERATIONS, Operation

if TYPE_CHECKING:
    from bestdefense_async.sandbox.world.world import Call, World


_FAILURES = {
    "400": "The request is invalid.",
    "401": "The token is missing, unknown, expired or revoked.",
    "403": "The organization lacks the permission, the plan or the credits.",
    "404": "It does not exist, or belongs to another organization.",
    "408": "The request body did not arrive in time.",
    "413": "The request body is too large.",
    "415": "The request body is compressed.",
    "422": "The request is understood, and cannot be followed.",
    "429": "Too many requests; Retry-After says when to come back.",
    "503": "The sandbox holds as much as it can.",
}

_FURTHER = {
    "reports.create": {"422", "503"},
    "reports.list": {"400", "404"},
    "registrations.create": {"404"},
    "schedules.create": {"404", "503"},
    "remediation.trigger": {"404", "503"},
    "network.start": {"503"},
}
"""Failures that only these operations have."""

_PARAMETERS: dict[str, Schema] = {
    "security_id": {"type": "integer"},
    "filename": {"type": "string", "pattern": r"^[A-Za-z0-9_~.-]{1,128}$"},
}
"""What stands in a path and is no UUID."""


def _success(operation: Operation) -> dict[str, Any]:
    """Return the good answers of an operation by status."""
    if operation.name == "reports.page":
        return {"200": {"description": "A page for people.", "content": {"text/html": {}}}}
    if operation.name == "agents.download":
        content: dict[str, Any] = {"application/octet-stream": {}, "text/plain": {}}
        return {
            "200": {"description": "The file, or a checksum as text.", "content": content},
            "206": {"description": "A part of it.", "content": {"application/octet-stream": {}}},
            "416": _failure("The range lies beyond the end."),
        }
    schema = BARE.get(operation.name)
    if schema is None:
        schema = shape(
            success={"const": True},
            message=TEXT,
            data=DATA[operation.name],
            error={"type": "null"},
        )
    return {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}}


def _failure(description: str) -> dict[str, Any]:
    content = {"application/json": {"schema": ref("Failure")}}
    return {"description": description, "content": content}


def _failures(operation: Operation) -> dict[str, Any]:
    """Return the bad answers of an operation by status."""
    if operation.name == "reports.page":
        return {"404": {"description": _FAILURES["404"], "content": {"text/html": {}}}}
    # Every operation that needs a token can be given a limit.
    statuses = {"401", "429"} | _FURTHER.get(operation.name, set())
    if operation.permission is not None:
        statuses.add("403")
    if operation.parameter is not None:
        statuses.add("404")
    if operation.method == "POST":
        statuses |= {"400", "408", "413", "415"}
    answers = {status: _failure(_FAILURES[status]) for status in sorted(statuses)}
    if operation.parameter is not None:
        # What cannot be an id is no address of the API: the framework's own page answers.
        answers["404"]["content"]["text/html"] = {}
    answers["429"]["headers"] = {
        "Retry-After": {"schema": {"type": ["string", "integer"]}},
        "X-RateLimit-Retry-After": {"schema": COUNT},
        "X-RateLimit-Limit": {"schema": COUNT},
        "X-RateLimit-Remaining": {"schema": COUNT},
    }
    return answers


def _described(operation: Operation) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.name.partition(".")[0]],
        "summary": operation.name.replace(".", ": "),
        "x-grade": operation.grade,
        "responses": {**_success(operation), **_failures(operation)},
        "security": [{"token": []}] if operation.needs_token else [],
    }
    if operation.permission is not None:
        entry["description"] = f"Needs the permission '{operation.permission}'."
    parameters = []
    if operation.parameter is not None:
        name = operation.parameter
        parameters.append(
            {"name": name, "in": "path", "required": True, "schema": _PARAMETERS.get(name, ID)}
        )
    if operation.name == "reports.list":
        parameters += [
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1}},
            {"name": "after", "in": "query", "schema": TEXT},
        ]
    if parameters:
        entry["parameters"] = parameters
    body = REQUESTS.get(operation.name)
    if body is not None:
        content = {"application/json": {"schema": body}}
        entry["requestBody"] = {"required": True, "content": content}
    return entry


def document() -> dict[str, Any]:
    """Return the specification as plain data."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        entry = paths.setdefault(operation.template, {})
        entry[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "BestDefense API, as the sandbox plays it",
            "version": "1",
            "description": (
                "Operations of grade 'documented' have the published paths and fields. Those of "
                "grade 'described' are known in prose only: their paths and fields are the "
                "sandbox's own."
            ),
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


@cache
def document_bytes() -> bytes:
    """Return the specification as JSON; made once."""
    return encoded(document())


def get_document(_: World, __: Call) -> Reply:
    """Answer the OpenAPI document."""
    return Reply(200, document_bytes(), {**JSON_TYPE, "Cache-Control": "no-store"})


def _hash_of(tag: str, html: str) -> str:
    """Return the source expression that permits the page's one inline element."""
    match = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    text = "" if match is None else match.group(1)
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _page() -> Reply:
    html = read_text("docs.html")
    policy = "; ".join(
        (
            "default-src 'none'",
            "connect-src 'self'",
            f"script-src {_hash_of('script', html)}",
            f"style-src {_hash_of('style', html)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    headers = {
        **HTML_TYPE,
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return Reply(200, html.encode(), headers)


def get_page(_: World, __: Call) -> Reply:
    """Answer the page on which the operations can be read and tried."""
    return _page()


def control(world: World, call: Call) -> Reply:
    """Call the method that the path names with the arguments of the body; answer its result."""
    shown = call.headers.get("Authorization", "").removeprefix("Bearer ")
    if world.control_token is None or not hmac.compare_digest(
        shown.encode(errors="surrogateescape"), world.control_token.encode()
    ):
        refuse(401, "The control token is missing or wrong.")
    method = world.methods.get(call.key)
    if method is None:
        not_found("Method")
    try:
        result = method(**json.loads(call.body or b"{}"))
    except (LookupError, TypeError, ValueError) as error:
        # The caller owns this sandbox, so it may read what was wrong.
        refuse(400, str(error))
    return Reply(200, wrapped(json.dumps(result, default=_plain).encode()))


def _plain(value: Any) -> Any:  # noqa: ANN401 -- whatever methods return
    """Return what JSON has no form for in one that `SandboxProcess` reads."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, frozenset):
        return sorted(value)
    return {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
