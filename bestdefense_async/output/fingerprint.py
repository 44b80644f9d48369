"""Which finding of one run is the same finding in another, and what changed between two runs."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from attrs import frozen

from bestdefense_async.models import Finding, Severity
from bestdefense_async.output.text import without_scheme

if TYPE_CHECKING:
    from bestdefense_async.output.run import Row, Run


def fingerprint(row: Row, finding: Finding) -> str:
    """Return 32 hexadecimal characters that name this finding, the same in every run.

    They are made from the site, the weakness and the place. Ids, evidence and severity are left
    out: they may change although the weakness stays.
    """
    place = without_scheme(finding.url or "").partition("?")[0].partition("#")[0]
    weakness = finding.cwe or finding.weakness or ""
    parts = (row.site_id or row.target, weakness, finding.title or "", place)
    raw = "\0".join(parts).encode("utf-8", errors="backslashreplace")
    return hashlib.sha256(raw).hexdigest()[:32]


@frozen(kw_only=True)
class Changes:
    """What differs between a run and an older one, by severity."""

    new: Counter[Severity]
    fixed: Counter[Severity]
    unchanged: Counter[Severity]


def compare(run: Run, older: Run) -> Changes:
    """Return what is new, fixed and unchanged since the older run.

    Only listed findings can be told apart. A finding counts as fixed only when its site has a
    verdict in the newer run: what was not looked at is not mended.
    """
    now, before = _listed(run), _listed(older)
    judged = {row.site_id or row.target for row in run.rows if row.has_verdict}
    return Changes(
        new=Counter(finding for key, (_, finding) in now.items() if key not in before),
        fixed=Counter(
            severity
            for key, (site, severity) in before.items()
            if key not in now and site in judged
        ),
        unchanged=Counter(finding for key, (_, finding) in now.items() if key in before),
    )


def _listed(run: Run) -> dict[str, tuple[str, Severity]]:
    return {
        fingerprint(row, finding): (row.site_id or row.target, finding.severity)
        for row in run.rows
        for finding in row.findings
    }
