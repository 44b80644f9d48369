"""The public names: complete, sorted, documented, and free to import."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import bestdefense_async

ROOT = Path(__file__).parent.parent

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


def names_typed_for_checkers() -> set[str]:
    """Return what `__init__.py` imports for type checkers; they cannot follow `__getattr__`."""
    import ast

    source = Path(inspect.getfile(bestdefense_async)).read_text("utf-8")
    return {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    } - {"TYPE_CHECKING"}


def test_the_names_are_sorted_and_unique() -> None:
    """A name is found where the alphabet says, and stands there once."""
    names = bestdefense_async.__all__

    assert names == sorted(set(names))


@pytest.mark.parametrize("name", bestdefense_async.__all__)
def test_the_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    """Every public class and function has a docstring of its own."""
    value = getattr(bestdefense_async, name)

    if inspect.isclass(value) or inspect.isroutine(value):
        assert value.__doc__
        assert value.__doc__.strip()


def test_type_checkers_and_the_interpreter_see_the_same_names() -> None:
    """The imports for type checkers and `__all__` are the same list, written twice."""
    assert names_typed_for_checkers() == set(bestdefense_async.__all__)


def test_dir_lists_the_public_names() -> None:
    """Completion in a shell offers every public name before any was used."""
    assert set(bestdefense_async.__all__) <= set(dir(bestdefense_async))


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails like in any other module, so that `hasattr` works."""
    assert not hasattr(bestdefense_async, "BestDefence")


def test_star_import_gives_the_public_names() -> None:
    """`from bestdefense_async import *` binds exactly the public names."""
    scope: dict[str, object] = {}
    exec("from bestdefense_async import *", scope)  # noqa: S102 - not allowed inside a function

    assert set(bestdefense_async.__all__) <= scope.keys()


def test_importing_the_package_imports_nothing_big() -> None:
    """The package alone costs next to nothing; aiohttp is imported with the first client."""
    code = "import sys, bestdefense_async; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert set(done.stdout.split()).isdisjoint(NOT_AT_IMPORT)
