"""The rules of the gate: how they are written, and how it is said which of them decided."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import field, frozen

from bestdefense_async.errors import ConfigError
from bestdefense_async.models import SEVERITIES, Severity
from bestdefense_async.models.finding import ranked
from bestdefense_async.report.text import counted, visible

_WHOLE: Final = 100
"""Per cent."""

_ALLOWANCE: Final = re.compile(r"([0-9]{1,9})(%?)", re.ASCII)


@frozen
class Allowance:
    """How many targets may stay without a verdict."""

    number: int
    is_percent: bool = False

    def __str__(self) -> str:
        return f"{self.number}%" if self.is_percent else str(self.number)

    def of(self, total: int) -> int:
        """Return the number of targets out of `total`, rounded down."""
        return total * self.number // _WHOLE if self.is_percent else self.number


def read_allowance(text: str | int | Allowance) -> Allowance:
    """Return the allowance written as `3` (targets) or `5%` (of the targets).

    Raises:
        ConfigError: It is neither, or more than 100 %.
    """
    if isinstance(text, Allowance):
        return text
    match = _ALLOWANCE.fullmatch(str(text).strip())
    if match is None or (match[2] and int(match[1]) > _WHOLE):
        raise ConfigError(f"{text!r} is no number of targets: write like 3 or 5%.")
    return Allowance(int(match[1]), is_percent=bool(match[2]))


def _as_severity(text: object) -> Severity | None:
    """Return the threshold; None and the text `none` mean there is none."""
    if text is None or (isinstance(text, str) and text.strip().lower() == "none"):
        return None
    if isinstance(text, str) and (severity := Severity(text)).is_known:
        return severity
    raise ConfigError(f"{text!r} is no severity: choose one of {', '.join(SEVERITIES)} or none.")


def _as_limits(limits: object) -> dict[Severity, int]:
    if not isinstance(limits, Mapping):
        raise ConfigError(f"{limits!r} is no table of limits: write like {{'high': 5}}.")
    checked: dict[Severity, int] = {}
    for text, most in limits.items():
        severity = _as_severity(text)
        # With a limit like NaN nothing would ever fail.
        if severity is None or type(most) is not int or most < 0:
            raise ConfigError(f"{text!r}: {most!r} is no limit of findings.")
        checked[severity] = most
    return checked


@frozen(kw_only=True)
class GatePolicy:
    """The rules of the gate; each of them must hold.

    Raises:
        ConfigError: A severity is not one the API documents, or a number makes no sense.
    """

    fail_on: Severity | None = field(default=Severity.HIGH, converter=_as_severity)
    """A finding of this severity or worse fails; None never does."""
    max_counts: Mapping[Severity, int] = field(factory=dict, converter=_as_limits)
    """Most findings of exactly that severity in the whole run; undocumented ones count too."""
    allow_incomplete: Allowance = field(default=Allowance(0), converter=read_allowance)
    """Targets that may stay without a verdict, as long as there is one that has one."""

    def as_dict(self) -> dict[str, Any]:
        """Return the rules as plain values, as a run records them and `policy_from` reads them."""
        return {
            "fail_on": "none" if self.fail_on is None else str(self.fail_on),
            "max_counts": {str(severity): most for severity, most in self.max_counts.items()},
            "allow_incomplete": str(self.allow_incomplete),
        }


def policy_from(record: Mapping[str, Any]) -> GatePolicy:
    """Return the rules that a run has recorded; what it does not say is as strict as usual.

    Raises:
        ConfigError: They are none.
    """
    known = {"fail_on", "max_counts", "allow_incomplete"}
    return GatePolicy(**{name: value for name, value in record.items() if name in known})


_MOST_UNKNOWN: Final = 3
"""Undocumented severities that a clause names; the rest is counted."""


@frozen(kw_only=True)
class Wording:
    """Puts what decided into words."""

    total: int
    adjective: str
    """`new ` when only new findings count."""

    def rule_broken(self, hits: Sequence[Mapping[Severity, int]], rule: str) -> str:
        """Return which rule failed, with how many findings, on how many sites."""
        sums: Counter[Severity] = Counter()
        for each in hits:
            sums.update(each)
        severities = ranked(sums)
        unknown = [severity for severity in severities if not severity.is_known]
        rest = unknown[_MOST_UNKNOWN:]
        listed = [
            f"{sums[severity]} {self.adjective}{visible(severity, longest=40)}"
            for severity in severities
            if severity not in set(rest)
        ]
        if rest:
            listed.append(
                f"{sum(sums[severity] for severity in rest)} of {len(rest)} other severities"
            )
        sites = f"on {len(hits)} of {counted(self.total, 'site')}"
        return f"{', '.join(listed)} {rule} {sites}"

    def nothing_found(self, policy: GatePolicy) -> str:
        """Return what was asked for and not found."""
        sites = counted(self.total, "site")
        if policy.fail_on is not None:
            return f"nothing {self.adjective}>= {policy.fail_on} on {sites}"
        if policy.max_counts:
            return f"no more {self.adjective}findings than allowed on {sites}"
        return f"no threshold for {sites}"

    def no_verdict(self, missing: int) -> str:
        """Return how many targets have no verdict."""
        if not self.total:
            return "no site was scanned"
        verb = "has" if missing == 1 else "have"
        return f"{missing} of {counted(self.total, 'site')} {verb} no verdict"
