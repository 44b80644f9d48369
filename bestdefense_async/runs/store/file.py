"""The file of a journal: what it is, who holds it, and how it is opened to write and to read.

Journals are opened through SQLite only. On POSIX, closing any other file descriptor of
it would silently give up the locks that this process holds on it.

A journal that is held is in WAL mode, beside `-wal` and `-shm`. One that was closed is a single
plain file again, which can be copied and read anywhere.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import BestDefenseError, JournalBusy, JournalError, JournalMismatch
from bestdefense_async.runs.store.schema import APPLICATION_ID, VERSION, make_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPANIONS: Final = ("-wal", "-shm", "-journal")
"""What SQLite may put beside a journal, as endings of its name."""

_LOCK_TIMEOUT: Final = 0.2
"""Seconds that a lock is waited for: longer than it takes to ask whether it is held."""

_FAULTS: Final = {
    sqlite3.SQLITE_NOTADB: (JournalMismatch, "is not a journal of this program"),
    sqlite3.SQLITE_CORRUPT: (JournalError, "is damaged: a part of it is missing or overwritten"),
    sqlite3.SQLITE_FULL: (JournalError, "cannot be written: the disk is full"),
    sqlite3.SQLITE_READONLY: (JournalError, "cannot be written: it is on a read-only disk"),
    sqlite3.SQLITE_CANTOPEN: (JournalError, "cannot be opened"),
    sqlite3.SQLITE_BUSY: (JournalError, "is busy: another program reads or writes it"),
}
"""What the primary result codes of SQLite mean for a journal."""


def journal_error(error: Exception, path: Path) -> BestDefenseError:
    """Return a fault of the database or the disk as an error of ours, in one sentence."""
    if isinstance(error, BestDefenseError):
        return error
    if isinstance(error, OSError):
        return JournalError(f"{path} cannot be used: {error.strerror or type(error).__name__}.")
    code = _code(error) if isinstance(error, sqlite3.Error) else -1
    unusual = f"cannot be read or written: {str(error) or type(error).__name__}"
    kind, sentence = _FAULTS.get(code, (JournalError, unusual))
    return kind(f"{path} {sentence}.")


def lock_path(path: Path) -> Path:
    """Return the file whose lock means that a journal is held; that it exists means nothing."""
    return path.with_name(path.name + ".lock")


def hold(path: Path) -> sqlite3.Connection:
    """Take the journal for this process; closing what is returned gives it free.

    The lock is the system's, so it ends with the process however that ends. It is on a file of
    its own, since the journal itself must stay readable.

    Raises:
        JournalBusy: Another process, or another part of this one, holds it.
        OSError: The lock cannot be written.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(lock_path(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    lock = sqlite3.connect(
        _uri(lock_path(path), mode="rw"),
        uri=True,
        isolation_level=None,
        timeout=_LOCK_TIMEOUT,
        check_same_thread=False,
    )
    try:
        lock.execute("PRAGMA journal_mode = MEMORY")  # no file for what is never written
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if _code(error) == sqlite3.SQLITE_BUSY:
            raise JournalBusy(f"Another process holds {path}: wait for it, or stop it.") from None
        raise
    return lock


def is_held(path: Path) -> bool:
    """Return whether a process writes this journal now. It is not disturbed."""
    try:
        lock = sqlite3.connect(_uri(lock_path(path), mode="ro"), uri=True, timeout=0.0)
    except sqlite3.OperationalError:  # there is no such file
        return False
    with contextlib.closing(lock):
        try:
            lock.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError as error:
            return _code(error) == sqlite3.SQLITE_BUSY
    return False


def is_database(path: Path) -> bool:
    """Return whether a file begins as a database of SQLite does, as every journal does."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    try:
        with contextlib.closing(sqlite3.connect(_uri(path, mode="ro"), uri=True)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.DatabaseError as error:
        return _code(error) != sqlite3.SQLITE_NOTADB
    return True


def connect(path: Path) -> sqlite3.Connection:
    """Open a journal to write it, durably: a commit is on the disk when it returns.

    Raises:
        JournalMismatch: It is of another kind, or of a newer version.
        sqlite3.Error: It cannot be opened.
    """
    # SQLite waits a little for a reader that copies the file; another writer is kept out by lock.
    connection = sqlite3.connect(_uri(path, mode="rw"), uri=True, isolation_level=None, timeout=5.0)
    try:
        check_kind(connection, path)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        connection.close()
        raise
    return connection


def make(path: Path) -> sqlite3.Connection:
    """Make the file of a new journal, readable for its owner only, with empty tables.

    Raises:
        OSError: It exists, or cannot be written.
        sqlite3.Error: There is no room for it.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(_uri(path, mode="rw"), uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        make_tables(connection)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        connection.close()
        remove(path)
        raise
    return connection


def remove(path: Path) -> None:
    """Delete a journal and what SQLite has put beside it."""
    for ending in ("", *COMPANIONS):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def close(connection: sqlite3.Connection) -> None:
    """Close a journal that was open to write. Without readers it is one plain file then."""
    with contextlib.suppress(sqlite3.Error):  # it is whole in WAL mode too
        connection.execute(f"PRAGMA busy_timeout = {round(_LOCK_TIMEOUT * 1000)}")
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that sees the journal as it is now, and changes nothing.

    It works beside a process that writes. Where the disk is read-only and a process that was
    killed has left writes outside of the file, a copy is read.

    Raises:
        JournalMismatch: It is of another kind, or of a newer version.
        JournalError: It is not there, damaged, or cannot be read.
    """
    check_file(path)
    try:
        with contextlib.ExitStack() as stack:
            connection = _open_to_read(path, stack)
            check_kind(connection, path)
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise journal_error(error, path) from None


def _open_to_read(path: Path, stack: contextlib.ExitStack) -> sqlite3.Connection:
    try:
        return _begin(path, "ro", stack)
    except sqlite3.OperationalError as error:
        if _code(error) != sqlite3.SQLITE_CANTOPEN:
            raise
    # There is no writer where SQLite may not even make its index of the write-ahead log.
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bestdefense-")))
    for ending in ("", "-wal", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path.with_name(path.name + ending), folder / f"copy{ending}")
    return _begin(folder / "copy", "rw", stack)


def _begin(path: Path, mode: str, stack: contextlib.ExitStack) -> sqlite3.Connection:
    """Open a file and fix what is seen of it until the connection is closed."""
    connection = sqlite3.connect(_uri(path, mode=mode), uri=True, isolation_level=None)
    stack.callback(connection.close)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return connection


def check_file(path: Path) -> None:
    """Make sure that there is a file.

    Raises:
        JournalMismatch: It is a directory or a device.
        JournalError: There is nothing.
    """
    if not path.exists():
        raise JournalError(f"There is no journal at {path}.")
    if not path.is_file():
        raise JournalMismatch(f"{path} is not a journal: it is no regular file.")


def check_absent(path: Path) -> None:
    """Make sure that a new journal can have this name.

    Raises:
        JournalError: Something stands there.
    """
    if path.exists():
        raise JournalError(f"{path} exists: resume it, or name another.")


def check_writable(path: Path) -> None:
    """Make sure that a journal can be written, before anything is tried.

    Raises:
        JournalError: It, or the directory it is in, is read-only.
    """
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise JournalError(
            f"{path} cannot be written, since it or its directory is read-only: "
            "it can be read, and resumed after it was copied elsewhere."
        )


def check_kind(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that this is a journal, of a version that is known here.

    Raises:
        JournalMismatch: It is of another kind, or of a newer version.
    """
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    if kind != APPLICATION_ID:
        raise JournalMismatch(f"{path} is not a journal of this program.")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise JournalMismatch(
            f"{path} was written by a newer version of this program (journal version {version}, "
            f"this one knows {VERSION}): use that version."
        )


def check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that a journal is not damaged. Reads all of it.

    Raises:
        JournalError: It is damaged.
    """
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise JournalError(f"{path} is damaged: {verdict}.")


def _uri(path: Path, *, mode: str) -> str:
    return f"{path.resolve().as_uri()}?mode={mode}"


def _code(error: sqlite3.Error) -> int:
    """Return the primary result code of SQLite, without the details in its higher bits."""
    return getattr(error, "sqlite_errorcode", -1) & 0xFF
