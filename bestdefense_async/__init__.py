"""Asynchronous client of the BestDefense API: many scans at once, none twice, none lost."""

import importlib
from typing import TYPE_CHECKING

from bestdefense_async._version import __version__

if TYPE_CHECKING:
    from bestdefense_async.client import (
        BestDefense,
        View,
    )
    from bestdefense_async.core.binding import (
        Binding,
    )
    from bestdefense_async.core.limits import (
        Limit,
    )
    from bestdefense_async.core.retry import (
        RetryPolicy,
    )
    from bestdefense_async.core.secret import (
        Secret,
    )
    from bestdefense_async.errors import (
        AnswerError,
        ApiError,
        AttemptTimeout,
        AuthError,
        BestDefenseError,
        ClientClosed,
        ClientError,
        ConfigError,
        Conflict,
        ConnectError,
        ConnectionLost,
        DeadlineExceeded,
        DecodeError,
        DownloadError,
        EnvelopeError,
        IntegrityError,
        InvalidRequest,
        JournalBusy,
        JournalError,
        JournalMismatch,
        LifecycleError,
        LimitWaitTooLong,
        NotFound,
        OutcomeUnknown,
        PermissionDenied,
        PollTimeout,
        ProtocolError,
        ProvisionalRoute,
        ProxyError,
        QuotaExceeded,
        RateLimited,
        RedirectRefused,
        ResponseTooLarge,
        RunStopped,
        Sent,
        ServerError,
        TargetError,
        TLSError,
        TransportError,
        Truncated,
        UnknownSite,
        WrongLoop,
    )
    from bestdefense_async.models import (
        AgentFile,
        AgentManifest,
        Alerts,
        Finding,
        Overview,
        Progress,
        Report,
        RiskSummary,
        ScanOptions,
        Severity,
        Site,
    )
    from bestdefense_async.orchestration import (
        Done,
        Failed,
        NotStarted,
        Outcome,
        ScanGroup,
        Target,
        Unknown,
    )
    from bestdefense_async.transport.hooks import (
        Event,
        EventKind,
    )

_HOMES = {
    "client": (
        "BestDefense",
        "View",
    ),
    "core.binding": ("Binding",),
    "core.limits": ("Limit",),
    "core.retry": ("RetryPolicy",),
    "core.secret": ("Secret",),
    "errors": (
        "AnswerError",
        "ApiError",
        "AttemptTimeout",
        "AuthError",
        "BestDefenseError",
        "ClientClosed",
        "ClientError",
        "ConfigError",
        "Conflict",
        "ConnectError",
        "ConnectionLost",
        "DeadlineExceeded",
        "DecodeError",
        "DownloadError",
        "EnvelopeError",
        "IntegrityError",
        "InvalidRequest",
        "JournalBusy",
        "JournalError",
        "JournalMismatch",
        "LifecycleError",
        "LimitWaitTooLong",
        "NotFound",
        "OutcomeUnknown",
        "PermissionDenied",
        "PollTimeout",
        "ProtocolError",
        "ProvisionalRoute",
        "ProxyError",
        "QuotaExceeded",
        "RateLimited",
        "RedirectRefused",
        "ResponseTooLarge",
        "RunStopped",
        "Sent",
        "ServerError",
        "TLSError",
        "TargetError",
        "TransportError",
        "Truncated",
        "UnknownSite",
        "WrongLoop",
    ),
    "models": (
        "AgentFile",
        "AgentManifest",
        "Alerts",
        "Finding",
        "Overview",
        "Progress",
        "Report",
        "RiskSummary",
        "ScanOptions",
        "Severity",
        "Site",
    ),
    "orchestration": (
        "Done",
        "Failed",
        "NotStarted",
        "Outcome",
        "ScanGroup",
        "Target",
        "Unknown",
    ),
    "transport.hooks": (
        "Event",
        "EventKind",
    ),
}
"""Module of each public name: imported when the name is first used, for aiohttp's import is most of
the time of a start."""

_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AgentFile",
    "AgentManifest",
    "Alerts",
    "AnswerError",
    "ApiError",
    "AttemptTimeout",
    "AuthError",
    "BestDefense",
    "BestDefenseError",
    "Binding",
    "ClientClosed",
    "ClientError",
    "ConfigError",
    "Conflict",
    "ConnectError",
    "ConnectionLost",
    "DeadlineExceeded",
    "DecodeError",
    "Done",
    "DownloadError",
    "EnvelopeError",
    "Event",
    "EventKind",
    "Failed",
    "Finding",
    "IntegrityError",
    "InvalidRequest",
    "JournalBusy",
    "JournalError",
    "JournalMismatch",
    "LifecycleError",
    "Limit",
    "LimitWaitTooLong",
    "NotFound",
    "NotStarted",
    "Outcome",
    "OutcomeUnknown",
    "Overview",
    "PermissionDenied",
    "PollTimeout",
    "Progress",
    "ProtocolError",
    "ProvisionalRoute",
    "ProxyError",
    "QuotaExceeded",
    "RateLimited",
    "RedirectRefused",
    "Report",
    "ResponseTooLarge",
    "RetryPolicy",
    "RiskSummary",
    "RunStopped",
    "ScanGroup",
    "ScanOptions",
    "Secret",
    "Sent",
    "ServerError",
    "Severity",
    "Site",
    "TLSError",
    "Target",
    "TargetError",
    "TransportError",
    "Truncated",
    "Unknown",
    "UnknownSite",
    "View",
    "WrongLoop",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Import a public name on its first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return __all__
