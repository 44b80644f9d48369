"""The client for programs without a loop: from many threads, after a fork, at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bestdefense_async import BestDefense, PollPolicy, ScanUpdate
from bestdefense_async.errors import (
    ClientClosed,
    ConfigError,
    DeadlineExceeded,
    LifecycleError,
    TargetError,
)
from bestdefense_async.services.background import BackgroundClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bestdefense_async.testing.process import SandboxProcess

ROOT = Path(__file__).parents[2]
FAST = PollPolicy(speed=3600.0)

pytestmark = pytest.mark.bd_sandbox(sites=20, speed=3600.0)


@pytest.fixture
def background(bd_env: SandboxProcess, tmp_path: Path) -> Iterator[BackgroundClient]:
    """A background client with a record."""
    with BackgroundClient(
        lambda: BestDefense(polling=FAST), store=tmp_path / "runs.db"
    ) as background:
        yield background


def sites(background: BackgroundClient) -> list[str]:
    """Return the host names of the organization."""
    return [site.hostname for site in background.call(lambda bd: bd.sites.list(), timeout=30.0)]


def test_fifty_threads_share_one_client(
    background: BackgroundClient, bd_env: SandboxProcess
) -> None:
    """All started at once, all of the same twenty sites: each site is scanned once."""
    names = sites(background)
    with ThreadPoolExecutor(50) as threads:
        ids = list(threads.map(lambda n: background.start(names[n % 20]), range(50)))
        outcomes = list(threads.map(background.wait, ids))

    assert {str(outcome.status) for outcome in outcomes} == {"done"}
    assert len(set(ids)) >= 20
    assert sum(name == "bestdefense-client" for name in map(_name, threading.enumerate())) == 1
    found = background.find(ids[0])
    assert isinstance(found, ScanUpdate)
    assert found.outcome == outcomes[0]


def _name(thread: threading.Thread) -> str:
    return thread.name


def test_errors_come_to_the_caller(background: BackgroundClient) -> None:
    """Those of the call, those of the function, and what took too long."""
    with pytest.raises(TargetError):
        background.start("nobody.example.com")
    with pytest.raises(TargetError):
        background.wait("scans--0123456789abcdef-0")
    with pytest.raises(ZeroDivisionError):
        background.call(lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    with pytest.raises(DeadlineExceeded):
        background.call(lambda bd: bd.reports.wait("x" * 8), timeout=0.05)
    with pytest.raises(ConfigError):
        background.call(lambda bd: bd.sites.list(), timeout=-1.0)
    assert background.find("nothing") is None


def test_a_client_that_cannot_be_made_can_be_tried_again(
    bd_env: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong is said at the first use, and no thread is left."""
    monkeypatch.setenv("BD_BASE_URL", "ftp://nowhere")
    with BackgroundClient() as background:
        with pytest.raises(ConfigError):
            sites(background)
        monkeypatch.setenv("BD_BASE_URL", bd_env.url)
        assert len(sites(background)) == 20


async def test_it_is_refused_where_a_loop_runs(background: BackgroundClient) -> None:
    """It would stand still: the error says what to use."""
    with pytest.raises(LifecycleError, match="BestDefense itself"):
        background.start("shop.example.com")


def test_who_waits_while_it_is_closed_is_told(
    background: BackgroundClient, bd_env: SandboxProcess
) -> None:
    """And so is whoever comes later."""
    begun = threading.Event()

    async def forever(bd: BestDefense) -> None:
        begun.set()
        await bd.reports.wait((await bd.reports.create(await bd.sites.find(name))), timeout=3600)

    name = sites(background)[0]
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(background.call, forever)
        begun.wait(30)
        background.close(drain=0.0)
        with pytest.raises(ClientClosed):
            waiting.result()
    with pytest.raises(ClientClosed):
        sites(background)
    background.close()


def _in_child(work: str, *, env: SandboxProcess, store: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM + work],
        cwd=ROOT,
        env={**os.environ, **env.env, "STORE": str(store)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


PROGRAM = """
import os, sys
from bestdefense_async import BestDefense, PollPolicy
from bestdefense_async.services.background import BackgroundClient
background = BackgroundClient(
    lambda: BestDefense(polling=PollPolicy(speed=3600.0)), store=os.environ["STORE"]
)
names = [site.hostname for site in background.call(lambda bd: bd.sites.list())]
"""


def test_the_interpreter_ends_without_a_word_and_nothing_is_lost(
    bd_env: SandboxProcess, tmp_path: Path
) -> None:
    """Nobody calls `close`, scans run: the next process goes on with them."""
    store = tmp_path / "runs.db"
    first = _in_child("print(*map(background.start, names))", env=bd_env, store=store)
    assert (first.returncode, first.stderr) == (0, "")
    ids = first.stdout.split()

    last = _in_child(
        f"print(*(background.wait(each).status for each in {ids!r}))", env=bd_env, store=store
    )

    assert (last.returncode, last.stderr) == (0, "")
    assert last.stdout.split() == ["done"] * 20
    bd_env.assert_no_duplicates()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_a_client_of_its_own(bd_env: SandboxProcess, tmp_path: Path) -> None:
    """It is used before and after the fork, in both, and both end without a word."""
    done = _in_child(
        """
child = os.fork()
mine = names[:10] if child else names[10:]
print(*(background.wait(background.start(each)).status for each in mine), flush=True)
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
        env=bd_env,
        store=tmp_path / "runs.db",
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["done"] * 20
    bd_env.assert_no_duplicates()
