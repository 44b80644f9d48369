"""Runs the real command at a terminal, as a person would, and never waits for it without end."""

from __future__ import annotations

import os
import pty
import select
import time
from typing import TYPE_CHECKING, BinaryIO

import psutil

from tests.support.command import LONGEST, Command, Ended, wait_for

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping


def on_terminal(
    command: Command,
    *arguments: str,
    env: Mapping[str, str],
    asked: str = "",
    answer: str | signal.Signals = "",
) -> Ended:
    """Run the command and return how it ended; its `err` is all that the terminal showed.

    `answer` is typed, or sent as a signal, when the command has shown `asked` and reads. A signal
    between the two would be lost: Python looks for one before it reads, and not again until a line
    has come.
    """
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as screen:
        with os.fdopen(theirs) as side:
            process = command.start(*arguments, env=env, stdin=side, stderr=side)
        with process:
            try:
                shown = b""
                if asked:
                    shown = _read(screen, asked.encode())
                    wait_for(lambda: psutil.Process(process.pid).status() == "sleeping")
                    if isinstance(answer, str):
                        screen.write(answer.encode())
                    else:
                        process.send_signal(answer)
                shown += _read(screen)
                out, _ = process.communicate(timeout=LONGEST)
            except BaseException:
                process.kill()
                raise
    return Ended(process.returncode, out, shown.decode())


def _read(screen: BinaryIO, until: bytes | None = None) -> bytes:
    """Return what the terminal shows until it shows `until`, or until its program ends."""
    shown = b""
    deadline = time.monotonic() + LONGEST
    while until is None or until not in shown:
        ready, _, _ = select.select([screen], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"the terminal only showed {shown!r}"
        try:
            piece = screen.read(65_536)
        except OSError:  # how a terminal ends whose last program has left
            piece = b""
        if not piece:
            assert until is None, f"the program ended after {shown!r}"
            break
        shown += piece
    return shown
