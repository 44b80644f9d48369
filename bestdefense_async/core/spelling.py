"""Findings under the likely names of their members, spelled in any case and with any hyphen."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from bestdefense_async.vendor import FINDING_NAMES

_SPELLINGS: Final = {
    spelling.lower(): (rank, ours)
    for ours, names in FINDING_NAMES.items()
    for rank, spelling in enumerate((ours, *names))
}


@lru_cache(maxsize=4096)
def _meant(key: str) -> tuple[int, str] | None:
    """Return which of our names a spelling stands for and how likely, the least the likeliest."""
    return _SPELLINGS.get(key.replace("_", "").replace("-", "").lower())


def with_our_names(finding: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return a finding with other spellings under our names, where ours are missing."""
    if not isinstance(finding, dict):
        return finding
    there = finding
    if FINDING_NAMES.keys() - finding.keys():
        best: dict[str, tuple[int, str]] = {}
        for key, value in finding.items():
            rank, ours = _meant(key) or (0, "")
            is_meant = ours and (isinstance(value, str) or (ours == "cwe" and type(value) is int))
            if is_meant and ours not in finding and (rank, key) < best.get(ours, (99, "")):
                best[ours] = (rank, key)
        renamed = {key: ours for ours, (_, key) in best.items()}
        if renamed:
            there = {renamed.get(key, key): value for key, value in finding.items()}
    return {**there, "cwe": f"CWE-{there['cwe']}"} if type(there.get("cwe")) is int else there
