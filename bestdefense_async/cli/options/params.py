"""Types of options, and the options of a scan: strict about numbers, in the words of the API.

Python reads `1_000`, Arabic digits, ` 5 ` and `nan` as numbers; a script that passes one of these
has made a mistake, and should be told.
"""

from __future__ import annotations

import functools
import inspect
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from bestdefense_async import vendor
from bestdefense_async.cli.terminal.words import today
from bestdefense_async.errors import ConfigError, clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.shell_completion import CompletionItem

    Command = Callable[..., int | None]
    """What a command does, given its options by name; it returns the exit code."""

    _ParamType = click.ParamType[Any, Any]
else:
    # It takes type arguments only in newer versions of click.
    _ParamType = click.ParamType

MOST_ACTIVE: Final = 100_000
"""Scans that may be under way at the same time, if somebody wants so."""

_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_NUMBER: Final = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
_SECONDS: Final = re.compile(rf"{_NUMBER}|(?:{_NUMBER}[smhd])+")
_PART: Final = re.compile(rf"({_NUMBER})([smhd]?)")
_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SHORT: Final = {"info": "informational"}
"""What people write for words of the API."""
_ALLOWANCE: Final = re.compile(r"[0-9]{1,9}|[0-9]{1,2}%|100%")
_SPAN: Final = re.compile(r"([0-9]{1,5})d")
_ISO: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def whole_number(text: str, *, least: int = 0, most: int = 999_999_999) -> int:
    """Return a whole number written in ASCII digits.

    Raises:
        ValueError: It is written otherwise, or out of range; the message fits after "must be".
    """
    if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
        raise ValueError(f"a whole number from {least} to {most}")
    return int(text)


def seconds(text: str) -> float:
    """Return a time written like `90`, `90s`, `2.5m`, `1h30m` or `1d`, in seconds, above 0.

    Raises:
        ValueError: It is written otherwise; the message fits after "must be".
    """
    parts = _PART.findall(text) if _SECONDS.fullmatch(text) else []
    value = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if value <= 0:
        raise ValueError("a time above 0 like 90s, 15m or 1h30m")
    return value


def day(text: str) -> date:
    """Return a day written like `2027-01-31`, or like `90d` for that many days from today.

    Raises:
        ValueError: It is written otherwise, or lies before today; the message fits after "must
            be".
    """
    span = _SPAN.fullmatch(text)
    try:
        found = today() + timedelta(int(span[1])) if span else None
        if found is None and _ISO.fullmatch(text):
            found = date.fromisoformat(text)
    except (ValueError, OverflowError):
        found = None
    if found is None or found < today():
        raise ValueError("a day from today on, like 2027-01-31 or 90d")
    return found


def allowance(text: str) -> str:
    """Return a number of targets or a share of them, like `3` or `5%`.

    Raises:
        ValueError: It is written otherwise; the message fits after "must be".
    """
    if not _ALLOWANCE.fullmatch(text):
        raise ValueError("a number of targets like 3, or a share of them like 5%")
    return text


def word(known: Sequence[str], text: str) -> str:
    """Return a word of the API, written in any letter case or as people shorten it.

    Raises:
        ValueError: It is none; the message fits after "must be".
    """
    lowered = text.strip().lower()
    found = _SHORT.get(lowered, lowered)
    if found not in known:
        raise ValueError(f"one of {', '.join(known)}")
    return found


def types(text: str) -> tuple[str, ...]:
    """Return scan types written like `security,dns`, without duplicates.

    Raises:
        ValueError: One is not known; the message fits after "must be".
    """
    chosen = tuple(dict.fromkeys(each.strip().lower() for each in text.split(",")))
    if not set(chosen) <= set(vendor.TYPES):
        raise ValueError(f"one or more of {','.join(vendor.TYPES)}, separated by commas")
    return chosen


class Parsed(_ParamType):
    """A parameter that a function reads from text; its ValueError says what was expected."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self,
        value: Any,  # noqa: ANN401  # click hands in text, or a default that is parsed already
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401
        """Return the parsed value."""
        if not isinstance(value, str):
            return value
        problem = ""
        try:
            return self._parse(value)
        except ValueError as error:
            problem = str(error)
        return self.fail(f"{clean_text(value, longest=60)!r} is not {problem}.", param, ctx)


def _id_of(kind: str, source: str) -> Parsed:
    """Return the type of an id: the library's errors name its calls, a person is told a command."""

    def parse(text: str) -> str:
        from bestdefense_async.core.check import check_id
        from bestdefense_async.resources import arguments

        noun: arguments.Noun = getattr(arguments, kind)
        try:
            return check_id("id", arguments.id_of(noun, text))
        except ConfigError:
            problem = f"the id of a {noun.name}: `bestdefense {source}"
        raise ValueError(problem)

    return Parsed("ID", parse)


REPORT_ID: Final = _id_of("REPORT", "reports list` shows them")
SCHEDULE_ID: Final = _id_of("SCHEDULE", "schedules list` shows them")
REMEDIATION_ID: Final = _id_of("REMEDIATION", "remediation list` shows them")
SCAN_ID: Final = _id_of("NETWORK_SCAN", "network start` prints it")


class Word(click.Choice[str] if TYPE_CHECKING else click.Choice):  # type: ignore[misc]
    """One of some words, in any letter case, and as people shorten them."""

    def __init__(self, *known: str) -> None:
        super().__init__(known, case_sensitive=False)

    def convert(
        self,
        value: Any,  # noqa: ANN401  # click hands in text, or a default that is parsed already
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """Return the word as the API spells it."""
        lowered = str(value).lower()
        short = _SHORT.get(lowered)
        return str(super().convert(short if short in self.choices else lowered, param, ctx))


class _Types(Parsed):
    """Several types, separated by commas; the shell completes the last one."""

    def __init__(self) -> None:
        super().__init__("TYPES", types)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the types that are not there yet."""
        from click.shell_completion import CompletionItem

        before, comma, begun = incomplete.rpartition(",")
        chosen = before.lower().split(",")
        return [
            CompletionItem(f"{before}{comma}{word}")
            for word in vendor.TYPES
            if word.startswith(begun.lower()) and word not in chosen
        ]


def count(least: int = 0, most: int = 999_999_999) -> Parsed:
    """Return the type of a whole number in a range."""
    return Parsed("NUMBER", lambda text: whole_number(text, least=least, most=most))


SECONDS: Final = Parsed("TIME", seconds)
DAY: Final = Parsed("DAY", day)
ALLOWANCE: Final = Parsed("N|N%", allowance)

TYPES: Final = click.option(
    "--type",
    "types",
    type=_Types(),
    default="security",
    show_default=True,
    help=f"What to scan for: {','.join(vendor.TYPES)}.",
)
INTENSITY: Final = click.option(
    "--intensity",
    type=Word(*vendor.INTENSITIES),
    help="How hard to scan; quick is on every plan.",
)
MODE: Final = click.option("--mode", type=Word(*vendor.MODES), help="The scan engine.")
TEST: Final = click.option(
    "--test", type=Word(*vendor.TESTING_TYPES), help="Test it as a site or an API."
)
TIMEOUT: Final = click.option(
    "--timeout", type=SECONDS, help="Longest time to wait, like 15m or 2h."
)
MIN_SEVERITY: Final = click.option(
    "--min-severity",
    type=Word(*vendor.SEVERITIES),
    default="informational",
    show_default=True,
    help="Least severity to list; unknown ones are always listed.",
)


def with_options(function: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """Return a command with further options, in the order of the help."""
    for option in reversed(options):
        function = option(function)
    return function


def options_as(
    name: str,
    kind: Callable[..., tuple[Any, ...]],
    options: Sequence[Callable[[Command], Command]],
) -> Callable[[Command], Command]:
    """Return a decorator that gives a command options which it takes as one typed value.

    Args:
        name: The keyword of the command that takes the value.
        kind: A NamedTuple; its fields are the names of the options. It is no attrs class, because
            attrs takes longer to import than `--help` may.
        options: click's decorators, in the order of the help.
    """

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def command(**given: Any) -> int | None:  # noqa: ANN401  # options have many types
            fields = {field: given.pop(field) for field in inspect.signature(kind).parameters}
            return function(**given, **{name: kind(**fields)})

        return with_options(command, options)

    return decorate
