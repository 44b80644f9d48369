"""Write a run to files, the format chosen by the suffix."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from bestdefense_async.errors import ConfigError
from bestdefense_async.files import STDIN, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from bestdefense_async.report.gate.verdict import Verdict
    from bestdefense_async.report.result import RunResult


class Renderer(Protocol):
    """Renders a run in one format; with an older run it also says what changed since."""

    def __call__(self, run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
        """Return the whole text."""


FORMATS: Final = {
    ".jsonl": ("formats.json", "saved_events"),
    ".json": ("formats.json", "document"),
    ".sarif": ("formats.sarif", "sarif"),
    ".xml": ("formats.junit", "junit"),
    ".md": ("formats.markdown", "markdown"),
    ".html": ("html.page", "html"),
    ".csv": ("formats.csv", "csv"),
    ".gitlab.json": ("formats.gitlab", "gitlab"),
}
"""Suffixes, and the module and function that render each; loaded when first used."""

_ALSO: Final = {
    ".sarif.json": ".sarif",
    "gl-dast-report.json": ".gitlab.json",
    ".gitlab": ".gitlab.json",
}
"""Other ends of names, which say more than the last suffix alone."""


def _module(path: Path | str) -> tuple[ModuleType, str]:
    """Return the module that renders the format of `path`, and the name of its function.

    Raises:
        ConfigError: No format has this suffix.
    """
    name = Path(path).name.lower()
    known = sorted((*FORMATS, *_ALSO), key=len, reverse=True)
    end = next((end for end in known if name.endswith(end) and name.lstrip(".") != end[1:]), None)
    if end is None:
        raise ConfigError(
            f"{os.fspath(path)!r}: no format has this suffix; choose one of {', '.join(FORMATS)}."
        )
    module, function = FORMATS[_ALSO.get(end, end)]
    return import_module(f"bestdefense_async.report.{module}"), function


def renderer(path: Path | str) -> Renderer:
    """Return the function that renders the format of `path`.

    Raises:
        ConfigError: No format has this suffix.
    """
    module, function = _module(path)
    render: Renderer = getattr(module, function)
    return render


def missing_from(path: Path | str, verdict: Verdict) -> str:
    """Return in words which findings the format of `path` has no room for; empty for none.

    Raises:
        ConfigError: No format has this suffix.
    """
    module, _ = _module(path)
    told: Callable[[Verdict], str] = getattr(module, "left_out", lambda _: "")
    return told(verdict)


def check_outputs(
    outputs: Iterable[os.PathLike[str] | str], inputs: Iterable[os.PathLike[str] | str]
) -> None:
    """Refuse files that would be written over each other, or over what is read.

    Args:
        outputs: What is to be written.
        inputs: The list, the baseline, waivers, a saved run, `-` for what is redirected to stdin;
            names of runs do no harm.

    Raises:
        ConfigError: Two of them are one file, also through a link or under another spelling.
    """
    read = {_real(path): path for path in inputs}
    written: set[str] = set()
    for path in outputs:
        real = _real(path)
        if real in written:
            raise ConfigError(f"{os.fspath(path)!r} is given twice.")
        if real in read:
            raise ConfigError(
                f"{os.fspath(path)!r} cannot be written: it is read in the same run, as "
                f"{os.fspath(read[real])!r}."
            )
        written.add(real)


def _real(path: os.PathLike[str] | str) -> str:
    """Return what tells two files apart: the number of one that is there, else its path."""
    try:
        found = os.fstat(0) if path == STDIN else Path(path).stat()
    except (OSError, ValueError):
        return os.path.realpath(path)
    return f"{found.st_dev}:{found.st_ino}"


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
