"""What a group writes to without a store: it remembers ids, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import IntegrityError
from bestdefense_async.runs.store.protocol import ClaimAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.models import Outcome
    from bestdefense_async.runs.inputs import IndexedInput
    from bestdefense_async.runs.store.protocol import Family

MOST_IDS: Final = 4096
"""Ids that a group without a store remembers; a doubled answer comes within moments."""


class NullJournal:
    """Keeps no record: what a group writes to by default.

    It knows the ids of the latest scans, for no two scans have the same one.
    """

    next_index: int = 0

    def __init__(self) -> None:
        self._reports: dict[object, int] = {}
        self._securities: dict[object, int] = {}

    def accepted(self, index: int, *, target: str, site_id: str) -> None:
        """Forget it."""

    async def accept(
        self,
        index: int,
        *,
        target: str,
        site_id: str,
        unless: Family,
    ) -> None:
        """Forget it: there is no other process."""

    def rejected(
        self, index: int, *, target: str, error: BestDefenseError, is_duplicate: bool
    ) -> None:
        """Forget it."""

    async def claim(
        self,
        index: int,  # noqa: ARG002 - the protocol's names
        *,
        target: str,  # noqa: ARG002
        site_id: str,  # noqa: ARG002
        at: float,  # noqa: ARG002
    ) -> ClaimAnswer:
        """Agree to every claim."""
        return ClaimAnswer.OURS

    async def give_back(self, index: int) -> None:
        """Forget it."""

    async def created(self, index: int, *, report_id: str) -> None:
        """Refuse an id that another scan has."""
        _take_id(self._reports, report_id, index)

    async def refused(self, index: int, *, error: BestDefenseError) -> None:
        """Forget it."""

    async def unknown(self, index: int, *, error: BestDefenseError) -> None:
        """Forget it."""

    async def finished(self, outcome: Outcome, *, security_id: int | None = None) -> None:
        """Refuse a result that another scan has."""
        if security_id is not None:
            _take_id(self._securities, security_id, outcome.index)

    def span(
        self, kind: str, begun: float, ended: float | None, error: BestDefenseError | None = None
    ) -> None:
        """Forget it."""

    async def end(self) -> Sequence[IndexedInput]:
        """Leave nothing to follow."""
        return ()

    async def flush(self) -> None:
        """Have nothing to wait for."""

    async def aclose(self) -> None:
        """Have nothing to close."""


def _take_id(ids: dict[object, int], made: object, index: int) -> None:
    owner = ids.setdefault(made, index)
    if owner != index:
        raise IntegrityError(
            f"The answer for target {index} is the one that target {owner} has had."
        )
    if len(ids) > MOST_IDS:
        del ids[next(iter(ids))]
