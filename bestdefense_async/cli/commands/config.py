"""`bestdefense config`: what is set, and by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options.connection import ApiCommand
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import FORMAT, emit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bestdefense_async.cli.options.settings import Setting


@click.group("config", cls=Group)
def command() -> None:
    """Show every setting and where it comes from."""


@command.command("show", cls=ApiCommand)
@FORMAT
def show(format_: str) -> int:
    """Show every setting with its value and its origin: a variable, a file, or the default.

    The token is not among them: `auth status` says where it comes from.
    """
    from bestdefense_async.cli.options.settings import VARIABLES, load_settings, state_directory

    settings = load_settings()
    records = [_record(name, variable, settings) for variable, name in VARIABLES.items()]
    emit("settings", records, format_)
    streams.note(f"Runs and limits are kept in {state_directory()}.")
    return Exit.OK


def _record(name: str, variable: str, settings: Mapping[str, Setting]) -> dict[str, Any]:
    setting = settings.get(name)
    value = _default(name) if setting is None else setting.value
    return {
        "setting": name,
        "value": _shown(name, value),
        "origin": "default" if setting is None else setting.origin,
        "variable": variable,
    }


def _shown(name: str, value: Any) -> Any:  # noqa: ANN401  # settings have many types
    """Return a value without the login that a proxy may have in it."""
    if name == "proxy" and value is not None:
        from bestdefense_async.cli.options.connection import GivenProxy

        return GivenProxy(str(value), "").shown
    return list(value) if isinstance(value, tuple) else value


def _default(name: str) -> Any:  # noqa: ANN401
    """Return what a setting is when nothing sets it."""
    from bestdefense_async.cli.commands import scan
    from bestdefense_async.config import DEFAULT_BASE_URL

    if name == "base_url":
        return DEFAULT_BASE_URL
    if name == "allow_incomplete":  # it has no default of its own: a run may have recorded one
        return "0"
    option = next((each for each in scan.command.params if each.name == name), None)
    given = None if option is None else option.get_default(click.Context(scan.command), call=True)
    return given if isinstance(given, str | int | float) else None
