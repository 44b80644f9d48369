"""A finished run as one JSON document; `schemas/run.json` describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.output.gate import exit_code
from bestdefense_async.output.records import SCHEMA_VERSION, dumps, row_record
from bestdefense_async.output.run import finite

if TYPE_CHECKING:
    from bestdefense_async.output.gate import Verdict
    from bestdefense_async.output.run import Run


def document(run: Run, verdict: Verdict) -> str:
    """Return the run and its verdict as JSON text that ends with a line break."""
    return (
        dumps(
            {
                "schema_version": SCHEMA_VERSION,
                "name": run.name,
                "base_url": run.base_url,
                "options": dict(run.options),
                "started_at": finite(run.started_at),
                "finished_at": finite(run.finished_at),
                "throttled": [[begin, end] for begin, end in run.throttled],
                "gate": {
                    "word": verdict.word,
                    "sentence": verdict.sentence,
                    "reasons": list(verdict.reasons),
                    "findings": verdict.findings,
                    "sites": verdict.sites,
                    "missing": verdict.missing,
                    "exit_code": exit_code(verdict),
                },
                "targets": len(run.rows),
                "outcomes": run.by_outcome(),
                "risk": {str(word): count for word, count in run.counts().items()},
                "rows": [row_record(row) for row in run.rows],
            },
            indent=1,
        )
        + "\n"
    )
