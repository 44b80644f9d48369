"""How errors and results are written into a journal's rows, and read again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict

from bestdefense_async import errors as ours
from bestdefense_async.errors import BestDefenseError, Sent
from bestdefense_async.models import Finding, RiskSummary, Severity

if TYPE_CHECKING:
    from bestdefense_async.orchestration.outcome import Done

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


def read_result(text: str) -> tuple[RiskSummary | None, tuple[Finding, ...]]:
    """Return what `write_result` wrote."""
    data = json.loads(text)
    risk = None if data["risk"] is None else RiskSummary(**data["risk"])
    return risk, tuple(map(_finding, data["findings"]))


def _finding(data: dict[str, Any]) -> Finding:
    return Finding(severity=Severity(data.pop("severity")), **data)
