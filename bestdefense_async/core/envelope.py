"""From a reply to its payload, or to the one right error.

The API wraps most answers as `{success, message, data, error}`; the creation of a report puts
its members beside `success` (api-facts, "Envelope and errors"). Error bodies may be anything:
HTML of a framework or of a CDN, nothing, an envelope, or the body that a framework gives its own
errors: RFC 7807 (Symfony), `detail` (FastAPI), `errors` (Laravel), a list as `message` (Nest).

A server may quote the token it was sent. It is masked in what was decoded, before anything is cut
or changes its case, and never in what is still to be decoded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.core.json import decode_json
from bestdefense_async.core.route import Body, Grade
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
    Sent,
    ServerError,
    clean_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_NOUNS: Final = {
    "site_id": "site",
    "report_id": "report",
    "security_id": "security report",
    "schedule_id": "schedule",
    "remediation_id": "remediation",
    "scan_id": "network scan",
    "filename": "agent file",
}
"""What the parts of paths name."""
_ABSENT: Final = 404
_HINTS: Final = {
    401: "A token lives 1 to 90 days: make a new one in the app under Profile, API tokens "
    "(/profile/api-tokens).",
    _ABSENT: "Check the base URL: the API is expected at https://host, without a path.",
}
"""What a person does about it. Source: api-facts, "Hosts and authentication". (documented)"""
_EXCERPT: Final = 400
"""Characters of a server's text in a message."""
_MOST_TEXTS: Final = 8
"""Texts of one member of an error body that are quoted."""
_LONGEST_DETAIL: Final = 2000
_TEXT_MEMBERS: Final = ("message", "error", "title", "detail", "errors", "violations")
"""What says why, in the bodies of frameworks; the envelope's own members first."""
_DETAIL_MEMBERS: Final = ("error", "errors", "violations", "detail")
_REASONS: Final = ("message", "msg", "detail", "title")
_PLACES: Final = ("propertyPath", "field", "loc")


def _any_of(*words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z])(?:{'|'.join(words)})s?(?![a-z])")


_PLAN_WORDS: Final = _any_of("plan", "upgrade", "subscription")
_PERMISSION_WORDS: Final = _any_of("permission", "permitted", "role", "not allowed")
_QUOTA_WORDS: Final = _any_of("quota", "credit")
_MAY_BE_QUOTA: Final = {ApiError, InvalidRequest, PermissionDenied, Conflict, RateLimited}
"""What an answer about spent credits may come as; how the API says it is unknown."""


def read_envelope(reply: Reply, request: Request[object], secret: Secret) -> Any:  # noqa: ANN401  # JSON
    """Return the payload of a success: `data`, or all members where the route has no envelope.

    A 204, and `data: null` of a successful envelope, give None; the codec refuses it where the
    operation needs an answer.

    Raises:
        ApiError: The API said no: by its status, by `success: false`, or by an `error` beside
            `success: true` that is neither null nor empty.
        EnvelopeError, DecodeError: A success that cannot be read.
        ProtocolError: A status that HTTP does not have here.
    """
    status = reply.status
    if not 200 <= status < 300:  # noqa: PLR2004  # HTTP's successes
        raise _refusal(reply, request, secret)
    is_bare = request.route.body is Body.BARE
    if status == 204 or (is_bare and not reply.body.strip()):  # noqa: PLR2004  # no content
        return None
    return open_envelope(_decoded(reply, request, secret), status, request, secret)


def open_envelope(members: Any, status: int, request: Request[object], secret: Secret) -> Any:  # noqa: ANN401  # JSON
    """Return the payload of what was decoded and came with a status of success.

    Raises:
        ApiError, EnvelopeError: As for `read_envelope`.
    """
    if request.route.body is Body.BARE and not (
        isinstance(members, dict) and members.get("success") is False
    ):
        return members
    if not isinstance(members, dict):
        raise EnvelopeError(f"{request.route.doing} was answered with something that is no object.")
    success = members.get("success")
    if success is False or (success is True and members.get("error")):
        raise _api_error(status, request, members, secret)
    if success is not True:
        raise EnvelopeError(
            f"{request.route.doing} was answered without saying whether it succeeded."
        )
    if request.route.body is Body.TOP_LEVEL:
        return members
    if "data" not in members and request.route.name != "other":
        raise EnvelopeError(f"{request.route.doing} was answered without data.")
    return members.get("data")


def _decoded(reply: Reply, request: Request[object], secret: Secret) -> Any:  # noqa: ANN401  # JSON
    """Return the JSON of a success.

    Raises:
        DecodeError: There is none.
    """
    content_type = reply.headers.get("content-type", "")
    problem = None
    try:
        payload = decode_json(reply.body, content_type)
    except DecodeError as error:
        problem = str(error)
        payload = None
    if problem is not None:
        kind = clean_text(secret.redact(content_type) or "nothing", longest=60)
        raise DecodeError(f"{request.route.doing} was answered with {kind}. {problem}")
    return secret.redact_json(payload) if secret.is_in(reply.body) else payload


def _refusal(reply: Reply, request: Request[object], secret: Secret) -> ApiError | ProtocolError:
    if not 400 <= reply.status < 600:  # noqa: PLR2004  # HTTP's errors
        return ProtocolError(f"{request.route.doing} was answered with status {reply.status}.")
    try:
        members = decode_json(reply.body, reply.headers.get("content-type", ""))
    except DecodeError:
        members = None
    if not isinstance(members, dict):
        members = {}
    elif secret.is_in(reply.body):
        members = secret.redact_json(members)
    return _api_error(reply.status, request, members, secret)


def _api_error(
    status: int, request: Request[object], members: dict[str, Any], secret: Secret
) -> ApiError:
    """Return the error of an answer that says no; `members` are those of its body."""
    reasons = _reasons(members, secret)
    code = _code(members, secret)
    lowered = f"{code or ''} {reasons}".lower()
    kind = _BY_STATUS.get(status) or _by_family(status)
    if kind in _MAY_BE_QUOTA and _QUOTA_WORDS.search(lowered):
        kind = QuotaExceeded
    is_plan = _is_plan(lowered)
    permission = request.route.permission
    is_both = members.get("success") is True and 200 <= status < 300  # noqa: PLR2004  # successes
    message = _refused(status, request, reasons)
    if is_both:
        message = f"{request.route.doing} was answered with success and with an error"
        message += f": {reasons}" if reasons else "."
    if kind is PermissionDenied:
        message += _needed(permission, reasons, is_plan=is_plan)
    error = kind(
        message,
        status=status,
        operation=request.route.name,
        detail=_detail(members, secret),
        code=code,
    )
    if is_both:
        error.sent = Sent.MAYBE  # it arrived; whether it was done is what is not known
    if isinstance(error, PermissionDenied):
        error.permission = permission
        error.is_plan = is_plan
    return error


def _refused(status: int, request: Request[object], reasons: str) -> str:
    """Return what a person is told of a refusal: what was asked for, why not, and what helps."""
    route = request.route
    named = [name for name in route.parts if name in _NOUNS]
    if status == _ABSENT and named:
        noun, told = _NOUNS[named[0]], f": {reasons.removesuffix('.')}" if reasons else ""
        shown = clean_text(request.parts.get(named[0], request.subject), longest=80)
        return f"There is no {noun} {shown}, or it is another organization's (status 404{told})."
    message = f"{route.doing} was refused with status {status}"
    message += f": {reasons}" if reasons else "."
    hint = _HINTS.get(status, "")
    if not hint or (status == _ABSENT and route.grade is not Grade.DOCUMENTED):
        return message
    return f"{message.removesuffix('.')}. {hint}"


def _is_plan(lowered: str) -> bool | None:
    """Return whether the plan is the reason, as far as an answer in lower case says."""
    if _PLAN_WORDS.search(lowered):
        return True
    return False if _PERMISSION_WORDS.search(lowered) else None


def _needed(permission: str | None, reasons: str, *, is_plan: bool | None) -> str:
    """Return the sentence about what the organization needs, unless the reasons say it."""
    if permission is None or permission.lower() in reasons.lower() or is_plan:
        return ""
    also = "" if is_plan is False else ", and a plan that includes this"
    return f" The organization needs the permission {permission!r}{also}."


def _by_family(status: int) -> type[ApiError]:
    if status >= 500:  # noqa: PLR2004  # HTTP's server errors
        return ServerError
    return ClientError if status >= 400 else ApiError  # noqa: PLR2004  # a 2xx may say no, too


def _code(members: dict[str, Any], secret: Secret) -> str | None:
    error = members.get("error")
    code = error.get("code") if isinstance(error, dict) else members.get("code")
    return clean_text(secret.redact(code), longest=80) if isinstance(code, str) else None


def _detail(members: dict[str, Any], secret: Secret) -> str | None:
    detail = next((found for name in _DETAIL_MEMBERS if (found := members.get(name))), None)
    if detail is None:
        return None
    text = secret.redact(detail if isinstance(detail, str) else repr(detail))
    return clean_text(text, longest=_LONGEST_DETAIL)


def _reasons(members: dict[str, Any], secret: Secret) -> str:
    """Return what a body says about why, in one line without repetitions, or nothing."""
    found: list[str] = []
    for name in _TEXT_MEMBERS:
        for text in [*_texts(members.get(name))][:_MOST_TEXTS]:
            reason = secret.redact(text)[:_EXCERPT]
            if not any(reason in earlier for earlier in found):
                found.append(reason)
    reasons = "; ".join([*(each.removesuffix(".") for each in found[:-1]), *found[-1:]])
    return reasons if len(reasons) <= _EXCERPT else reasons[: _EXCERPT - 1] + "…"


def _texts(value: object) -> Iterator[str]:
    """Yield the texts for people in a member of an error body, each with what it is about."""
    if isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        reason = next((value[name] for name in _REASONS if isinstance(value.get(name), str)), None)
        if reason is None:
            for name, member in value.items():
                yield from (f"{name}: {text}" for text in _texts(member))
        elif reason.strip():
            parts = next((value[name] for name in _PLACES if value.get(name)), None)
            place = ".".join(map(str, parts)) if isinstance(parts, list) else str(parts or "")
            yield f"{place}: {reason.strip()}" if place else reason.strip()
