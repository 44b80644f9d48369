"""What the documentation says about judging runs as it stands there."""

from __future__ import annotations

import re
import textwrap
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.gate.waivers import read_waivers
from bestdefense_async.report.writer import write_run
from tests.support.runs import run_of

if TYPE_CHECKING:
    from bestdefense_async.sandbox import Sandbox

DOCS = Path(__file__).parents[2] / "docs"


def block(page: str, heading: str, language: str) -> str:
    """Return the first block of code in that language below a heading."""
    text = (DOCS / page).read_text("utf-8").partition(f"\n{heading}\n")[2]
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_waivers_of_the_page_are_valid(tmp_path: Path) -> None:
    """A copy of them is a file that works."""
    path = tmp_path / "waivers.toml"
    path.write_text(block("command-line.md", "### Waivers", "toml"))

    assert len(read_waivers(path, today=date(2026, 11, 25)).entries) == 2


@pytest.mark.looptime
async def test_the_example_judges_a_run(
    bd_sandbox: Sandbox,
    bd_env: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the scan to the page, as on the page."""
    monkeypatch.chdir(tmp_path)
    write_run("last-week.json", run_of(), judge([], GatePolicy()))
    Path("waivers.toml").touch()
    code = block("library.md", "## Judging", "python")
    code = code.replace("www.example.com", bd_sandbox.hostnames[0])
    scope: dict[str, object] = {}
    exec(f"async def example():\n{textwrap.indent(code, '    ')}", scope)  # noqa: S102 - the page

    await scope["example"]()  # type: ignore[operator]

    assert capsys.readouterr().out.startswith("gate: ")
    assert Path("report.html").stat().st_size > 10_000
