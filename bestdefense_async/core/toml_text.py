"""TOML read so that an error names the line and never repeats the text, which may be a secret."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from bestdefense_async.errors import ConfigError


def parse_toml(content: bytes, *, where: str) -> tuple[str, dict[str, Any]]:
    """Return the text of a file and its values.

    Raises:
        ConfigError: It is not UTF-8 or not TOML; the message begins with `where` and the line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"{where}: line {line} is not UTF-8."
    else:
        try:
            return text, tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            # The parser's own words may quote the file.
            found = re.search(r"at line ([0-9]+)", str(error))
            at = found[1] if found else str(text.count("\n") + 1)
            problem = f"{where}, line {at}: this is not valid TOML."
    raise ConfigError(problem)


def line_of(key: str, text: str, *, first: int = 1) -> int:
    """Return the line, from `first` on, that sets a key or opens its table.

    `first` itself when it is written in a way we do not look for.
    """
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    numbered = enumerate(text.splitlines(), start=1)
    return next((at for at, line in numbered if at >= first and pattern.match(line)), first)
