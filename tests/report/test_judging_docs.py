"""What the documentation says about judging runs as it stands there."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from bestdefense_async.report.gate.waivers import read_waivers

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
    path.write_text(block("reference/command-line.md", "### Waivers", "toml"))

    assert len(read_waivers(path, today=date(2026, 11, 25)).entries) == 2
