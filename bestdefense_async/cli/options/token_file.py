"""Where this user's token is kept, and the day on which it ends."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from bestdefense_async.cli.options.settings import user_directory
from bestdefense_async.files import is_there, read_text

if TYPE_CHECKING:
    from pathlib import Path


def token_path() -> Path:
    """Return where this user's token is kept."""
    return user_directory() / "token"


def end_path() -> Path:
    """Return where the last day of that token is kept."""
    return user_directory() / "token.expires"


def end_of_token() -> date | None:
    """Return the last day of the token that `auth set` has stored, None when nobody has said it."""
    path = end_path()
    if not is_there(path):
        return None
    text = read_text(path, what="The last day of the token").strip()
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
