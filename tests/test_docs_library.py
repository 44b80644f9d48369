"""The table of the library's page is that of the routes, and names calls that there are."""

import inspect
import re
from pathlib import Path

import pytest

from bestdefense_async import BestDefense
from bestdefense_async.core.route import ROUTES

PAGE = (Path(__file__).parent.parent / "docs" / "reference" / "library.md").read_text("utf-8")
ROW = re.compile(r"\| (`bd\..*?) \| `([a-z.]+)` \| ([A-Z]+) `(\S+)` \| (\w+) \|")


def rows() -> list[tuple[str, ...]]:
    """Return the rows of the table: calls, operation, method, path and grade."""
    return ROW.findall(PAGE)


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
