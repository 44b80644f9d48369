"""An answer must be about what was asked."""

from __future__ import annotations

from bestdefense_async.errors import IntegrityError


def check_identity(what: str, asked: str, answered: str) -> None:
    """Refuse an answer about another thing: a cache or a connection has mixed them up.

    Raises:
        IntegrityError: The ids differ.
    """
    if answered.lower() != asked.lower():
        raise IntegrityError(f"The question for {what} {asked} was answered with another one.")
