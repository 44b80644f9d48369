"""The lock file and the requirements files say the same, and name no index but the public one."""

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "requirements").glob("*.txt"))
OLDEST = ROOT / ".ci/oldest.txt"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
IMPORTED = re.compile(r"^\s*(?:import|from) ([\w.]+)", re.MULTILINE)
PUBLIC = ("https://pypi.org/", "https://files.pythonhosted.org/")


def pins(path: Path) -> dict[str, str]:
    """Return name and version of every requirement in a file."""
    return dict(PINNED.findall(path.read_text("utf-8")))


def names(groups: Iterable[Iterable[object]]) -> set[str]:
    """Return what groups of pyproject.toml ask for, without versions and included groups."""
    lines = [line for group in groups for line in group if isinstance(line, str)]
    return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines}


@pytest.fixture(scope="module")
def locked() -> dict[str, str]:
    """Name and version of every package in uv.lock, the project itself left out."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    return {each["name"]: each["version"] for each in lock["package"] if "version" in each}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_requirements_are_what_is_locked(path: Path, locked: dict[str, str]) -> None:
    """A lock that was changed without `python3 run.py lock` is noticed."""
    found = pins(path)

    assert found
    assert found.items() <= locked.items()


@pytest.mark.parametrize("path", [*FILES, OLDEST], ids=lambda path: path.name)
def test_every_requirement_has_its_hashes(path: Path) -> None:
    """Nothing is installed that is not exactly the file that was locked."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", path.read_text("utf-8"))
    packages = [entry for entry in entries if not entry.startswith("#")]

    assert [entry.split()[0] for entry in packages if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("path", [*FILES, OLDEST], ids=lambda path: path.name)
def test_no_requirement_comes_from_elsewhere(path: Path) -> None:
    """The files hold names, versions and hashes: no index, no link, no path."""
    options = set(re.findall(r"(?:^|\s)(-[-a-z]+)", re.sub("#.*", "", path.read_text("utf-8"))))

    assert options == {"--hash"}
    assert "://" not in path.read_text("utf-8")


def test_the_lock_names_only_the_public_index() -> None:
    """No mirror and no folder of somebody's machine stands in uv.lock."""
    addresses = re.findall(r'"([a-z+]+://[^"]+)"', (ROOT / "uv.lock").read_text("utf-8"))

    assert addresses
    assert [address for address in addresses if not address.startswith(PUBLIC)] == []


def test_every_dependency_is_locked() -> None:
    """Whatever pyproject.toml asks for is in the file with everything."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]

    assert names(groups) - pins(ROOT / "requirements/dev.txt").keys() == set()


def test_each_list_holds_the_one_before() -> None:
    """An environment that is filled with a longer list can do all that a shorter one is for."""
    lists = [pins(ROOT / f"requirements/{name}.txt") for name in ("cli", "library", "test", "dev")]

    assert len(lists) == len(FILES)
    for shorter, longer in pairwise(lists):
        assert shorter.items() < longer.items()


def test_the_oldest_versions_are_of_what_the_library_and_its_tests_need() -> None:
    """A dependency that was added without `python3 run.py lock` is missed by that run of CI."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        project["dependency-groups"]["build"],
        project["dependency-groups"]["library"],
    ]

    assert names(groups) - pins(OLDEST).keys() == set()


def test_every_dependency_is_imported() -> None:
    """No package and no extra is installed for nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "bestdefense_async").rglob("*.py")
        for name in IMPORTED.findall(path.read_text("utf-8"))
    }
    brought = packages_distributions()
    used = {each.lower() for name in imported for each in brought.get(name, ())}

    assert names(groups) - used == set()
