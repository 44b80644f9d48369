"""The page about the library: its examples run as they stand, and its table is that of routes."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from bestdefense_async import BestDefense
from bestdefense_async.core.route import ROUTES
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.writer import write_run
from bestdefense_async.sandbox import Sandbox
from tests.support.runs import run_of

PAGE = (Path(__file__).parent.parent / "docs" / "reference" / "library.md").read_text("utf-8")
ROW = re.compile(r"\| (`bd\..*?) \| `([a-z.]+)` \| ([A-Z]+) `(\S+)` \| (\w+) \|")


def rows() -> list[tuple[str, ...]]:
    """Return the rows of the table: calls, operation, method, path and grade."""
    return ROW.findall(PAGE)


def examples() -> list[Any]:
    """Return each block of code, named for the heading above it and its number below that."""
    return [
        pytest.param(code, id=f"{section.partition(chr(10))[0]} {number}")
        for section in re.split(r"^##+ ", PAGE, flags=re.MULTILINE)
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", section, re.DOTALL), 1)
    ]


def test_every_block_of_code_is_an_example() -> None:
    """None is left out because it stands indented or in another language."""
    assert len(examples()) == PAGE.count("```") // 2


@pytest.mark.looptime
@pytest.mark.bd_sandbox(sites=3)
@pytest.mark.parametrize("code", examples())
async def test_an_example_runs_as_it_stands(
    code: str,
    bd_client: BestDefense,
    bd_sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With nothing but what the page says is there: an open client, a site, and a report of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BD_API_TOKEN", bd_sandbox.token)
    monkeypatch.setenv("BD_BASE_URL", bd_sandbox.url)
    Path("hosts.txt").write_text("\n".join(bd_sandbox.hostnames), "utf-8")
    Path("token.txt").write_text(bd_sandbox.token, "utf-8")
    Path("waivers.toml").touch()
    write_run("last-week.json", run_of(), judge([], GatePolicy()))
    site = await bd_client.sites.find(bd_sandbox.hostnames[0])
    report = await bd_client.reports.create(site)
    await bd_client.reports.wait(report)
    scope = {"bd": bd_client, "site": site, "report": report}
    text = code.replace("shop.example.com", site.hostname)

    running = eval(  # noqa: S307  # our own page
        compile(text, "library.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), scope
    )
    if inspect.iscoroutine(running):
        await running


def test_every_operation_is_documented_as_it_is() -> None:
    """With method, path and grade."""
    written = [(name, method, path, grade) for _, name, method, path, grade in rows()]

    assert sorted(written) == sorted(
        (row.name, row.method, row.template, str(row.grade)) for row in ROUTES.values()
    )


@pytest.mark.parametrize("calls", [row[0] for row in rows()])
async def test_every_call_takes_what_the_table_says(calls: str) -> None:
    """A name after a comma belongs to the same noun unless it names another."""
    async with BestDefense("token", "http://127.0.0.1:9") as bd:
        noun = None
        for first, method, arguments in re.findall(r"`(?:bd\.(\w+))?\.(\w+)\((.*?)\)`", calls):
            noun = getattr(bd, first) if first else noun
            parameters = inspect.signature(getattr(noun, method)).parameters
            assert parameters.keys() >= set(re.findall(r"\w+(?==)", arguments)) | {"timeout"}
