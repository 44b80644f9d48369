"""Many organizations in one client: what each has of its own, over a real server."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async import (
    AuthError,
    BestDefense,
    ClientClosed,
    ConfigError,
    Limit,
    LimitWaitTooLong,
    RateLimited,
    RetryPolicy,
    ServerError,
    WrongLoop,
)
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import AttemptTimeout, BestDefenseError
from bestdefense_async.models import Progress
from bestdefense_async.sandbox import Sandbox
from bestdefense_async.transport import tenants
from bestdefense_async.transport.http.cancel_scope import Home
from bestdefense_async.transport.tenants import KEPT_FOR, Tenants
from tests.support.virtual_time import run_virtual
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bestdefense_async.transport.throttle.permit import Permit
    from bestdefense_async.view import View

QUICK = RetryPolicy(base=0.01, longest_backoff=0.02)
SOON = PollPolicy(shortest=0.02, remaining_shortest=0.02, longest=0.02)
ORG: contextvars.ContextVar[str] = contextvars.ContextVar("ORG", default="nobody")


def source_of(tokens: list[str], asked: list[str]) -> Callable[[], Awaitable[str]]:
    """Return a new callable, as a service makes one for each of its requests."""

    async def fetch() -> str:
        asked.append(ORG.get())
        await asyncio.sleep(0)
        return tokens[0]

    return fetch


# -- credentials


async def test_each_renewed_token_is_asked_for_in_its_own_context() -> None:
    """One callable reads a context variable; five tokens die while polls of all share workers."""
    current: dict[str, str] = {}

    async def fetch() -> str:
        await asyncio.sleep(0.001)
        return current[ORG.get()]

    async with Sandbox(sites=1, speed=0.001) as sandbox:
        names = [f"org-{number}" for number in range(5)]
        for name in names:
            current[name] = sandbox.add_token(organization=name)
        async with BestDefense(base_url=sandbox.url, retry=QUICK) as bd:

            def view_of(name: str) -> View:
                ORG.set(name)
                return bd.with_token(fetch, name=name)

            views = {name: contextvars.Context().run(view_of, name) for name in names}
            reports = {
                name: await view.reports.create(sandbox.sites_of(name)[0].id)
                for name, view in views.items()
            }
            owner = {report.id: name for name, report in reports.items()}
            waits = [
                asyncio.create_task(view.reports.wait(reports[name].id, policy=SOON))
                for name, view in views.items()
            ]
            await asyncio.sleep(0.1)
            for name, token in list(current.items()):
                current[name] = sandbox.add_token(organization=name)
                sandbox.revoke(token)
            await asyncio.sleep(0.3)
            seen: dict[str, set[str | None]] = {name: set() for name in names}
            for arrival in sandbox.ledger:
                if arrival.report_id is not None and arrival.status == 200:
                    seen[owner[arrival.report_id]].add(arrival.token)

            assert not [wait for wait in waits if wait.done()]
            assert {arrival.status for arrival in sandbox.ledger} == {200, 401}
            assert {len(tokens) for tokens in seen.values()} == {2}
            assert len(set.union(*seen.values())) == 10
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


async def test_a_request_shows_its_context_to_no_other_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Polls are sent by workers that know nothing of whoever waited first."""
    seen: list[str] = []

    class Stamp(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(f"{record.__dict__['bestdefense']['operation']} {ORG.get()}")

    log, stamp = logging.getLogger("bestdefense_async"), Stamp()
    monkeypatch.setattr(log, "level", logging.DEBUG)
    logging.Logger.manager._clear_cache()  # type: ignore[attr-defined]  # noqa: SLF001
    log.addHandler(stamp)
    try:
        async with (
            Sandbox(sites=1, speed=0.001) as sandbox,
            BestDefense(sandbox.token, sandbox.url, requests_per_second=200.0) as bd,
        ):
            report = await bd.reports.create(sandbox.site_ids[0])
            ORG.set("first")
            waits = [asyncio.create_task(bd.reports.wait(report.id, policy=SOON))]
            await asyncio.sleep(0.1)
            ORG.set("second")
            await bd.sites.list()
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
    finally:
        log.removeHandler(stamp)
        logging.Logger.manager._clear_cache()  # type: ignore[attr-defined]  # noqa: SLF001

    assert {line for line in seen if line.startswith("reports.progress")} == {
        "reports.progress nobody"
    }
    assert "sites.list second" in seen


async def test_one_name_is_one_tenant_however_many_callables_are_made_for_it() -> None:
    """A service makes a new closure per web request: one look into the vault, shared polls."""
    async with Sandbox(sites=1, speed=0.001) as sandbox:
        asked: list[str] = []
        async with BestDefense(base_url=sandbox.url) as bd:
            views = [
                bd.with_token(source_of([sandbox.token], asked), name="org-a") for _ in range(20)
            ]
            report = await views[0].reports.create(sandbox.site_ids[0])
            waits = [
                asyncio.create_task(view.reports.wait(report.id, policy=SOON)) for view in views
            ]
            await until(lambda: sandbox.count("reports.progress") >= 2)
            await asyncio.sleep(0.2)
            polls = sandbox.count("reports.progress")

            assert len(asked) == 1
            assert len({id(view.polls) for view in views}) == 1
            assert 2 <= polls <= 20
            assert repr(views[3]) == "<View org-a>"
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


async def test_a_name_stands_for_one_source() -> None:
    """A text by its words and a function by its code; once closed, the name is free again."""

    async def other() -> str:
        return "another-token-of-org-a"

    async with BestDefense("a-token-of-ours", "http://127.0.0.1:9") as bd:
        view = bd.with_token(source_of(["x"], []), name="org-a")
        bd.with_token(source_of(["y"], []), name="org-a")
        for source in (other, "another-token-of-org-a"):
            with pytest.raises(ConfigError, match="another source"):
                bd.with_token(source, name="org-a")
        await view.aclose()
        bd.with_token(other, name="org-a")


@pytest.mark.parametrize("name", ["", "a\nb", "org\x1b[2J", "is-a-secret-token", 7])
async def test_a_name_that_may_not_stand_in_a_log_is_refused(name: Any) -> None:
    """It would break the line, or show the token."""
    async with BestDefense("ours-is-another", "http://127.0.0.1:9") as bd:
        with pytest.raises(ConfigError, match="name"):
            bd.with_token("Is-A-Secret-Token", name=name)


async def test_a_label_is_never_made_from_the_token() -> None:
    """Tenants without a name are numbered."""
    async with BestDefense("a-token-of-ours", "http://127.0.0.1:9") as bd:
        views = [bd.with_token(token) for token in ("token-of-org-a", "token-of-org-b")]
        again = bd.with_token("token-of-org-a")

        assert [repr(view) for view in (*views, again)] == [
            "<View tenant-2>",
            "<View tenant-3>",
            "<View tenant-2>",
        ]
        assert [each.name for each in bd.stats().tenants] == ["tenant-1", "tenant-2", "tenant-3"]


async def test_a_callable_whose_own_work_is_cancelled_cancels_no_call() -> None:
    """The calls that wait for the token end with an error that says so."""

    async def fetch() -> str:
        raise asyncio.CancelledError

    async with BestDefense(fetch, "http://127.0.0.1:9") as bd:
        with pytest.raises(ConfigError, match="CancelledError"):
            await bd.sites.list()


# -- limits and budgets


async def test_a_renewed_token_has_limits_of_its_own() -> None:
    """The server counts by token: what the old one used up does not hold the new one back."""
    async with Sandbox(sites=1) as sandbox:
        old, new = sandbox.add_token(), sandbox.add_token()
        tokens = [old]
        limits = {"sites.list": Limit(2, per=60.0)}
        async with BestDefense(base_url=sandbox.url, limits=limits) as bd:
            view = bd.with_token(source_of(tokens, []), name="org-a")
            await view.sites.list()
            await view.sites.list()
            with pytest.raises(LimitWaitTooLong):
                await view.sites.list(timeout=1.0)
            tokens[0] = new
            sandbox.revoke(old)
            with pytest.raises(BestDefenseError):
                await view.reports.progress("00000000-0000-4000-8000-000000000000")
            await view.sites.list(timeout=1.0)
            with pytest.raises(LimitWaitTooLong):
                await bd.with_token(old).sites.list(timeout=1.0)


async def test_an_outage_of_one_tenant_spends_the_budget_of_no_other() -> None:
    """One site answers only 503; a single 503 of another tenant is passed over."""
    async with Sandbox(sites=1) as sandbox:
        tokens = {name: sandbox.add_token(organization=name) for name in ("a", "b")}
        async with BestDefense(base_url=sandbox.url, retry=QUICK) as bd:
            views = {name: bd.with_token(token, name=name) for name, token in tokens.items()}
            reports = {
                name: await view.reports.create(sandbox.sites_of(name)[0].id)
                for name, view in views.items()
            }
            sandbox.fault("reports.progress", site=sandbox.sites_of("a")[0].id, status=503)
            ended = await asyncio.gather(
                *(views["a"].reports.progress(reports["a"]) for _ in range(100)),
                return_exceptions=True,
            )
            fault = {"site": sandbox.sites_of("b")[0].id, "status": 503, "times": 1}
            sandbox.fault("reports.progress", **fault)
            progress = await views["b"].reports.progress(reports["b"])
            stats = bd.stats()

        assert {type(error) for error in ended} == {ServerError}
        assert progress is not None
        assert stats.retry_units == 500.0
        assert [each.retry_units < 14.0 for each in stats.tenants if each.name == "a"] == [True]


async def test_errors_without_an_answer_spend_the_budget_of_the_host() -> None:
    """They speak of the host: all tenants together do not multiply an outage."""
    async with Sandbox(sites=1) as sandbox:
        sandbox.fault("sites.list", kind="drop")
        async with BestDefense(base_url=sandbox.url, retry=QUICK) as bd:
            views = [bd.with_token(sandbox.add_token()) for _ in range(10)]
            await asyncio.gather(
                *(view.sites.list() for view in views for _ in range(20)), return_exceptions=True
            )
            assert sandbox.count("sites.list") == 200 + 35
            assert bd.stats().retry_units < 14.0


# -- how long they are kept


async def test_a_thousand_tenants_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views of a thousand tokens, dropped after one call and one wait: the next sweep forgets."""
    monkeypatch.setattr(tenants, "KEPT_FOR", 0.1)
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:

        async def one(*, waits: bool) -> None:
            view = bd.with_token(sandbox.add_token())
            await view.sites.list()
            if waits:
                wait = asyncio.create_task(view.reports.wait("a-report", timeout=60.0))
                await asyncio.sleep(0)
                wait.cancel()
                await asyncio.gather(wait, return_exceptions=True)

        for number in range(1_000):
            await one(waits=number % 100 == 0)
        await asyncio.sleep(0.3)
        gc.collect()

        assert [each.name for each in bd.stats().tenants] == ["tenant-1"]


def test_what_a_tenant_knows_outlives_its_views() -> None:
    """Stamps of a limit, a pause and a spent budget; each for as long as it matters."""

    async def main() -> None:
        limits = {"agents.manifest": (Limit(1, per=600.0),)}
        registry = Tenants(Home(), limits)

        def names() -> set[str]:
            gc.collect()
            return {each.name for each in registry.all()}

        def admitted(name: str, operation: str) -> Permit:
            secret = Secret(f"a-token-of-{name}")
            permit = registry.of(secret, name=f"org {name}").throttle(secret).admit(operation)
            assert permit.enter()
            return permit

        async def after(seconds: float) -> set[str]:
            await asyncio.sleep(seconds)
            return names()

        admitted("nothing", "sites.list").answered({})
        admitted("limit", "agents.manifest").answered({})
        admitted("pause", "sites.list").refused({"retry-after": "300"})
        admitted("budget", "sites.list").answered({})
        registry.of("a-token-of-budget", name="org budget").budget.spend(
            ServerError("", status=503)
        )

        assert await after(KEPT_FOR + 1.0) == {"org limit", "org pause"}
        assert await after(1_800.0) == set()
        await registry.aclose()

    run_virtual(main(), start=1000.0)


def test_a_spent_budget_is_known_until_it_is_earned_back() -> None:
    """By calls that succeed, else by ten minutes without a call."""

    async def main() -> None:
        registry, secret = Tenants(Home(), {}), Secret("a-token-of-ours")
        tenant = registry.of(secret, name="org-a")
        tenant.throttle(secret)
        while tenant.budget.spend(ServerError("", status=503)):
            pass
        del tenant
        await asyncio.sleep(9.5 * KEPT_FOR)
        gc.collect()
        assert [round(each.budget.units) for each in registry.all()] == [10 + 9 * 50]
        await asyncio.sleep(2 * KEPT_FOR)
        gc.collect()
        assert not registry.all()

    run_virtual(main(), start=1000.0)


async def test_closing_a_view_does_not_forget_what_its_token_has_used() -> None:
    """Opened again, it keeps to the limit."""
    limits = {"agents.manifest": Limit(1, per=600.0)}
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, limits=limits) as bd,
    ):
        token = sandbox.add_token()
        view = bd.with_token(token, name="org-a")
        await view.agents.manifest()
        await view.aclose()
        del view
        gc.collect()
        with pytest.raises(LimitWaitTooLong):
            await bd.with_token(token, name="org-a").agents.manifest(timeout=1.0)
        assert sandbox.count("agents.manifest") == 1


# -- closing


async def test_closing_a_view_ends_its_own_calls_and_no_others() -> None:
    """Calls and waits of the organization end; those of another go on."""
    async with (
        Sandbox(sites=1, speed=0.001) as sandbox,
        BestDefense(sandbox.token, sandbox.url) as bd,
    ):
        view = bd.with_token(sandbox.add_token(), name="org-a")
        report = await bd.reports.create(sandbox.site_ids[0])
        sandbox.fault("sites.list", delay=0.3)
        theirs = asyncio.create_task(bd.sites.list())
        ours = [
            asyncio.create_task(view.sites.list()),
            asyncio.create_task(view.reports.wait(report.id)),
        ]
        await asyncio.sleep(0.1)
        await view.aclose()
        ended = await asyncio.gather(*ours, return_exceptions=True)
        late = await asyncio.gather(view.sites.list(), return_exceptions=True)

        assert {type(error) for error in (*ended, *late)} == {ClientClosed}
        assert len(await theirs) == 1


@pytest.mark.parametrize("which", ["view", "client"])
async def test_draining_lets_calls_under_way_end_and_no_new_one_begin(which: str) -> None:
    """Of one view, and of the whole client."""
    async with Sandbox(sites=1) as sandbox:
        bd = BestDefense(sandbox.token, sandbox.url)
        view = bd.with_token(sandbox.add_token())
        sandbox.fault("sites.list", delay=0.2)
        calls = [asyncio.create_task(view.sites.list()) for _ in range(3)]
        await asyncio.sleep(0.1)
        closing = asyncio.create_task((view if which == "view" else bd).aclose(drain=5.0))
        await asyncio.sleep(0.01)
        with pytest.raises(ClientClosed):
            await view.sites.list()
        if which == "client":
            with pytest.raises(ClientClosed):
                await bd.with_token(sandbox.add_token()).sites.list()
        assert [len(sites) for sites in await asyncio.gather(*calls)] == [1, 1, 1]
        await closing
        await bd.aclose()
        assert sandbox.count("sites.list") == 3


async def test_a_second_closing_cuts_the_first_one_short() -> None:
    """Who closes again without time to drain does not wait for the first one's."""
    async with Sandbox(sites=1) as sandbox:
        bd = BestDefense(sandbox.token, sandbox.url)
        sandbox.fault("sites.list", kind="hang")
        call = asyncio.create_task(bd.sites.list())
        await asyncio.sleep(0.05)
        first = asyncio.create_task(bd.aclose(drain=60.0))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(2.0):
            await bd.aclose()
            await first
        with pytest.raises(ClientClosed):
            await call


async def test_closing_from_another_loop_is_refused_without_harm() -> None:
    """The client, and a view of it; at home both work on."""
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        view = bd.with_token(sandbox.add_token())
        await view.sites.list()

        def elsewhere(close: Callable[[], Any]) -> None:
            with pytest.raises(WrongLoop):
                asyncio.run(close())

        for each in (bd, view):
            await asyncio.to_thread(elsewhere, each.aclose)
            assert len(await each.sites.list()) == 1


async def test_closing_finishes_although_its_caller_goes_away() -> None:
    """A browser that leaves cancels the handler, twice; hooks' thread and all tasks end."""
    async with Sandbox(sites=1) as sandbox:
        heard: list[object] = []
        bd = BestDefense(sandbox.token, sandbox.url, hooks=[heard.append])
        await bd.sites.list()
        sandbox.fault("sites.list", kind="hang")
        call = asyncio.create_task(bd.sites.list())
        await asyncio.sleep(0.05)
        for _ in range(2):
            closing = asyncio.create_task(bd.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
        with pytest.raises(ClientClosed):
            await call
        async with asyncio.timeout(5.0):
            while "bestdefense-hooks" in {  # noqa: ASYNC110  # has no event
                each.name for each in threading.enumerate()
            }:
                await asyncio.sleep(0.01)

        assert heard
        await bd.aclose()


async def test_closing_ends_the_question_for_a_token() -> None:
    """A vault that does not answer keeps no task alive."""

    async def fetch() -> str:
        try:
            await asyncio.sleep(3_600.0)
        finally:
            await asyncio.sleep(0.05)
        return "never"

    bd = BestDefense(fetch, "http://127.0.0.1:9")
    call = asyncio.create_task(bd.sites.list())
    await asyncio.sleep(0.01)
    await bd.aclose()
    assert asyncio.all_tasks() <= {asyncio.current_task(), call}
    with pytest.raises(ClientClosed):
        await call


# -- isolation


FAULTS: dict[str, dict[str, Any]] = {
    "503": {"status": 503},
    "429": {"status": 429, "headers": {"Retry-After": "1"}},
    "hang": {"kind": "hang"},
}


class Isolation:
    """Two hundred organizations that do the same, beside a few where everything goes wrong."""

    def __init__(self, names: list[str], bad: dict[str, str]) -> None:
        self.names = names
        self.bad = bad
        self.tokens: dict[str, str] = {}
        self.ended: dict[str, list[Any]] = {}
        self.sites: dict[str, set[str]] = {}
        self.requests: Counter[tuple[str, str]] = Counter()

    async def run(self) -> None:
        """Let all of them work at once, on a server of their own."""
        patience = RetryPolicy(base=0.01, longest_backoff=0.05, longest_wait=0.5)
        async with Sandbox(sites=1, speed=0.001) as sandbox:
            async with BestDefense(base_url=sandbox.url, retry=patience) as bd:
                await asyncio.gather(*(self._work(sandbox, bd, name) for name in self.names))
            self.sites = {name: {each.id for each in sandbox.sites_of(name)} for name in self.names}
            homes = {site: name for name, sites in self.sites.items() for site in sites}
            owners = {each.token: homes[each.site_id] for each in sandbox.ledger if each.site_id}
            self.requests = Counter(
                (owners.get(each.token, "expired"), each.operation) for each in sandbox.ledger
            )

    async def _work(self, sandbox: Sandbox, bd: BestDefense, name: str) -> None:
        kind = self.bad.get(name)
        token = sandbox.add_token(organization=name, expired=kind == "expired")
        self.tokens[name] = token
        view, site = bd.with_token(token, name=name), sandbox.sites_of(name)[0]
        if kind == "expired":
            calls: list[Any] = [view.sites.list() for _ in range(30)]
        else:
            report = await view.reports.create(site.id)
            if kind is not None:
                sandbox.fault("reports.progress", site=site.id, **FAULTS[kind])
            times = 1 if kind is None else 30
            until = None if kind is None else 3.0
            calls = [view.reports.progress(report, timeout=until) for _ in range(times)]
        self.ended[name] = await asyncio.gather(*calls, return_exceptions=True)
        if kind is None:
            self.ended[name].append({each.id for each in await view.sites.list()})


@pytest.mark.timeout(60)
async def test_four_bad_tenants_change_nothing_for_the_other_196(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Only 503, only 429, an expired token, and no answers: the others' outcomes and requests."""
    names = [f"org-{number:03}" for number in range(200)]
    bad = {"org-010": "503", "org-020": "429", "org-030": "expired", "org-040": "hang"}
    good = [name for name in names if name not in bad]
    alone, beside = Isolation(good, {}), Isolation(names, bad)
    await alone.run()
    caplog.set_level(logging.DEBUG, logger="bestdefense_async")
    await beside.run()

    for each in (alone, beside):
        for name in good:
            progress, sites = each.ended[name]
            assert isinstance(progress, Progress)
            assert sites == each.sites[name]
    assert [beside.requests[name, "reports.progress"] for name in good] == [1] * 196
    assert alone.requests == Counter(
        {key: count for key, count in beside.requests.items() if key[0] in good}
    )
    errors = {bad[name]: {type(each) for each in beside.ended[name]} for name in bad}
    assert errors == {
        "503": {ServerError},
        "429": {RateLimited, LimitWaitTooLong},
        "expired": {AuthError},
        "hang": {AttemptTimeout},
    }
    told: dict[str, set[str | None]] = {name: set() for name in names}
    for record in caplog.records:
        event = getattr(record, "bestdefense", None)
        if event is not None:
            told[event["tenant"]].add(event["error"])
    assert {name: told[name] for name in good} == {name: {None} for name in good}
    for name, ended in beside.ended.items():
        shown = "".join(map(repr, ended))
        assert not [other for other in names if other != name and other in shown]
        assert not [token for token in beside.tokens.values() if token in shown]
    assert not [token for token in beside.tokens.values() if token in caplog.text]
