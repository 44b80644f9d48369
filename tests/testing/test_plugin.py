"""The plugin's fixtures work however asynchronous tests are run, and cost nothing while unused."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bestdefense_async import BestDefense
from bestdefense_async.sandbox import Sandbox
from bestdefense_async.testing.process import SandboxProcess

pytest_plugins = ["pytester"]

ROOT = str(Path(__file__).parents[2])
PLUGIN = "bestdefense_async.testing.plugin"

ASYNCHRONOUS = '''
import pytest

@pytest.mark.{marker}
@pytest.mark.bd_sandbox(sites=4)
async def test_it(bd_client, bd_sandbox):
    """The client sees the sandbox's sites."""
    assert [site.id for site in await bd_client.sites.list()] == bd_sandbox.site_ids
    assert len(bd_sandbox.site_ids) == 4
    assert bd_sandbox.count("sites.list") == 1
'''


def run(pytester: pytest.Pytester, *arguments: str, text: str) -> pytest.RunResult:
    """Run a test file in a project of its own, every warning being an error."""
    pytester.makepyfile(text)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester.runpytest_subprocess("-q", "-p", PLUGIN, "-p", "no:cacheprovider", *arguments)


@pytest.fixture(autouse=True)
def import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let child processes find this checkout, and load no plugin they are not given."""
    monkeypatch.setenv("PYTHONPATH", ROOT)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_async_fixtures_run_under_pytest_asyncio(pytester: pytest.Pytester, mode: str) -> None:
    """In both of its modes."""
    text = ASYNCHRONOUS.format(marker="asyncio")
    result = run(
        pytester,
        *("-p", "asyncio", "-o", f"asyncio_mode={mode}"),
        *("-o", "asyncio_default_fixture_loop_scope=function"),
        text=text,
    )

    result.assert_outcomes(passed=1)


def test_the_async_fixtures_run_under_anyio(pytester: pytest.Pytester) -> None:
    """Where its plugin runs plain asynchronous fixtures."""
    pytest.importorskip("anyio")
    text = ASYNCHRONOUS.format(marker="anyio") + (
        "\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    )

    result = run(pytester, "-p", "anyio", text=text)

    result.assert_outcomes(passed=1)


OTHER_LOOPS = {
    "the test's marker": (
        ("-p", "asyncio", "-o", "asyncio_mode=auto"),
        "asyncio(loop_scope='session')",
        "*another event loop than this test*loop of scope 'function'*take `loop_scope` out*",
    ),
    "anyio's marker in the automatic mode": (
        ("-p", "asyncio", "-p", "anyio", "-o", "asyncio_mode=auto"),
        "anyio",
        "*another event loop than this test*remove the marker `anyio`*",
    ),
}


@pytest.mark.parametrize(("options", "marker", "said"), OTHER_LOOPS.values(), ids=OTHER_LOOPS)
def test_loops_that_do_not_fit_are_one_sentence_at_once(
    pytester: pytest.Pytester, options: tuple[str, ...], marker: str, said: str
) -> None:
    """The test would wait for a server whose loop stands still."""
    text = ASYNCHRONOUS.format(marker=marker) + (
        "\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    )
    scope = "asyncio_default_fixture_loop_scope=function"

    result = run(pytester, *options, "-o", scope, text=text)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([said])


@pytest.mark.parametrize("scope", ["session", "module"])
def test_the_fixtures_live_where_tests_run_by_default(
    pytester: pytest.Pytester, scope: str
) -> None:
    """Whatever the default of other fixtures is."""
    result = run(
        pytester,
        *("-p", "asyncio", "-o", "asyncio_mode=auto"),
        *("-o", "asyncio_default_fixture_loop_scope=function"),
        *("-o", f"asyncio_default_test_loop_scope={scope}"),
        text=ASYNCHRONOUS.format(marker="asyncio"),
    )

    result.assert_outcomes(passed=1)


def test_a_run_has_settings_and_a_sandbox_of_its_own(pytester: pytest.Pytester) -> None:
    """Those of `bd_sandbox_settings`, below markers; a file is looked for in the root directory."""
    pytester.makefile(".toml", fleet='[[sites]]\nhostname = "shop.example.com"\n')
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def bd_sandbox_settings():
            return {"scenario": "fleet.toml", "speed": 6000}
        """
    )
    text = """
        import pytest

        async def test_settings(bd_sandbox):
            assert bd_sandbox.hostnames == ["shop.example.com"]
            assert bd_sandbox.speed == 6000

        @pytest.mark.bd_sandbox(speed=1)
        async def test_a_marker_wins(bd_sandbox):
            assert bd_sandbox.speed == 1

        @pytest.mark.parametrize("again", [1, 2])
        def test_one_process_for_all(bd_sandbox_session, again, tmp_path_factory):
            known = tmp_path_factory.getbasetemp() / "pid"
            if again == 2:
                assert known.read_text() == str(bd_sandbox_session.pid)
            known.write_text(str(bd_sandbox_session.pid))
            bd_sandbox_session.reset()
    """

    result = run(
        pytester,
        *("-p", "asyncio", "-o", "asyncio_mode=auto"),
        *("-o", "asyncio_default_fixture_loop_scope=function"),
        text=text,
    )

    result.assert_outcomes(passed=4)


def test_a_strict_sandbox_fails_the_test(pytester: pytest.Pytester) -> None:
    """With the request that the API does not have; in a process too."""
    text = """
        import asyncio, urllib.error, urllib.request

        import pytest

        pytestmark = pytest.mark.bd_sandbox(sites=1, strict=True)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def ask(url):
            with pytest.raises(urllib.error.HTTPError) as caught:
                opener.open(url + "/api/sitse")
            caught.value.close()

        async def test_here(bd_sandbox):
            await asyncio.to_thread(ask, bd_sandbox.url)

        def test_there(bd_sandbox_process):
            ask(bd_sandbox_process.url)
    """

    result = run(
        pytester,
        *("-p", "asyncio", "-o", "asyncio_mode=auto"),
        *("-o", "asyncio_default_fixture_loop_scope=function"),
        text=text,
    )

    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(
        ["*does not have what 1 requests asked for:*", "*GET /api/sitse -> 404*"]
    )


@pytest.mark.bd_sandbox(sites=2, speed=6000)
async def test_the_client_polls_at_the_speed_of_the_sandbox(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """Its first poll comes after 6 seconds of a scan, a thousandth of a second here."""
    assert bd_client.polls.policy.speed == 6000

    outcome = await bd_client.scan(bd_sandbox.hostnames[0])

    assert outcome.risk is not None


def test_the_plugin_imports_only_pytest_until_a_fixture_is_used(
    pytester: pytest.Pytester,
) -> None:
    """A run without its fixtures pays nothing for it."""
    text = """
        import sys

        def test_it():
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert not loaded & {"aiohttp", "attrs", "attr", "cattrs"}
            ours = {name for name in sys.modules if name.startswith("bestdefense_async")}
            known = {"bestdefense_async", "bestdefense_async.testing", "bestdefense_async._version",
                     "bestdefense_async.testing.plugin", "bestdefense_async.fixtures"}
            assert ours <= known, ours
    """

    result = run(pytester, text=text)

    result.assert_outcomes(passed=1)


def test_a_marker_takes_keyword_arguments_only(pytester: pytest.Pytester) -> None:
    """A positional argument is a mistake that is explained."""
    text = """
        import pytest

        @pytest.mark.bd_sandbox(5)
        def test_it(bd_sandbox_process): pass
    """

    result = run(pytester, text=text)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes keyword arguments only*"])


def test_a_process_that_cannot_start_says_why(pytester: pytest.Pytester) -> None:
    """With the sandbox's own words."""
    text = """
        import pytest

        @pytest.mark.bd_sandbox(scenario="sunny")
        def test_it(bd_sandbox_process): pass
    """

    result = run(pytester, text=text)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*did not start*scenario must be one of*"])


@pytest.mark.bd_sandbox(sites=3, seed=9)
class TestSettings:
    """Markers of class and test add up, the closest one winning."""

    @pytest.mark.bd_sandbox(sites=2)
    async def test_the_closest_marker_wins(self, bd_sandbox: Sandbox) -> None:
        """Setting by setting."""
        async with Sandbox(sites=2, seed=9) as same:
            assert bd_sandbox.site_ids == same.site_ids

    def test_the_process_takes_the_same_settings(self, bd_sandbox_process: SandboxProcess) -> None:
        """Sites and seed of the class, control always."""
        assert bd_sandbox_process.ledger()["counts"] == {}


@pytest.mark.bd_sandbox(sites=2)
async def test_a_client_is_open_and_on_the_sandbox(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """Nothing to configure."""
    assert [site.hostname for site in await bd_client.sites.list()] == bd_sandbox.hostnames


@pytest.mark.bd_sandbox(sites=2, speed=100_000)
async def test_the_environment_points_to_the_process(
    bd_env: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client without arguments finds it."""
    assert os.environ["BD_API_TOKEN"] == bd_env.token
    assert os.environ["BD_BASE_URL"] == bd_env.url
    assert "BESTDEFENSE_API_KEY" not in os.environ

    async with BestDefense() as client:
        assert len(await client.sites.list()) == 2
    assert bd_env.count("sites.list") == 1


@pytest.mark.bd_sandbox(sites=2, speed=100_000)
def test_the_process_can_be_controlled(bd_sandbox_process: SandboxProcess) -> None:
    """Faults, tokens, scripts and the ledger, from a test without a loop."""
    process = bd_sandbox_process
    limited = process.add_token(organization="other", permissions={"view sites"})
    process.revoke(limited)
    process.fault("sites.list", status=503, times=1)
    process.clear_faults()
    with pytest.raises(ValueError, match="no operation"):
        process.fault("sites.lst", status=503)
    with pytest.raises(ValueError, match="no site"):
        process.script("absent", duration=float("inf"))

    assert limited.startswith("bd_sandbox_")
    assert process.scans_per_site() == {}
    assert process.count("sites.list") == 0
    process.assert_no_duplicates()


@pytest.mark.bd_sandbox(strict=True)
def test_a_killed_process_is_gone_and_its_fixture_ends_well(
    bd_sandbox_process: SandboxProcess,
) -> None:
    """As after a crash of the server in mid run."""
    pid = bd_sandbox_process.pid
    bd_sandbox_process.kill()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(OSError, match=r"\w"):
        bd_sandbox_process.ledger()


def test_a_process_ends_with_its_parent() -> None:
    """A test run that is killed leaves no server behind."""
    program = (
        "from bestdefense_async.testing.process import SandboxProcess; import os\n"
        "with SandboxProcess(sites=1) as process:\n"
        "    print(process.pid, flush=True); os._exit(9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
        env=os.environ | {"PYTHONPATH": ROOT},
    )
    assert done.returncode == 9
    assert ended(int(done.stdout))


def ended(pid: int) -> bool:
    """Return whether the process ends within some seconds."""
    import time

    import psutil

    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_an_entry_point_offers_the_plugin() -> None:
    """Installed, it needs no configuration; the suite itself loads it from the checkout."""
    import tomllib

    with (Path(ROOT) / "pyproject.toml").open("rb") as file:
        project: dict[str, Any] = tomllib.load(file)["project"]

    assert PLUGIN in project["entry-points"]["pytest11"].values()
