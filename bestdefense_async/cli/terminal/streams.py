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

from bestdefense_async.cli.exits import Unwritable
from bestdefense_async.errors import clean_text


class ReaderGone(Exception):
    """Nobody reads our stdout any more."""


def prepare() -> None:
    """Make both streams able to write any text, escaped where their encoding lacks it."""
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


def say(text: str) -> None:
    """Write one line to stderr; nobody listening is no error."""
    from bestdefense_async.report.text import without_ci_commands

    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(without_ci_commands(clean_text(text, longest=2000)) + "\n")
        sys.stderr.flush()


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


def log_requests() -> None:
    """Write each request to stderr: method, operation, status, never a header or a body."""
    import logging

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(relativeCreated)8d ms %(message)s"))
    log = logging.getLogger("bestdefense_async")
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
