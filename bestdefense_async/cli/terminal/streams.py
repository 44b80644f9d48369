"""stdout is data, stderr is for people: both survive closed pipes, full disks and ASCII.

Everything the command says goes through here, so that a closed stderr never stops a scan, and a
closed stdout never passes for success.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Final

from bestdefense_async.cli.exits import Unwritable
from bestdefense_async.errors import clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

_USUAL_WIDTH: Final = 80
_NARROWEST: Final = 20
"""Columns that are written into, however few a terminal has."""


class ReaderGone(Exception):
    """Nobody reads our stdout any more."""


_given = {"-q": 0, "-v": 0}
"""How often each was given to this process."""


def prepare() -> None:
    """Make both streams able to write any text, escaped where their encoding lacks it."""
    _given.update({"-q": 0, "-v": 0})
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def require_stdout() -> None:
    """Check that stdout is open, before anything is sent.

    Raises:
        Unwritable: It is closed.
    """
    if sys.stdout is None:
        raise Unwritable("stdout is closed, so the results could not be written.")


def put(text: str) -> None:
    """Write data to stdout at once.

    Raises:
        ReaderGone: The other end of the pipe is closed.
        Unwritable: stdout is closed, or its disk is full.
    """
    require_stdout()
    problem = ""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon_stdout()
        raise ReaderGone from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EINVAL and os.name == "nt":
            _abandon_stdout()
            raise ReaderGone from None  # how a closed pipe looks on Windows
        problem = getattr(error, "strerror", None) or str(error)
        _abandon_stdout()
    if problem:
        raise Unwritable(f"The results could not be written to stdout: {problem}.")


def set_verbosity(*, quiet: int = 0, verbose: int = 0) -> None:
    """Tell less, or more, from now on; with a second `-v` each request."""
    before = _given["-v"]
    _given["-q"] += quiet
    _given["-v"] += verbose
    if before <= 1 < _given["-v"]:
        _log_requests()


def verbosity() -> int:
    """Return how much is told: -1 for `-q`, else how often `-v` was given, before and after."""
    return -1 if _given["-q"] else _given["-v"]


def note(text: str) -> None:
    """Write one line to stderr that `-q` leaves out."""
    if verbosity() >= 0:
        say(text)


def is_terminal(stream: TextIO | None = None) -> bool:
    """Return whether a stream, stdout as usual, is a terminal."""
    wanted = sys.stdout if stream is None else stream
    try:
        return wanted is not None and wanted.isatty()
    except (OSError, ValueError):  # it is closed
        return False


def is_coloured() -> bool:
    """Return whether stdout shows colours: https://no-color.org."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and is_terminal()


def is_ci(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this is a pipeline: `CI` is set, and not to a word for no."""
    return environ.get("CI", "").strip().lower() not in {"", "0", "false", "no", "off"}


def say(text: str) -> None:
    """Write one line to stderr; nobody listening is no error."""
    from bestdefense_async.report.text import without_ci_commands

    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        line = without_ci_commands(clean_text(text, longest=2000))
        sys.stderr.write((wrapped(line) if sys.stderr.isatty() else line) + "\n")
        sys.stderr.flush()


def width() -> int:
    """Return the columns of the terminal at stderr, or of the one that `COLUMNS` describes."""
    with contextlib.suppress(ValueError):
        if int(os.environ.get("COLUMNS", "")) > 0:
            return int(os.environ["COLUMNS"])
    for stream in (sys.stderr, sys.stdout):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            columns = os.get_terminal_size(stream.fileno()).columns
            if columns:  # some terminals do not know theirs, and say 0
                return max(columns, _NARROWEST)
    return _USUAL_WIDTH


def wrapped(line: str) -> str:
    """Return a line as several that fit the terminal, broken between words."""
    import textwrap

    if len(line) < width():
        return line
    return textwrap.fill(
        line,
        width() - 1,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _abandon_stdout() -> None:
    """Keep the interpreter from trying, and complaining, again when it exits."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def say_block(text: str) -> None:
    """Write several lines to stderr."""
    for line in text.splitlines():
        say(line)


def _log_requests() -> None:
    """Write each request to stderr: method, operation, status, never a header or a body."""
    import logging

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(relativeCreated)8d ms %(message)s"))
    log = logging.getLogger("bestdefense_async")
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
