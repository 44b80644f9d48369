"""Every page of the documentation: each block runs as it stands and prints what the page says."""

from pathlib import Path

import pytest

from tests.support.documentation import PAGES, ROOT, Page, blocks

NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES if blocks(path)]


@pytest.mark.looptime
@pytest.mark.timeout(300)  # a page starts some ten processes, one after the other
@pytest.mark.parametrize("name", NAMES)
async def test_a_page_is_what_its_blocks_do(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """In order, in one folder, against a sandbox of the page."""
    folder = tmp_path / "scans"
    folder.mkdir()
    needs_database = "<!-- database: shared -->" in (ROOT / name).read_text("utf-8")
    database = request.getfixturevalue("database") if needs_database else ""
    async with Page(ROOT / name, folder, database=database) as page:
        await page.run()
