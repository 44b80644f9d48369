"""The file of a store: made, opened to write and to read; and the locks of those who hold runs.

Databases are opened through SQLite only. On POSIX, closing any other descriptor of a file would
silently give up the locks that this process holds on it.

A store that is written is in WAL mode, beside `-wal` and `-shm`. One that nobody has open is a
single plain file again, which can be copied and read anywhere.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import BestDefenseError, JournalError, JournalMismatch
from bestdefense_async.runs.store import former
from bestdefense_async.runs.store.connection import FileConnection
from bestdefense_async.runs.store.schema import APPLICATION_ID, VERSION, make_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT: Final = 30.0
"""Seconds that another process may take to finish its transaction: they are milliseconds long."""
_ASKED: Final = 0.05
"""Seconds for which somebody else may ask whether an owner is there."""

_FAULTS: Final = {
    sqlite3.SQLITE_NOTADB: (JournalMismatch, "is not a store of runs"),
    sqlite3.SQLITE_CORRUPT: (JournalError, "is damaged: move it away, and keep it for a repair"),
    sqlite3.SQLITE_FULL: (JournalError, "cannot be written: the disk is full"),
    sqlite3.SQLITE_IOERR: (JournalError, "cannot be read or written: the disk reports an error"),
    sqlite3.SQLITE_READONLY: (
        JournalError,
        "cannot be written, since it or its directory is read-only",
    ),
    sqlite3.SQLITE_CANTOPEN: (JournalError, "cannot be opened"),
    sqlite3.SQLITE_BUSY: (JournalError, "is busy: another program writes it and does not end"),
}
"""What the primary result codes of SQLite mean for a store."""


def to_error(error: Exception, path: Path) -> BestDefenseError:
    """Return a fault of the database or the disk as an error of ours, in one sentence.

    Raises:
        Exception: It is neither: a fault of the program is not told as one of the disk.
    """
    if isinstance(error, BestDefenseError):
        return error
    if isinstance(error, OSError):
        return JournalError(f"{path} cannot be used: {error.strerror or type(error).__name__}.")
    if not isinstance(error, sqlite3.Error):
        raise error
    unusual = f"cannot be read or written: {str(error) or type(error).__name__}"
    kind, sentence = _FAULTS.get(_code(error), (JournalError, unusual))
    return kind(f"{path} {sentence}.")


def make_directory(path: Path) -> None:
    """Make a directory that only its owner may enter, whatever the umask; its parents too.

    Raises:
        OSError: It cannot be made.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):
            each.mkdir(mode=0o700)
            each.chmod(0o700)


def _make_file(path: Path) -> None:
    """Make an empty file that only its owner may read, unless one is there."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)


def open_to_write(path: Path) -> FileConnection:
    """Open a store to write it, durably; make it where there is none.

    A commit is on the disk when it returns. Several processes may write: each transaction waits
    for the one that is under way.

    Raises:
        JournalMismatch: It is of another kind, or of a newer version.
        OSError: Its directory cannot be made.
        sqlite3.Error: It cannot be opened.
    """
    make_directory(path.parent)
    _make_file(path)
    connection = sqlite3.connect(
        _uri(path, "rw"), uri=True, isolation_level=None, timeout=WAIT, factory=FileConnection
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN")  # kind and tables are of one moment: another may make them now
        is_new = not _is_ours(connection, path)
        connection.execute("COMMIT")
        if is_new:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _write_ahead(connection)
        if is_new:
            connection.execute("BEGIN IMMEDIATE")
            if not _is_ours(connection, path):
                make_tables(connection)
            connection.execute("COMMIT")
        connection.keep(path)
        former.take_over_former(connection, former.former_runs(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Put a store in WAL mode; SQLite does not wait by itself for another that changes the mode."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def close(connection: sqlite3.Connection) -> None:
    """Close a store that was open to write."""
    with contextlib.suppress(sqlite3.Error):  # others have it open: it is whole in WAL mode too
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Give a connection that sees the store as it is now, and changes nothing.

    None where there is no store yet, or an empty one. It works beside processes that write. Where
    the disk is read-only a copy is read, since SQLite may not even make its index there. A run of
    the former format is read as a store that holds it alone.

    Raises:
        JournalMismatch: It is of another kind, or of a newer version.
        JournalError: It is damaged, or cannot be read.
    """
    if former.former_runs(path):
        with contextlib.suppress(sqlite3.Error, OSError, BestDefenseError):
            close(open_to_write(path))
    if not path.exists():
        yield None
        return
    if not path.is_file():
        raise JournalMismatch(f"{path} is not a store of runs: it is no regular file.")
    with contextlib.ExitStack() as stack:
        try:
            connection = _open_to_read(path, stack)
            if _kind_of(connection) == former.APPLICATION_ID:
                connection = _as_store(connection, path, stack)
            is_ours = _is_ours(connection, path)
        except (sqlite3.Error, OSError) as error:
            raise to_error(error, path) from None
        yield connection if is_ours else None


def _open_to_read(path: Path, stack: contextlib.ExitStack) -> sqlite3.Connection:
    try:
        return _begin(path, "ro", stack)
    except sqlite3.OperationalError as error:
        if _code(error) not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
            raise
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bestdefense-")))
    for ending in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path.with_name(path.name + ending), folder / f"copy{ending}")
    return _begin(folder / "copy", "rw", stack)


def _begin(path: Path, mode: str, stack: contextlib.ExitStack) -> sqlite3.Connection:
    """Open a file and fix what is seen of it until the connection is closed."""
    connection = sqlite3.connect(_uri(path, mode), uri=True, isolation_level=None)
    stack.callback(connection.close)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return connection


def _as_store(
    connection: sqlite3.Connection, path: Path, stack: contextlib.ExitStack
) -> sqlite3.Connection:
    """Return a store in memory that holds a run of the former format."""
    store = stack.enter_context(
        contextlib.closing(sqlite3.connect(":memory:", isolation_level=None))
    )
    make_tables(store)
    former.copy_former(store, connection, path)
    return store


def _kind_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def _is_ours(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether this is a store; False for a database with nothing in it.

    Raises:
        JournalMismatch: It is of another kind, or of a newer version.
    """
    kind = _kind_of(connection)
    if kind == former.APPLICATION_ID:
        raise JournalMismatch(
            f"{path} is a run of the former format: it can be read, and is gone on with when it "
            f"lies in a directory called runs beside the store."
        )
    if kind == 0 and connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
        return False
    if kind != APPLICATION_ID:
        raise JournalMismatch(f"{path} is not a store of runs.")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise JournalMismatch(
            f"{path} was written by a newer version of this program (store version {version}, "
            f"this one knows {VERSION}): use that version."
        )
    return True


def is_database(path: Path) -> bool:
    """Return whether a file begins as a database of SQLite does, as every store does."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    try:
        with contextlib.closing(sqlite3.connect(_uri(path, "ro"), uri=True)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.DatabaseError as error:
        return _code(error) != sqlite3.SQLITE_NOTADB
    return True


class OwnerLock:
    """A lock that lasts as long as this process: who holds runs holds it.

    It is the system's, so it ends with the process however that ends, and no clock decides whether
    an owner is still there. It is on a file of its own, since the store must stay open to others.
    """

    def __init__(self, store: Path) -> None:
        """Take a new lock beside a store.

        Raises:
            OSError: Its file cannot be made.
            sqlite3.Error: It cannot be locked.
        """
        self._store = store
        self._make()
        while not self._path.exists():  # somebody took it for the one of a process that died
            self._connection.close()
            self._make()

    def _make(self) -> None:
        self.name: str = secrets.token_hex(8)
        """What a run is marked with that this process holds."""
        self._path = owner_path(self._store, self.name)
        make_directory(self._path.parent)
        _make_file(self._path)
        self._connection = sqlite3.connect(
            _uri(self._path, "rw"), uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA journal_mode = MEMORY")
            self._connection.execute("BEGIN EXCLUSIVE")
        except BaseException:
            self._connection.close()
            raise

    def release(self) -> None:
        """Give it free; its file goes, and those of processes that died."""
        self._connection.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            for each in self._path.parent.iterdir():
                is_alive(self._store, each.name)
            self._path.parent.rmdir()  # unless others have theirs there


def owner_path(store: Path, owner: str) -> Path:
    """Return the file whose lock says that an owner is there."""
    return store.with_name(f"{store.name}.owners") / owner


def is_alive(store: Path, owner: str | None) -> bool:
    """Return whether an owner is still there. The file of one that died is deleted."""
    if owner is None:
        return False
    path = owner_path(store, owner)
    try:
        lock = sqlite3.connect(_uri(path, "rw"), uri=True, timeout=_ASKED)
    except sqlite3.OperationalError:  # there is no such file
        return False
    with contextlib.closing(lock):
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if _code(error) == sqlite3.SQLITE_BUSY:
                return True
        with contextlib.suppress(OSError):
            path.unlink()
    return False


def _uri(path: Path, mode: str) -> str:
    return f"{path.resolve().as_uri()}?mode={mode}"


def _code(error: sqlite3.Error) -> int:
    """Return the primary result code of SQLite, without the details in its higher bits."""
    return getattr(error, "sqlite_errorcode", -1) & 0xFF
