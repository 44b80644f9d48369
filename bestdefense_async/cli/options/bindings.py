"""The user's own file of bindings: read for every client, written by `spec adopt`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import fields

from bestdefense_async.cli.exits import Unwritable
from bestdefense_async.cli.options.settings import user_directory
from bestdefense_async.files import is_there, read_text, replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from bestdefense_async.core.binding import Binding


def path_of_bindings() -> Path:
    """Return the path of this user's bindings."""
    return user_directory() / "bindings.toml"


def load_bindings(base_url: str) -> dict[str, Binding]:
    """Return the user's bindings for a host; empty without a file.

    Raises:
        ConfigError: The file cannot be read, or something in it is no binding; names the line.
    """
    from bestdefense_async.openapi.bindings import read_bindings

    path = path_of_bindings()
    return read_bindings(path, base_url) if is_there(path) else {}


def store_bindings(base_url: str, bindings: Mapping[str, Binding]) -> Path:
    """Add bindings of a host to the file, or replace them there; comments stay. Return the file.

    The file appears whole or not at all, readable by its owner alone.

    Raises:
        ConfigError: What the file holds cannot be read, so it is left as it is.
        Unwritable: The file cannot be written.
    """
    import tomlkit

    load_bindings(base_url)
    path = path_of_bindings()
    text = read_text(path, what="The bindings") if is_there(path) else ""
    try:
        document = tomlkit.parse(text)
        host: Any = document.setdefault(base_url, tomlkit.table())
        for name, binding in bindings.items():
            host[name] = _table(binding)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, tomlkit.dumps(document).encode(), is_private=True)
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise Unwritable(f"The bindings could not be written to {path}: {problem}.") from None
    return path


def _table(binding: Binding) -> Any:  # noqa: ANN401  # tomlkit's own
    import tomlkit

    table = tomlkit.table()
    for each in fields(type(binding)):
        value = getattr(binding, each.name)
        if value in (None, (), "") or value == {}:
            continue
        plain = dict(value) if isinstance(value, Mapping) else value
        table[each.name] = list(plain) if isinstance(plain, tuple) else plain
    return table
