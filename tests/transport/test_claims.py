"""The claim of a creation is held from the instant before it leaves, and while its fate is open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bestdefense_async import BestDefense, ConfigError, Limit, OutcomeUnknown, RetryPolicy
from bestdefense_async.core.request import Request, build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import AuthError, ClientClosed, ConnectError, JournalError, Sent
from bestdefense_async.sandbox import Sandbox
from tests.support.waiting import until

QUICK = RetryPolicy(base=0.01, longest_backoff=0.05)
BODY = {"options": {"security": {"enabled": True}}}


class Claimed:
    """A claim that keeps what happens to it."""

    def __init__(self, sandbox: Sandbox, *, takes: float = 0.0) -> None:
        self.events: list[str] = []
        self.refusal: Exception | None = None
        self._sandbox = sandbox
        self._takes = takes

    async def take(self) -> None:
        """Record it, and how many creations the server has seen by then."""
        self.events.append(f"take after {self._sandbox.count('reports.create')}")
        await asyncio.sleep(self._takes)
        if self.refusal is not None:
            raise self.refusal

    async def give_back(self) -> None:
        """Record it."""
        await asyncio.sleep(0)
        self.events.append("give back")


@asynccontextmanager
async def pair(**settings: Any) -> AsyncIterator[tuple[Sandbox, BestDefense]]:
    """Open a sandbox and a client of it that does not wait long between attempts."""
    async with Sandbox(sites=3) as sandbox:
        arguments: dict[str, Any] = {"retry": QUICK} | settings
        async with BestDefense(sandbox.token, sandbox.url, **arguments) as bd:
            yield sandbox, bd


def creation(sandbox: Sandbox, claim: Claimed) -> Request[Any]:
    """Return a creation that needs a claim."""
    route = ROUTES["reports.create"]
    return build_request(route, {"site_id": sandbox.site_ids[0]}, BODY, claim=claim)


async def send(bd: BestDefense, request: Request[Any], **arguments: Any) -> Any:
    """Send a request of ours as a resource does."""
    return await bd._sender.send(request, **arguments)  # noqa: SLF001  # no resource takes claims


async def test_a_claim_is_taken_once_and_kept() -> None:
    """A creation that was answered has done its work."""
    async with pair() as (sandbox, bd):
        claim = Claimed(sandbox)
        await send(bd, creation(sandbox, claim))
        assert claim.events == ["take after 0"]


async def test_a_claim_is_given_back_before_the_wait_after_a_429() -> None:
    """The server did no work, and whoever stops us in the pause must not find it claimed."""
    async with pair() as (sandbox, bd):
        sandbox.fault("reports.create", status=429, times=1, headers={"Retry-After": "30"})
        claim = Claimed(sandbox)
        sending = asyncio.create_task(send(bd, creation(sandbox, claim)))
        async with asyncio.timeout(5):
            while len(claim.events) < 2:  # noqa: ASYNC110  # the claim has no event
                await asyncio.sleep(0.005)
        assert claim.events == ["take after 0", "give back"]
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert claim.events == ["take after 0", "give back"]


async def test_nothing_is_claimed_while_it_waits_for_a_limit() -> None:
    """Thirty creations at a limit of three: three claims, however long the others wait."""
    async with pair(limits={"reports.create": Limit(3, per=60.0)}) as (sandbox, bd):
        claims = [Claimed(sandbox) for _ in range(30)]
        tasks = [asyncio.create_task(send(bd, creation(sandbox, claim))) for claim in claims]
        await until(lambda: sum(task.done() for task in tasks) == 3)
        await asyncio.sleep(0.1)  # any more would be claimed now
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert sum(bool(claim.events) for claim in claims) == sandbox.count("reports.create") == 3


async def test_nothing_is_claimed_while_it_waits_for_a_slot() -> None:
    """One slot, which hangs: the second creation is not claimed."""
    async with pair(max_in_flight=1) as (sandbox, bd):
        sandbox.fault("sites.list", kind="hang")
        busy = asyncio.create_task(bd.sites.list())
        await asyncio.sleep(0.05)
        claim = Claimed(sandbox)
        waiting = asyncio.create_task(send(bd, creation(sandbox, claim)))
        await asyncio.sleep(0.05)
        for task in (busy, waiting):
            task.cancel()
        await asyncio.gather(busy, waiting, return_exceptions=True)
        assert claim.events == []


async def test_a_pause_that_comes_while_the_claim_is_taken_gives_it_back() -> None:
    """What may not leave any more was not started."""
    async with pair() as (sandbox, bd):
        slow, quick = Claimed(sandbox, takes=0.2), Claimed(sandbox)
        late = asyncio.create_task(send(bd, creation(sandbox, slow)))
        await asyncio.sleep(0.05)
        sandbox.fault("reports.create", status=429, times=1, headers={"Retry-After": "1"})
        await asyncio.gather(late, send(bd, creation(sandbox, quick)))

        assert slow.events[:2] == ["take after 0", "give back"]
        assert slow.events[2:] in (["take after 1"], ["take after 2"])
        assert sandbox.count("reports.create") == 3


async def test_what_the_claim_raises_ends_the_call_and_nothing_was_sent() -> None:
    """Permit and slot are free again, and a claim that was refused is not given back."""
    async with pair(max_in_flight=1) as (sandbox, bd):
        claim = Claimed(sandbox)
        claim.refusal = JournalError("Another owner has it.")
        with pytest.raises(JournalError) as caught:
            await send(bd, creation(sandbox, claim))
        assert caught.value.sent is Sent.NO
        assert claim.events == ["take after 0"]
        assert not sandbox.count("reports.create")
        assert len(await bd.sites.list()) == 3


async def test_a_claim_is_given_back_when_nothing_was_sent() -> None:
    """A refused connection is certain: the scan has not begun."""
    async with Sandbox(sites=1) as sandbox:
        url, token = sandbox.url, sandbox.token
    async with BestDefense(token, url, retry=QUICK) as bd:
        claim = Claimed(sandbox)
        with pytest.raises(ConnectError):
            await send(bd, creation(sandbox, claim))
    assert claim.events == ["take after 0", "give back"] * 4


@pytest.mark.parametrize("end", ["cancelled", "closed", "late"])
async def test_a_claim_that_is_being_taken_when_the_call_ends_is_given_back(end: str) -> None:
    """Nobody knows whether it was carried out; nothing was sent."""
    async with pair() as (sandbox, bd):
        claim = Claimed(sandbox, takes=10.0)
        timeout = 0.1 if end == "late" else None
        sending = asyncio.create_task(send(bd, creation(sandbox, claim), timeout=timeout))
        await asyncio.sleep(0.05)
        if end == "cancelled":
            sending.cancel()
        elif end == "closed":
            await bd.aclose()
        error: Any = (await asyncio.gather(sending, return_exceptions=True))[0]

        assert claim.events == ["take after 0", "give back"]
        assert isinstance(error, asyncio.CancelledError) or error.sent is Sent.NO
        assert not sandbox.count("reports.create")


async def test_a_claim_is_kept_when_the_fate_is_unknown() -> None:
    """The scan may have begun: nobody may start it again."""
    async with pair(timeout=0.3) as (sandbox, bd):
        sandbox.fault("reports.create", kind="hang", after_effect=True)
        lost, closed = Claimed(sandbox), Claimed(sandbox)
        with pytest.raises(OutcomeUnknown):
            await send(bd, creation(sandbox, lost))
        sending = asyncio.create_task(send(bd, creation(sandbox, closed)))
        async with asyncio.timeout(5):
            while sandbox.count("reports.create") < 2:  # noqa: ASYNC110  # has no event
                await asyncio.sleep(0.005)
        await bd.aclose()
        error: Any = (await asyncio.gather(sending, return_exceptions=True))[0]

        assert lost.events == ["take after 0"]
        assert closed.events == ["take after 1"]
        assert isinstance(error, OutcomeUnknown | ClientClosed)


async def test_a_plain_refusal_keeps_the_claim() -> None:
    """What the refusal means for the target is for the owner of the claim to record."""
    async with pair() as (sandbox, bd):
        sandbox.fault("reports.create", status=401, times=1)
        claim = Claimed(sandbox)
        with pytest.raises(AuthError):
            await send(bd, creation(sandbox, claim))
        assert claim.events == ["take after 0"]


async def test_a_claim_is_given_back_before_a_token_is_renewed() -> None:
    """The refused creation did no work; the claim is taken anew with the other token."""
    async with Sandbox(sites=1) as sandbox:
        tokens = [sandbox.token, sandbox.add_token()]
        claim = Claimed(sandbox)

        async def fetch() -> str:
            claim.events.append("fetch")
            return tokens.pop(0)

        async with BestDefense(fetch, sandbox.url) as bd:
            sandbox.fault("reports.create", status=401, times=1)
            await send(bd, creation(sandbox, claim))
    assert claim.events == ["fetch", "take after 0", "give back", "fetch", "take after 1"]


async def test_a_token_of_the_sandbox_is_refused_before_anything_is_claimed() -> None:
    """What cannot be sent is not claimed."""
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, "https://a.invalid") as bd:
        claim = Claimed(sandbox)
        with pytest.raises(ConfigError):
            await send(bd, creation(sandbox, claim))
        assert claim.events == []
