"""The summary of a step in GitHub Actions: Markdown that the page of the job shows.

The file takes 1 MiB, and what is larger is dropped as a whole, together with what was there
before. So a summary is appended whole, or as the verdict alone, or not at all, which is an error.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bestdefense_async.output.markdown import heading, markdown

if TYPE_CHECKING:
    from bestdefense_async.output.gate import Verdict
    from bestdefense_async.output.run import Run

LARGEST: Final = 900_000
"""Bytes the file may have; some room is left below the limit for whoever writes next."""


def append_summary(
    path: Path | str, run: Run, verdict: Verdict, *, older: Run | None = None
) -> None:
    """Append the run to the file, its verdict alone where the whole does not fit.

    Raises:
        OSError: The file cannot be written, or it is full.
    """
    with Path(path).open("ab") as file:
        room = LARGEST - file.tell()
        for text in (markdown(run, verdict, older=older), heading(verdict) + "\n"):
            content = f"{text}\n".encode(errors="backslashreplace")
            if len(content) <= room:
                file.write(content)
                return
    raise OSError(errno.EFBIG, "the summary of this step is full")
