"""House rules that hold for every test: nothing is left behind and nothing leaves the machine.

The rules act through fixtures that each test gets without asking. A test that provokes an error in
the event loop on purpose asks for `loop_errors`, looks at what is in it and empties it.
"""

import asyncio
import faulthandler
import gc
import inspect
import ipaddress
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
OPEN_FILES = Path("/proc/self/fd")
STDERR = 2
SHARED = "/bd-shared-postgres/"
"""The directory through which the processes of a test run share a database server."""
TICKS_TO_CLOSE = 20
GRACE = 10.0
"""Seconds that a test may outlive its time limit before its worker is ended."""
LAST_RESORT = pytest.StashKey[threading.Timer]()
SENDING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})

# Our own suite uses exactly the fixtures that users get, from this checkout.
pytest_plugins = (
    ["bestdefense_async.testing.plugin"]
    if (ROOT / "bestdefense_async" / "testing" / "plugin.py").exists()
    else []
)

# The machine may be slow, so no example has a deadline; in CI every run tries the same examples.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop  # there is none on Windows

    return uvloop.new_event_loop()


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": _uvloop}


class LeavesTheMachineError(Exception):
    """A test was about to talk to something that is not on this machine."""


def _is_here(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str) or host in {"", "localhost"} or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _stay_here(event: str, args: tuple[Any, ...]) -> None:
    """Refuse to look up or reach any other machine, before the first packet is sent."""
    if event == "socket.getaddrinfo" and not _is_here(args[0]):
        if str(args[0]).endswith((".invalid", ".test")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        raise LeavesTheMachineError(f"this test looks up {args[0]!r}")
    if event in SENDING and isinstance(args[1], tuple) and not _is_here(args[1][0]):
        raise LeavesTheMachineError(f"this test talks to {args[1][0]!r}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the whole suite run on another event loop."""
    parser.addoption(
        "--loop", choices=LOOPS, default="asyncio", help="the loop of asynchronous tests"
    )


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run asynchronous tests on the loop that was asked for; looptime brings its own."""
    name = "asyncio" if item.get_closest_marker("looptime") else config.getoption("loop")
    return {name: LOOPS[name]}


def pytest_configure() -> None:
    """Close the machine for the tests; the interpreter's audit events see every socket.

    A plugin asks for the current loop before plain tests too, and Python 3.11 would make one.
    """
    sys.addaudithook(_stay_here)
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give asynchronous tests the loop's rules, and slow ones the end of the line and a bound."""
    for item in items:
        if isinstance(item, pytest.Function) and _is_asynchronous(item.function):
            item.fixturenames.insert(0, "loop_errors")
        for mark in item.iter_markers("slow"):
            item.add_marker(pytest.mark.timeout(mark.kwargs["timeout"]))
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def _is_asynchronous(function: Any) -> bool:
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return inspect.iscoroutinefunction(inner)


def _open_files() -> set[tuple[str, str]]:
    """Return what this process has open: descriptor and target; empty where /proc is not."""
    found = set()
    for each in OPEN_FILES.iterdir() if OPEN_FILES.exists() else ():
        try:
            target = str(each.readlink())
        except OSError:  # the descriptor of this very listing
            continue
        # The last one: a test may be the first that needs the server all tests share.
        if not target.startswith(("anon_inode:", "/dev/", "/proc/")) and SHARED not in target:
            found.add((each.name, target))
    return found


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Iterator[Any]:
    """Have the worker of a test ended that its time limit does not end: xdist goes on without it.

    The limit raises in the main thread, once. That does not end a test whose error hypothesis
    wants to see again, whose cancelled task does not end, or that waits on uvloop.
    """
    if hasattr(item.config, "workerinput"):  # how xdist says that this is one
        timer = item.stash[LAST_RESORT] = threading.Timer(
            settings.timeout + GRACE, _end_worker, [item]
        )
        timer.daemon = True
        timer.start()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Leave the worker of a test alone that has ended."""
    try:
        return (yield)
    finally:
        if timer := item.stash.get(LAST_RESORT, None):
            timer.cancel()


def _end_worker(item: pytest.Item) -> None:
    capture = item.config.pluginmanager.getplugin("capturemanager")
    capture.suspend_global_capture(in_=True)
    os.write(STDERR, f"{item.nodeid} did not end at its time limit:\n".encode())
    faulthandler.dump_traceback(STDERR)
    os._exit(1)


@pytest.fixture(scope="session")
def database_of_this_process(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The address of a database that this process uses alone, on a server that all share."""
    postgres = pytest.importorskip("tests.support.postgres", reason="the extra is not installed")
    base = tmp_path_factory.getbasetemp()
    place = base.parent if hasattr(request.config, "workerinput") else base
    try:
        with (
            postgres.shared_server(place / SHARED.strip("/")) as server,
            postgres.new_database(server) as database,
        ):
            yield database
    except postgres.NoServerError as error:
        pytest.skip(str(error))


@pytest.fixture
def database(database_of_this_process: str) -> str:
    """The address of a PostgreSQL database with our tables and nothing in them."""
    from tests.support.postgres import empty

    empty(database_of_this_process)
    return database_of_this_process


@pytest.fixture(autouse=True)
def no_open_files() -> Iterator[None]:
    """Fail a test that leaves a socket, pipe or file open."""
    before = _open_files()
    yield
    left = _open_files() - before
    assert not left, f"left open: {sorted(target for _, target in left)}"


@pytest.fixture
async def loop_errors() -> AsyncIterator[list[dict[str, Any]]]:
    """Errors that reached the event loop and nobody else; a test that wants some empties this.

    When the test and its other fixtures are over, no task may be left, and no error either, such
    as "Task exception was never retrieved".
    """
    loop = asyncio.get_running_loop()
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: errors.append(context))
    before = asyncio.all_tasks()
    yield errors
    for _ in range(TICKS_TO_CLOSE):  # what was closed may still need its last callbacks
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    gc.collect(1)  # a lost task tells its error when it is collected
    assert not left, f"tasks left behind: {left}"
    assert not errors, f"errors that only the event loop saw: {errors}"
