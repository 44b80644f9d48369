"""A finished run as one JSON document; `schemas/run.json` describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.output.fingerprint import compare
from bestdefense_async.output.gate import exit_code
from bestdefense_async.output.records import (
    SCHEMA_VERSION,
    changes_record,
    dumps,
    row_record,
    verdict_record,
)
from bestdefense_async.output.run import finite

if TYPE_CHECKING:
    from bestdefense_async.output.gate import Verdict
    from bestdefense_async.output.run import Run


def document(run: Run, verdict: Verdict, *, older: Run | None = None) -> str:
    """Return the run and its verdict as JSON text that ends with a line break.

    With an older run it also says what changed since.
    """
    changes = {} if older is None else {"changes": changes_record(compare(run, older))}
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
                    **verdict_record(verdict),
                },
                "targets": len(run.rows),
                "outcomes": run.by_outcome(),
                "risk": {str(word): count for word, count in run.counts().items()},
                **changes,
                "rows": [
                    row_record(row, [mark for _, mark in verdict.marked(place, row)])
                    for place, row in enumerate(run.rows)
                ],
            },
            indent=1,
        )
        + "\n"
    )
