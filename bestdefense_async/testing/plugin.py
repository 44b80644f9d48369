"""The pytest plugin: a sandbox, a client on it, or a sandbox process, each for one test.

| fixture | what a test gets |
|---|---|
| `bd_sandbox` | an open `Sandbox` on the test's own loop |
| `bd_client` | an open `BestDefense` that speaks to `bd_sandbox` |
| `bd_sandbox_process` | a `SandboxProcess`: the sandbox in a process of its own, without a loop |
| `bd_env` | the same, with `BD_API_TOKEN` and `BD_BASE_URL` set to it |

Settings of the sandbox come from a marker; the closest one wins, setting by setting:

    @pytest.mark.bd_sandbox(sites=5, scenario="clean")
    async def test_a_site_is_found(bd_client, bd_sandbox): ...

Until a fixture is used, nothing but pytest is imported. The asynchronous fixtures run under
pytest-asyncio in both of its modes, or else under any plugin that runs plain asynchronous fixtures,
such as anyio's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from bestdefense_async import BestDefense
    from bestdefense_async.sandbox import Sandbox
    from bestdefense_async.testing.process import SandboxProcess

_MARKER = "bd_sandbox(**settings): settings of the sandbox of this test, such as sites and scenario"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and the asynchronous fixtures."""
    config.addinivalue_line("markers", _MARKER)
    fixture: Callable[..., Any] = pytest.fixture
    if config.pluginmanager.hasplugin("asyncio"):
        # Its strict mode runs only fixtures that it has marked itself. It is loaded already.
        from pytest_asyncio import fixture
    config.pluginmanager.register(_asynchronous(fixture), "bestdefense_async.fixtures")


def _settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the settings of the test's markers, the closest one's first."""
    settings: dict[str, Any] = {}
    for marker in request.node.iter_markers("bd_sandbox"):
        if marker.args:
            message = "the marker bd_sandbox takes keyword arguments only, such as sites=5"
            raise pytest.UsageError(message)
        settings = {**marker.kwargs, **settings}
    return settings


def _asynchronous(fixture: Callable[..., Any]) -> object:
    """Return a plugin that holds the asynchronous fixtures, made by `fixture`."""

    class Fixtures:
        @fixture
        async def bd_sandbox(self, request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
            """An open sandbox on the loop of the test."""
            from bestdefense_async.sandbox import Sandbox

            async with Sandbox(**_settings(request)) as sandbox:
                yield sandbox

        @fixture
        async def bd_client(self, bd_sandbox: Sandbox) -> AsyncIterator[BestDefense]:
            """An open client with the sandbox's token."""
            from bestdefense_async import BestDefense

            async with BestDefense(token=bd_sandbox.token, base_url=bd_sandbox.url) as client:
                yield client

    return Fixtures()


@pytest.fixture
def bd_sandbox_process(request: pytest.FixtureRequest) -> Iterator[SandboxProcess]:
    """A sandbox in a process of its own."""
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
