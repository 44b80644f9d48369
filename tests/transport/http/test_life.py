"""Cancelling, closing, and use in the wrong place."""

import asyncio
import os
import random
import traceback

import aiohttp
import pytest

from bestdefense_async.errors import AttemptTimeout, BestDefenseError, ClientClosed, Sent, WrongLoop
from bestdefense_async.transport.http.session import WireSettings
from bestdefense_async.transport.http.stream import LEAST
from tests.support.byte_server import FIN, STALL, ByteServer, Pause, Step, reply
from tests.support.wires import TOKEN, OpenWire, refusal, send, stream, wire_to


async def test_the_callers_own_timeout_is_his_own() -> None:
    """A timeout around the call ends as TimeoutError, and a cancellation as a cancellation."""
    async with ByteServer([[STALL]]) as server, wire_to(server.url) as wire:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await send(wire)
        task = asyncio.create_task(send(wire))
        await asyncio.sleep(0.05)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task

    assert not isinstance(caught.value, BestDefenseError)


async def test_a_cancellation_in_the_tick_of_the_deadline_is_not_swallowed() -> None:
    """When the deadline and the caller's cancellation meet, the task still ends cancelled."""
    async with ByteServer([[STALL]]) as server, wire_to(server.url) as wire:
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(send(wire, timeout=0.05)) for _ in range(20)]
        await asyncio.sleep(0)
        for task in tasks:
            loop.call_at(loop.time() + 0.05, task.cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(each) for each in outcomes} <= {asyncio.CancelledError, AttemptTimeout}
    for task, outcome in zip(tasks, outcomes, strict=True):
        assert task.cancelled() is isinstance(outcome, asyncio.CancelledError)
        assert not (task.cancelling() and isinstance(outcome, AttemptTimeout))


async def test_calls_cancelled_anywhere_leave_the_wire_as_new() -> None:
    """300 calls cancelled at random points leave no task, no connection in use, no wrong answer."""
    chance = random.Random(5)
    answer: list[Step] = [b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"wh', Pause(0.002), b'ole"']
    async with ByteServer([answer]) as server, wire_to(server.url) as wire:
        tasks = [asyncio.create_task(send(wire, timeout=5.0)) for _ in range(300)]
        for task in chance.sample(tasks, 250):
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        last = await send(wire)

    answers = [each for each in outcomes if not isinstance(each, BaseException)]
    errors = [each for each in outcomes if isinstance(each, BaseException)]
    assert {each.body for each in [*answers, last]} == {b'"whole"'}
    assert {type(each) for each in errors} == {asyncio.CancelledError}
    assert len(answers) >= 50


@pytest.mark.parametrize(
    ("steps", "sent"),
    [
        pytest.param([STALL], Sent.MAYBE, id="before the headers"),
        pytest.param([reply(b"half", length=50), STALL], Sent.YES, id="within the body"),
        pytest.param([reply(b"half", length=50, status=503), STALL], Sent.YES, id="of a refusal"),
    ],
)
async def test_closing_ends_what_is_under_way(steps: list[Step], sent: Sent) -> None:
    """Every call under way ends with ClientClosed, promptly; closing twice does nothing more."""
    async with ByteServer([steps]) as server, wire_to(server.url) as wire:
        tasks = [asyncio.create_task(refusal(wire, timeout=60.0)) for _ in range(10)]
        await server.heard(len(tasks))
        await asyncio.sleep(0.02)
        async with asyncio.timeout(1.0):
            await asyncio.gather(wire.aclose(), wire.aclose())
        errors = await asyncio.gather(*tasks)
        late = await refusal(wire)

    assert {type(each) for each in errors} == {ClientClosed}
    assert {each.sent for each in errors} == {sent}
    assert (type(late), late.sent) == (ClientClosed, Sent.NO)


async def test_closing_ends_a_stream() -> None:
    """A stream that waits for its next chunk ends."""
    half = bytes(LEAST)
    script: list[list[Step]] = [[reply(half, length=2 * LEAST), STALL]]
    came: list[bytes] = []
    has_come = asyncio.Event()

    async def read(wire: OpenWire) -> None:
        async with stream(wire, timeout=60.0) as file:
            async for chunk in file.chunks():
                came.append(chunk)
                has_come.set()

    async with ByteServer(script) as server, wire_to(server.url) as wire:
        reading = asyncio.ensure_future(read(wire))
        await has_come.wait()
        await wire.aclose()
        with pytest.raises(ClientClosed):
            await reading

    assert came == [half]


async def test_a_wire_that_was_never_used_closes() -> None:
    """Nothing was opened, so there is nothing to close, on any loop."""
    wire = OpenWire(WireSettings(base_url="http://127.0.0.1:9"))
    await wire.aclose()

    assert type(await refusal(wire)) is ClientClosed


def test_a_second_event_loop_is_told_so() -> None:
    """Used again under another asyncio.run, the wire names the cause instead of hanging."""

    async def first() -> OpenWire:
        async with ByteServer() as server, aiohttp.ClientSession() as session:
            wire = OpenWire(WireSettings(base_url=server.url), session=session)
            await send(wire)
            opened = wire.wire._session  # noqa: SLF001  # it must not outlive this loop
            assert opened is not None
            await opened.close()
            return wire

    async def second(wire: OpenWire) -> None:
        error = await refusal(wire)
        assert type(error) is WrongLoop
        assert error.sent is Sent.NO
        with pytest.raises(WrongLoop):
            await wire.aclose()

    asyncio.run(second(asyncio.run(first())))


async def test_a_forked_process_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connections belong to the parent: the child may not speak on them."""
    async with ByteServer() as server, wire_to(server.url) as wire:
        await send(wire)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            error = await refusal(wire)

    assert type(error) is WrongLoop
    assert "fork" in str(error)


async def test_a_borrowed_session_is_neither_changed_nor_closed() -> None:
    """Its connections are used; its headers, cookies and life are its own."""
    async with (
        ByteServer() as server,
        aiohttp.ClientSession(headers={"X-Theirs": "1"}, cookies={"theirs": "1"}) as session,
    ):
        async with wire_to(server.url, session=session) as wire:
            await send(wire)
        assert not session.closed
        async with session.get(server.url) as answer:
            assert answer.status == 200
            assert "Authorization" not in answer.request_info.headers

    assert "x-theirs" not in server.requests[0].headers
    assert "cookie" not in server.requests[0].headers
    assert [each.connection for each in server.requests] == [0, 0]


async def test_a_borrowed_session_that_its_owner_closed_is_named() -> None:
    """Closing it before or under our calls ends them with ClientClosed."""
    async with (
        ByteServer([[reply()], [STALL]]) as server,
        aiohttp.ClientSession() as session,
        wire_to(server.url, session=session) as wire,
    ):
        await send(wire)
        await session.close()
        error = await refusal(wire)
        async with wire_to(server.url, session=session) as another:
            unopened = await refusal(another)

    assert type(error) is ClientClosed
    assert type(unopened) is ClientClosed


@pytest.mark.parametrize(
    "steps", [[FIN], [STALL], [b"nonsense\r\n\r\n"], [reply(b"x", length=9), FIN]]
)
async def test_no_traceback_shows_the_token(steps: list[Step]) -> None:
    """Not even one that prints the local variables of every frame of ours."""
    async with ByteServer([steps]) as server, wire_to(server.url) as wire:
        shown = ""
        try:
            await send(wire, timeout=0.05)
        except BestDefenseError as error:
            here = error.__traceback__
            assert here is not None  # and is this test, which holds the token
            told = traceback.TracebackException(
                type(error), error, here.tb_next, capture_locals=True
            )
            shown = "".join(told.format())

    assert "exchange.py" in shown
    assert TOKEN not in shown
