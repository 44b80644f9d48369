"""The public names: few, documented, the same for type checkers, and free to import.

Run as a program, this writes the stub that type checkers read: `python tests/test_public_names.py`.
"""

import ast
import inspect
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import bestdefense_async

ROOT = Path(__file__).parent.parent
STUB = Path(inspect.getfile(bestdefense_async)).with_suffix(".pyi")
HOMES: dict[str, tuple[str, ...]] = vars(bestdefense_async)["_HOMES"]
NAMES = dir(bestdefense_async)

MOST = 60
"""More than this nobody keeps in mind; rarer things are imported from their rooms."""

# What takes longest to import and what a program that only wants the client never needs.
NOT_AT_IMPORT = (
    "aiohttp",
    "asyncio",
    "attrs",
    "cattrs",
    "click",
    "rich",
    "ssl",
    "typing_extensions",
)


def stub_text() -> str:
    """Return the stub: one import per public name, from the table in `__init__.py`."""
    lines = [
        f"from bestdefense_async.{home} import {name} as {name}\n"
        for home in sorted(HOMES)
        for name in HOMES[home]
    ]
    return "".join(lines)


def test_type_checkers_see_the_names_of_the_table() -> None:
    """They cannot follow `__getattr__`, so the stub is written from the table it reads."""
    assert STUB.read_text("utf-8") == stub_text(), "run: python tests/test_public_names.py"


def test_no_name_stands_in_the_table_twice() -> None:
    """And each stands where the alphabet says."""
    for names in HOMES.values():
        assert list(names) == sorted(names)
    assert sum(map(len, HOMES.values())) == len(set(NAMES)) <= MOST


@pytest.mark.parametrize("name", NAMES)
def test_the_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    """Every public class and function has a docstring of its own."""
    value = getattr(bestdefense_async, name)

    if inspect.isclass(value) or inspect.isroutine(value):
        assert value.__doc__
        assert value.__doc__.strip()


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails like in any other module, so that `hasattr` works."""
    assert not hasattr(bestdefense_async, "BestDefence")


def test_star_import_gives_the_public_names() -> None:
    """`from bestdefense_async import *` binds exactly the public names."""
    scope: dict[str, object] = {}
    exec("from bestdefense_async import *", scope)  # noqa: S102 - not allowed inside a function

    assert scope.keys() - {"__builtins__"} == set(NAMES)


def test_importing_the_package_imports_nothing_big() -> None:
    """The package alone costs next to nothing; aiohttp is imported with the first client."""
    code = "import sys, bestdefense_async; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert set(done.stdout.split()).isdisjoint(NOT_AT_IMPORT)


def test_a_client_waits_for_nothing_that_only_runs_need() -> None:
    """Who calls single operations does not import runs, their stores or what judges them."""
    code = "import sys; from bestdefense_async import BestDefense; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rooms = {"runs", "report", "services", "distributed", "openapi", "cli", "sandbox"}

    assert set(done.stdout.split()).isdisjoint(
        {"sqlite3", *(f"bestdefense_async.{room}" for room in rooms)}
    )


def test_no_two_things_share_a_name() -> None:
    """A class or a function of one room is called like none of another, so a name means one thing.

    The sandbox shares no code with the rest, and each command of the command line is called as it
    is typed.
    """
    homes = defaultdict(set)
    for path in STUB.parent.rglob("*.py"):
        room = path.relative_to(STUB.parent).parts
        if room[0] == "sandbox" or room[:2] == ("cli", "commands"):
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                homes[node.name].add("/".join(room))
    public = {name: rooms for name, rooms in homes.items() if not name.startswith("_")}

    assert {name: rooms for name, rooms in public.items() if len(rooms) > 1} == {}


if __name__ == "__main__":
    STUB.write_text(stub_text(), "utf-8")
