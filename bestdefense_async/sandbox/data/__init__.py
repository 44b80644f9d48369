"""The tables that the sandbox is made of, as TOML, and its page, as HTML."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any


def read_text(name: str) -> str:
    """Return the text of a file of this folder."""
    return (files(__name__) / name).read_text("utf-8")


def read_table(name: str) -> dict[str, Any]:
    """Return the content of a TOML file of this folder."""
    return tomllib.loads(read_text(name))
