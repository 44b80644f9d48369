"""Asynchronous client of the BestDefense API: many scans at once, none twice, none lost."""

import importlib

_HOMES = {
    "_version": ("__version__",),
    "client": ("BestDefense",),
    "core.binding": ("Binding",),
    "core.limiting.limit": ("Limit",),
    "core.polling": ("PollPolicy",),
    "core.retry": ("RetryPolicy",),
    "errors": (
        "ApiError",
        "AuthError",
        "BestDefenseError",
        "ClientClosed",
        "ConfigError",
        "DeadlineExceeded",
        "DownloadError",
        "EnvelopeError",
        "InvalidRequest",
        "JournalError",
        "LimitWaitTooLong",
        "NotFound",
        "OutcomeUnknown",
        "PermissionDenied",
        "PollTimeout",
        "ProvisionalRoute",
        "QuotaExceeded",
        "RateLimited",
        "ScanFailed",
        "ServerError",
        "TargetError",
        "TransportError",
        "UnknownSite",
        "WrongLoop",
    ),
    "models": (
        "Alerts",
        "Finding",
        "Outcome",
        "OutcomeStatus",
        "Overview",
        "Progress",
        "Registration",
        "Remediation",
        "Report",
        "ReportSummary",
        "RiskSummary",
        "ScanOptions",
        "Schedule",
        "Severity",
        "Site",
    ),
    "openapi.bindings": ("read_bindings",),
    "runs.run": ("Run",),
    "runs": (
        "ScanGroup",
        "SqliteStore",
    ),
    "services.background": ("BackgroundClient",),
    "services.handle": ("ScanHandle",),
    "services.scans": ("Scans",),
    "services.updates": (
        "Missed",
        "ScanUpdate",
    ),
    "transport.hooks": ("RequestEvent",),
    "view": ("View",),
    "transport.observe": ("Observer",),
}
"""The public names by the module they live in, each stated here and nowhere else. A module is
imported when a name of it is first used: aiohttp's import is most of the time of a start. Type
checkers read `__init__.pyi`, which `python tests/test_public_names.py` writes from this table."""

_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605  # a list, though not a literal one


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
