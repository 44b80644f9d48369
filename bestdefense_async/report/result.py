"""A run as a value: what every output and the gate are made from.

It has no connection to anything, so a report of a saved run is the same report as the one written
when the run ended.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from bestdefense_async.models import SEVERITIES, Outcome, OutcomeStatus, ScanOptions, Severity
from bestdefense_async.models.finding import ranked
from bestdefense_async.models.plain import html_table


def finite(value: object) -> float | None:
    """Return `value` as a float when it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= sys.float_info.max else None


def _as_options(options: ScanOptions | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return options as plain values, without the callback secret."""
    if options is None:
        return {}
    if isinstance(options, ScanOptions):
        options = {
            "types": list(options.types),
            "intensity": options.intensity,
            "mode": options.mode,
            "testing_type": options.testing_type,
        }
    return {key: value for key, value in options.items() if key != "callback_secret"}


@frozen(kw_only=True)
class RunResult:
    """One bulk scan: its targets and how each ended."""

    outcomes: tuple[Outcome, ...]
    """One per target, in the order of the targets, duplicates left out."""
    name: str = "scan"
    started_at: float | None = field(default=None, converter=finite)
    """Seconds since the epoch."""
    finished_at: float | None = field(default=None, converter=finite)
    """Seconds since the epoch; None while it runs, or when it was cut off."""
    base_url: str = ""
    options: Mapping[str, Any] = field(default=None, converter=_as_options)
    """The scan options as plain values; a callback secret is never kept."""
    policy: Mapping[str, Any] | None = None
    """The rules it is to be judged by, as `GatePolicy.as_dict` writes them; None when whoever began
    it has not said."""
    judged_by: str | None = field(default=None, eq=False)
    """The threshold of the verdict that was saved beside it, `none` for none; None without one. It
    is no part of the run, and is not written with it."""
    throttled: tuple[tuple[float, float], ...] = ()
    """Spans in which a rate limit held requests back, seconds since the epoch."""
    outages: tuple[tuple[float, float], ...] = ()
    """Spans in which the host took no scan, so that none was started, seconds since the epoch."""

    @property
    def seconds(self) -> float | None:
        """How long the run took, or None."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(self.finished_at - self.started_at, 0.0)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values that any writer of JSON takes.

        What the gate says about it is in the JSON document that `Run.write` makes.
        """
        outcomes = [outcome.as_dict() for outcome in self.outcomes]
        return {**self.head(), **self.summary(), "outcomes": outcomes}

    def head(self) -> dict[str, Any]:
        """Return what is known of the run when it begins, as plain values."""
        return {
            "name": self.name,
            "base_url": self.base_url,
            "options": dict(self.options),
            "started_at": self.started_at,
            **({} if self.policy is None else {"policy": dict(self.policy)}),
        }

    def summary(self) -> dict[str, Any]:
        """Return what it came to, its outcomes left out, as plain values."""
        return {
            "finished_at": self.finished_at,
            "throttled": [list(span) for span in self.throttled],
            "outages": [list(span) for span in self.outages],
            "targets": len(self.outcomes),
            "counts": self.by_status(),
            "risk": {str(severity): count for severity, count in self.counts().items()},
        }

    def _repr_html_(self) -> str:
        """Return it as a table, for notebooks: the sites with the worst findings first."""
        columns = [str(severity) for severity in SEVERITIES]
        told = ", ".join(f"{count} {word}" for word, count in self.by_status().items() if count)
        ranked = sorted(
            self.outcomes,
            key=lambda each: [-each.counts().get(severity, 0) for severity in SEVERITIES],
        )
        rows = [
            (
                each.target,
                each.status,
                *(each.counts().get(word, 0) if each.has_verdict else None for word in SEVERITIES),
            )
            for each in ranked
        ]
        caption = f"{self.name}: {told or 'no targets'}"
        return html_table(caption, ("target", "status", *columns), rows)

    def by_status(self) -> dict[str, int]:
        """Return how many targets ended with each status."""
        seen = Counter(outcome.status for outcome in self.outcomes)
        return {str(status): seen[status] for status in OutcomeStatus}

    def counts(self) -> dict[Severity, int]:
        """Return all findings by severity, worst first; documented severities are always there."""
        total: Counter[Severity] = Counter(dict.fromkeys(SEVERITIES, 0))
        for outcome in self.outcomes:
            total.update(outcome.counts())
        return {severity: total[severity] for severity in ranked(total)}
