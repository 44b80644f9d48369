"""The pytest plugin: a sandbox, a client on it, or a sandbox process.

| fixture | what a test gets |
|---|---|
| `bd_sandbox` | an open `Sandbox` on the test's own loop |
| `bd_client` | an open `BestDefense` that speaks to `bd_sandbox` and polls at its speed |
| `bd_sandbox_process` | a `SandboxProcess`: the sandbox in a process of its own, without a loop |
| `bd_sandbox_session` | one `SandboxProcess` for all tests; `reset()` makes it new |
| `bd_env` | `bd_sandbox_process`, with `BD_API_TOKEN` and `BD_BASE_URL` set to it |
| `bd_sandbox_settings` | yours to define: a dict of settings for every sandbox of the run |

Settings of the sandbox come from a marker; the closest one wins, setting by setting:

    @pytest.mark.bd_sandbox(sites=5, scenario="clean")
    async def test_a_site_is_found(bd_client, bd_sandbox): ...

Until a fixture is used, nothing but pytest is imported. The asynchronous fixtures run under
pytest-asyncio in both of its modes, or else under any plugin that runs plain asynchronous fixtures,
such as anyio's. They live on the loop that tests run on by default; a test on another loop is told
so at once, because it could only wait for a server whose loop stands still.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterator

    from bestdefense_async import BestDefense
    from bestdefense_async.sandbox import Sandbox
    from bestdefense_async.testing.process import SandboxProcess

_MARKER = "bd_sandbox(**settings): settings of the sandbox of this test, such as sites and scenario"
_LOOP = pytest.StashKey["asyncio.AbstractEventLoop"]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and the asynchronous fixtures."""
    config.addinivalue_line("markers", _MARKER)
    fixture: Callable[..., Any] = pytest.fixture
    if config.pluginmanager.hasplugin("asyncio"):
        # Its strict mode runs only fixtures that it has marked itself. It is loaded already.
        import pytest_asyncio

        scope = config.getini("asyncio_default_test_loop_scope")
        fixture = functools.partial(pytest_asyncio.fixture, loop_scope=scope)
    config.pluginmanager.register(_asynchronous(fixture), "bestdefense_async.fixtures")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Let a test begin with the question whether its sandbox is on its loop."""
    if _LOOP in item.stash and isinstance(item, pytest.Function):
        test = item.obj
        if inspect.iscoroutinefunction(test):
            item.obj = _on_one_loop(test, item.stash[_LOOP], _advice(item))


def _on_one_loop(
    test: Callable[..., Any], loop: asyncio.AbstractEventLoop, advice: str
) -> Callable[..., Any]:
    """Return the test, failing in one sentence when it runs on another loop than the sandbox."""

    @functools.wraps(test)
    async def checked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- any test
        import asyncio

        if asyncio.get_running_loop() is not loop:
            pytest.fail(advice, pytrace=False)
        return await test(*args, **kwargs)

    return checked


def _advice(item: pytest.Item) -> str:
    """Return the sentence for a test that does not run on the loop of its sandbox."""
    what = "bd_sandbox and bd_client live on another event loop than this test, and would hang"
    if item.get_closest_marker("anyio") is not None:
        return (
            f"{what}: pytest-asyncio runs the fixtures and anyio the test; remove the marker "
            "`anyio`, or start pytest with `-p no:asyncio`."
        )
    scope = item.config.getini("asyncio_default_test_loop_scope")
    return (
        f"{what}: the fixtures use the loop of scope {scope!r}; take `loop_scope` out of the "
        "test's marker `asyncio`, or set the option `asyncio_default_test_loop_scope` to its value."
    )


@pytest.fixture(scope="session")
def bd_sandbox_settings() -> dict[str, Any]:
    """Settings of every sandbox of the run, below those of markers; define yours in conftest.py."""
    return {}


def _settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the settings of the test's markers, the closest one's first, and of the run."""
    settings: dict[str, Any] = {}
    for marker in request.node.iter_markers("bd_sandbox"):
        if marker.args:
            message = "the marker bd_sandbox takes keyword arguments only, such as sites=5"
            raise pytest.UsageError(message)
        settings = {**marker.kwargs, **settings}
    settings = {**request.getfixturevalue("bd_sandbox_settings"), **settings}
    scenario = str(settings.get("scenario", ""))
    if scenario.endswith(".toml"):
        settings["scenario"] = str(request.config.rootpath / scenario)
    return settings


def _asynchronous(fixture: Callable[..., Any]) -> object:
    """Return a plugin that holds the asynchronous fixtures, made by `fixture`."""

    class Fixtures:
        @fixture
        async def bd_sandbox(self, request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
            """An open sandbox on the loop of the test."""
            import asyncio

            from bestdefense_async.sandbox import Sandbox

            request.node.stash[_LOOP] = asyncio.get_running_loop()
            async with Sandbox(**_settings(request)) as sandbox:
                yield sandbox

        @fixture
        async def bd_client(self, bd_sandbox: Sandbox) -> AsyncIterator[BestDefense]:
            """An open client with the sandbox's token, which polls at the sandbox's speed."""
            from bestdefense_async import BestDefense, PollPolicy

            async with BestDefense(
                token=bd_sandbox.token,
                base_url=bd_sandbox.url,
                polling=PollPolicy(speed=bd_sandbox.speed),
            ) as client:
                yield client

    return Fixtures()


@pytest.fixture
def bd_sandbox_process(request: pytest.FixtureRequest) -> Iterator[SandboxProcess]:
    """A sandbox in a process of its own."""
    from bestdefense_async.testing.process import SandboxProcess

    with SandboxProcess(**_settings(request)) as process:
        yield process


@pytest.fixture(scope="session")
def bd_sandbox_session(request: pytest.FixtureRequest) -> Iterator[SandboxProcess]:
    """One sandbox in a process of its own for all tests; it takes `bd_sandbox_settings` only."""
    from bestdefense_async.testing.process import SandboxProcess

    with SandboxProcess(**_settings(request)) as process:
        yield process


@pytest.fixture
def bd_env(bd_sandbox_process: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> SandboxProcess:
    """A sandbox process that the environment points to, for commands and child processes."""
    monkeypatch.delenv("BESTDEFENSE_API_KEY", raising=False)
    for name, value in bd_sandbox_process.env.items():
        monkeypatch.setenv(name, value)
    return bd_sandbox_process
