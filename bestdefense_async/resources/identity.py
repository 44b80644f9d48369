"""Whether an answer belongs to its question: a cache or a connection may have mixed them up.

All of it runs while the connection is still ours. An error closes the connection, and no idle one
is used any more: what comes next on them may be an answer behind, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from bestdefense_async.core.codec import structure, structure_member
from bestdefense_async.errors import IntegrityError
from bestdefense_async.models import Progress, Remediation, ReportSummary

if TYPE_CHECKING:
    from collections.abc import Callable

Thing = TypeVar("Thing", ReportSummary, Remediation)

MOST_IDS: Final = 4096
"""Creations that are remembered; a doubled answer comes within a moment of the first."""


def one_called(member: str, model: type[Thing], asked: str) -> Callable[[object], Thing]:
    """Return what reads the one thing that was asked for from an answer.

    It raises IntegrityError when the answer is about another one.
    """

    def read(payload: object) -> Thing:
        found = structure_member(payload, member, model)
        if found.id.lower() != asked.lower():
            raise IntegrityError(
                f"The question for {member} {asked} was answered with another one."
            )
        return found

    return read


def progress_of(report_id: str) -> Callable[[object], Progress]:
    """Return what reads the progress of a report from an answer.

    It raises IntegrityError when the answer names another report.
    """

    def read(payload: object) -> Progress:
        progress = structure(payload, Progress)
        answered = progress.extra.get("id")
        if isinstance(answered, str) and len(answered) == len(report_id) and answered != report_id:
            raise IntegrityError(f"The progress of report {report_id} was answered with another's.")
        return progress

    return read


class CreatedIds:
    """The ids of the latest creations of a client, all its views together: they share connections.

    No two creations make the same thing. So an id that was answered before comes from the answer to
    an earlier creation: a gateway has sent it twice.
    """

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], None] = {}

    def add(self, operation: str, made: str) -> None:
        """Remember what a creation has made.

        Raises:
            IntegrityError: An earlier one has made it.
        """
        self.refuse(operation, made)
        if len(self._ids) >= MOST_IDS:
            del self._ids[next(iter(self._ids))]
        self._ids[operation, made] = None

    def refuse(self, operation: str, answered: str) -> None:
        """Refuse an answer that carries the id of what an earlier creation has made.

        Raises:
            IntegrityError: It does.
        """
        if (operation, answered) in self._ids:
            raise IntegrityError(f"The answer is one that {operation} has had before.")
