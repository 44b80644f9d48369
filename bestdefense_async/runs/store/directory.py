"""The journals of many runs in one directory: named, found, listed, learned from and deleted."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from bestdefense_async.errors import ConfigError, JournalBusy, JournalError, clean_text
from bestdefense_async.runs.store import file
from bestdefense_async.runs.store.codec import read_run_record
from bestdefense_async.runs.store.reads import count_outcomes, durations

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDING: Final = ".journal"
"""How the file of a run ends."""
LAST: Final = "last"
"""The name by which the newest run is found."""

_NAMED: Final = 5
"""Names that an error lists; the others are only counted."""
_RUNS_LEARNED_FROM: Final = 30
_SCANS_LEARNED_FROM: Final = 2000


@frozen(kw_only=True)
class RunInfo:
    """One run of a store."""

    name: str
    path: Path
    created_at: float | None = None
    """Seconds since the epoch; None when it cannot be read."""
    base_url: str = ""
    kind: str = ""
    """What was scanned: `ScanOptions.kind`."""
    counts: Mapping[str, int] = field(factory=dict)
    """Inputs by the status of their outcome as it stands."""
    is_held: bool = False
    """Whether a process is writing it."""
    is_complete: bool = False
    """Whether nothing is left to do: every input is done. One that was rejected is not, since its
    site may be known by now."""
    problem: str | None = None
    """Why it cannot be read."""


class RunStore:
    """The runs in a directory, which need not exist yet.

    A run is called like its file: by the time of its start in UTC, to the millisecond, so that
    names sort by age.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def new_path(self, *, now: float | None = None) -> Path:
        """Return where the journal of a new run is to be made; its directory exists then.

        Args:
            now: Seconds since the epoch; None is now.

        Raises:
            JournalError: The directory cannot be made.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise file.journal_error(error, self.directory) from None
        at = datetime.fromtimestamp(time.time() if now is None else now, UTC)
        while True:
            part = f"{at.microsecond // 1000:03}{secrets.token_hex(1)}"
            path = self.directory / f"{at:%Y%m%d-%H%M%S}-{part}{ENDING}"
            if not path.exists():
                return path

    def find(self, name: str) -> Path:
        """Return the journal of a run.

        Args:
            name: The name of a run, the beginning of it, `last`, or the path of any file.

        Raises:
            JournalError: No run is called that, or several begin so. The message names some.
        """
        paths = {_name(path): path for path in self._paths()}
        if name in paths:
            return paths[name]
        if name == LAST and paths:
            return next(iter(paths.values()))
        with contextlib.suppress(OSError):  # no file has such a long name
            if Path(name).is_file():
                return Path(name)
        fitting = [each for each in paths if each.startswith(name)] if name else []
        if len(fitting) == 1:
            return paths[fitting[0]]
        if fitting:
            raise JournalError(f"{name} fits {len(fitting)} runs: {_some(fitting)}.")
        shown = clean_text(repr(name), longest=80)
        if paths:
            raise JournalError(f"There is no run or file {shown}; runs are {_some(list(paths))}.")
        raise JournalError(f"There is no file {shown}, and no run in {self.directory}.")

    def list(self) -> tuple[RunInfo, ...]:
        """Return all runs, the newest first, those that cannot be read with their problem."""
        return tuple(map(_info, self._paths()))

    def prune(
        self,
        *,
        keep: int | None = None,
        older_than: float | None = None,
        include_incomplete: bool = False,
        now: float | None = None,
    ) -> tuple[RunInfo, ...]:
        """Delete old runs and return them.

        One that is held, or cannot be read, is never deleted.

        Args:
            keep: Leave that many of the newest runs.
            older_than: Leave what began less than that many seconds ago.
            include_incomplete: Delete also runs with something left to do. Scans that may still
                run at the server, and creations that may have been sent, are forgotten with them.
            now: Seconds since the epoch; None is now.

        Raises:
            ConfigError: Neither `keep` nor `older_than` is given, or one is below 0.
            JournalError: A file cannot be deleted.
        """
        if keep is None and older_than is None:
            raise ConfigError("Say which runs stay: the newest so many, or those of some age.")
        if (keep or 0) < 0 or (older_than or 0.0) < 0:
            raise ConfigError("What is kept is a number of 0 or more.")
        now = time.time() if now is None else now
        old = [
            info
            for info in self.list()[keep or 0 :]
            if info.created_at is not None
            and (older_than is None or now - info.created_at >= older_than)
            and (info.is_complete or include_incomplete)
        ]
        return tuple(info for info in old if _delete(info.path))

    def samples(self, kind: str, *, base_url: str) -> Sequence[tuple[float, bool]]:
        """Return how long scans of a kind took at a host: seconds, and whether they were finished.

        From the newest runs, and from so many of them as costs a moment.
        """
        found: list[tuple[float, bool]] = []
        for path in self._paths()[:_RUNS_LEARNED_FROM]:
            wanted = _SCANS_LEARNED_FROM - len(found)
            if wanted <= 0:
                break
            with (
                contextlib.suppress(JournalError, sqlite3.Error),
                file.reading(path) as connection,
            ):
                run = read_run_record(connection)
                if (run.options.kind, run.base_url) == (kind, base_url):
                    found += durations(connection, most=wanted)
        return found

    def _paths(self) -> Sequence[Path]:
        """Return the files of the runs, the newest first."""
        if not self.directory.is_dir():
            return []
        return sorted(self.directory.glob(f"*{ENDING}"), key=_name, reverse=True)


def _name(path: Path) -> str:
    return path.name.removesuffix(ENDING)


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED])
    return shown if rest <= 0 else f"{shown} and {rest} more"


def _info(path: Path) -> RunInfo:
    is_held = file.is_held(path)
    try:
        with file.reading(path) as connection:
            run = read_run_record(connection)
            counts = count_outcomes(connection)
    except JournalError as error:
        return RunInfo(name=_name(path), path=path, is_held=is_held, problem=str(error))
    return RunInfo(
        name=_name(path),
        path=path,
        created_at=run.created_at,
        base_url=run.base_url,
        kind=run.options.kind,
        counts=counts,
        is_held=is_held,
        is_complete=counts["done"] == sum(counts.values()),
    )


def _delete(path: Path) -> bool:
    """Delete a run, and return whether that was possible: not when a process holds it."""
    try:
        lock = file.hold(path)
    except JournalBusy:
        return False
    except (sqlite3.Error, OSError) as error:
        raise file.journal_error(error, path) from None
    with contextlib.closing(lock):
        try:
            file.remove(path)
            file.lock_path(path).unlink()
        except OSError as error:
            raise file.journal_error(error, path) from None
    return True
