"""Exit codes: what a script can tell from how the command ended.

| code | meaning |
|---|---|
| 0 | all finished, nothing at or above the threshold |
| 1 | the gate failed (wins over 3, both are said) |
| 2 | usage or configuration |
| 3 | incomplete: something has no verdict or no answer |
| 4 | token missing, expired, revoked, or not permitted |
| 70 | our bug, never 1 |
| 130 | interrupted |
| 141 | the reader of stdout went away |
"""

from __future__ import annotations

import contextlib
import enum
from typing import TYPE_CHECKING, Final

from bestdefense_async import errors

if TYPE_CHECKING:
    from collections.abc import Iterator


class Exit(enum.IntEnum):
    """The exit codes by name."""

    OK = 0
    GATE_FAILED = 1
    USAGE = 2
    INCOMPLETE = 3
    TOKEN = 4
    BUG = 70
    INTERRUPTED = 130
    NO_READER = 141


class MissingToken(errors.ConfigError):
    """Neither option, environment nor file has a token."""


class Unwritable(errors.BestDefenseError):
    """Results cannot be written where they should be."""


_CODES: tuple[tuple[type[errors.BestDefenseError], Exit], ...] = (
    (MissingToken, Exit.TOKEN),
    (errors.AuthError, Exit.TOKEN),
    (errors.PermissionDenied, Exit.TOKEN),
    (errors.ConfigError, Exit.USAGE),
    (errors.TargetError, Exit.USAGE),
    (errors.InvalidRequest, Exit.USAGE),
    (errors.NotFound, Exit.USAGE),
    (errors.JournalError, Exit.USAGE),
    (errors.RunStopped, Exit.INCOMPLETE),
    (errors.LifecycleError, Exit.BUG),
    (errors.BestDefenseError, Exit.INCOMPLETE),
)
"""The first row that fits decides."""

_SEVERITY = (
    Exit.BUG,
    Exit.INTERRUPTED,
    Exit.GATE_FAILED,
    Exit.TOKEN,
    Exit.USAGE,
    Exit.INCOMPLETE,
    Exit.OK,
)
"""Of several errors at once, the first of these codes is the one to return."""


_EXTRAS: Final = {
    "cli": {"jinja2", "junitparser", "platformdirs", "rich", "tomlkit", "yaml"},
    "otel": {"opentelemetry"},
    "distributed": {"procrastinate", "psycopg", "psycopg_pool"},
}
"""Our extras, and the modules that each installs."""


@contextlib.contextmanager
def told_as(
    problem: str, kind: type[errors.BestDefenseError] = errors.ConfigError
) -> Iterator[None]:
    """Raise what the operating system refuses as an error of ours: the problem, then the reason."""
    reason = ""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if reason:
        raise kind(f"{problem}: {reason}.")


def code_for(error: BaseException) -> Exit:
    """Return the exit code for an error; of a group, that of its worst member."""
    if isinstance(error, BaseExceptionGroup):
        return min((code_for(member) for member in error.exceptions), key=_SEVERITY.index)
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED
    if _missing_extra(error):
        return Exit.USAGE
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.BUG)


def sentence_for(error: BaseException) -> str:
    """Return an error on one line; of a group, its worst member and how many there are."""
    if isinstance(error, BaseExceptionGroup):
        worst = min(error.exceptions, key=lambda member: _SEVERITY.index(code_for(member)))
        more = len(error.exceptions) - 1
        return sentence_for(worst) + (f" (and {more} more)" if more else "")
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, errors.BestDefenseError):
        return f"{error}{_hint(error)}"
    extra = _missing_extra(error)
    if extra:
        missing = getattr(error, "name", "")
        return f"This needs more: pip install 'bestdefense-async[{extra}]' ({missing} is missing)."
    return errors.clean_text(f"{type(error).__name__}: {error}")


def _hint(error: errors.BestDefenseError) -> str:
    """Return what a person at a terminal can do about an error, after a space."""
    if isinstance(error, errors.ConnectError) and error.is_unknown_host:
        return " Behind a company proxy, set HTTPS_PROXY or --proxy."
    if isinstance(error, errors.TLSError):
        return " A certificate authority of your own is named with --ca-file or BD_CA_FILE."
    return ""


def _missing_extra(error: BaseException) -> str:
    """Return the extra that is not installed, when that is what an error says."""
    name = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    top = name.partition(".")[0]
    return next((extra for extra, modules in _EXTRAS.items() if top in modules), "")
