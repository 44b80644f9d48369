"""How outcomes and errors are written into a journal's rows, and read again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict

from bestdefense_async import errors as ours
from bestdefense_async.errors import BestDefenseError, OutcomeUnknown, Sent
from bestdefense_async.models import Finding, RiskSummary, Severity
from bestdefense_async.orchestration.outcome import Done, Failed, Unknown

if TYPE_CHECKING:
    import sqlite3

COLUMNS: Final = "place, target, site_id, report_id, claimed_at, finished_at, state, error, result"
"""What `read_outcome` takes, in this order."""

_KINDS: Final = {
    name: kind
    for name, kind in vars(ours).items()
    if isinstance(kind, type) and issubclass(kind, BestDefenseError)
}


def write_error(error: BestDefenseError) -> str:
    """Return an error as JSON: its kind, its message and its plain attributes."""
    plain = {
        name: value
        for name, value in vars(error).items()
        if value is None or isinstance(value, str | int | float)
    }
    return json.dumps({"kind": error.kind, "message": str(error), "attributes": plain})


def read_error(text: str) -> BestDefenseError:
    """Return the error that `write_error` wrote; of a kind unknown here it is the base class."""
    data = json.loads(text)
    kind = _KINDS.get(data["kind"], BestDefenseError)
    error = kind.__new__(kind)
    error.args = (data["message"],)
    attributes: dict[str, Any] = data["attributes"]
    if "sent" in attributes:
        attributes["sent"] = Sent(attributes["sent"])
    vars(error).update(attributes)
    return error


def write_result(outcome: Done) -> str:
    """Return what a scan found as JSON."""
    risk = None if outcome.risk is None else asdict(outcome.risk)
    return json.dumps({"risk": risk, "findings": [asdict(each) for each in outcome.findings]})


def read_outcome(row: sqlite3.Row | tuple[Any, ...]) -> Done | Failed | Unknown:
    """Return the outcome in a row of a scan that is finished or unknown."""
    place, target, site_id, report_id, claimed_at, finished_at, state, error, result = row
    common = {
        "index": place,
        "target": target,
        "site_id": site_id,
        "report_id": report_id,
        "started_at": claimed_at,
        "finished_at": finished_at,
    }
    if state == "finished" and error is None:
        data = json.loads(result)
        risk = None if data["risk"] is None else RiskSummary(**data["risk"])
        return Done(**common, risk=risk, findings=tuple(map(_finding, data["findings"])))
    if state == "finished":
        return Failed(**common, error=read_error(error))
    if error is not None:
        return Unknown(**common, error=read_error(error))
    lost = OutcomeUnknown(
        "the process ended before the answer was recorded",
        operation="reports.create",
        subject=site_id,
        sent_at=claimed_at,
    )
    return Unknown(**common, error=lost)


def _finding(data: dict[str, Any]) -> Finding:
    return Finding(severity=Severity(data.pop("severity")), **data)
