"""The words of a verdict: one clause per rule, with how many findings on how many sites."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.output.text import counted, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bestdefense_async.models import Severity
    from bestdefense_async.output.gate import Policy
    from bestdefense_async.output.marks import WaiverUse

_MOST_UNKNOWN: Final = 3
"""Undocumented severities that a clause names; the rest is counted."""


@frozen(kw_only=True)
class Clauses:
    """Puts what decided into words."""

    total: int
    adjective: str
    """`new ` when only new findings count."""

    def broken(self, hits: Sequence[Mapping[Severity, int]], rule: str) -> str:
        """Say which rule failed, with how many findings, on how many sites."""
        sums: Counter[Severity] = Counter()
        for each in hits:
            sums.update(each)
        words = sorted(sums, key=lambda word: (-word.rank, word))
        unknown = [word for word in words if not word.is_known]
        rest = unknown[_MOST_UNKNOWN:]
        listed = [
            f"{sums[word]} {self.adjective}{visible(word, longest=40)}"
            for word in words
            if word not in set(rest)
        ]
        if rest:
            listed.append(f"{sum(sums[word] for word in rest)} of {len(rest)} other severities")
        sites = f"on {len(hits)} of {counted(self.total, 'site')}"
        return f"{', '.join(listed)} {rule} {sites}"

    def nothing(self, policy: Policy) -> str:
        """Say what was asked and not found."""
        sites = counted(self.total, "site")
        if policy.fail_on is not None:
            return f"nothing {self.adjective}>= {policy.fail_on} on {sites}"
        if policy.max_counts:
            return f"no more {self.adjective}findings than allowed on {sites}"
        return f"no threshold for {sites}"

    def gap(self, missing: int) -> str:
        """Say for how many targets nothing is known."""
        if not self.total:
            return "no site was scanned"
        verb = "has" if missing == 1 else "have"
        return f"{missing} of {counted(self.total, 'site')} {verb} no verdict"


def waiver_line(use: WaiverUse) -> str:
    """Say of a waiver that did nothing what it is and why, on one line."""
    state = "matches nothing" if use.state == "stale" else f"expired on {use.waiver.expires}"
    at = "" if use.waiver.line is None else f" of line {use.waiver.line}"
    return f"the waiver{at} {state}: {use.waiver}"
