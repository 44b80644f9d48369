"""The page about runs and the example of the first page: each block runs as it stands."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bestdefense_async import BestDefense
    from bestdefense_async.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(code, id=f"{name} {number}")
    for name in ("README.md", "docs/how-to/bulk-scan.md")
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL), 1
    )
]


@pytest.mark.looptime
@pytest.mark.bd_sandbox(sites=3)
@pytest.mark.parametrize("code", BLOCKS)
async def test_a_block_runs_as_it_stands(
    code: str,
    bd_client: BestDefense,
    bd_sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a list of hosts, and a token in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BD_API_TOKEN", bd_sandbox.token)
    monkeypatch.setenv("BD_BASE_URL", bd_sandbox.url)
    Path("hosts.txt").write_text("\n".join(bd_sandbox.hostnames), "utf-8")
    scope: dict[str, Any] = {"bd": bd_client}
    text = code.replace("shop.example.com", bd_sandbox.hostnames[0])
    text = text.replace("asyncio.run(main())", "await main()")  # a loop runs already

    running = eval(  # noqa: S307  # our own pages
        compile(text, "page", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), scope
    )
    if inspect.iscoroutine(running):
        await running
