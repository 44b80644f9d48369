"""Write a run to files, the format chosen by the suffix."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from bestdefense_async.errors import ConfigError
from bestdefense_async.files import replace_file

if TYPE_CHECKING:
    from bestdefense_async.report.gate.verdict import Verdict
    from bestdefense_async.report.result import RunResult


class Renderer(Protocol):
    """Renders a run in one format; with an older run it also says what changed since."""

    def __call__(self, run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
        """Return the whole text."""


FORMATS: Final = {
    ".jsonl": ("formats.jsonl", "saved_events"),
    ".json": ("formats.json", "document"),
    ".sarif": ("formats.sarif", "sarif"),
    ".xml": ("formats.junit", "junit"),
    ".md": ("formats.markdown", "markdown"),
    ".html": ("html.page", "html"),
}
"""Suffixes, and the module and function that render each; loaded when first used."""


def renderer(path: Path | str) -> Renderer:
    """Return the function that renders the format of `path`.

    Raises:
        ConfigError: No format has this suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(
            f"{os.fspath(path)!r}: no format has this suffix; choose one of {', '.join(FORMATS)}."
        )
    module, function = FORMATS[suffix]
    render: Renderer = getattr(import_module(f"bestdefense_async.report.{module}"), function)
    return render


def write_run(
    path: Path | str, run: RunResult, verdict: Verdict, *, older: RunResult | None = None
) -> None:
    """Write the run to `path` in the format of its suffix, whole or not at all.

    Args:
        path: The file.
        run: What was scanned.
        verdict: What the gate says about it.
        older: An earlier run; the file then says what is new and what is fixed.

    Raises:
        ConfigError: No format has this suffix.
        OSError: The file cannot be written: the directory is missing, the disk is full.
    """
    text = renderer(path)(run, verdict, older=older)
    replace_file(path, text.encode("utf-8", errors="backslashreplace"))
