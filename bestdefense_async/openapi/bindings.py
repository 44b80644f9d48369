"""Bindings in a file: a table for each host, and in it one for each operation.

    ["https://acme.bestdefense.io"."schedules.create"]
    method = "POST"
    template = "/api/v2/scheduled-reports"
    source = "https://acme.bestdefense.io/api/docs.json"

    ["https://acme.bestdefense.io"."schedules.create".request]
    cadence = "frequency"

The keys are those of `Binding`. `bestdefense spec adopt` writes it, a person may; reading needs
nothing but the library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import fields

from bestdefense_async.config import line_of, parse_base_url, parse_toml
from bestdefense_async.core.binding import Binding, bind
from bestdefense_async.errors import ConfigError, clean_text
from bestdefense_async.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

_KEYS: Final = tuple(each.name for each in fields(Binding))


def read_bindings(path: Path, base_url: str) -> dict[str, Binding]:
    """Return the bindings that a file has for a host, by operation; empty when it has none.

    All of the file is checked, that of other hosts too. Hand the result to
    `BestDefense(bindings=...)`.

    Args:
        path: Like `~/.config/bestdefense/bindings.toml`, where the command keeps its own.
        base_url: The host, as it is given to the client.

    Raises:
        ConfigError: The file cannot be read, or something in it is no binding; names the line.
    """
    wanted = parse_base_url(base_url)
    text = read_text(path, what="The bindings")
    found: dict[str, Binding] = {}
    for host, operations in parse_toml(text, where=str(path)).items():
        at = line_of(host, text)
        where = f"{path}, line {at}: "
        try:
            is_wanted = str(parse_base_url(host)) == str(wanted)
        except ConfigError as error:
            problem = f"the name of the table must be a host. {error}"
            raise ConfigError(where + problem) from None
        if not isinstance(operations, dict):
            raise ConfigError(f"{where}a host must be a table of operations.")
        for name, table in operations.items():
            try:
                binding = _binding(table)
                bind(name, binding)
            except ConfigError as error:
                line = _line_of(name, text, first=at)
                raise ConfigError(f"{path}, line {line}: {error}") from None
            found |= {name: binding} if is_wanted else {}
    return found


def _line_of(name: str, text: str, *, first: int) -> int:
    """Return the line, from `first` on, that opens an operation's table."""
    numbered = enumerate(text.splitlines(), start=1)
    return next((at for at, line in numbered if at >= first and f'"{name}"' in line), first)


def _binding(table: Any) -> Binding:  # noqa: ANN401  # any TOML value
    if not isinstance(table, dict):
        raise ConfigError("an operation must be a table.")
    for key in table:
        if key not in _KEYS:
            shown = clean_text(key, longest=60)
            raise ConfigError(f"there is no key {shown!r}. Known: {', '.join(_KEYS)}.")
    missing = [key for key in ("method", "template") if key not in table]
    if missing:
        raise ConfigError(f"{missing[0]} is missing.")
    return Binding(**table)
