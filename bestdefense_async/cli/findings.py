"""Lists findings of a report or of a network scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from bestdefense_async.cli import params, streams
from bestdefense_async.cli.records import emit

if TYPE_CHECKING:
    from bestdefense_async.models import Alerts

MIN_SEVERITY: Final = click.option(
    "--min-severity",
    type=click.Choice(params.SEVERITY_WORDS),
    default="informational",
    show_default=True,
    help="Least severity to list; unknown ones are always listed.",
)


def emit_findings(what: str, found: Alerts, min_severity: str, form: str) -> None:
    """Write findings to stdout, the worst first, and their counts to stderr."""
    from bestdefense_async.models import Severity

    least = Severity(min_severity).rank
    shown = [finding for finding in found.findings if finding.severity.rank >= least]
    shown.sort(key=lambda finding: -finding.severity.rank)
    records = [
        {
            "severity": str(finding.severity),
            "title": finding.title,
            "url": finding.url,
            "cwe": finding.cwe,
            "weakness": finding.weakness,
            "id": finding.id,
        }
        for finding in shown
    ]
    columns = ("severity", "title", "url", "cwe", "id")
    emit("alerts", records, form, columns=columns)
    counts = {word: count for word, count in found.risk.as_dict().items() if count}
    said = ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing found"
    streams.say(f"{what}: {said}")
