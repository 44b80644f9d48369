"""A saved run, found by what a person calls it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bestdefense_async.errors import ConfigError, JournalError, clean_text

if TYPE_CHECKING:
    from bestdefense_async.output.run import Run


def load_run(name: str) -> Run:
    """Return a run: of a file (`.json`, `.jsonl`, a journal), else of this user's runs.

    Args:
        name: A path, the name of a run or the beginning of it, or `last`.

    Raises:
        ConfigError: There is none, or it cannot be read.
    """
    from bestdefense_async.cli.settings import state_directory
    from bestdefense_async.orchestration.run_store import RunStore
    from bestdefense_async.output.saved import read_run

    path, problem = Path(name), ""
    shown = clean_text(os.fsencode(name).decode("utf-8", "backslashreplace"), longest=200)
    try:
        if not path.is_file():
            path = RunStore(state_directory() / "runs").find(name)
        return read_run(path)
    except (JournalError, ConfigError) as error:
        problem = str(error)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        problem = f"The run {shown} cannot be read: {reason}."
    raise ConfigError(problem)
