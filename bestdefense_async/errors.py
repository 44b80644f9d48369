"""Every error this package raises, in one tree.

    BestDefenseError                 catch this to catch all of them
    ├── ConfigError                  a setting or an argument is wrong; nothing was sent
    │   └── ProvisionalRoute         the path of this operation is not confirmed for this host
    ├── TargetError                  a target cannot be understood
    │   └── UnknownSite              no site of the organization has that host name or id
    ├── LifecycleError               the client cannot be used here or now
    │   ├── ClientClosed             it is closed, or was closed under the call
    │   ├── WrongLoop                it belongs to another event loop, thread or process
    │   └── RunStopped               the bulk run it belonged to was stopped before its end
    │       └── ScanCancelled        it was given up on request
    ├── TransportError               no usable answer came
    │   ├── ConnectError             no connection, so nothing was sent
    │   │   ├── TLSError             the server's identity could not be established
    │   │   └── ProxyError           the proxy refused or failed
    │   ├── ConnectionLost           the connection broke before the answer was complete
    │   ├── AttemptTimeout           one attempt took longer than it may
    │   └── AnswerError              an answer came, and it cannot be used
    │       ├── ProtocolError        it is not proper HTTP
    │       │   └── RedirectRefused  it points elsewhere; the token does not travel
    │       ├── Truncated            it stops before its end
    │       ├── ResponseTooLarge     it exceeds a cap
    │       ├── DecodeError          its body is not what its headers promise
    │       ├── EnvelopeError        it is JSON of another shape than the API's
    │       └── IntegrityError       it answers another question, or its hash is wrong
    ├── ApiError                     the API answered, and the answer is no
    │   ├── InvalidRequest           400, 422
    │   ├── AuthError                401: token missing, expired or revoked
    │   ├── QuotaExceeded            402, or an answer that names a spent quota or credit
    │   ├── PermissionDenied         403: permission or plan is lacking
    │   ├── NotFound                 404: absent, or of another organization
    │   ├── Conflict                 409
    │   ├── RateLimited              429
    │   ├── ClientError              any other 4xx
    │   └── ServerError              5xx
    ├── DeadlineExceeded             the caller's time ran out
    │   ├── LimitWaitTooLong         the wait for a rate limit would outlast the deadline
    │   └── PollTimeout              a scan did not finish in time; it goes on at the server
    ├── ScanFailed                   a scan ended at the server, and there is no result
    ├── OutcomeUnknown               a creation may or may not have been done; look it up
    ├── DownloadError                a file could not be stored
    └── JournalError                 the record of a run cannot be used
        ├── JournalBusy              another process holds it
        ├── JournalLost              another process has taken it over
        └── JournalMismatch          it is of another version, organization or kind

Two promises hold for all of them. `sent` says whether the request may have reached the server: only
`Sent.NO` (and a 429) makes it safe to repeat a creation. And no message, argument, attribute or
chained exception contains a token: messages are cleaned of control characters, capped, and built
from fields we chose, never from an HTTP library's error.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_MESSAGE = 600
"""Characters of an error message; the rest is cut."""

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # controls
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # invisible, bidirectional, line breaks
    "\ud800-\udfff]"  # lone surrogates
)


def clean_text(text: object, *, longest: int = LONGEST_MESSAGE) -> str:
    r"""Return `text` on one line, safe for a terminal, of at most `longest` characters.

    Control characters, bidirectional overrides, invisible characters and lone surrogates become
    escapes like `\x1b`, so what a server says can neither steer a terminal nor disguise itself.
    """
    raw = text if isinstance(text, str) else repr(text)
    safe = _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], raw[: longest + 1])
    return safe if len(safe) <= longest else safe[: longest - 1] + "…"


class Sent(enum.StrEnum):
    """Whether a request may have reached the server."""

    NO = "no"
    """Certainly not: repeating it is safe."""
    MAYBE = "maybe"
    """Perhaps: the server may have acted."""
    YES = "yes"
    """It answered."""


class BestDefenseError(Exception):
    """Base of every error of this package."""

    sent: Sent = Sent.NO
    """Whether the request behind this error may have reached the server."""

    def __init__(self, message: str, *, sent: Sent | None = None) -> None:
        super().__init__(clean_text(message))
        if sent is not None:
            self.sent = sent

    @property
    def kind(self) -> str:
        """The class name: the stable word for this error in outputs and journals."""
        return type(self).__name__

    def __reduce__(self) -> tuple[Callable[..., BestDefenseError], tuple[Any, ...]]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(
    kind: type[BestDefenseError], args: tuple[Any, ...], state: dict[str, Any]
) -> BestDefenseError:
    """Restore a pickled error without running its keyword-only constructor."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(BestDefenseError, ValueError):
    """A setting or an argument is wrong. Nothing was sent."""


class ProvisionalRoute(ConfigError):
    """The path of this operation is not confirmed for this host. Nothing was sent."""

    def __init__(self, operation: str) -> None:
        super().__init__(
            f"The path of {operation} is not published, so it is not sent to this host. "
            "Read it from the host's own specification with `bestdefense spec adopt`, or say where "
            f'it stands with bindings={{"{operation}": Binding(...)}}. To send it to the path we '
            "guess, pass allow_provisional=True."
        )
        self.operation = operation


class TargetError(BestDefenseError):
    """A target cannot be understood. Nothing was sent for it."""

    def __init__(self, message: str, *, target: str = "", line: int | None = None) -> None:
        where = "" if line is None else f"line {line}: "
        super().__init__(where + message)
        self.target: str = clean_text(target, longest=300)
        self.line = line
        """Line number in the list, from 1; None when it came from elsewhere."""


class UnknownSite(TargetError):
    """No site of this organization has that host name or id."""


class LifecycleError(BestDefenseError):
    """The client cannot be used here or now."""


class ClientClosed(LifecycleError):
    """The client is closed, or was closed while the call was under way."""


class WrongLoop(LifecycleError):
    """The client belongs to another event loop, thread or process."""


class RunStopped(LifecycleError):
    """A bulk run was stopped before this was finished. A scan that exists goes on at the server."""


class ScanCancelled(RunStopped):
    """A scan was given up on request."""


class TransportError(BestDefenseError):
    """No usable answer came."""

    sent = Sent.MAYBE


class ConnectError(TransportError):
    """No connection could be made, so nothing was sent."""

    sent = Sent.NO

    def __init__(self, message: str, *, is_unknown_host: bool = False) -> None:
        super().__init__(message)
        self.is_unknown_host = is_unknown_host
        """The name does not resolve: trying again rarely helps."""


class TLSError(ConnectError):
    """The server's identity could not be established, so nothing was sent."""


class ProxyError(ConnectError):
    """The proxy refused the connection or failed, so nothing was sent."""


class ConnectionLost(TransportError):
    """The connection broke before the answer was complete."""


class AttemptTimeout(TransportError):
    """One attempt took longer than it may."""


class AnswerError(TransportError):
    """An answer came, and it cannot be used."""

    sent = Sent.YES


class ProtocolError(AnswerError):
    """The answer is not proper HTTP, or not what HTTP allows here."""


class RedirectRefused(ProtocolError):
    """The answer points elsewhere. API calls never follow: the token stays home."""


class Truncated(AnswerError):
    """The answer stops before its end."""


class ResponseTooLarge(AnswerError):
    """The answer exceeds the cap on wire or decoded bytes."""


class DecodeError(AnswerError):
    """The body is not what its headers promise, or not strict JSON."""


class EnvelopeError(AnswerError):
    """The answer is JSON of another shape than the API's. Names a path, never a value."""


class IntegrityError(AnswerError):
    """The answer belongs to another question, or a checksum does not match."""


class ApiError(BestDefenseError):
    """The API answered, and the answer is no."""

    sent = Sent.YES

    def __init__(
        self,
        message: str,
        *,
        status: int,
        operation: str = "",
        detail: object = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status of the answer; 2xx when the envelope said `success: false`."""
        self.operation = operation
        """Name of the route, like `reports.create`."""
        self.detail = detail
        """The envelope's `error` member, redacted and cut, or None."""
        self.code = code
        """A machine-readable code found in `error`, or None. (inferred)"""


class InvalidRequest(ApiError):
    """400 or 422: the API does not accept the request."""


class AuthError(ApiError):
    """401: the token is missing, expired or revoked."""

    report_id: str | None = None
    """The report that was being followed, if any: it goes on at the server."""


class QuotaExceeded(ApiError):
    """A quota or the credits are spent. Waiting a moment does not help."""


class PermissionDenied(ApiError):
    """403: the organization lacks a permission, or its plan a feature."""

    permission: str | None = None
    """The permission the operation needs, as the vendor words it, or None."""
    is_plan: bool | None = None
    """Whether the plan is the reason and not the permission; None when the answer does not say."""


class NotFound(ApiError):
    """404: absent, or of another organization; the API does not say which."""


class Conflict(ApiError):
    """409: the request collides with the state of the resource."""


class RateLimited(ApiError):
    """429: too many calls. The server did no work for this one."""

    retry_after: float | None = None
    """Seconds the server asks to wait, None when it did not say."""


class ClientError(ApiError):
    """Any other 4xx."""


class ServerError(ApiError):
    """5xx: the server failed, and may have done part of the work."""

    retry_after: float | None = None
    """Seconds the server asks to wait, or None."""


class DeadlineExceeded(BestDefenseError):
    """The time given for a call ran out."""


class LimitWaitTooLong(DeadlineExceeded):
    """The wait for a rate limit would outlast the deadline. Nothing was sent."""

    def __init__(self, *, limit_class: str, wait: float, allowed: float) -> None:
        super().__init__(
            f"The rate limit allows this call in {wait:.1f} s, "
            f"later than the {max(allowed, 0.0):.1f} s it may take."
        )
        self.limit_class = limit_class
        self.wait = wait
        """Seconds until the call could be sent."""
        self.allowed = allowed
        """Seconds the caller had left."""


class PollTimeout(DeadlineExceeded):
    """A scan did not finish in time. It goes on at the server; ask again by its id."""

    sent = Sent.YES

    def __init__(self, report_id: str, *, waited: float) -> None:
        super().__init__(
            f"Report {report_id} is not complete after {waited:.0f} s. "
            "The scan goes on at the server: wait again with the same id."
        )
        self.report_id = report_id
        self.waited = waited
        """Seconds this wait lasted."""


class ScanFailed(BestDefenseError):
    """A scan ended at the server without a result. Waiting on does not help; a new scan may."""

    sent = Sent.YES

    def __init__(self, report_id: str, *, status: str, message: str | None = None) -> None:
        said = "" if not message else f": {message}"
        super().__init__(f"The scan of report {report_id} ended as {status!r}{said}")
        self.report_id = report_id
        self.status: str = clean_text(status, longest=80)
        """The server's word for the end, like `failed` or `cancelled`."""


class OutcomeUnknown(BestDefenseError):
    """A creation may or may not have been done. It is never sent again automatically."""

    sent = Sent.MAYBE

    def __init__(self, reason: str, *, operation: str, subject: str, sent_at: float) -> None:
        super().__init__(
            f"The request for {subject} was sent and its answer is lost ({reason}): "
            "the work may have started. Look for it before you start it again."
        )
        self.operation = operation
        self.subject = subject
        """What the request was about: the site's id for a report creation."""
        self.sent_at = sent_at
        """Wall clock of the attempt (seconds since the epoch): search the app around it."""


class DownloadError(BestDefenseError):
    """A file could not be stored. Nothing stands at its final path."""


class JournalError(BestDefenseError):
    """The record of a run cannot be read or written."""


class JournalBusy(JournalError):
    """Another process holds this journal."""


class JournalLost(JournalError):
    """Another process has taken the run over: it is left to that one, and nothing more is sent."""


class JournalMismatch(JournalError):
    """The journal is of another version, another organization, or not a journal."""
