"""What real answers said that we do not know: counted, and never what stood there.

It is looked for in what a run keeps of an answer, the counts and the findings. Names of members are
the host's; where a host uses data as names (a map by address), they are shown as `*`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bestdefense_async.models import Outcome

_NAME: Final = re.compile(r"[@$]?[A-Za-z_][A-Za-z_:]{0,39}[0-9]{0,2}")
"""What a member is called; anything else may be data."""
_MOST_NAMES: Final = 30
"""Names that an object has; one with more is a map."""
_DEEPEST: Final = 5


def unknowns_of(outcomes: Iterable[Outcome]) -> list[dict[str, str | int]]:
    """Return what the answers of a run had that we do not know, a record for each member.

    `member` is where it stands (`alerts[].cvss.score`), `what` whether the member is unknown or
    only its word, `count` how often it came, and `answers` in how many answers.
    """
    times: Counter[tuple[str, str]] = Counter()
    answers: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        came = Counter(_unknown(outcome))
        times.update(came)
        answers.update(came.keys())
    return [
        {
            "operation": "vortex.alerts",
            "member": member,
            "what": f"unknown {what}",
            "count": count,
            "answers": answers[member, what],
        }
        for (member, what), count in sorted(times.items())
    ]


def _unknown(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Yield each member that is unknown, or whose value is, and which of both."""
    risk = outcome.risk
    yield from ((f"riskSummary.{_shown(name)}", "member") for name in (risk.other if risk else ()))
    for finding in outcome.findings:
        if not finding.severity.is_known:
            yield "alerts[].severity", "value"
        yield from ((path, "member") for path in _paths("alerts[]", finding.extra))


def _paths(at: str, value: object) -> Iterator[str]:
    """Yield what stands below a member, the deepest of it; each member of a list alike."""
    if isinstance(value, list) and value:
        yield from dict.fromkeys(path for each in value for path in _paths(f"{at}[]", each))
    elif isinstance(value, dict) and value and at.count(".") < _DEEPEST:
        is_map = len(value) > _MOST_NAMES
        names = ((f"{at}.{'*' if is_map else _shown(name)}", value[name]) for name in value)
        yield from dict.fromkeys(path for name, each in names for path in _paths(name, each))
    elif at != "alerts[]":
        yield at


def _shown(name: str) -> str:
    return name if _NAME.fullmatch(name) else "*"
