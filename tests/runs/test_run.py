"""The door: a run from its targets to its verdict and its files, with and without a store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async import BestDefense
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import (
    ConfigError,
    JournalError,
    PermissionDenied,
    PollTimeout,
    ServerError,
    UnknownSite,
)
from bestdefense_async.models import ScanEvent, StartingPaused, StartingResumed
from bestdefense_async.runs import SqliteStore
from bestdefense_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from bestdefense_async.runs.run import Run

SPEED = 1_200.0
POLLING = PollPolicy(speed=SPEED)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A server with twenty sites."""
    async with Sandbox(sites=20, speed=SPEED) as served:
        yield served


@pytest.fixture
async def bd(sandbox: Sandbox) -> AsyncIterator[BestDefense]:
    """A client of it."""
    async with BestDefense(sandbox.token, sandbox.url) as client:
        yield client


def scans(bd: BestDefense, source: Any, **options: Any) -> Run:
    """Return a run in the sandbox's time."""
    return bd.scan_many(source, polling=POLLING, **options)


@pytest.mark.parametrize("is_recorded", [False, True], ids=["in memory", "with a store"])
async def test_a_site_given_twice_is_scanned_once(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path, *, is_recorded: bool
) -> None:
    """As an object, by name or by id, it is one target, and what is no target is told."""
    first, second, *_ = await bd.sites.list()
    given = [first, first, second, first.hostname, first.id, None, 7]
    store = tmp_path / "runs.db" if is_recorded else None

    async with scans(bd, given, store=store) as run:
        ended = [(outcome.target, outcome.status) async for outcome in run]

    assert sorted(ended, key=str) == sorted(
        [
            (first.hostname, "done"),
            (second.hostname, "done"),
            ("None", "not_started"),
            ("7", "not_started"),
        ],
        key=str,
    )
    assert sandbox.count("reports.create") == 2


async def test_a_list_is_scanned_judged_and_written(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Comments, blank lines and repetitions of the file are no targets."""
    names = sandbox.hostnames
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("# all\n\n" + "\n".join([*names, names[0].upper()]) + "\n")

    async with scans(bd, str(hosts)) as run:
        outcomes = [outcome async for outcome in run]
    verdict = run.judge(fail_on="high")
    run.write(tmp_path / "report.html", verdict)
    run.write(str(tmp_path / "run.json"), verdict)

    assert sorted(one.target for one in outcomes) == sorted(names)
    assert {one.status for one in outcomes} == {"done"}
    assert (verdict.total, verdict.missing) == (20, 0)
    document = json.loads((tmp_path / "run.json").read_text())
    assert [one["target"] for one in document["outcomes"]] == names
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    sandbox.assert_no_duplicates()


async def test_a_run_is_not_written_over_what_it_was_made_from(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Its list, its store, the baseline and the waivers are read again tomorrow."""
    hosts, waivers, older = tmp_path / "hosts.md", tmp_path / "waivers.md", tmp_path / "old.json"
    hosts.write_text(f"{sandbox.hostnames[0]}\n")
    waivers.write_text("")
    async with scans(bd, hosts) as first:
        _ = [outcome async for outcome in first]
    first.write(older, first.judge())
    before = older.read_bytes()

    async with scans(bd, hosts, store=tmp_path / "runs.json") as run:
        _ = [outcome async for outcome in run]
    verdict = run.judge(baseline=older, waivers=waivers)

    link = tmp_path / "link.json"
    link.symlink_to(older)
    for path in (hosts, waivers, older, link, tmp_path / "runs.json"):
        with pytest.raises(ConfigError, match="it is read in the same run"):
            run.write(path, verdict)
    with pytest.raises(ConfigError, match="it is read in the same run"):
        first.write(tmp_path / "runs.json", verdict, compared=str(tmp_path / "runs.json"))
    run.write(tmp_path / "new.json", verdict)
    assert (hosts.read_text(), older.read_bytes()) == (f"{sandbox.hostnames[0]}\n", before)


async def test_anything_may_come_out_of_an_iterable(bd: BestDefense, sandbox: Sandbox) -> None:
    """Texts, sites, and what is no target, from a generator of either kind."""
    sites = await bd.sites.list()

    async def feed() -> AsyncIterator[Any]:
        for item in (sandbox.hostnames[0], sites[1], None, 5, "no such site.example"):
            yield item

    async with scans(bd, feed()) as run:
        outcomes = [outcome async for outcome in run]

    by_index = {one.index: one.status for one in outcomes}
    assert by_index == {
        0: "done", 1: "done", 2: "not_started", 3: "not_started", 4: "not_started"
    }  # fmt: skip
    assert run.stats.by_status == {"done": 2, "not_started": 3}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("shop.example.com", "use scan\\(", id="a host in place of a file"),
        pytest.param(5, "int is no list", id="a number"),
    ],
)
async def test_what_is_no_list_is_refused(bd: BestDefense, source: Any, said: str) -> None:
    """The message says what to use instead."""
    with pytest.raises(ConfigError, match=said):
        await scans(bd, source).__aenter__()


async def test_one_site_is_scanned_by_one_call(bd: BestDefense, sandbox: Sandbox) -> None:
    """Its outcome has the risk and the findings, and is plain values when asked."""
    outcome = await bd.scan(sandbox.hostnames[0], polling=POLLING)

    assert outcome.status == "done"
    assert outcome.risk is not None
    assert json.loads(json.dumps(outcome.as_dict()))["report_id"] == outcome.report_id


async def test_a_scan_without_a_result_raises_why(bd: BestDefense, sandbox: Sandbox) -> None:
    """A refusal, a name nobody knows, and a scan that takes too long, by its id."""
    sandbox.fault("reports.create", status=403, site=sandbox.hostnames[1])
    sandbox.script(sandbox.hostnames[2], duration=float("inf"))

    with pytest.raises(PermissionDenied):
        await bd.scan(sandbox.hostnames[1], polling=POLLING)
    with pytest.raises(UnknownSite):
        await bd.scan("stranger.example", polling=POLLING)
    with pytest.raises(PollTimeout) as caught:
        await bd.scan(sandbox.hostnames[2], polling=POLLING, timeout=0.5)
    assert caught.value.report_id


async def test_a_loop_that_is_left_starts_nothing_more(bd: BestDefense, sandbox: Sandbox) -> None:
    """What exists is followed to its end and is in the result."""
    async with scans(bd, sandbox.hostnames, max_active=2) as run:
        async for _ in run:
            break

    by_status = run.result.by_status()
    assert sum(by_status.values()) == 20
    assert by_status["not_started"] >= 14
    assert by_status["done"] == sandbox.count("reports.create")


async def test_a_signal_drains_the_run_and_is_given_back(bd: BestDefense, sandbox: Sandbox) -> None:
    """What runs goes on; the handler that was there before is there again."""
    for name in sandbox.hostnames:
        sandbox.script(name, duration=float("inf"))
    before = signal.getsignal(signal.SIGUSR1)

    started: asyncio.Queue[object] = asyncio.Queue()
    options = {"max_active": 5, "drain_on": (signal.SIGUSR1,), "on_event": started.put_nowait}

    async with scans(bd, sandbox.hostnames, **options) as run:
        while run.stats.active < 5:
            await started.get()
        os.kill(os.getpid(), signal.SIGUSR1)
        outcomes = [outcome async for outcome in run]

    assert len(outcomes) == 20
    assert run.result.by_status()["running"] >= 5
    assert signal.getsignal(signal.SIGUSR1) is before


@pytest.fixture
def ignored_hangup() -> Iterator[None]:
    """SIGHUP as nohup leaves it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("ignored_hangup")
async def test_a_hangup_that_is_ignored_stays_ignored(bd: BestDefense, sandbox: Sandbox) -> None:
    """A run under nohup goes on when the terminal is closed."""
    async with scans(bd, sandbox.hostnames[:3], drain_on=(signal.SIGHUP,)) as run:
        os.kill(os.getpid(), signal.SIGHUP)
        outcomes = [outcome async for outcome in run]

    assert {one.status for one in outcomes} == {"done"}


async def test_a_run_in_a_store_is_gone_on_with(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """What was left is followed, what was not begun is started, and nothing twice."""
    store = tmp_path / "runs.db"
    async with scans(bd, sandbox.hostnames, store=store, max_active=4) as run:
        async for _ in run:
            await run.drain()
    first = run.result.by_status()
    assert first["running"] + first["not_started"] > 0

    async with bd.resume("last", store=str(store), polling=POLLING) as resumed:
        assert resumed.name == run.name
        outcomes = [outcome async for outcome in resumed]

    assert len(outcomes) == 20 - first["done"]
    assert resumed.result.by_status()["done"] == 20
    assert [one.target for one in resumed.result.outcomes] == sandbox.hostnames
    sandbox.assert_no_duplicates()


async def test_the_last_run_is_the_one_before_this_one(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Fixed when the run begins, so that a run never approves itself, also when it is resumed."""
    store = tmp_path / "runs.db"
    async with scans(bd, sandbox.hostnames[:10], store=store) as old:
        pass
    with pytest.raises(JournalError, match="no run before"):
        old.judge(baseline="last")
    async with scans(bd, sandbox.hostnames, store=store) as new:
        await new.drain()
    async with bd.resume(new.name, store=store, polling=POLLING) as new:
        pass

    verdict = new.judge(fail_on="high", baseline="last")

    assert verdict.unknown_sites == 10
    assert verdict.known == sum(len(one.findings) for one in old.result.outcomes)
    assert new.judge(baseline=old.name).known == verdict.known
    with pytest.raises(ConfigError, match="compared with itself"):
        new.judge(baseline=new.name)


async def test_a_run_over_a_generator_goes_on_with_what_is_new(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """What the record has is skipped, whatever became of it."""
    store = tmp_path / "runs.db"
    async with scans(bd, iter(sandbox.hostnames[:8]), store=store) as run:
        pass

    source = iter(sandbox.hostnames)
    async with bd.resume(run.name, store=store, source=source, polling=POLLING) as resumed:
        outcomes = [outcome async for outcome in resumed]

    assert [one.status for one in outcomes] == ["done"] * 12
    assert resumed.result.by_status()["done"] == 20
    sandbox.assert_no_duplicates()


async def test_a_plan_of_a_run_starts_nothing(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """It counts what is to be started and what is only followed."""
    store = tmp_path / "runs.db"
    run = scans(bd, sandbox.hostnames, store=store)
    assert (await run.plan()).creations == 20
    assert sandbox.count("reports.create") == 0
    async with run:
        await run.drain()

    plan = await bd.resume(run.name, store=store, polling=POLLING).plan()

    left = run.result.by_status()
    assert (plan.creations, plan.follows) == (left["not_started"], left["running"])


async def test_many_runs_of_a_client_share_one_file_and_one_writer(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A store by path belongs to the client, however many runs are in it."""
    before = threading.active_count()
    async with contextlib.AsyncExitStack() as stack:
        for name in sandbox.hostnames:
            await stack.enter_async_context(scans(bd, [name], store=tmp_path / "runs.db"))
        assert threading.active_count() <= before + 8  # readers come and go

    async with SqliteStore(tmp_path / "runs.db") as store:
        infos = await store.list()
    assert len(infos) == 20
    assert all(info.is_complete for info in infos)


async def test_an_outage_stands_in_the_result_and_the_record(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """From the first creation that was lost to the first that was taken again."""
    sandbox.fault("reports.create", status=503, times=8)
    store = tmp_path / "runs.db"
    events: list[ScanEvent] = []

    async with scans(bd, sandbox.hostnames, store=store, on_event=events.append) as run:
        pass
    kept = (await (await SqliteStore(store).record(run.name)).result()).outages

    [paused] = [event for event in events if isinstance(event, StartingPaused)]
    [resumed] = [event for event in events if isinstance(event, StartingResumed)]
    assert isinstance(paused.error, ServerError)  # what was met, not what to do about one target
    assert resumed.is_back
    [(begun, ended)] = run.result.outages
    assert 0.0 < ended - begun < 20.0
    assert [pytest.approx(span, abs=1.0) for span in kept] == [(begun, ended)]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"max_active": 0}, id="no scan at a time"),
        pytest.param({"drain_on": (signal.SIGKILL,)}, id="a signal nobody can catch"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_refused_before_the_run_is_recorded(
    options: dict[str, Any], bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The store has no run that was never begun."""
    with pytest.raises(ConfigError):
        await scans(bd, sandbox.hostnames, store=tmp_path / "runs.db", **options).__aenter__()

    assert await SqliteStore(tmp_path / "runs.db").list() == ()


async def test_a_run_that_cannot_begin_gives_its_signals_back(
    bd: BestDefense, tmp_path: Path
) -> None:
    """A list that is not there ends it before anything is sent or recorded."""
    before = signal.getsignal(signal.SIGUSR1)

    with pytest.raises(ConfigError, match="no file"):
        await scans(bd, str(tmp_path / "absent"), drain_on=(signal.SIGUSR1,)).__aenter__()

    assert signal.getsignal(signal.SIGUSR1) is before


async def test_a_signal_that_comes_while_the_list_is_read_is_not_lost(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The run begins, is recorded, and starts nothing: it can be resumed."""
    run = scans(bd, sandbox.hostnames, store=tmp_path / "runs.db", drain_on=(signal.SIGUSR1,))
    beginning = asyncio.create_task(run.__aenter__())
    await asyncio.sleep(0)  # it has begun to listen, and waits for its store
    os.kill(os.getpid(), signal.SIGUSR1)
    await beginning
    await run.__aexit__(None, None, None)

    assert sandbox.count("reports.create") == 0
    assert run.result.by_status()["not_started"] == 20


async def test_pauses_of_a_limit_stand_in_the_result_and_the_record(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Also in the record of a run that is gone on with; pauses that overlap are one."""
    store = tmp_path / "runs.db"
    sandbox.fault("reports.create", status=429, headers={"Retry-After": "1"}, times=2)
    async with scans(bd, sandbox.hostnames[:3], store=store) as run:
        pass
    async with bd.resume(run.name, store=store, polling=POLLING) as again:
        pass

    ((begin, end),) = run.result.throttled

    assert end - begin >= 1.0
    assert again.result.throttled == run.result.throttled
    assert SqliteStore(store).load(run.name).throttled == run.result.throttled
    assert not bd.pauses, "a run that has ended listens no more"


async def test_when_to_ask_is_learned_from_the_store(
    bd: BestDefense, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Unless somebody has said when: to the run, or to its client."""
    store = tmp_path / "runs.db"
    async with scans(bd, sandbox.hostnames, store=store) as run:
        pass
    learned = bd.scan_many(sandbox.hostnames, store=store)
    told = scans(bd, sandbox.hostnames, store=store)

    plans = [await learned.plan(), await told.plan()]

    durations = [(one.finished_at or 0) - (one.started_at or 0) for one in run.result.outcomes]
    assert {plan.learned_from for plan in plans} == {20}
    assert plans[0].duration == pytest.approx(sum(durations) / 20)
    assert plans[0].calls != plans[1].calls


def test_a_setting_that_there_is_not_is_refused_at_once(bd: BestDefense) -> None:
    """A slip of the pen is no setting that is quietly left out."""
    with pytest.raises(TypeError, match="no setting 'max_activ'"):
        bd.scan_many(["a.example"], max_activ=3)  # type: ignore[call-arg]


async def test_what_is_unknown_of_a_run_is_settled_by_a_program(tmp_path: Path) -> None:
    """What exists is found and followed; what a person knows to be absent is started again."""
    store = tmp_path / "runs.db"
    async with (
        Sandbox(sites=3, speed=SPEED, epoch=time.time()) as sandbox,  # its times are compared
        BestDefense(sandbox.token, sandbox.url) as bd,
    ):
        kept, lost, left = sandbox.hostnames
        ids = {site.hostname: site.id for site in await bd.sites.list()}
        sandbox.fault("reports.create", kind="reset", after_effect=True, site=ids[kept], times=1)
        for name in (lost, left):
            sandbox.fault("reports.create", kind="reset", site=ids[name], times=1)
        async with scans(bd, [kept, lost, left], store=store):
            pass

        with pytest.raises(ConfigError, match="is not unknown in this run"):
            await bd.reconcile(store=store, absent=[lost, "somewhere.example"])
        settled = await bd.reconcile(store=store, absent=[lost])
        async with bd.resume(store=store, polling=POLLING) as run:
            pass

        found = {each.lost.target: each.report_id is not None for each in settled}
        assert found == {kept: True, left: False}
        statuses = {each.target: each.status for each in run.result.outcomes}
        assert statuses == {kept: "done", lost: "done", left: "unknown"}
        assert sandbox.scans_per_site() == {ids[kept]: 1, ids[lost]: 1}


async def test_a_run_is_settled_in_a_store(bd: BestDefense) -> None:
    """None is no store, whatever a program has read from its settings."""
    with pytest.raises(ConfigError, match="name the store"):
        await bd.reconcile(store=None)  # type: ignore[arg-type]
