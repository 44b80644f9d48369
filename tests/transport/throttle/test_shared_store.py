"""What processes know of each other's calls: at the same time, and one after the other."""

import asyncio
import json
import os
import random
import stat
from pathlib import Path

import pytest

from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import LimitWaitTooLong
from bestdefense_async.files import try_lock
from bestdefense_async.transport.throttle.shared_store import SavedState
from bestdefense_async.transport.throttle.throttle import Throttle
from tests.support.rate_clients import LIMIT_CLASS, Network, saturate
from tests.support.rate_servers import POLICIES
from tests.support.virtual_time import run_virtual

HOUR = Limit(20, per=3600.0)
WALL = 1_900_000_000.0


def new_process(directory: Path, *, lag: float = 0.0, limit: Limit = HOUR) -> Throttle:
    """Return the limits of a token as a process that starts now finds them.

    `lag` is by how many seconds its wall clock differs.
    """
    loop = asyncio.get_running_loop()
    return Throttle(
        {LIMIT_CLASS: (limit,)},
        saved=SavedState.file(directory, Secret("bd_live_token").token_key),
        wall_clock=lambda: WALL + loop.time() + lag,
        uniform=lambda _, high: high,
    )


async def make(throttle: Throttle, calls: int) -> list[float]:
    """Make calls at once; return how long each waited."""

    async def one() -> float:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with throttle.admit(LIMIT_CLASS) as permit:
            waited = loop.time() - asked
            permit.answered({})
        return waited

    waited = await asyncio.gather(*(one() for _ in range(calls)))
    await asyncio.sleep(0)
    return waited


@pytest.mark.parametrize("policy", POLICIES)
def test_a_restart_with_saved_state_is_never_refused(policy: str, tmp_path: Path) -> None:
    """Six processes one after the other under full load, and none starts slowly or is refused."""
    chance = random.Random(11)
    server = POLICIES[policy](HOUR.calls, HOUR.per, 1000.0 + chance.uniform(0, HOUR.per))
    net = Network(server, chance)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(6):
            until = loop.time() + chance.uniform(600.0, 9000.0)
            await saturate(new_process(tmp_path), net, workers=20, until=until)
        assert len(net.served) >= 0.92 * HOUR.calls * (loop.time() - 1000.0) / HOUR.per

    run_virtual(main(), start=1000.0)
    assert net.refused == []


def test_calls_of_an_earlier_process_count(tmp_path: Path) -> None:
    """15 of 20 are spent; five leave at once, all together, and the next waits for the oldest."""

    async def main() -> None:
        await make(new_process(tmp_path), 15)
        await asyncio.sleep(600.0)
        waited = await make(new_process(tmp_path), 6)
        assert waited[:5] == [0.0] * 5
        assert 3000.0 < waited[5] < 3002.0

    run_virtual(main(), start=1000.0)


def test_a_process_killed_with_calls_in_flight_leaves_them_counted(tmp_path: Path) -> None:
    """The state is written when a call leaves, not when it is answered."""

    async def main() -> None:
        throttle = new_process(tmp_path)
        permits = [throttle.admit(LIMIT_CLASS) for _ in range(3)]
        for permit in permits:
            await permit.__aenter__()
        await asyncio.sleep(1.0)
        await make(new_process(tmp_path), 17)
        assert (await make(new_process(tmp_path), 1))[0] > 3000.0

    run_virtual(main(), start=1000.0)


def test_a_pause_outlives_the_process(tmp_path: Path) -> None:
    """The server said half an hour, and it said so to everybody with that token."""

    async def main() -> None:
        async with new_process(tmp_path).admit(LIMIT_CLASS) as permit:
            permit.refused({"retry-after": "1799"})
        await asyncio.sleep(300.0)
        assert await make(new_process(tmp_path), 1) == pytest.approx([1500.0], abs=0.01)

    run_virtual(main(), start=1000.0)


def test_a_wall_clock_set_back_makes_calls_younger_never_older(tmp_path: Path) -> None:
    """An hour lost on the clock: what was spent counts as spent now."""

    async def main() -> None:
        await make(new_process(tmp_path), 20)
        await asyncio.sleep(3000.0)
        waited = await make(new_process(tmp_path, lag=-7200.0), 1)
        assert 3600.0 < waited[0] < 3602.0

    run_virtual(main(), start=1000.0)


def test_a_wall_clock_that_was_a_year_ahead_costs_one_wait(tmp_path: Path) -> None:
    """What was written with it ages from the first look on, and not from then in every process."""

    async def main() -> None:
        await make(new_process(tmp_path, lag=31_536_000.0), 20)
        waited = await make(new_process(tmp_path), 1)
        assert 3600.0 < waited[0] < 3602.0
        await asyncio.sleep(7200.0)
        assert await make(new_process(tmp_path), 1) == [0.0]

    run_virtual(main(), start=1000.0)


@pytest.mark.parametrize("step", [-0.5, -7200.0])
def test_a_wall_clock_set_back_while_we_run_counts_no_call_twice(
    step: float, tmp_path: Path
) -> None:
    """Our own calls are known by the loop's clock, whatever the file says of them."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        jump = 0.0
        throttle = Throttle(
            {LIMIT_CLASS: (HOUR,)},
            known_since=-1e9,
            saved=SavedState.file(tmp_path, Secret("bd_live_token").token_key),
            wall_clock=lambda: WALL + loop.time() + jump,
        )
        await make(throttle, 12)
        jump = step
        assert await make(throttle, 8) == [0.0] * 8

    run_virtual(main(), start=1000.0)


def test_the_file_is_for_its_owner_alone_and_names_no_token(tmp_path: Path) -> None:
    """Mode 0600 in a directory of mode 0700, nothing half written, named by a hash of the token."""

    async def main() -> None:
        await make(new_process(tmp_path / "state" / "limits"), 2)

    run_virtual(main(), start=1000.0)
    (file,) = (tmp_path / "state" / "limits").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.name == f"{Secret('bd_live_token').token_key}.json"
    assert "bd_live" not in file.name + file.read_text()


def test_a_burst_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that happens in one turn of the loop costs one write."""
    writes = 0
    replace = Path.replace

    def counted(path: Path, target: Path) -> Path:
        nonlocal writes
        writes += 1
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", counted)

    async def main() -> None:
        await make(new_process(tmp_path), 3)
        throttle = new_process(tmp_path)
        before = writes
        await make(throttle, 10)
        assert writes - before <= 2

    run_virtual(main(), start=1000.0)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe", id="bytes that are no text"),
        pytest.param(b"{", id="half a document"),
        pytest.param(b"[" * 100_000, id="a deep nest"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"version": 2, "classes": {}}', id="another version"),
        pytest.param(b'{"version": 1}', id="no classes"),
        pytest.param(b'{"version": 1, "classes": []}', id="classes that are a list"),
        pytest.param(b'{"version": 1, "classes": {"agents.manifest": 1}}', id="a number"),
        pytest.param(
            b'{"version": 1, "classes": {"agents.manifest": {"stamps": "x", "paused_until": 1.0}}}',
            id="stamps that are text",
        ),
        pytest.param(
            b'{"version": 1, "classes": {"agents.manifest": '
            b'{"stamps": [NaN, 1.0], "paused_until": 1.0}}}',
            id="a stamp that is no number",
        ),
        pytest.param(
            b'{"version": 1, "classes": {"agents.manifest": '
            b'{"stamps": [], "paused_until": Infinity}}}',
            id="a pause for ever",
        ),
    ],
)
def test_a_damaged_file_counts_as_unknown_history(content: bytes, tmp_path: Path) -> None:
    """It is a help, never a condition: the class starts slowly and the file is replaced."""

    async def main() -> None:
        await make(new_process(tmp_path), 1)
        (file,) = tmp_path.iterdir()
        file.write_bytes(content)
        throttle = new_process(tmp_path)
        permits = [throttle.admit(LIMIT_CLASS) for _ in range(3)]
        for permit in permits:
            await permit.__aenter__()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100.0), throttle.admit(LIMIT_CLASS):
                pass
        assert json.loads(file.read_bytes())["version"] == 1

    run_virtual(main(), start=1000.0)


def test_a_pause_far_in_the_future_is_believed_for_a_day(tmp_path: Path) -> None:
    """A file with nonsense that looks like sense cannot stop a client for years."""

    async def main() -> None:
        await make(new_process(tmp_path), 1)
        (file,) = tmp_path.iterdir()
        state = json.loads(file.read_bytes())
        state["classes"][LIMIT_CLASS]["paused_until"] = 1e15
        file.write_text(json.dumps(state))
        assert await make(new_process(tmp_path), 1) == [86_400.0]

    run_virtual(main(), start=1000.0)


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write anywhere")
def test_a_directory_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    """Calls go on; nothing survives the process."""
    tmp_path.chmod(0o500)

    async def main() -> None:
        assert await make(new_process(tmp_path), 3) == [0.0] * 3

    run_virtual(main(), start=1000.0)


def test_a_path_that_is_no_directory_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, without path or token, and the calls go on."""
    (tmp_path / "file").write_text("in the way")

    async def main() -> None:
        throttle = new_process(tmp_path / "file" / "limits")
        for _ in range(3):
            await make(throttle, 1)

    run_virtual(main(), start=1000.0)
    (record,) = caplog.records
    assert "not kept" in record.message
    assert str(tmp_path) not in record.message


MINUTE = Limit(60, per=60.0)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("limit", "says_remaining"),
    [
        pytest.param(HOUR, False, id="20 an hour"),
        pytest.param(HOUR, True, id="20 an hour, with headers"),
        pytest.param(MINUTE, False, id="60 a minute"),
        pytest.param(Limit(60, per=6.0), False, id="60 in six seconds"),
    ],
)
def test_processes_that_share_the_file_are_never_refused(
    policy: str, limit: Limit, tmp_path: Path, *, says_remaining: bool
) -> None:
    """Three at the same time, all of them asking for all they can get: together they keep to it."""
    chance = random.Random(7)
    server = POLICIES[policy](limit.calls, limit.per, 1000.0 + chance.uniform(0, limit.per))
    net = Network(server, chance, says_remaining=says_remaining)
    until = 1000.0 + 3 * limit.per

    async def main() -> None:
        processes = [new_process(tmp_path, limit=limit) for _ in range(3)]
        await asyncio.gather(*(saturate(one, net, workers=3, until=until) for one in processes))

    run_virtual(main(), start=1000.0)
    assert net.refused == []
    assert len(net.served) >= 0.9 * 3 * limit.calls


def test_what_two_processes_spend_is_one_sum(tmp_path: Path) -> None:
    """Twelve here and eight there are twenty, and neither gets the twenty-first."""

    async def main() -> None:
        here, there = new_process(tmp_path), new_process(tmp_path)
        await make(here, 3)
        assert await make(there, 8) == [0.0] * 8
        assert await make(here, 9) == [0.0] * 9
        for throttle in (here, there):
            with pytest.raises(LimitWaitTooLong) as caught:
                await throttle.admit(LIMIT_CLASS, deadline=1100.0).__aenter__()
            assert caught.value.wait > 3500.0

    run_virtual(main(), start=1000.0)


def test_a_wait_that_another_process_made_hopeless_ends_at_once(tmp_path: Path) -> None:
    """There was room when it began to wait; the other took it, and the deadline is too early."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await make(new_process(tmp_path), 10)
        here, there = new_process(tmp_path), new_process(tmp_path)
        taken = await there.admit(LIMIT_CLASS).__aenter__()  # it decides in this turn of the loop
        waiting = asyncio.ensure_future(here.admit(LIMIT_CLASS, deadline=1900.0).__aenter__())
        taken.answered({})
        permits = [there.admit(LIMIT_CLASS) for _ in range(9)]
        for permit in permits:
            await permit.__aenter__()
        for permit in permits:
            permit.answered({})
        with pytest.raises(LimitWaitTooLong):
            await waiting
        assert loop.time() < 1010.0

    run_virtual(main(), start=1000.0)


def test_a_call_in_flight_elsewhere_counts(tmp_path: Path) -> None:
    """Its answer is not there yet, and the server may have counted it."""

    async def main() -> None:
        await make(new_process(tmp_path), 3)
        here, there = new_process(tmp_path), new_process(tmp_path)
        permits = [here.admit(LIMIT_CLASS) for _ in range(17)]
        for permit in permits:
            await permit.__aenter__()
        await asyncio.sleep(0)
        waiting = asyncio.create_task(make(there, 1))
        await asyncio.sleep(50.0)
        assert not waiting.done()
        permits.pop().unsent()
        assert await waiting == [pytest.approx(51.0, abs=0.1)]

    run_virtual(main(), start=1000.0)


def test_a_call_of_a_dead_process_counts_once_its_lease_is_over(tmp_path: Path) -> None:
    """Nobody will ever say what became of it, so it is taken for made."""

    async def main() -> None:
        await make(new_process(tmp_path), 1)
        dead = new_process(tmp_path)
        await dead.admit(LIMIT_CLASS).__aenter__()
        await asyncio.sleep(100.0)
        await make(new_process(tmp_path), 1)
        (file,) = tmp_path.iterdir()
        entry = json.loads(file.read_bytes())["classes"][LIMIT_CLASS]
        assert len(entry["stamps"]) == 3
        assert entry["flying"] == []

    run_virtual(main(), start=1000.0)


def test_a_pause_is_everybodys(tmp_path: Path) -> None:
    """What the server told one process holds for the token."""

    async def main() -> None:
        here, there = new_process(tmp_path), new_process(tmp_path)
        await make(there, 1)
        async with here.admit(LIMIT_CLASS) as permit:
            permit.refused({"retry-after": "999"})
        await asyncio.sleep(0)
        assert await make(there, 1) == [pytest.approx(1000.0, abs=0.1)]

    run_virtual(main(), start=1000.0)


def test_a_process_waits_while_another_decides_and_not_for_ever(tmp_path: Path) -> None:
    """The lock is held for a turn of the loop; a process that was stopped inside it is passed."""

    async def main() -> None:
        throttle = new_process(tmp_path)
        await make(throttle, 1)
        holder = os.open(tmp_path, os.O_RDONLY)
        try:
            assert try_lock(holder)
            waiting = asyncio.create_task(make(throttle, 1))
            await asyncio.sleep(1.0)
            assert not waiting.done()
            os.close(holder)
            holder = -1
            assert await waiting == [pytest.approx(1.0, abs=0.1)]
            holder = os.open(tmp_path, os.O_RDONLY)
            assert try_lock(holder)
            assert await make(throttle, 1) == [pytest.approx(5.0, abs=0.1)]
        finally:
            if holder >= 0:
                os.close(holder)

    run_virtual(main(), start=1000.0)


def test_who_finds_the_lock_taken_now_and_then_never_goes_on_without_it(tmp_path: Path) -> None:
    """Others had it in between, and wrote: nobody was stopped inside it."""

    async def main() -> None:
        here, there = new_process(tmp_path), new_process(tmp_path)
        await make(here, 1)
        for _ in range(4):
            holder = os.open(tmp_path, os.O_RDONLY)
            assert try_lock(holder)
            waiting = asyncio.create_task(make(here, 1))
            await asyncio.sleep(2.0)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])
            os.close(holder)
            await make(there, 1)

    run_virtual(main(), start=1000.0)


def test_a_wall_clock_that_jumps_changes_nothing_that_is_known(tmp_path: Path) -> None:
    """Neither our own calls nor those of others become older by it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        jump = 0.0
        throttle = Throttle(
            {LIMIT_CLASS: (HOUR,)},
            saved=SavedState.file(tmp_path, Secret("bd_live_token").token_key),
            wall_clock=lambda: WALL + loop.time() + jump,
        )
        await make(new_process(tmp_path), 10)
        await make(throttle, 9)
        jump = 7200.0
        await make(new_process(tmp_path), 1)
        assert (await make(throttle, 1))[0] > 3500.0

    run_virtual(main(), start=1000.0)
