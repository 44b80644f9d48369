"""From a reply to its payload or to the right error."""

import json
from typing import Any

import pytest

from bestdefense_async import errors
from bestdefense_async.core.envelope import read_envelope
from bestdefense_async.core.request import Reply, Request, build_request
from bestdefense_async.core.retry import is_fate_unknown
from bestdefense_async.core.route import ROUTES
from bestdefense_async.core.secret import Secret

TOKEN = "tok-123456789"
LIST: Request[Any] = build_request(ROUTES["sites.list"])
CREATE: Request[Any] = build_request(ROUTES["reports.create"], {"site_id": "s1"})


def read(
    status: int,
    body: Any,
    request: Request[Any] = LIST,
    *,
    token: str = TOKEN,
    content_type: str = "application/json",
) -> Any:
    """Read one reply; a body that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = Reply(status=status, headers={"content-type": content_type}, body=raw)
    return read_envelope(reply, request, Secret(token))


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


@pytest.mark.parametrize(
    "error",
    ["quota check failed", {"code": "x"}, ["x"], {"message": "why"}, 5, True],
    ids=["text", "a code", "a list", "a message", "a number", "true"],
)
@pytest.mark.parametrize("request_", [LIST, CREATE], ids=["with data", "without data"])
def test_success_with_an_error_is_a_failure(error: Any, request_: Request[Any]) -> None:
    """Half of an envelope is not enough to let a gate pass."""
    answer = {"success": True, "message": "Done.", "data": {}, "id": "r1", "error": error}
    with pytest.raises(errors.ApiError) as caught:
        read(200, answer, request_)
    assert str(caught.value).startswith(
        f"{request_.route.doing} was answered with success and with an error: Done"
    )
    assert all(text in str(caught.value) for text in _leaves(error))
    assert caught.value.status == 200
    assert is_fate_unknown(caught.value)


def _leaves(error: Any) -> list[str]:
    inner = error.values() if isinstance(error, dict) else error if isinstance(error, list) else ()
    return [error] if isinstance(error, str) else [text for each in inner for text in _leaves(each)]


@pytest.mark.parametrize("error", [None, "", [], {}, False])
def test_an_empty_error_beside_a_success_says_nothing(error: Any) -> None:
    """PHP writes an empty map as a list, and some write nothing as nothing."""
    assert read(200, {"success": True, "data": {"a": 1}, "error": error}) == {"a": 1}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param(
            {"success": False, "message": "Invalid input.", "error": "types must not be empty"},
            "Invalid input; types must not be empty",
            id="the envelope's message and error",
        ),
        pytest.param(
            {"success": False, "message": "Refused", "error": {"code": "E7", "message": "Why not"}},
            "Refused; Why not",
            id="an error that is an object",
        ),
        pytest.param(
            {"success": False, "message": "no such plan", "error": "no such plan"},
            "no such plan",
            id="the same twice is told once",
        ),
        pytest.param(
            {"message": "Refused", "error": {"code": "E7"}}, "Refused; code: E7", id="a code alone"
        ),
        pytest.param(
            {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "id is odd"},
            "Bad Request; id is odd",
            id="RFC 7807",
        ),
        pytest.param(
            {
                "title": "An error occurred",
                "detail": "cadence: This value is not valid.",
                "violations": [
                    {"propertyPath": "cadence", "message": "This value is not valid."},
                    {"propertyPath": "types[0]", "message": "Unknown type.", "code": "c1"},
                ],
            },
            "An error occurred; cadence: This value is not valid; types[0]: Unknown type.",
            id="RFC 7807 with the violations of Symfony",
        ),
        pytest.param({"detail": "Not authenticated"}, "Not authenticated", id="FastAPI, a text"),
        pytest.param(
            {
                "detail": [
                    {"loc": ["body", "options", 0], "msg": "Field required", "type": "missing"},
                    {"loc": ["query", "limit"], "msg": "Not an integer", "type": "int_parsing"},
                ]
            },
            "body.options.0: Field required; query.limit: Not an integer",
            id="FastAPI, a list",
        ),
        pytest.param(
            {
                "message": "The given data was invalid.",
                "errors": {"site": ["The site is required."], "types": ["a", "b"]},
            },
            "The given data was invalid; site: The site is required; types: a; types: b",
            id="Laravel",
        ),
        pytest.param(
            {"statusCode": 400, "message": ["a must be text", "b is odd"], "error": "Bad Request"},
            "a must be text; b is odd; Bad Request",
            id="Nest",
        ),
        pytest.param(
            {"errors": [{"title": "Invalid", "detail": "site is unknown"}]},
            "site is unknown",
            id="JSON:API",
        ),
    ],
)
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/problem+json", "text/plain; charset=utf-8"]
)
def test_what_a_refusal_says_is_told(body: Any, told: str, content_type: str) -> None:
    """A framework words its own errors, and a person needs every word that says why."""
    with pytest.raises(errors.InvalidRequest) as caught:
        read(400, body, content_type=content_type)
    assert str(caught.value) == f"Listing the sites was refused with status 400: {told}"
    assert caught.value.detail is not None or body.keys() <= {"message", "success", "title"}


def test_a_refused_token_says_how_long_tokens_live() -> None:
    """And where to make a new one: an expired token is what people meet most often."""
    with pytest.raises(errors.AuthError) as caught:
        read(401, {"message": "Unknown token."})
    assert str(caught.value) == (
        "Listing the sites was refused with status 401: Unknown token. A token lives 1 to 90 days: "
        "make a new one in the app under Profile, API tokens (/profile/api-tokens)."
    )


def test_what_is_not_there_is_named() -> None:
    """404 means absent or another organization's; the API does not say which."""
    with pytest.raises(errors.NotFound) as caught:
        read(404, {"message": "Not here"}, CREATE)
    assert (
        str(caught.value)
        == "There is no site s1, or it is another organization's (status 404: Not here)."
    )

    with pytest.raises(errors.NotFound, match="expected at https://host, without a path"):
        read(404, b"<html>", LIST)


def test_many_and_long_texts_are_cut() -> None:
    """A message stays readable, whatever an answer holds."""
    body = {"message": "m" * 10_000, "errors": {f"field{n}": ["wrong"] for n in range(1000)}}
    with pytest.raises(errors.InvalidRequest) as caught:
        read(422, body)
    assert str(caught.value) == f"Listing the sites was refused with status 422: {'m' * 399}…"
    assert len(str(caught.value.detail)) == 2000

    with pytest.raises(errors.InvalidRequest) as caught:
        read(422, {"errors": [f"field {n}" for n in range(9)], "code": "c" * 81})
    assert str(caught.value).endswith("; field 7")
    assert caught.value.code == "c" * 79 + "…"


def test_a_byte_order_mark_and_a_declared_charset_are_read() -> None:
    """Neither makes a creation unknown."""
    answer = '{"success": true, "id": "r1", "message": "créé"}'
    for body, charset in (
        (b"\xef\xbb\xbf" + answer.encode(), ""),
        (answer.encode("latin-1"), "; charset=ISO-8859-1"),
        (answer.encode("utf-16"), "; charset=UTF-16"),
    ):
        found = read(201, body, CREATE, content_type=f"application/json{charset}")
        assert found["message"] == "créé"


TOKENS = ("tok/en-123456789", 'tok"en-123456789', "tok\\en-123456789", "Tok-En_123456789.~+=")


def _spellings(token: str) -> list[str]:
    """Return JSON strings that all say the token."""
    written = json.dumps(token)[1:-1]
    return [
        *(written, written.replace("/", "\\/"), written.lower(), written.upper()),
        "".join(f"\\u{ord(letter):04x}" for letter in token),
        token[0].join(("", written[1:].replace("e", "\\u0065").replace("E", "\\u0045"))),
    ]


@pytest.mark.parametrize("token", TOKENS)
def test_no_spelling_of_the_token_survives(token: str) -> None:
    """Servers quote what they were sent, with their own escapes and in their own letter case."""
    for said in _spellings(token):
        for cut in (0, 380, 395, 1990):
            text = "x" * cut + said
            body = f'{{"message": "{text}", "error": {{"{text}": ["{text}"]}}}}'
            with pytest.raises(errors.ApiError) as caught:
                read(400, body.encode(), token=token)
            shown = repr(vars(caught.value)) + repr(caught.value)
            assert _fragments(token).isdisjoint(_words(shown)), said
        success = f'{{"success": true, "data": {{"a": ["{said}"], "{said}": 1}}}}'
        found = json.dumps(read(200, success.encode(), token=token))
        assert _fragments(token).isdisjoint(_words(found)), said


def _words(text: str) -> set[str]:
    """Return everything six characters long that stands in a text, in lower case."""
    lowered = text.lower().replace("\\", "")
    return {lowered[at : at + 6] for at in range(len(lowered))}


def _fragments(token: str) -> set[str]:
    return _words(token.replace('"', "").replace("\\", ""))


def test_a_content_type_is_masked_before_it_is_cut() -> None:
    """A header can quote the token, too."""
    with pytest.raises(errors.DecodeError) as caught:
        read(200, b"<html>", content_type="x" * 55 + TOKEN)
    assert "tok-" not in str(caught.value)


def test_a_short_token_breaks_nothing_that_is_parsed() -> None:
    """The sandbox takes any token; only what people read is masked."""
    answer = {"success": True, "data": {"sites": [{"title": "test", "t": 1}]}}
    assert read(200, answer, token="t") == answer["data"]
    with pytest.raises(errors.ApiError) as caught:
        read(400, {"message": "no t"}, token="t")
    assert str(caught.value).endswith(": no [token]")


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
