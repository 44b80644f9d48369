"""Read waivers from a TOML file.

    [[waiver]]
    fingerprint = "9f86d081884c7d659a2feaa0c55ad015"
    reason = "Fixed with the release of January, SEC-412"
    expires = 2027-01-31

    [[waiver]]
    weakness = "CWE-614"
    target = "*.staging.example.com"
    severity = "low"
    reason = "Staging has no sessions"
    expires = 2027-06-30

A file that cannot be meant as it stands is refused as a whole: an entry that was passed over could
be the one somebody relies on, and a misspelt condition would widen what is waived.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.core.toml_text import line_of, parse_toml
from bestdefense_async.errors import ConfigError, clean_text
from bestdefense_async.models import SEVERITIES, Severity
from bestdefense_async.output.waivers import Waiver, Waivers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LARGEST_FILE: Final = 5_000_000
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{32}")
_ENTRY: Final = re.compile(r"""\s*\[\[\s*["']?waiver["']?\s*\]\]""")


def read_waivers(path: Path | str, *, today: date) -> Waivers:
    """Return the waivers of a file.

    Args:
        path: The file.
        today: The day, in UTC, by which entries expire.

    Raises:
        ConfigError: It cannot be read, or something in it is wrong; the message names the line.
    """
    path = Path(path)
    problem, content = "", b""
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_FILE + 1)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if len(content) > _LARGEST_FILE:
        problem = "the file is too large"
    if problem:
        raise ConfigError(f"The waivers {path} cannot be read: {problem}.")
    text, values = parse_toml(content, where=str(path))
    return Waivers(entries=_entries(text, values, where=str(path)), today=today)


def _entries(text: str, values: Mapping[str, Any], *, where: str) -> tuple[Waiver, ...]:
    for key in [key for key in values if key != "waiver"][:1]:
        raise ConfigError(
            f"{where}, line {line_of(key, text)}: {clean_text(key, longest=60)!r} is not known "
            "here: each entry begins with [[waiver]]."
        )
    entries = values.get("waiver", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        line = line_of("waiver", text)
        raise ConfigError(f"{where}, line {line}: each entry begins with [[waiver]].")
    numbered = enumerate(text.splitlines(), start=1)
    heads = [line for line, content in numbered if _ENTRY.match(content)]
    if len(heads) != len(entries):  # written in another way: an array of inline tables
        heads = [line_of("waiver", text)] * len(entries)
    return tuple(
        _entry(entry, text, line, where=where) for entry, line in zip(entries, heads, strict=True)
    )


def _entry(entry: Mapping[str, Any], text: str, line: int, *, where: str) -> Waiver:
    checked: dict[str, Any] = {}
    for key, value in entry.items():
        at = f"{where}, line {line_of(key, text, first=line)}"
        if key not in _CHECKS:
            known = ", ".join(_CHECKS)
            shown = clean_text(key, longest=60)
            raise ConfigError(f"{at}: a waiver has no {shown!r}. Known: {known}.")
        problem = ""
        try:
            checked[key] = _CHECKS[key](value)
        except ValueError as error:
            problem = str(error)
        if problem:
            raise ConfigError(f"{at}: {key} must be {problem}.")
    problem = _lacking(checked)
    if problem:
        raise ConfigError(f"{where}, line {line}: this waiver {problem}.")
    return Waiver(line=line, **checked)


def _lacking(checked: Mapping[str, Any]) -> str:
    """Say what an entry needs before it may waive anything; empty when it lacks nothing."""
    if "fingerprint" not in checked and not {"weakness", "target"} <= checked.keys():
        return 'needs a fingerprint, or a weakness and a target ("*" for all)'
    if "reason" not in checked:
        return "needs a reason"
    if "expires" not in checked:
        return "needs a last day, like expires = 2027-01-31"
    return ""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("text")
    return value.strip()


def _fingerprint(value: object) -> str:
    if not isinstance(value, str) or not _FINGERPRINT.fullmatch(value):
        raise ValueError("the 32 hexadecimal digits that JSON output and SARIF show")
    return value


def _severity(value: object) -> Severity:
    if value not in SEVERITIES:
        raise ValueError(f"one of {', '.join(SEVERITIES)}")
    return Severity(str(value))


def _day(value: object) -> date:
    if type(value) is not date:
        raise ValueError("a day like 2027-01-31, without quotes and time")
    return value


_CHECKS: Final[Mapping[str, Callable[[object], Any]]] = {
    "fingerprint": _fingerprint,
    "weakness": _text,
    "target": _text,
    "url": _text,
    "severity": _severity,
    "reason": _text,
    "expires": _day,
}
"""Every key of an entry, and how its value is checked."""
