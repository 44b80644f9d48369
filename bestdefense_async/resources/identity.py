"""Whether an answer belongs to its question: a cache or a connection may have mixed them up.

All of it runs while the connection is still ours. An error closes the connection, and no idle one
is used any more: what comes next on them may be an answer behind, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import IntegrityError

if TYPE_CHECKING:
    from bestdefense_async.models import Progress

MOST_IDS: Final = 4096
"""Creations that are remembered; a doubled answer comes within a moment of the first."""


def check_identity(what: str, asked: str, answered: str) -> None:
    """Refuse an answer about another thing.

    Raises:
        IntegrityError: The ids differ.
    """
    if answered.lower() != asked.lower():
        raise IntegrityError(f"The question for {what} {asked} was answered with another one.")


def check_progress(progress: Progress, report_id: str) -> None:
    """Refuse another report's progress, where the answer names the report it is about.

    Raises:
        IntegrityError: It names another one.
    """
    answered = progress.extra.get("id")
    if isinstance(answered, str) and len(answered) == len(report_id) and answered != report_id:
        raise IntegrityError(f"The progress of report {report_id} was answered with another's.")


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
