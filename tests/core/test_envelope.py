"""From a reply to its payload or to the right error."""

import json
from typing import Any

import pytest

from bestdefense_async import errors
from bestdefense_async.core.envelope import read_envelope
from bestdefense_async.core.request import Reply, Request, build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.core.secret import Secret

TOKEN = "tok-123456789"
LIST = build_request(ROUTES["sites.list"])
CREATE = build_request(ROUTES["reports.create"], {"site_id": "s1"})


def read(status: int, body: Any, request: Request = LIST) -> Any:
    """Read one reply; a body that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = Reply(status=status, headers={"content-type": "application/json"}, body=raw)
    return read_envelope(reply, request, Secret(TOKEN))


def test_the_payload_is_under_data() -> None:
    """Most endpoints wrap their answer."""
    assert read(200, {"success": True, "message": "", "data": {"a": 1}, "error": None}) == {"a": 1}


def test_a_creation_has_no_data() -> None:
    """The documented exception: its members stand beside `success`."""
    answer = {"success": True, "message": "ok", "status": 201, "id": "r1"}
    assert read(201, answer, CREATE) == answer


def test_no_content_is_none() -> None:
    """A 204 is a success without payload."""
    assert read(204, b"") is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequest),
        (401, errors.AuthError),
        (402, errors.QuotaExceeded),
        (403, errors.PermissionDenied),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (418, errors.ClientError),
        (422, errors.InvalidRequest),
        (429, errors.RateLimited),
        (451, errors.ClientError),
        (500, errors.ServerError),
        (503, errors.ServerError),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>no</html>", id="html"),
        pytest.param(b"", id="empty"),
        pytest.param(b'{"success":false,"message":"no","error":"why"}', id="envelope"),
    ],
)
def test_a_status_decides_the_error_whatever_the_body(
    status: int, kind: type[errors.ApiError], body: bytes
) -> None:
    """A framework or a CDN may answer HTML, so no error body has to be JSON."""
    with pytest.raises(errors.ApiError) as caught:
        read(status, body)
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert caught.value.sent is errors.Sent.YES


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param([], errors.EnvelopeError, id="a list"),
        pytest.param(None, errors.EnvelopeError, id="null"),
        pytest.param("x", errors.EnvelopeError, id="text"),
        pytest.param({"data": {}}, errors.EnvelopeError, id="no word about success"),
        pytest.param({"success": "yes", "data": {}}, errors.EnvelopeError, id="success as text"),
        pytest.param({"success": 1, "data": {}}, errors.EnvelopeError, id="success as a number"),
        pytest.param({"success": True}, errors.EnvelopeError, id="no data"),
        pytest.param({"success": False}, errors.ApiError, id="no, without a word"),
        pytest.param(b"<html>login</html>", errors.DecodeError, id="a login page"),
        pytest.param(b"", errors.DecodeError, id="nothing"),
    ],
)
def test_a_200_that_is_no_success_is_an_error(body: Any, kind: type[Exception]) -> None:
    """A status of 200 alone proves nothing."""
    with pytest.raises(kind) as caught:
        read(200, body)
    assert type(caught.value) is kind


@pytest.mark.parametrize("status", [600, 999, 101, 304])
def test_a_status_beyond_http_is_a_protocol_error(status: int) -> None:
    """Neither success nor refusal."""
    with pytest.raises(errors.ProtocolError):
        read(status, {"success": True, "data": {}})


@pytest.mark.parametrize(
    "error", [None, "text", ["list"], {"code": "x", "message": {"deep": 1}}, 5, {"a": "b" * 10**6}]
)
def test_an_error_of_any_shape_can_be_printed(error: Any) -> None:
    """The envelope's `error` may be text or an object (inferred), so anything must do."""
    with pytest.raises(errors.ApiError) as caught:
        read(422, {"success": False, "message": {"not": "text"}, "error": error})
    assert len(str(caught.value)) <= errors.LONGEST_MESSAGE
    assert len(repr(caught.value.detail)) < 3000


def test_a_token_in_the_answer_is_redacted() -> None:
    """Servers quote what they were sent."""
    body = {"success": False, "message": f"bad {TOKEN}", "error": {"seen": TOKEN}}
    with pytest.raises(errors.ApiError) as caught:
        read(401, body)
    assert TOKEN not in repr(vars(caught.value)) + repr(caught.value)
    assert "[token]" in str(caught.value)


def test_server_text_cannot_steer_a_terminal() -> None:
    """Escapes and bidirectional overrides are shown, not obeyed."""
    with pytest.raises(errors.ApiError) as caught:
        read(400, {"success": False, "message": "\x1b[2J\u202egone"})
    assert "\x1b" not in str(caught.value)
    assert "\\x1b[2J\\u202egone" in str(caught.value)


@pytest.mark.parametrize(
    ("message", "is_plan", "said"),
    [
        ("Upgrade your plan.", True, "Upgrade your plan."),
        ("Your role does not allow it.", False, "needs the permission 'create reports'."),
        ("You lack 'Create reports'.", None, "You lack 'Create reports'."),
        ("Forbidden, an explanation follows", None, "'create reports', and a plan that includes"),
    ],
)
def test_a_403_names_the_permission_and_whether_the_plan_is_why(
    message: str, *, is_plan: bool | None, said: str
) -> None:
    """A person must know what to ask for, and reads it once."""
    with pytest.raises(errors.PermissionDenied) as caught:
        read(403, {"success": False, "message": message}, CREATE)
    assert caught.value.permission == "create reports"
    assert caught.value.is_plan is is_plan
    assert str(caught.value).endswith((said, f"{said} this."))
    assert str(caught.value).lower().count("create reports") <= 1


@pytest.mark.parametrize("status", [200, 400, 402, 403, 409, 422, 429])
def test_a_spent_quota_is_not_a_passing_refusal(status: int) -> None:
    """Trying again in a moment does not bring credits back."""
    with pytest.raises(errors.QuotaExceeded):
        read(status, {"success": False, "error": {"code": "quota_exceeded"}})
    with pytest.raises(errors.QuotaExceeded):
        read(status, {"success": False, "message": "No AI remediation credits left."})


@pytest.mark.parametrize("message", ["The field accredited is missing.", "Quotation needed."])
def test_a_word_that_only_contains_credit_is_no_quota(message: str) -> None:
    """Whole words count."""
    with pytest.raises(errors.InvalidRequest):
        read(422, {"success": False, "message": message})
