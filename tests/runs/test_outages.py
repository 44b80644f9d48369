"""A host that goes away for five seconds in a run of 2,000 targets, in each of its ways."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

from bestdefense_async import BestDefense
from bestdefense_async.core.admission import MOST_STARTING
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.models import ScanEvent, ScanOptions, StartingPaused, StartingResumed
from bestdefense_async.runs import ScanGroup, SqliteStore, Target
from bestdefense_async.testing.process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SITES: Final = 2000
SPEED: Final = 1200.0
AWAY: Final = 5.0
BEGINS_AT: Final = 900
"""Events after which the host goes away: some 300 scans are created by then."""


class Relay:
    """Stands before a server, and refuses connections where a test wants it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self) -> None:
        """Take connections, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections, and cut those that there are."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            self._writers.add(far_writer)
            await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
            self._writers.discard(far_writer)
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    writer.close()


FAULTS: dict[str, dict[str, Any]] = {
    "503": {"status": 503},
    "HTML 502": {
        "status": 502,
        "body": "<html>Bad gateway</html>",
        "headers": {"Content-Type": "text/html"},
    },
    "dropped": {"kind": "drop"},
    "refused": {},
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    """Return a server in a process of its own."""
    with SandboxProcess(sites=SITES, speed=SPEED) as process:
        yield process


@pytest.mark.slow(timeout=300)
@pytest.mark.parametrize("kind", FAULTS)
async def test_an_outage_costs_what_was_on_the_way_and_nothing_else(
    sandbox: SandboxProcess, tmp_path: Path, kind: str
) -> None:
    """No more creations are unknown than were under way, none is doubled, and all else is done."""
    before = sandbox.scans_per_site()
    relay = Relay(sandbox.url)
    await relay.open()
    url = f"http://127.0.0.1:{relay.port}" if kind == "refused" else sandbox.url
    events: list[ScanEvent] = []
    started = asyncio.Event()
    # As patient as in a run at the pace of the world.
    polling = PollPolicy(speed=SPEED, patience=300.0 * SPEED)

    def note(event: ScanEvent) -> None:
        events.append(event)
        if len(events) == BEGINS_AT:
            started.set()

    async def outage() -> None:
        await started.wait()
        if kind == "refused":
            await relay.close()
        else:
            await asyncio.to_thread(lambda: sandbox.fault("*", **FAULTS[kind]))
        await asyncio.sleep(AWAY)
        if kind == "refused":
            await relay.open()
        else:
            await asyncio.to_thread(sandbox.clear_faults)

    async with SqliteStore(tmp_path / "runs.db") as store, BestDefense(sandbox.token, url) as bd:
        names = [site.hostname for site in await bd.sites.list()]
        held = await store.create(
            base_url=url, token_key="k", options=ScanOptions(), plan=map(Target, names)
        )
        away = asyncio.create_task(outage())
        async with ScanGroup(bd, journal=held.journal, polling=polling, on_event=note) as group:
            group.feed(await held.record.remaining())
            told = Counter([str(outcome.status) async for outcome in group])
        await away
        result = await held.record.result()
    await relay.close()

    after = sandbox.scans_per_site()
    assert max(after[site] - before.get(site, 0) for site in after) == 1
    assert result.by_status()["done"] == told["done"]
    assert told["done"] + told["running"] >= 0.995 * SITES, told
    assert told["unknown"] <= MOST_STARTING, told
    assert told.total() == SITES
    paused = [event for event in events if isinstance(event, StartingPaused)]
    resumed = [event for event in events if isinstance(event, StartingResumed)]
    assert len(paused) == len(resumed) == 1
    assert AWAY - 1.0 < resumed[0].paused_for < AWAY + 25.0
