"""The source of a package, read and never imported: its modules, and who imports whom.

An import inside a function counts as much as one at the top, and one for annotations only as much
as one that runs: both decide what must be understood first.
"""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from attrs import frozen

PACKAGE = "bestdefense_async"
ROOT = "__init__"
"""The name of the package itself among its modules."""


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

    line_counts: dict[str, int]
    packages: frozenset[str]
    """The names in `trees` that are subpackages."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Parse every module below `folder`."""
        trees, line_counts, packages = {}, {}, set()
        for path in sorted(folder.rglob("*.py")):
            parts = list(path.relative_to(folder).with_suffix("").parts)
            if len(parts) > 1 and parts[-1] == ROOT:
                parts.pop()
                packages.add(".".join(parts))
            name, text = ".".join(parts), path.read_text("utf-8")
            trees[name], line_counts[name] = ast.parse(text, str(path)), text.count("\n")
        return cls(trees, line_counts, frozenset(packages))

    def parts(self) -> set[str]:
        """Return the top-level parts of the package that exist."""
        return {module.partition(".")[0] for module in self.trees} - {ROOT}

    def imports(self) -> Iterator[Import]:
        """Yield every import of every module."""
        for module, tree in self.trees.items():
            yield from self._imports_of(module, tree)

    def functions(self) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Yield every function and method with the name of its module."""
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield module, node

    def folder_of(self, module: str) -> str:
        """Return the folder below a room that `module` lies in; a file of the room is its own."""
        names = module.split(".")
        is_inside = len(names) > 2 or (len(names) == 2 and module in self.packages)
        return "/".join([*names[:2], ""]) if is_inside else module

    def cycles(self, name_of: Callable[[str], str] = str) -> list[list[str]]:
        """Return every group that imports each other: modules, or what `name_of` makes of them."""
        edges = defaultdict(set)
        for found in self.imports():
            importer, target = name_of(found.importer), name_of(found.target)
            if found.is_ours and importer != target:  # a package may hand out its own modules
                edges[importer].add(target)
        reach = {name: reachable(name, edges) for name in edges}
        groups = {
            tuple(sorted(other for other in reach[name] if name in reach.get(other, ())))
            for name in edges
            if name in reach[name]
        }
        return [list(group) for group in sorted(groups)]

    def _imports_of(self, module: str, tree: ast.Module) -> Iterator[Import]:
        for_types = {
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
                    for_types_only=id(node) in for_types,
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
        return ".".join(parts) or ROOT


def reachable(start: str, edges: Mapping[str, Iterable[str]]) -> set[str]:
    """Return everything that following `edges` from `start` leads to, `start` only by a circle."""
    seen: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(edges.get(name, ()))
    return seen
