"""The architecture, as a test: who may import whom, what stays pure, how long a module may be.

```
errors <- core <- files <- config <- transport <- polling <- runs <- client <- cli
errors <- models <- resources <- client
models <- report <- runs: a run judges itself and writes itself, and the client begins runs
openapi beside report; sandbox alone
services above runs, made by the client; telemetry above client; distributed above services
```

A part that does not exist yet simply has nothing to check.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.source import PACKAGE, ROOT, Source, reachable

_BELOW_RUNS = {"_version", "vendor", "errors", "core", "files", "config", "models"}
_BELOW_RUNS |= {"transport", "polling", "resources", "report"}
_LIBRARY = _BELOW_RUNS | {"runs", "stats", "view", "client"}
_ALL_BUT_DOORS = _LIBRARY | {"openapi", "services", "telemetry", "distributed"}

# A part of the package and the other parts it may import. A row for one module holds in place of
# its part's row, and for imports inside the part too. Only what stands above everything may use
# the public names, like any user.
MAY_IMPORT: dict[str, set[str]] = {
    "_release": set(),
    "_version": {"_release"},
    "vendor": set(),
    "errors": set(),
    "core": {"errors", "vendor"},
    "core.codec": {"core.spelling", "errors", "models", "vendor"},  # it knows no endpoints
    "models": {"errors", "vendor"},
    "files": {"errors", "core"},
    "config": {"errors", "core", "files"},
    "transport": {"_version", "errors", "core", "files", "config"},
    "polling": {"errors", "core", "models"},
    "resources": {"errors", "core", "models", "vendor"},
    "stats": {"polling", "transport"},
    "report": {"_version", "errors", "core", "files", "config", "models"},
    "runs": _BELOW_RUNS,
    "view": _BELOW_RUNS | {"runs"},
    "client": _BELOW_RUNS | {"runs", "services", "stats", "view"},
    "openapi": {"errors", "core", "models", "files", "config", "vendor"},
    "services": _BELOW_RUNS | {"runs", "stats", "view"},
    "services.background": _LIBRARY | {"services"},  # it makes a client
    "telemetry": _LIBRARY,
    "distributed": _LIBRARY | {"services"},
    "cli": _LIBRARY | {"sandbox", "openapi", "distributed", ROOT},
    "sandbox": set(),
    "testing": _LIBRARY | {"sandbox", ROOT},
    ROOT: _ALL_BUT_DOORS,
    "__main__": {"cli"},
}

# A library and the only parts that may import it; for type annotations anybody may.
ONLY_IN: dict[str, set[str]] = {
    "aiohttp": {"transport", "sandbox"},
    "aiolimiter": {"transport"},
    "cattrs": {"core"},
    "click": {"cli"},
    "idna": {"core"},
    "jinja2": {"report"},
    "junitparser": {"report"},
    "keyring": {"cli"},
    "opentelemetry": {"telemetry"},
    "platformdirs": {"cli"},
    "procrastinate": {"distributed"},
    "psycopg": {"distributed"},
    "pytest": {"testing"},
    "rich": {"cli", "report"},
    "sqlite3": {"runs"},
    "tomlkit": {"cli"},
    "yaml": {"openapi"},
}

# The pure parts and all that they may import from outside the package, for annotations too.
# Clocks, chance, the loop, the network and the machine are passed in, never reached for.
_TYPES = {"__future__", "attrs", "collections.abc", "enum", "re", "typing"}
MAY_USE: dict[str, set[str]] = {
    "vendor": _TYPES,
    "errors": _TYPES,
    "models": _TYPES | {"datetime", "importlib"},
    "core": _TYPES
    | {
        "array",
        "bisect",
        "calendar",
        "cattrs",
        "codecs",
        "contextlib",
        "datetime",
        "functools",
    }
    | {"hashlib", "idna", "ipaddress", "json", "math", "operator", "types", "urllib.parse"},
}
# What the allowed modules and the builtins could still do, called or passed on.
IMPURE_ATTRIBUTES = {"now", "utcnow", "today", "read_text", "read_bytes", "write_text"}
IMPURE_ATTRIBUTES |= {"write_bytes"}
IMPURE_BUILTINS = {"open", "print", "input", "exec", "eval"}

# The only modules that import by a name made at run time: nothing else can be followed by reading.
LAZY_DOORS = {ROOT, "cli.app", "models", "report.writer", "runs.store.doors"}
_NO_DOORS = ("importlib.resources", "importlib.metadata")

LONGEST_MODULE = 400
LONGEST_BODY = 60


def wrong_direction(source: Source) -> list[str]:
    """Return the imports that the table does not allow."""
    wrong = []
    for found in source.imports():
        if "." in found.importer and found.importer in MAY_IMPORT:
            allowed = MAY_IMPORT[found.importer]
        else:
            allowed = MAY_IMPORT.get(found.from_part, set()) | {found.from_part}
        if found.is_ours and not {found.to_part, found.target} & allowed:
            wrong.append(str(found))
    return list(dict.fromkeys(wrong))


def out_of_place(source: Source) -> list[str]:
    """Return the imports of a library outside the parts that it belongs to."""
    return [
        str(found)
        for found in source.imports()
        if not (found.is_ours or found.for_types_only)
        and found.from_part not in ONLY_IN.get(found.to_part, {found.from_part})
    ]


def impurities(source: Source) -> list[str]:
    """Return what the pure parts reach for instead of being given it."""
    found = [
        str(each)
        for each in source.imports()
        if each.from_part in MAY_USE
        and not each.is_ours
        and not any(f"{each.target}.".startswith(f"{name}.") for name in MAY_USE[each.from_part])
    ]
    for module, tree in source.trees.items():
        if module.partition(".")[0] in MAY_USE:
            found += [f"{module}:{line} reaches for {what}" for what, line in _reaches(tree)]
    return found


def _reaches(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        is_attribute = isinstance(node, ast.Attribute) and node.attr in IMPURE_ATTRIBUTES
        is_builtin = isinstance(node, ast.Name) and node.id in IMPURE_BUILTINS
        if isinstance(node, ast.expr) and (is_attribute or is_builtin):
            yield ast.unparse(node), node.lineno


def hidden_imports(source: Source) -> list[str]:
    """Return the imports by a name made at run time, but for those of the lazy doors."""
    found = [
        str(each)
        for each in source.imports()
        if each.to_part == "importlib" and not each.target.startswith(_NO_DOORS)
        if each.importer not in LAZY_DOORS
    ]
    return found + [
        f"{module}:{node.lineno} uses __import__"
        for module, tree in source.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "__import__"
    ]


def too_long(source: Source) -> list[str]:
    """Return the modules and the bodies of functions that do not fit one sitting."""
    modules = [
        f"{module} has {count} lines"
        for module, count in source.line_counts.items()
        if count > LONGEST_MODULE
    ]
    bodies = [
        f"{module}.{node.name} has a body of {count} lines"
        for module, node in source.functions()
        if (count := (node.end_lineno or 0) - node.body[0].lineno + 1) > LONGEST_BODY
    ]
    return modules + bodies


def circles(source: Source) -> list[str]:
    """Return the modules, and the folders of a room, that import each other."""
    groups = source.cycles() + source.cycles(source.folder_of)
    return list(dict.fromkeys(" <-> ".join(group) for group in groups))


RULES = [wrong_direction, out_of_place, impurities, hidden_imports, too_long, circles]


def complaints(source: Source) -> list[str]:
    """Return everything that any rule says."""
    return [complaint for rule in RULES for complaint in rule(source)]


@pytest.fixture(scope="module")
def source() -> Source:
    """The package of this checkout."""
    return Source.read(Path(__file__).parent.parent / PACKAGE)


def test_every_part_of_the_package_has_a_row_in_the_table(source: Source) -> None:
    """A new part is given its place in the one direction before it is used."""
    assert len(source.parts()) > 10
    assert source.parts() - MAY_IMPORT.keys() == set()


def test_the_table_itself_has_one_direction() -> None:
    """Following the allowed imports never leads back to where one started."""
    assert [part for part in MAY_IMPORT if part in reachable(part, MAY_IMPORT)] == []


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(source: Source, rule: object) -> None:
    """Directions, libraries, purity, lazy doors, lengths and circles are as the tables say."""
    assert callable(rule)
    assert rule(source) == []


def _types_only(code: str) -> str:
    return f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {code}"


# What is planted: modules with their code, and the one complaint that it must raise.
PLANTED = {
    "a back edge": (
        {"core/retry.py": f"from {PACKAGE}.transport import wire", "transport/wire.py": ""},
        "core.retry:1 imports transport.wire",
    ),
    "an upward import for types only": (
        {"report/saved.py": _types_only(f"from {PACKAGE}.runs import group"), "runs/group.py": ""},
        "report.saved:3 imports runs.group",
    ),
    "an import inside a function": (
        {"sandbox/world.py": f"def f():\n    import {PACKAGE}.errors", "errors.py": ""},
        "sandbox.world:2 imports errors",
    ),
    "a relative import out of a package": (
        {"models/__init__.py": "from ..core import codec", "core/codec.py": ""},
        "models:1 imports core.codec",
    ),
    "a relative import out of a module": (
        {"core/retry.py": "from ..config import Settings", "config.py": ""},
        "core.retry:1 imports config",
    ),
    "a public name used inside": (
        {"resources/sites.py": f"from {PACKAGE} import BestDefense"},
        "resources.sites:1 imports __init__",
    ),
    "a resource that knows the client": (
        {"resources/sites.py": _types_only("from ..client import BestDefense"), "client.py": ""},
        "resources.sites:3 imports client",
    ),
    "a codec that knows endpoints": (
        {"core/codec.py": "from . import route", "core/route.py": ""},
        "core.codec:1 imports core.route",
    ),
    "a model in the core": (
        {"core/polling.py": "from ..models import report", "models/report.py": ""},
        "core.polling:1 imports models.report",
    ),
    "a sandbox used by a room": (
        {"report/run.py": f"import {PACKAGE}.sandbox.world", "sandbox/world.py": ""},
        "report.run:1 imports sandbox.world",
    ),
    "a circle of modules": (
        {
            "core/a.py": f"from {PACKAGE}.core.b import x",
            "core/b.py": f"from {PACKAGE}.core import c",
            "core/c.py": f"import {PACKAGE}.core.a",
        },
        "core.a <-> core.b <-> core.c",
    ),
    "a circle behind TYPE_CHECKING": (
        {"core/a.py": _types_only("from . import b"), "core/b.py": "from . import a"},
        "core.a <-> core.b",
    ),
    "a circle of folders": (
        {
            "runs/store/schema.py": "from ..steps import one",
            "runs/steps/one.py": "",
            "runs/steps/two.py": _types_only("from ..store import codec"),
            "runs/store/codec.py": "",
        },
        "runs/steps/ <-> runs/store/",
    ),
    "a circle of a folder and a file beside it": (
        {
            "cli/exits.py": "from .terminal import tables",
            "cli/terminal/tables.py": "",
            "cli/terminal/streams.py": "from .. import exits",
        },
        "cli.exits <-> cli/terminal/",
    ),
    "aiohttp in a resource": (
        {"resources/a.py": "import aiohttp", "resources/b.py": _types_only("import aiohttp")},
        "resources.a:1 imports aiohttp",
    ),
    "json in a model": ({"models/site.py": "import json"}, "models.site:1 imports json"),
    "sqlite3 in the core, for types only": (
        {"core/row.py": _types_only("from sqlite3 import Row")},
        "core.row:3 imports sqlite3.Row",
    ),
    "the log": ({"core/x.py": "import logging"}, "core.x:1 imports logging"),
    "the loop": ({"core/x.py": "import asyncio"}, "core.x:1 imports asyncio"),
    "the environment": ({"errors.py": "from os import environ"}, "errors:1 imports os.environ"),
    "a request hidden behind a parser": (
        {"core/x.py": "from urllib import parse, request"},
        "core.x:1 imports urllib.request",
    ),
    "a file that was handed in": (
        {"core/x.py": "def f(path):\n    return path.read_text()"},
        "core.x:2 reaches for path.read_text",
    ),
    "the clock": (
        {"core/x.py": "from datetime import datetime as d\nx = d.now()"},
        "core.x:2 reaches for d.now",
    ),
    "the clock, handed on": (
        {"models/x.py": "from datetime import datetime as d\nclock = d.now"},
        "models.x:2 reaches for d.now",
    ),
    "an open file": ({"core/x.py": "f = open('a')"}, "core.x:1 reaches for open"),
    "a fourth lazy door": (
        {"runs/plan.py": "import importlib\nimport importlib.metadata"},
        "runs.plan:1 imports importlib",
    ),
    "a lazy door under another name": (
        {"runs/plan.py": "from importlib import import_module as load"},
        "runs.plan:1 imports importlib.import_module",
    ),
    "a lazy door without an import": (
        {"cli/app.py": "load = __import__"},
        "cli.app:1 uses __import__",
    ),
    "a long module": ({"runs/plan.py": "\n" * 401}, "runs.plan has 401 lines"),
    "a long body": (
        {"runs/plan.py": "class A:\n    async def f(self):" + "\n        x = 1" * 61},
        "runs.plan.f has a body of 61 lines",
    ),
}


@pytest.mark.parametrize(("modules", "complaint"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_found(
    tmp_path: Path, modules: dict[str, str], complaint: str
) -> None:
    """Each way of breaking a rule is named once, with its place, and nothing else is."""
    for name, code in modules.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, "utf-8")

    assert complaints(Source.read(tmp_path)) == [complaint]


def test_the_longest_that_is_allowed_is_allowed(tmp_path: Path) -> None:
    """A module of 400 lines and a body of 60 are still fine."""
    body = "def f():" + "\n    x = 1" * 60
    (tmp_path / "errors.py").write_text(body + "\n" * 340, "utf-8")

    assert complaints(Source.read(tmp_path)) == []
