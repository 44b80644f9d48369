"""Directives whose content is read from the code, so that no page can say anything else."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
from _extension.architecture import draw, layers
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import bestdefense_async
from bestdefense_async import errors
from bestdefense_async.cli import exits
from bestdefense_async.cli.options import settings
from bestdefense_async.core.route import ROUTES

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"`[^`]+`")


class Written(SphinxDirective):
    """A directive that writes MyST."""

    def run(self) -> list[nodes.Node]:
        """Return what the text is as nodes."""
        return self.parse_text_to_nodes(self.text())

    def text(self) -> str:
        """Return the text."""
        raise NotImplementedError


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


class Routes(Written):
    """Every operation, with what is sent and how well that is known."""

    def text(self) -> str:
        """Return a table, grade by grade."""
        rows = [
            [
                f"`{row.name}`",
                f"{row.method} `{row.template}`",
                str(row.grade),
                "" if row.may_repeat else "never",
                row.permission or "",
                ", ".join(f"{each.calls} in {each.per:,.0f} s" for each in row.limits),
            ]
            for row in sorted(ROUTES.values(), key=lambda row: row.grade != "documented")
        ]
        return table(["operation", "sends", "known how well", "sent twice", "needs", "limit"], rows)


class Tree(SphinxDirective):
    """The tree of errors as its module draws it."""

    def run(self) -> list[nodes.Node]:
        """Return the indented lines of the module's docstring."""
        lines = (errors.__doc__ or "").splitlines()
        tree = "\n".join(line[4:] for line in lines if line.startswith("    "))
        return [nodes.literal_block(tree, tree, language="text")]


class ExitCodes(Written):
    """The exit codes as their module says them."""

    def text(self) -> str:
        """Return the table in the module's docstring."""
        lines = (exits.__doc__ or "").splitlines()
        return "\n".join(line for line in lines if line.startswith("|")) + "\n"


class Settings(Written):
    """Every key that a settings file may hold, with the option that it stands for."""

    def text(self) -> str:
        """Return a table."""
        rows = [
            [f"`{key}`", f"`{variable}`", *_options().get(key, ("", ""))]
            for variable, key in settings.VARIABLES.items()
        ]
        return table(["key in a file", "variable", "option", "what it says"], rows)


@cache
def _options() -> dict[str, tuple[str, str]]:
    """Return the option and its help for each setting."""
    found: dict[str, tuple[str, str]] = {}
    for name in ("scan", "gate"):
        command = importlib.import_module(f"bestdefense_async.cli.commands.{name}").command
        for option in command.params:
            if isinstance(option, click.Option):
                longest = max(option.opts, key=len)
                found.setdefault(str(option.name), (f"`{longest}`", option.help or ""))
    return found


ROOMS = {
    "client": ("client", "view"),
    "resources": ("resources",),
    "models": ("models",),
    "runs": ("runs", "services", "distributed", "report"),
    "policies": ("core", "openapi"),
    "events": ("transport", "telemetry", "stats"),
    "errors": ("errors", "_version"),
}
"""Each page about Python and the parts of the package whose public names stand there."""

BESIDES = {
    "resources": (
        *("sites.Sites", "reports.Reports", "reports.Vortex", "registrations.Registrations"),
        *("schedules.Schedules", "remediation.Remediations", "network.Network", "agents.Agents"),
    ),
}
"""What has no public name and is reached through one that has: by its module."""


class Names(Written):
    """The public names of one page, each from its docstring."""

    required_arguments = 1

    def text(self) -> str:
        """Return a block of autodoc directives."""
        page = self.arguments[0]
        homes = bestdefense_async._HOMES  # noqa: SLF001  # the table that says what is public
        parts = {part for all_ in ROOMS.values() for part in all_}
        if homeless := {each.partition(".")[0] for each in homes} - parts:
            raise self.error(f"no page has the public names of {', '.join(sorted(homeless))}")
        lines = [
            f".. {_kind(name)}:: bestdefense_async.{name}"
            for module, names in homes.items()
            for name in names
            if module.partition(".")[0] in ROOMS[page]
        ]
        lines += [
            f".. autoclass:: bestdefense_async.{page}.{name}" for name in BESIDES.get(page, ())
        ]
        return "```{eval-rst}\n" + "\n\n".join(lines) + "\n```\n"


def _kind(name: str) -> str:
    value = getattr(bestdefense_async, name)
    if inspect.isclass(value):
        return "autoclass"
    return "autofunction" if callable(value) else "autodata"


class Architecture(SphinxDirective):
    """The picture of the rooms and what they may import."""

    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Return the drawing, in the page itself, so that it follows light and dark."""
        return [nodes.raw("", draw(), format="html")]


def sentences() -> dict[str, str]:
    """Return what each part of the package says of itself, in one sentence."""
    found = {}
    for path in sorted((ROOT / "bestdefense_async").iterdir()):
        module = path / "__init__.py" if path.is_dir() else path
        if module.suffix == ".py" and module.exists():
            doc = ast.get_docstring(ast.parse(module.read_text("utf-8"))) or ""
            found[path.stem] = inspect.cleandoc(doc).partition("\n\n")[0].replace("\n", " ")
    return found


class Parts(Written):
    """The parts of the package, from below, each with its own first sentence."""

    def text(self) -> str:
        """Return a table."""
        said = sentences()
        rows = [
            [f"`{part}`", said.get(part, "")]
            for layer in layers()
            for part in layer
            if said.get(part)
        ]
        return table(["part", "what it is"], rows)


def to_rst(
    _app: Sphinx, _what: str, _name: str, _value: object, _options: object, lines: list[str]
) -> None:
    """Make a docstring of the house what Sphinx reads: code in backticks, examples set in."""
    written: list[str] = []
    above = 0
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line and written and not written[-1] and indent >= above + 4:
            written += [" " * above + "::", ""]
        above = indent if line else above
        written.append(CODE.sub(r"`\g<0>`", line))
    lines[:] = written


def show_examples(_app: Sphinx, _context: click.Context, lines: list[str]) -> None:
    """Show what click's help must not fill as it stands, with its columns."""
    written: list[str] = []
    for line in lines:
        if line.startswith("| ") and not (written and written[-1].startswith("   ")):
            written += ["::", ""]
        written.append("   " + line[2:] if line.startswith("| ") else line)
    lines[:] = written


def escape_stars(_app: Sphinx, _context: click.Context, lines: list[str]) -> None:
    """Keep the stars of an option's help: they emphasise nothing."""
    lines[:] = [line.replace("*", "\\*") for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the directives known."""
    for name, directive in {
        "routes": Routes,
        "error-tree": Tree,
        "exit-codes": ExitCodes,
        "settings-keys": Settings,
        "architecture": Architecture,
        "parts": Parts,
        "python-names": Names,
    }.items():
        app.add_directive(name, directive)
    app.connect("autodoc-process-docstring", to_rst, priority=100)  # napoleon comes after it
    app.connect("sphinx-click-process-description", show_examples)
    app.connect("sphinx-click-process-options", escape_stars)
    return {"parallel_read_safe": True}
