"""The architecture, as a test: who may import whom, what stays pure, and no cycles.

The source is read, never imported, so an import inside a function counts as much as one at the
top, and a part that does not exist yet simply has nothing to check.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parent.parent
PACKAGE = "bestdefense_async"

_BELOW_CLIENT = {"_version", "errors", "core", "config", "models", "transport", "polling"}
_BELOW_CLIENT |= {"resources"}
_BELOW_REPORT = _BELOW_CLIENT | {"client", "runs"}

# A part of the package and the other parts it may import. The root `__init__` is the one part
# without a row: it hands out the public names and may look anywhere. Only what stands above
# everything may use the public names, like any user.
MAY_IMPORT: dict[str, set[str]] = {
    "_version": set(),
    "errors": set(),
    "core": {"errors", "models"},  # the codec builds models; nothing else in core may need them
    "models": {"errors"},
    "config": {"errors", "models", "core"},
    "transport": {"_version", "errors", "core", "config"},
    "polling": {"errors", "core", "models"},
    "resources": {"errors", "core", "models"},
    "client": _BELOW_CLIENT,
    "runs": _BELOW_CLIENT | {"client"},
    "report": _BELOW_REPORT,
    "openapi": {"errors", "config", "core"},
    "cli": _BELOW_REPORT | {"report", "sandbox", "openapi", "__init__"},
    "distributed": _BELOW_REPORT,
    "sandbox": set(),
    "testing": _BELOW_REPORT | {"sandbox", "__init__"},
    "__main__": {"cli"},
}

# A library and the only parts that may import it; for type annotations anybody may.
ONLY_IN: dict[str, set[str]] = {
    "aiohttp": {"transport", "sandbox"},
    "aiolimiter": {"transport"},
    "cattrs": {"core"},
    "click": {"cli"},
    "jinja2": {"report"},
    "junitparser": {"report"},
    "platformdirs": {"cli"},
    "pytest": {"testing"},
    "referencing": {"openapi"},
    "rich": {"cli", "report"},
    "tomlkit": {"cli"},
    "yaml": {"openapi"},
}

PURE = ("core", "models")
# Clocks, chance, the loop, the network and the machine are passed in, never reached for.
IMPURE_MODULES = frozenset(
    {"aiohttp", "asyncio", "concurrent", "multiprocessing", "os", "random", "secrets", "select"}
    | {"signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time"}
)
IMPURE_CALLS = frozenset({"now", "utcnow", "today", "open", "print", "input", "uuid1", "uuid4"})


@frozen(kw_only=True)
class Import:
    """One name one module imports."""

    importer: str
    """Dotted module name, without the package: `core.retry`."""

    target: str
    """Dotted module name, without the package when it is ours: `errors`, `asyncio`."""

    is_ours: bool
    for_types_only: bool
    line: int

    @property
    def from_part(self) -> str:
        """The part of the package that imports."""
        return self.importer.partition(".")[0]

    @property
    def to_part(self) -> str:
        """The part of the package, or the library, that is imported."""
        return self.target.partition(".")[0]

    def __str__(self) -> str:
        """Say who imports what, and where."""
        return f"{self.importer}:{self.line} imports {self.target}"


@frozen
class Source:
    """The modules of one package directory, read and parsed."""

    trees: dict[str, ast.Module]
    """By dotted name without the package; a subpackage's `__init__` bears the package's name."""

    packages: frozenset[str]
    """The names in `trees` that are subpackages."""

    @classmethod
    def read(cls, folder: Path) -> "Source":
        """Parse every module below `folder`."""
        trees, packages = {}, set()
        for path in sorted(folder.rglob("*.py")):
            parts = list(path.relative_to(folder).with_suffix("").parts)
            if len(parts) > 1 and parts[-1] == "__init__":
                parts.pop()
                packages.add(".".join(parts))
            trees[".".join(parts)] = ast.parse(path.read_text("utf-8"), str(path))
        return cls(trees, frozenset(packages))

    def imports(self) -> Iterator[Import]:
        """Yield every import of every module but the root `__init__`."""
        for module, tree in self.trees.items():
            if module != "__init__":
                yield from self._imports_of(module, tree)

    def _imports_of(self, module: str, tree: ast.Module) -> Iterator[Import]:
        typing_only = {
            id(node)
            for block in ast.walk(tree)
            if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
            for statement in block.body
            for node in ast.walk(statement)
        }
        for node in ast.walk(tree):
            for name in self._names(module, node):
                is_ours = name == PACKAGE or name.startswith(PACKAGE + ".")
                yield Import(
                    importer=module,
                    target=self._resolve(name) if is_ours else name,
                    is_ours=is_ours,
                    for_types_only=id(node) in typing_only,
                    line=getattr(node, "lineno", 0),
                )

    def _names(self, module: str, node: ast.AST) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if not isinstance(node, ast.ImportFrom):
            return []
        origin = node.module or ""
        if node.level:
            here = [PACKAGE, *module.split(".")][: None if module in self.packages else -1]
            above = here[: len(here) - node.level + 1]
            origin = ".".join([*above, *([node.module] if node.module else [])])
        return [f"{origin}.{alias.name}" for alias in node.names]

    def _resolve(self, name: str) -> str:
        """Return the module that `name`, a dotted name of ours, lives in."""
        parts = name.split(".")[1:]
        while parts and ".".join(parts) not in self.trees:
            parts.pop()
        return ".".join(parts) or "__init__"

    def parts(self) -> set[str]:
        """Return the top-level parts of the package that exist."""
        return {module.partition(".")[0] for module in self.trees} - {"__init__"}

    def cycles(self) -> list[list[str]]:
        """Return every group of modules that import each other, annotations left aside."""
        edges: dict[str, set[str]] = {module: set() for module in self.trees}
        for found in self.imports():
            to_another = found.target != found.importer  # a package may hand out its own modules
            if found.is_ours and to_another and not found.for_types_only:
                edges[found.importer].add(found.target)
        reach = {module: _reachable(module, edges) for module in edges}
        groups = {
            tuple(sorted(other for other in reach[module] if module in reach[other]))
            for module in edges
            if module in reach[module]
        }
        return [list(group) for group in sorted(groups)]


def _reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(edges.get(module, ()))
    return seen


def wrong_direction(source: Source) -> list[str]:
    """Return the imports between parts that the table does not allow."""
    wrong = (
        str(found)
        for found in source.imports()
        if found.is_ours
        and found.from_part != found.to_part
        and found.to_part not in MAY_IMPORT.get(found.from_part, set())
    )
    return list(dict.fromkeys(wrong))


def out_of_place(source: Source) -> list[str]:
    """Return the imports of a library outside the parts that it belongs to."""
    return [
        str(found)
        for found in source.imports()
        if not found.is_ours
        and not found.for_types_only
        and found.to_part in ONLY_IN
        and found.from_part not in ONLY_IN[found.to_part]
    ]


def impurities(source: Source, part: str) -> list[str]:
    """Return what a pure part reaches for instead of being given it."""
    found = [
        str(each)
        for each in source.imports()
        if each.from_part == part and not each.is_ours and each.to_part in IMPURE_MODULES
    ]
    for module, tree in source.trees.items():
        if module.partition(".")[0] == part:
            found += [f"{module}:{line} calls {name}" for name, line in _impure_calls(tree)]
    return found


def _impure_calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.rpartition(".")[2] in IMPURE_CALLS:
                yield called, node.lineno


@pytest.fixture(scope="module")
def source() -> Source:
    """The package of this checkout."""
    return Source.read(ROOT / PACKAGE)


def test_every_part_of_the_package_has_a_row_in_the_table(source: Source) -> None:
    """A new part is given its place in the one direction before it is used."""
    assert source.parts()
    assert source.parts() - MAY_IMPORT.keys() == set()


def test_the_table_itself_has_one_direction() -> None:
    """Following the allowed imports never leads back to where one started."""
    edges = {part: allowed - {"__init__"} for part, allowed in MAY_IMPORT.items()}

    assert [part for part in edges if part in _reachable(part, edges)] == []


def test_dependencies_point_one_way(source: Source) -> None:
    """Every import between parts is one that the table allows."""
    assert wrong_direction(source) == []


def test_each_library_stays_in_its_place(source: Source) -> None:
    """Only transport and sandbox know aiohttp, only the command line knows click, and so on."""
    assert out_of_place(source) == []


@pytest.mark.parametrize("part", PURE)
def test_the_pure_parts_reach_for_nothing(source: Source, part: str) -> None:
    """Core and models use no clock, no chance, no loop, no network and no environment."""
    assert impurities(source, part) == []


def test_no_modules_import_each_other(source: Source) -> None:
    """The modules can be read in an order in which each uses only what was read before."""
    assert source.cycles() == []


def _package(folder: Path, modules: dict[str, str]) -> Source:
    for name, code in modules.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, "utf-8")
    return Source.read(folder)


@pytest.mark.parametrize(
    ("modules", "complaint"),
    [
        pytest.param(
            {"core/retry.py": f"from {PACKAGE}.transport import wire", "transport/wire.py": ""},
            "core.retry:1 imports transport.wire",
            id="a back edge",
        ),
        pytest.param(
            {"sandbox/world.py": f"def f():\n    import {PACKAGE}.errors", "errors.py": ""},
            "sandbox.world:2 imports errors",
            id="an import inside a function",
        ),
        pytest.param(
            {"models/__init__.py": "from ..core import codec", "core/codec.py": ""},
            "models:1 imports core.codec",
            id="a relative import out of a package",
        ),
        pytest.param(
            {"core/codec.py": "from ..config import Settings", "config.py": ""},
            "core.codec:1 imports config",
            id="a relative import out of a module",
        ),
        pytest.param(
            {"resources/sites.py": f"from {PACKAGE} import BestDefense"},
            "resources.sites:1 imports __init__",
            id="a public name used inside",
        ),
    ],
)
def test_a_wrong_direction_is_found(
    tmp_path: Path, modules: dict[str, str], complaint: str
) -> None:
    """Each way of writing an import is seen and traced to the module it reaches."""
    assert wrong_direction(_package(tmp_path, modules)) == [complaint]


@pytest.mark.parametrize(
    "code",
    ["import asyncio", "from os import environ", "import datetime\nx = datetime.datetime.now()"],
)
def test_an_impurity_is_found(tmp_path: Path, code: str) -> None:
    """A pure part that reaches for the loop, the environment or the clock is named."""
    assert len(impurities(_package(tmp_path, {"core/x.py": code}), "core")) == 1


def test_a_library_out_of_place_is_found(tmp_path: Path) -> None:
    """An aiohttp import in a resource is named, unless it is for annotations only."""
    for_types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import aiohttp\n"
    code = {"resources/a.py": "import aiohttp", "resources/b.py": for_types}

    assert out_of_place(_package(tmp_path, code)) == ["resources.a:1 imports aiohttp"]


def test_a_cycle_is_found(tmp_path: Path) -> None:
    """Modules that import each other through a third are named together."""
    code = {
        "core/a.py": f"from {PACKAGE}.core.b import x",
        "core/b.py": f"from {PACKAGE}.core import c",
        "core/c.py": f"import {PACKAGE}.core.a",
    }

    assert _package(tmp_path, code).cycles() == [["core.a", "core.b", "core.c"]]
