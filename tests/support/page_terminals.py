"""Terminals on which the commands of a page are typed: one shell, and servers that keep running."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import termios
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDTH: Final = 140
"""Columns of a terminal on the pages."""

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_END: Final = "\x1e"
_PATIENCE: Final = 60.0
"""Seconds for one command."""


class Terminal:
    """A program on a terminal of its own, which is as wide as a page."""

    def __init__(self, command: list[str], folder: Path, environ: dict[str, str]) -> None:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (50, WIDTH))
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=theirs,
            stderr=theirs,
            text=True,
            encoding="utf-8",
        )
        os.close(theirs)
        self._screen = ours

    def lines(self) -> Iterator[str]:
        """Yield what it prints, line by line, until it has ended."""
        # A terminal says by an error that nobody writes any more.
        with os.fdopen(os.dup(self._screen), "rb") as screen, contextlib.suppress(OSError):
            for line in screen:
                yield _COLOUR.sub("", line.decode().replace("\r\n", "\n"))

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        with self._process:
            pass
        os.close(self._screen)


class Shell(Terminal):
    """One shell that lives as long as its page."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        super().__init__(["bash", "--noprofile", "--norc"], folder, environ)
        self._lines = self.lines()

    def run(self, command: str) -> str:
        """Return what a command prints, on both of its streams."""
        assert self._process.stdin
        script = f"{{ {command}\n}} < /dev/null\n__code=$?; printf '{_END}\\n'; (exit $__code)\n"
        watchdog = threading.Timer(_PATIENCE, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(script)
            self._process.stdin.flush()
            lines: list[str] = []
            for line in self._lines:
                if line.endswith(f"{_END}\n"):
                    return "".join([*lines, line.removesuffix(f"{_END}\n")])
                lines.append(line)
        finally:
            watchdog.cancel()
        raise AssertionError(f"{command} did not end; it printed {''.join(lines)}")


class Server(Terminal):
    """A command that keeps running in a terminal of its own."""

    def __init__(self, command: str, folder: Path, environ: dict[str, str]) -> None:
        super().__init__(["bash", "-c", f"exec {command}"], folder, environ)
        self.printed = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.lines():
            self.printed += line

    def wait_for(self, lines: int) -> str:
        """Return what it printed once that are so many lines, or it has ended."""
        until = time.monotonic() + _PATIENCE
        while self.printed.count("\n") < lines and time.monotonic() < until:
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        return self.printed

    def close(self) -> None:
        """End it, and what reads it."""
        self._process.terminate()
        self._process.wait(_PATIENCE)
        self._reader.join()
        super().close()
