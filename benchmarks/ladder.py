"""What each layer of a call costs, against plain aiohttp that decodes nothing, and other clients.

    python benchmarks/ladder.py [--blocks 15] [--calls 2000] [--in-flight 1 32]
        [--loop asyncio uvloop] [--only plain typed]
    python benchmarks/ladder.py --instructions

All ask the same endpoint of one sandbox in another process, in blocks that take turns; where there
are two cores, the sandbox has the first one. CPU and wall time per call are 20th percentiles over
the blocks. On a machine that others use, only ratios say anything: `x plain` is against plain
aiohttp on the same loop, `x first` on the loop that is named first. Libraries that are not
installed are named and left out.

With `--instructions` callgrind counts what the interpreter executes for a plain and for a typed
call: a figure that hardly changes, whoever else uses the machine.

Goals: typed at most 0.80 of plain and send 0.72, logged (an observer, and a log of JSON lines) 1.0,
typed on uvloop 0.75 of plain on asyncio; 1.1 times plain's calls per second.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from attrs import asdict, frozen

from bestdefense_async import BestDefense
from bestdefense_async.core.envelope import read_envelope
from bestdefense_async.core.request import Reply, Request, build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.core.secret import Secret
from bestdefense_async.transport.http.connection import Exchange
from bestdefense_async.transport.http.exchange import Wire
from bestdefense_async.transport.http.session import WireSettings
from bestdefense_async.transport.observe import AttemptInfo, CallInfo, Observer

Call = Callable[[], Awaitable[object]]

OURS = ("plain", "exchange", "envelope", "send", "typed", "observer", "logged", "session")
SHARE = {"httpx": 8, "openai": 8}
"""What a client's blocks are divided by: these would take most of the time."""
GOALS = {"send": "0.72", "typed": "0.80", "logged": "1.00"}
TARGET = "LADDER_TARGET"
"""Where a child finds what to ask for."""
COUNTED = (100, 400)
"""Calls of two runs under callgrind; their difference leaves starting up out."""


@frozen
class Target:
    """What is asked for."""

    url: str
    token: str
    report_id: str

    @property
    def address(self) -> str:
        """The URL that all ask."""
        return f"{self.url}/api/report/{self.report_id}/progress"

    @property
    def headers(self) -> dict[str, str]:
        """What the sandbox wants to see."""
        return {"Authorization": f"Bearer {self.token}"}


# -- ours, one layer more each -------------------------------------------------------------------


class Enveloped(Exchange):
    """An exchange whose answer is opened."""

    def read(self, reply: Reply) -> Any:  # noqa: ANN401 - JSON
        """Return the payload."""
        assert self.secret is not None  # noqa: S101 - it was made with one
        return read_envelope(reply, self.request, self.secret)


class Seconds(Observer):
    """Adds up how long requests take, as a metrics library would."""

    total = 0.0

    def attempt_ended(self, call: CallInfo, attempt: AttemptInfo) -> None:  # noqa: ARG002
        """Add one."""
        self.total += attempt.duration


class JsonLines(logging.Handler):
    """Writes each event of a call as a line of JSON, to nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self._sink = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - see close

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        event = record.__dict__["bestdefense"]
        line = {"at": record.created, "level": record.levelname, "kind": event.kind}
        line |= {"operation": event.operation, "status": event.status, "tenant": event.tenant}
        self._sink.write(json.dumps(line | {"duration": event.duration}) + "\n")

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()
        super().close()


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """Have somebody read the log."""
    log, handler = logging.getLogger("bestdefense_async"), JsonLines()
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
        handler.close()


@contextlib.asynccontextmanager
async def _ours(target: Target, in_flight: int) -> AsyncIterator[dict[str, Call]]:
    """Yield plain aiohttp and the layers above it."""
    connector = aiohttp.TCPConnector(limit=in_flight)
    url, token, report_id = target.url, target.token, target.report_id
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        BestDefense(token, url, max_in_flight=in_flight) as bd,
        BestDefense(token, url, max_in_flight=in_flight, observer=Seconds()) as observed,
        BestDefense(token, url, max_in_flight=in_flight) as other_way,
    ):
        request: Request[Any] = build_request(ROUTES["reports.progress"], {"report_id": report_id})
        wire, lifetime, secret = bd._shared.host.wire, bd._tenant.lifetime, Secret(token)  # noqa: SLF001
        other_way._shared.host.wire = Wire(  # noqa: SLF001 - as behind a proxy
            WireSettings(base_url=url), home=lifetime.home, is_lean=False
        )

        async def plain() -> None:
            async with session.get(target.address, headers=target.headers) as response:
                await response.read()

        async def exchanged(kind: type[Exchange]) -> object:
            with kind(request, secret, lifetime) as exchange:
                return await wire.exchange(exchange, 30.0)

        yield {
            "plain": plain,
            "exchange": lambda: exchanged(Exchange),
            "envelope": lambda: exchanged(Enveloped),
            "send": lambda: bd._sender.send(request),  # noqa: SLF001 - a layer
            "typed": lambda: bd.reports.progress(report_id),
            "observer": lambda: observed.reports.progress(report_id),
            "logged": lambda: observed.reports.progress(report_id),
            "session": lambda: other_way.reports.progress(report_id),
        }


# -- others --------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _vt(target: Target, in_flight: int) -> AsyncIterator[Call]:
    """Yield a call of vt-py: JSON, no limits, no retries."""
    import vt  # type: ignore[import-untyped]  # noqa: PLC0415 - perhaps not installed

    connector = aiohttp.TCPConnector(limit=in_flight)
    async with vt.Client(
        target.token, host=target.url, headers=target.headers, connector=connector
    ) as client:
        yield lambda: client.get_json_async(target.address)


@contextlib.asynccontextmanager
async def _httpx(target: Target, in_flight: int) -> AsyncIterator[Call]:
    """Yield a call of httpx: JSON, no limits, no retries."""
    import httpx  # noqa: PLC0415 - perhaps not installed

    async with httpx.AsyncClient(limits=_limits(in_flight), trust_env=False) as client:

        async def call() -> object:
            return (await client.get(target.address, headers=target.headers)).json()

        yield call


@contextlib.asynccontextmanager
async def _openai(target: Target, in_flight: int) -> AsyncIterator[Call]:
    """Yield a call of the vendor client that many are modelled on: httpx, retries, pydantic."""
    import openai  # noqa: PLC0415 - perhaps not installed

    class Envelope(openai.BaseModel):
        success: bool
        data: dict[str, object]

    http = openai.DefaultAsyncHttpxClient(limits=_limits(in_flight), trust_env=False)
    async with openai.AsyncOpenAI(
        api_key=target.token, base_url=target.url, http_client=http
    ) as client:
        yield lambda: client.get(target.address, cast_to=Envelope)


def _limits(in_flight: int) -> Any:  # noqa: ANN401 - httpx.Limits, which may not be installed
    import httpx  # noqa: PLC0415 - perhaps not installed

    return httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)


OTHERS = {"vt-py": _vt, "httpx": _httpx, "openai": _openai}


def _installed() -> list[str]:
    """Return the other clients that are there; name those that are not."""
    modules = {**dict(zip(OTHERS, OTHERS, strict=True)), "vt-py": "vt"}
    missing = [name for name, module in modules.items() if not importlib.util.find_spec(module)]
    if missing:
        print(f"not installed, left out: {', '.join(missing)}")
    return [name for name in OTHERS if name not in missing]


# -- measuring -----------------------------------------------------------------------------------


@frozen
class Cost:
    """Seconds per call."""

    cpu: float
    wall: float


async def _block(call: Call, calls: int, in_flight: int) -> Cost:
    left = 2 * in_flight

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    # Connections may have been closed while others had their turn.
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    left = calls
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return Cost((time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls)


def _low(costs: list[Cost]) -> Cost:
    """Return the 20th percentiles."""
    cpu, wall = ([getattr(each, name) for each in costs] for name in ("cpu", "wall"))
    return Cost(statistics.quantiles(cpu, n=5)[0], statistics.quantiles(wall, n=5)[0])


@contextlib.contextmanager
def _on(loop: str) -> Iterator[asyncio.Runner]:
    """Yield what runs on a loop of that kind."""
    factory = None
    if loop == "uvloop":
        import uvloop  # noqa: PLC0415 - perhaps not installed

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner


def _close(runner: asyncio.Runner, clients: contextlib.AsyncExitStack) -> None:
    runner.run(clients.aclose())


def _ladder(target: Target, arguments: argparse.Namespace, in_flight: int) -> None:
    """Print a table with a part for each loop."""
    names, costs = arguments.only, dict[tuple[str, str], list[Cost]]()
    with contextlib.ExitStack() as runners:
        turns = []
        for loop in arguments.loop:
            runner, clients = runners.enter_context(_on(loop)), contextlib.AsyncExitStack()
            calls = runner.run(clients.enter_async_context(_ours(target, in_flight)))
            for name, client in OTHERS.items():
                if name in names:
                    other = clients.enter_async_context(client(target, in_flight))
                    calls[name] = runner.run(other)
            turns += [(runner, loop, name, call) for name, call in calls.items() if name in names]
            runners.callback(partial(_close, runner, clients))
        for _ in range(arguments.blocks):
            for runner, loop, name, call in turns:
                share = arguments.calls // SHARE.get(name, 1)
                with _logged() if name == "logged" else contextlib.nullcontext():
                    cost = runner.run(_block(call, share, in_flight))
                costs.setdefault((loop, name), []).append(cost)
    low = {key: _low(measured) for key, measured in costs.items()}
    first = low[arguments.loop[0], "plain"]
    print(f"\n{in_flight} in flight, {arguments.blocks} blocks of {arguments.calls} calls")
    print(f"{'loop':9}{'':10}{'CPU us':>8}{'x plain':>9}{'x first':>9}{'per s':>8}{'x plain':>9}")
    for (loop, name), cost in low.items():
        plain = low[loop, "plain"]
        print(
            f"{loop:9}{name:10}{cost.cpu * 1e6:8.1f}{cost.cpu / plain.cpu:9.3f}"
            f"{cost.cpu / first.cpu:9.3f}{1 / cost.wall:8.0f}{plain.wall / cost.wall:9.2f}"
            f"   {GOALS.get(name, '')}"
        )


# -- instructions --------------------------------------------------------------------------------


async def _some(target: Target, name: str, calls: int) -> None:
    """Send so many calls, one after the other."""
    async with _ours(target, 1) as clients:
        for _ in range(calls):
            await clients[name]()


def _instructions(target: Target, name: str, calls: int) -> int:
    """Return what a process executes that sends so many calls."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    command += [__file__, "--one", name, "--calls", str(calls)]
    ran = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0", TARGET: json.dumps(asdict(target))},
    )
    found = re.search(r"Collected : (\d+)", ran.stderr)
    assert found is not None, ran.stderr  # noqa: S101 - else nothing was counted
    return int(found[1])


def _count(target: Target, names: list[str]) -> None:
    """Print the instructions per call."""
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: nothing is counted")
        return
    counts = {}
    few, many = COUNTED
    for name in names:
        more = _instructions(target, name, many) - _instructions(target, name, few)
        counts[name] = more / (many - few)
        print(
            f"{name:10}{counts[name] / 1e3:8.0f} thousand instructions a call"
            f"{counts[name] / counts['plain']:8.3f} x plain",
            flush=True,
        )


@contextlib.contextmanager
def _sandbox() -> Iterator[Target]:
    """Yield what to ask of a sandbox in another process, on another core where there are two."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    command = [sys.executable, "-m", "bestdefense_async.sandbox", "--sites", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as sandbox:
        try:
            if len(cores) > 1:
                os.sched_setaffinity(sandbox.pid, cores[:1])
                os.sched_setaffinity(0, cores[1:])
            assert sandbox.stdout is not None  # noqa: S101 - it was asked for
            where = json.loads(sandbox.stdout.readline())
            yield asyncio.run(_target(where["url"], where["token"]))
        finally:
            sandbox.terminate()


async def _target(url: str, token: str) -> Target:
    async with BestDefense(token, url) as bd:
        report = await bd.reports.create((await bd.sites.list())[0])
    return Target(url, token, report.id)


def main() -> None:
    """Start a sandbox process and measure against it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], nargs="+", default=["asyncio"])
    parser.add_argument("--only", choices=[*OURS, *OTHERS], nargs="+", help="plain is added")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        target = Target(**json.loads(os.environ[TARGET]))
        asyncio.run(_some(target, arguments.one, arguments.calls))
        return
    with _sandbox() as target:
        if arguments.instructions:
            _count(target, ["plain", *(arguments.only or ["typed"])])
            return
        wanted = arguments.only or [*OURS, *_installed()]
        arguments.only = ["plain", *(name for name in wanted if name != "plain")]
        for in_flight in arguments.in_flight:
            _ladder(target, arguments, in_flight)


if __name__ == "__main__":
    main()
