"""An answer of megabytes is read in steps, between which everybody else goes on."""

import asyncio
import json
from collections.abc import Generator
from typing import Any

import pytest

from bestdefense_async import BestDefense, EnvelopeError
from bestdefense_async.core.request import Reply
from bestdefense_async.core.secret import Secret
from bestdefense_async.core.slices import LARGE
from bestdefense_async.transport.http import exchange
from bestdefense_async.transport.http.connection import Exchange
from bestdefense_async.transport.http.exchange import Wire
from tests.support.byte_server import ByteServer, reply
from tests.support.wires import TOKEN, plain, send, wire_to


def alerts(number: int) -> dict[str, Any]:
    """Return the answer of a security report with many findings."""
    found = [
        {"id": str(each), "title": "Open redirect", "severity": "Low", "guidance": "x" * 200}
        for each in range(number)
    ]
    return {
        "success": True,
        "message": "",
        "data": {"riskSummary": {"low": number}, "alerts": found},
        "error": None,
    }


async def test_others_have_their_turns_while_ten_thousand_findings_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task that only yields runs again and again between the last byte and the result."""
    body = json.dumps(alerts(10_000)).encode()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    began: list[int] = []
    reply_of = Wire._reply  # noqa: SLF001  # when the whole body is there, nobody else can tell

    async def watched(wire: Wire, *arguments: Any) -> Reply:
        whole = await reply_of(wire, *arguments)
        began.append(turns)
        return whole

    monkeypatch.setattr(Wire, "_reply", watched)
    async with ByteServer([[reply(body)]]) as server, BestDefense(TOKEN, server.url) as bd:
        counting = asyncio.create_task(count())
        found = await bd.vortex.alerts(7)
        counting.cancel()

    assert len(found.findings) == 10_000
    assert found.findings[-1].id == "9999"
    assert found.risk.low == 10_000
    assert turns - began[0] >= 3


@pytest.mark.parametrize("number", [10, 3_000])
async def test_a_fault_in_a_large_answer_is_told_like_one_in_a_small_one(number: int) -> None:
    """Its path is named, and its connection is not used again."""
    answer = alerts(number)
    answer["data"]["alerts"][-1]["severity"] = 5
    script = [[reply(json.dumps(answer).encode())], [reply(json.dumps(alerts(1)).encode())]]
    async with ByteServer(script) as server, BestDefense(TOKEN, server.url) as bd:
        with pytest.raises(EnvelopeError, match=rf"alerts\[{number - 1}\].severity"):
            await bd.vortex.alerts(7)
        assert len((await bd.vortex.alerts(7)).findings) == 1

    assert [each.connection for each in server.requests] == [0, 1]


class Abandoned(Exchange):
    """An exchange whose caller goes away while its large answer is read."""

    def read_in_steps(self, reply: Reply) -> Generator[None, None, Any]:
        """Cancel the task that reads."""
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        yield


async def test_an_answer_that_nobody_waits_for_any_more_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was not read to the end, so whose answer it was is not known."""
    monkeypatch.setattr(exchange, "_TURN", 0.0)
    script = [[reply(bytes(LARGE + 1))]]
    async with ByteServer(script) as server, wire_to(server.url) as wire:
        abandoned = Abandoned(plain(), Secret(TOKEN), wire.lifetime)

        async def call() -> None:
            with abandoned:
                await wire.wire.exchange(abandoned, 2.0)

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(call())
        await send(wire)

    assert [each.connection for each in server.requests] == [0, 1]
