"""The user's own file of bindings: read for every client, written by `spec adopt`."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bestdefense_async.cli.exits import Unwritable
from bestdefense_async.cli.options.settings import user_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bestdefense_async.core.binding import Binding


def path_of_bindings() -> Path:
    """Return where this user's bindings stand."""
    return user_directory() / "bindings.toml"


def load_bindings(base_url: str) -> dict[str, Binding]:
    """Return the user's bindings for a host; empty without a file.

    Raises:
        ConfigError: The file cannot be read, or something in it is no binding; names the line.
    """
    from bestdefense_async.openapi.bindings import read_bindings

    path = path_of_bindings()
    return read_bindings(path, base_url) if path.exists() else {}


def store(base_url: str, bindings: Mapping[str, Binding]) -> Path:
    """Add bindings of a host to the file, or replace them there; comments stay. Return the file.

    The file appears whole or not at all, readable by its owner alone.

    Raises:
        ConfigError: What the file holds cannot be read, so it is left as it is.
        Unwritable: The disk does not take it.
    """
    import tomlkit

    load_bindings(base_url)
    path = path_of_bindings()
    problem = ""
    try:
        # Where dotfiles are links, what they lead to is written.
        path = path.resolve()
        text = path.read_text("utf-8-sig") if path.exists() else ""
        document = tomlkit.parse(text)
        host: Any = document.setdefault(base_url, tomlkit.table())
        for name, binding in bindings.items():
            host[name] = _table(binding)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, tomlkit.dumps(document))
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem:
        raise Unwritable(f"The bindings could not be written to {path}: {problem}.")
    return path


def _table(binding: Binding) -> Any:  # noqa: ANN401  # tomlkit's own
    import tomlkit

    table = tomlkit.table()
    table["method"] = binding.method
    table["template"] = binding.template
    if binding.has_envelope is not None:
        table["has_envelope"] = binding.has_envelope
    if binding.source:
        table["source"] = binding.source
    for name in ("request", "answer"):
        pairs: Mapping[str, str] = getattr(binding, name)
        if pairs:
            table[name] = dict(pairs)
    return table


def _replace(path: Path, text: str) -> None:
    """Put `text` in the place of a file in one step."""
    handle, name = tempfile.mkstemp(prefix=".bindings-", suffix=".toml", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
