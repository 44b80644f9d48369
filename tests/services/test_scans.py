"""The scans of a service, in one process: joined, found, heard of, cancelled, refused, left."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async import BestDefense, OutcomeStatus, PollPolicy, ScanOptions, UnknownSite
from bestdefense_async.errors import (
    AuthError,
    ClientClosed,
    JournalError,
    LifecycleError,
    QuotaExceeded,
    RunStopped,
    ScanCancelled,
)
from bestdefense_async.services.updates import Missed
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bestdefense_async.sandbox import Sandbox
    from bestdefense_async.services.scans import Scans

SPEED = 3600.0
FAST = PollPolicy(speed=SPEED)
QUICK = ScanOptions(intensity="quick")
NEVER = float("inf")

pytestmark = pytest.mark.bd_sandbox(sites=4, speed=SPEED)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where scans are recorded."""
    return tmp_path / "runs.db"


@pytest.fixture(params=["a file", "a database"])
def any_store(store: Path, request: pytest.FixtureRequest) -> Path | str:
    """Where scans are recorded, of either kind."""
    return store if request.param == "a file" else str(request.getfixturevalue("database"))


@pytest.fixture
async def scans(bd_client: BestDefense, store: Path) -> AsyncIterator[Scans]:
    """The scans of a service with a record."""
    async with bd_client.scans(store=store, polling=FAST) as scans:
        yield scans


@pytest.fixture(params=["with a store", "in memory"])
async def any_scans(
    bd_client: BestDefense, store: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Scans]:
    """The scans of a service with a record, and without one."""
    where = store if request.param == "with a store" else None
    async with bd_client.scans(store=where, polling=FAST) as scans:
        yield scans


async def test_a_scan_is_started_found_and_ends(any_scans: Scans, bd_sandbox: Sandbox) -> None:
    """The handle says where it stands without waiting, and the id finds the same scan."""
    handle = await any_scans.start(bd_sandbox.hostnames[0])
    assert not handle.is_joined
    assert handle.outcome is None

    found = await any_scans.find(handle.id)
    outcome = await handle.wait()

    assert found is not None
    assert (found.outcome, found.state, found.target) == (
        outcome,
        "ended",
        bd_sandbox.hostnames[0],
    )
    assert (outcome.status, outcome.site_id) == ("done", bd_sandbox.site_ids[0])
    assert any_scans.running() == []


async def test_a_site_that_is_scanned_is_joined_and_one_with_other_options_is_not(
    any_scans: Scans, bd_sandbox: Sandbox
) -> None:
    """By name, by URL and by id it is the same scan; so it is when all ask at once."""
    name, site_id = bd_sandbox.hostnames[0], bd_sandbox.site_ids[0]
    bd_sandbox.script(name, duration=NEVER)

    handles = await asyncio.gather(
        *(any_scans.start(each) for each in (name, f"https://{name}/", site_id.upper(), name))
    )
    other = await any_scans.start(name, options=QUICK)

    assert len({handle.id for handle in handles}) == 1
    assert [handle.is_joined for handle in handles].count(False) == 1
    assert other.id != handles[0].id
    await until(lambda: bd_sandbox.count("reports.create") == 2)


async def test_a_site_is_scanned_again_after_its_scan_has_ended(
    any_scans: Scans, bd_sandbox: Sandbox
) -> None:
    """While others of its run go on; each time under another id."""
    first, second, *_ = bd_sandbox.hostnames
    bd_sandbox.script(second, duration=NEVER)
    await any_scans.start(second)
    once = await any_scans.start(first)
    await once.wait()

    again = await any_scans.start(first)

    assert (again.is_joined, (await again.wait()).status) == (False, "done")
    assert again.id != once.id
    assert bd_sandbox.scans_per_site()[bd_sandbox.site_ids[0]] == 2


async def test_what_names_no_site_is_refused_at_once(scans: Scans, bd_sandbox: Sandbox) -> None:
    """And nothing is created."""
    with pytest.raises(UnknownSite):
        await scans.start("nobody.example.com")

    assert bd_sandbox.count("reports.create") == 0
    assert scans.running() == []


async def test_an_id_that_is_none_finds_nothing(scans: Scans, bd_sandbox: Sandbox) -> None:
    """Whatever is sent as an id; neighbours of a good one included."""
    handle = await scans.start(bd_sandbox.hostnames[0])
    run, _, _ = handle.id.rpartition("-")

    for bad in (
        "",
        "x",
        "last-0",
        f"{run}-7",
        f"{run}-",
        f"{run[:-1]}-0",
        f"{handle.id}0",
        "\ud800",
    ):
        assert await scans.find(bad) is None


async def test_a_tenant_finds_its_own_scans_only(
    bd_client: BestDefense, scans: Scans, bd_sandbox: Sandbox
) -> None:
    """Neither in memory nor in the store does it see those of another one."""
    names = {"a": "org-a", "b": "org b~%ü"}
    views = [
        bd_client.with_token(bd_sandbox.add_token(organization=each), name=name)
        for each, name in names.items()
    ]
    sites = [bd_sandbox.sites_of(each)[0] for each in names]
    handles = [
        await scans.start(site.hostname, tenant=view)
        for site, view in zip(sites, views, strict=True)
    ]

    for view, handle in zip(views, handles, strict=True):
        seen = [await scans.find(each.id, tenant=view) for each in handles]
        assert [each and each.id for each in seen] == [
            each.id if each is handle else None for each in handles
        ]
        assert [each.id for each in scans.running(tenant=view)] == [handle.id]
        assert handle.tenant == view.name
        assert await scans.find(handle.id, tenant=bd_client) is None


async def test_every_listener_hears_where_a_scan_stands_and_each_change(
    any_scans: Scans, bd_sandbox: Sandbox
) -> None:
    """Also one that comes late; the last update has the outcome."""
    bd_sandbox.script(bd_sandbox.hostnames[0], duration=SPEED * 0.3)
    handle = await any_scans.start(bd_sandbox.hostnames[0])

    async def heard() -> list[str]:
        return [event.state async for event in handle.events() if not isinstance(event, Missed)]

    early = [asyncio.create_task(heard()) for _ in range(3)]
    outcome = await handle.wait()
    late = await heard()

    assert late == ["ended"]
    for states in await asyncio.gather(*early):
        assert states[0] in {"waiting", "creating"}
        assert states[-1] == "ended"
        assert "running" in states
    assert handle.update.as_dict()["outcome"] == outcome.as_dict()


async def test_a_slow_listener_is_told_how_much_it_missed(
    any_scans: Scans, bd_sandbox: Sandbox
) -> None:
    """Its queue is bounded, it keeps the latest, and the end is never missed."""
    bd_sandbox.script(bd_sandbox.hostnames[0], duration=NEVER)
    handle = await any_scans.start(bd_sandbox.hostnames[0])
    events = handle.events()
    first = await anext(events)
    assert not isinstance(first, Missed)
    scan = handle._scan  # noqa: SLF001 - a scan of many changes takes long
    for listener in scan.listeners:  # type: ignore[attr-defined]
        for _ in range(100):
            listener.put(first)

    await handle.cancel()
    rest = [event async for event in events]

    assert isinstance(rest[0], Missed)
    assert rest[0].count > 36
    assert len(rest) == 65
    assert not isinstance(rest[-1], Missed)
    assert rest[-1].state == "ended"


async def test_a_scan_is_cancelled_by_itself(any_scans: Scans, bd_sandbox: Sandbox) -> None:
    """It is not followed any more, the others are, and its site may be scanned again."""
    first, second, *_ = bd_sandbox.hostnames
    bd_sandbox.script(first, duration=NEVER)
    handle = await any_scans.start(first)
    other = await any_scans.start(second)
    await until(lambda: handle.state == "running")

    outcome = await handle.cancel()

    assert (outcome.status, type(outcome.error)) == ("running", ScanCancelled)
    assert (await other.wait()).status is OutcomeStatus.DONE
    assert not (await any_scans.start(first)).is_joined
    assert await handle.cancel() == outcome


async def test_after_a_402_starts_are_refused_and_what_was_promised_waits(
    any_scans: Scans, bd_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """When the quota is back the scan is created, once, and starts are taken again."""
    fault = bd_sandbox.fault("reports.create", status=402)
    handle = await any_scans.start(bd_sandbox.hostnames[0])
    with caplog.at_level(logging.WARNING):
        await until(lambda: any_scans.refusal() is not None)

    assert isinstance(any_scans.refusal(), QuotaExceeded)
    assert (handle.state, handle.outcome) == ("waiting", None)
    fault.remove()
    assert (await handle.wait()).status is OutcomeStatus.DONE
    assert any_scans.refusal() is None
    assert (await (await any_scans.start(bd_sandbox.hostnames[1])).wait()).status == "done"
    bd_sandbox.assert_no_duplicates()


@pytest.mark.bd_sandbox(sites=4, speed=60.0)
async def test_a_start_during_a_refusal_raises_its_reason(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """Nothing is sent for it, and other organizations are not concerned."""
    bd_sandbox.fault("reports.create", status=402, times=1)
    other = bd_client.with_token(bd_sandbox.add_token(organization="b"), name="b")
    async with bd_client.scans() as scans:
        await scans.start(bd_sandbox.hostnames[0])
        await until(lambda: scans.refusal() is not None)

        with pytest.raises(QuotaExceeded):
            await scans.start(bd_sandbox.hostnames[1])

        assert scans.refusal(other) is None
        await scans.start(bd_sandbox.sites_of("b")[0].hostname, tenant=other)
        assert {(each.name, each.refusal is None) for each in scans.stats()} == {
            (None, False),
            ("b", True),
        }


async def test_scans_outlive_a_token_that_was_revoked(bd_sandbox: Sandbox, store: Path) -> None:
    """With a new one from the vault they are followed on: none is lost, none is started twice."""
    token = bd_sandbox.token

    async def vault() -> str:
        return token

    bd_sandbox.script(bd_sandbox.hostnames[0], duration=SPEED * 1.5)
    async with (
        BestDefense(vault, bd_sandbox.url) as client,
        client.scans(store=store, polling=FAST) as scans,
    ):
        handle = await scans.start(bd_sandbox.hostnames[0])
        await until(lambda: handle.state == "running")
        bd_sandbox.revoke(token)
        await until(lambda: scans.refusal() is not None)
        assert isinstance(scans.refusal(), AuthError)
        assert handle.state == "running"

        token = bd_sandbox.add_token()

        assert (await handle.wait()).status is OutcomeStatus.DONE
        assert scans.refusal() is None
    bd_sandbox.assert_no_duplicates()


async def test_a_view_with_another_token_ends_a_refusal_at_once(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """A host that closes the view and gives another one need not wait."""
    old = bd_sandbox.add_token(organization="b")
    view = bd_client.with_token(old, name="b")
    site = bd_sandbox.sites_of("b")[0].hostname
    async with bd_client.scans(polling=PollPolicy(speed=60.0)) as scans:
        handle = await scans.start(site, tenant=view)
        bd_sandbox.revoke(old)
        await until(lambda: scans.refusal(view) is not None)
        await view.aclose()
        renewed = bd_client.with_token(bd_sandbox.add_token(organization="b"), name="b")

        again = await scans.start(site, tenant=renewed)

        assert again.is_joined
        assert again.id == handle.id
        assert scans.refusal(renewed) is None


async def test_leaving_releases_who_waits_and_the_next_service_goes_on(
    bd_client: BestDefense, bd_sandbox: Sandbox, store: Path
) -> None:
    """What runs is followed on, what waited is created, and each once."""
    bd_sandbox.script(bd_sandbox.hostnames[0], duration=SPEED * 1.0)
    async with bd_client.scans(store=store, polling=FAST, max_active=1) as scans:
        running = await scans.start(bd_sandbox.hostnames[0])
        waiting = await scans.start(bd_sandbox.hostnames[1])
        cancelled = await scans.start(bd_sandbox.hostnames[2])
        await until(lambda: running.state == "running")
        await cancelled.cancel()
        waiter = asyncio.create_task(running.wait())
        listener = asyncio.create_task(_all(running.events()))
        await asyncio.sleep(0)
    with pytest.raises(RunStopped):
        await waiter
    assert (await listener)[-1].outcome is None
    with pytest.raises(ClientClosed):
        await scans.start(bd_sandbox.hostnames[3])

    async with bd_client.scans(store=store, polling=FAST) as later:
        assert {each.id for each in later.running()} == {running.id, waiting.id}
        for old in (running, waiting):
            found = await later.find(old.id)
            assert found is not None
            assert (await found.wait()).status is OutcomeStatus.DONE
        gone = await later.find(cancelled.id)
        assert gone is not None
        assert gone.outcome is not None
        assert isinstance(gone.outcome.error, ScanCancelled)
    bd_sandbox.assert_no_duplicates()
    assert bd_sandbox.count("reports.create") == 2


async def _all(events: AsyncIterator[Any]) -> list[Any]:
    return [event async for event in events]


async def test_a_named_tenant_goes_on_when_it_is_known(
    bd_client: BestDefense, bd_sandbox: Sandbox, store: Path
) -> None:
    """At once with `tenant_of`; else when it asks, before anything new of it is started."""
    token = bd_sandbox.add_token(organization="b")
    view = bd_client.with_token(token, name="b")
    site = bd_sandbox.sites_of("b")[0].hostname
    async with bd_client.scans(store=store, polling=FAST, max_active=1) as scans:
        fault = bd_sandbox.fault("reports.create", status=402)
        handle = await scans.start(site, tenant=view)

    async with bd_client.scans(store=store) as scans:
        assert scans.running() == []
        found = await scans.find(handle.id)
        assert found is not None
        assert (found.state, found.outcome) == ("waiting", None)
        with pytest.raises(LifecycleError):
            await found.cancel()
        assert (await scans.start(site, tenant=view)).id == handle.id

    fault.remove()
    async with bd_client.scans(store=store, polling=FAST, tenant_of=lambda _: view) as scans:
        (found,) = scans.running()
        assert (found.id, found.tenant) == (handle.id, "b")
        assert (await found.wait()).status is OutcomeStatus.DONE
    bd_sandbox.assert_no_duplicates()


async def test_a_scan_that_another_service_follows_is_joined(
    bd_client: BestDefense, bd_sandbox: Sandbox, store: Path
) -> None:
    """As in the moments of a restart in which two processes are there: nothing is doubled."""
    bd_sandbox.script(bd_sandbox.hostnames[0], duration=SPEED * 0.5)
    async with BestDefense(bd_sandbox.token, bd_sandbox.url) as other:
        old = other.scans(store=store, polling=FAST)
        await old.open()
        handle = await old.start(bd_sandbox.hostnames[0])
        await until(lambda: handle.state == "running")
        async with bd_client.scans(store=store, polling=FAST) as new:
            joined = await new.start(bd_sandbox.hostnames[0])
            assert (joined.id, joined.is_joined) == (handle.id, True)
            assert joined.state == "running"
            await old.aclose()
            await until(lambda: new.running() != [])
            (found,) = new.running()
            assert found.id == handle.id
            outcome = await found.wait()
            assert await joined.wait() == outcome
    bd_sandbox.assert_no_duplicates()


async def test_a_scan_that_another_service_has_begun_since_is_joined(
    bd_client: BestDefense, bd_sandbox: Sandbox, store: Path
) -> None:
    """Two workers of one server, both there from the beginning: each start looks first."""
    bd_sandbox.script(bd_sandbox.hostnames[0], duration=NEVER)
    async with (
        BestDefense(bd_sandbox.token, bd_sandbox.url) as other,
        bd_client.scans(store=store) as one,
        other.scans(store=store) as two,
    ):
        handle = await one.start(bd_sandbox.hostnames[0])

        joined = await two.start(bd_sandbox.hostnames[0])

        assert (joined.id, joined.is_joined) == (handle.id, True)


async def test_one_of_two_services_that_start_a_site_at_a_time_starts_it(
    bd_client: BestDefense, bd_sandbox: Sandbox, any_store: Path | str
) -> None:
    """Two replicas behind one balancer, and a button that was pressed twice."""
    for name in bd_sandbox.hostnames:
        bd_sandbox.script(name, duration=NEVER)
    async with (
        BestDefense(bd_sandbox.token, bd_sandbox.url) as other,
        bd_client.scans(store=any_store, polling=FAST) as one,
        other.scans(store=any_store, polling=FAST) as two,
    ):
        for options in (ScanOptions(), QUICK, ScanOptions(types=("dns",))):
            for name in bd_sandbox.hostnames:
                first, second = await asyncio.gather(
                    one.start(name, options=options), two.start(name, options=options)
                )
                assert first.id == second.id
                assert {first.is_joined, second.is_joined} == {True, False}
        await until(lambda: bd_sandbox.count("reports.create") == 3 * len(bd_sandbox.hostnames))


async def test_ended_scans_are_read_from_the_store_once_memory_lets_them_go(
    bd_client: BestDefense, bd_sandbox: Sandbox, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same outcome, findings included."""
    monkeypatch.setattr("bestdefense_async.services.known.MOST_KEPT", 1)
    async with bd_client.scans(store=store, polling=FAST) as scans:
        handles = [await scans.start(name) for name in bd_sandbox.hostnames]
        outcomes = [await handle.wait() for handle in handles]

        found = [await scans.find(handle.id) for handle in handles]

        assert [each and each.outcome for each in found] == outcomes
        assert len(scans._known) == 1  # noqa: SLF001 - what memory holds


async def test_what_cannot_be_recorded_is_not_promised(
    bd_client: BestDefense, bd_sandbox: Sandbox, tmp_path: Path
) -> None:
    """A store that is none is told when the service begins."""
    path = tmp_path / "runs.db"
    path.write_text("no store")

    with pytest.raises(JournalError):
        await bd_client.scans(store=path).open()


async def test_a_request_that_is_cancelled_leaves_its_scan_promised(
    scans: Scans, bd_sandbox: Sandbox
) -> None:
    """Whoever asks again joins it."""
    await bd_client_knows_sites(scans, bd_sandbox)
    asking = asyncio.create_task(scans.start(bd_sandbox.hostnames[0]))
    await asyncio.sleep(0.001)
    asking.cancel()
    await asyncio.wait([asking])

    handle = await scans.start(bd_sandbox.hostnames[0])
    await handle.wait()

    bd_sandbox.assert_no_duplicates()


async def bd_client_knows_sites(scans: Scans, bd_sandbox: Sandbox) -> None:
    """Let the list of sites be there."""
    await (await scans.start(bd_sandbox.hostnames[3])).wait()


async def test_who_asked_stands_in_the_log(
    scans: Scans, bd_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """As a field of a record, beside the scan and its organization."""
    with caplog.at_level(logging.INFO, "bestdefense_async.services"):
        handle = await scans.start(bd_sandbox.hostnames[0], asked_by="user 4711")

    (fields,) = [each.bestdefense for each in caplog.records if hasattr(each, "bestdefense")]
    assert fields == {
        "event": "scan.accepted",
        "scan": handle.id,
        "tenant": None,
        "target": bd_sandbox.hostnames[0],
        "asked_by": "user 4711",
    }


async def test_what_start_has_returned_is_in_the_store(
    scans: Scans, bd_sandbox: Sandbox, store: Path
) -> None:
    """Before anything is sent for it: a process that dies in the next instant loses nothing."""
    await bd_client_knows_sites(scans, bd_sandbox)
    bd_sandbox.fault("reports.create", status=402)

    handle = await scans.start(bd_sandbox.hostnames[0])

    run, _, index = handle.id.rpartition("-")
    with sqlite3.connect(store) as connection:
        found = connection.execute(
            "SELECT target FROM scan JOIN run ON run.id = scan.run"
            " WHERE name = ? AND input_index = ?",
            (run, index),
        ).fetchall()
    connection.close()
    assert found == [(bd_sandbox.hostnames[0],)]
