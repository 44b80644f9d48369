"""From a reply to its payload, or to the one right error.

The API wraps most answers as `{success, message, data, error}`; the creation of a report puts
its members beside `success` (api-facts, "Envelope and errors"). Error bodies may be anything:
HTML of a framework or of a CDN, nothing, or an envelope.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from bestdefense_async.core.json import decode_json
from bestdefense_async.core.route import Body
from bestdefense_async.errors import (
    ApiError,
    AuthError,
    ClientError,
    Conflict,
    DecodeError,
    EnvelopeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ProtocolError,
    QuotaExceeded,
    RateLimited,
    ServerError,
    clean_text,
)

if TYPE_CHECKING:
    from bestdefense_async.core.request import Reply, Request
    from bestdefense_async.core.secret import Secret

_BY_STATUS: Final[dict[int, type[ApiError]]] = {
    400: InvalidRequest,
    401: AuthError,
    402: QuotaExceeded,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    422: InvalidRequest,
    429: RateLimited,
}
_EXCERPT: Final = 200
"""Characters of a server's text in a message."""
_LONGEST_DETAIL: Final = 2000


def _any_of(*words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z])(?:{'|'.join(words)})s?(?![a-z])")


_PLAN_WORDS: Final = _any_of("plan", "upgrade", "subscription")
_PERMISSION_WORDS: Final = _any_of("permission", "permitted", "role", "not allowed")
_QUOTA_WORDS: Final = _any_of("quota", "credit")
_MAY_BE_QUOTA: Final = {ApiError, InvalidRequest, PermissionDenied, Conflict, RateLimited}
"""What an answer about spent credits may come as; how the API says it is unknown."""


def read_envelope(reply: Reply, request: Request, secret: Secret) -> Any:  # noqa: ANN401  # JSON
    """Return the payload of a success: `data`, or all members where the route has no envelope.

    A 204, and `data: null` of a successful envelope, give None; the codec refuses it where the
    operation needs an answer.

    Raises:
        ApiError: The API said no, by status or by `success: false`.
        EnvelopeError, DecodeError: A success that cannot be read.
        ProtocolError: A status that HTTP does not have here.
    """
    # A server may quote the header it was sent; nothing behind this line sees the token.
    reply = evolve(reply, body=secret.redact_bytes(reply.body))
    if reply.status >= 400:  # noqa: PLR2004  # where HTTP's errors begin
        raise _refusal(reply, request, secret)
    if not 200 <= reply.status < 300:  # noqa: PLR2004  # HTTP's successes
        raise ProtocolError(f"{request.route.name} was answered with status {reply.status}.")
    if reply.status == 204:  # noqa: PLR2004  # no content
        return None
    members = _decode_success(reply, request)
    success = members.get("success")
    if success is False:
        raise _said_no(reply, request, members, secret)
    if success is not True:
        raise EnvelopeError(
            f"The answer to {request.route.name} does not say whether it succeeded."
        )
    if request.route.body is Body.TOP_LEVEL:
        return members
    if "data" not in members and request.route.name != "other":
        raise EnvelopeError(f"The answer to {request.route.name} has no data.")
    return members.get("data")


def _decode_success(reply: Reply, request: Request) -> dict[str, Any]:
    problem = None
    try:
        members = decode_json(reply.body)
    except DecodeError as error:
        problem = str(error)
        members = None
    if problem is not None:
        kind = clean_text(reply.headers.get("content-type", "nothing"), longest=60)
        raise DecodeError(f"{request.route.name} was answered with {kind}. {problem}")
    if not isinstance(members, dict):
        raise EnvelopeError(f"The answer to {request.route.name} is not an object.")
    return members


def _refusal(reply: Reply, request: Request, secret: Secret) -> ApiError | ProtocolError:
    if reply.status >= 600:  # noqa: PLR2004  # beyond HTTP
        return ProtocolError(f"{request.route.name} was answered with status {reply.status}.")
    try:
        members = decode_json(reply.body)
    except DecodeError:
        members = None
    return _said_no(reply, request, members if isinstance(members, dict) else {}, secret)


def _said_no(reply: Reply, request: Request, members: dict[str, Any], secret: Secret) -> ApiError:
    """Build the error of an answer that says no; `members` is its envelope, or empty."""
    detail = members.get("error")
    code = _code(detail, secret)
    words = secret.redact(_words(members.get("message"), detail))
    lowered = f"{code or ''} {words}".lower()
    kind = _BY_STATUS.get(reply.status) or _by_family(reply.status)
    if kind in _MAY_BE_QUOTA and _QUOTA_WORDS.search(lowered):
        kind = QuotaExceeded
    is_plan = _is_plan(lowered)
    permission = request.route.permission
    message = f"{request.route.name} was refused with status {reply.status}"
    message = f"{message}: {words}" if words else f"{message}."
    if kind is PermissionDenied:
        message += _needed(permission, words, is_plan=is_plan)
    error = kind(
        message,
        status=reply.status,
        operation=request.route.name,
        detail=None
        if detail is None
        else clean_text(
            secret.redact(detail if isinstance(detail, str) else repr(detail)),
            longest=_LONGEST_DETAIL,
        ),
        code=code,
    )
    if isinstance(error, PermissionDenied):
        error.permission = permission
        error.is_plan = is_plan
    return error


def _is_plan(lowered: str) -> bool | None:
    """Return whether the plan is the reason, as far as an answer in lower case says."""
    if _PLAN_WORDS.search(lowered):
        return True
    return False if _PERMISSION_WORDS.search(lowered) else None


def _needed(permission: str | None, words: str, *, is_plan: bool | None) -> str:
    """Return the sentence about what the organization needs, where it has not been said yet."""
    if permission is None or permission.lower() in words.lower() or is_plan:
        return ""
    also = "" if is_plan is False else ", and a plan that includes this"
    return f" The organization needs the permission {permission!r}{also}."


def _by_family(status: int) -> type[ApiError]:
    if status >= 500:  # noqa: PLR2004  # HTTP's server errors
        return ServerError
    return ClientError if status >= 400 else ApiError  # noqa: PLR2004  # a 2xx may say no, too


def _code(detail: object, secret: Secret) -> str | None:
    code = detail.get("code") if isinstance(detail, dict) else None
    return clean_text(secret.redact(code), longest=80) if isinstance(code, str) else None


def _words(message: object, detail: object) -> str:
    """Return the server's own words: its message, else what its error says, else nothing."""
    inner = detail.get("message") if isinstance(detail, dict) else detail
    for candidate in (message, inner):
        if isinstance(candidate, str) and candidate.strip():
            return candidate.strip()[:_EXCERPT]
    return ""
