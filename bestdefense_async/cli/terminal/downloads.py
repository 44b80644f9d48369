"""Download files one after the other, and show on stderr how far it is."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from bestdefense_async.cli.exits import Exit, told_as
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.progress import INTERVAL, SHORTEST, STEP, drawing, is_live
from bestdefense_async.core.expected_file import ExpectedFile
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ConfigError,
    LifecycleError,
    PermissionDenied,
    RedirectRefused,
)
from bestdefense_async.report.text import counted, duration, visible
from bestdefense_async.resources.agents import Agents
from bestdefense_async.transport.partial_file import SUFFIX, is_stored

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from bestdefense_async.models import AgentFile

_REFRESH: Final = 0.1
"""Seconds between two drawings."""
_SILENCE: Final = 1.0
"""Seconds without a request after which we say that we wait for the limit."""
_FOR_ALL: Final = (AuthError, PermissionDenied, ConfigError, LifecycleError)
"""What the next file would meet too."""
_UNITS: Final = ("B", "KiB", "MiB", "GiB")


@define
class DownloadProgress:
    """How far the downloads are. Times are readings of the loop's clock."""

    files: int
    """Files to store."""
    ended: int = 0
    """Files that are stored or failed."""
    name: str = ""
    """The file under way."""
    done: int = 0
    size: int | None = None
    begun: float = 0.0
    received: int = 0
    """Bytes received since then: less than `done` after an interrupted run."""
    is_admitted: bool = False
    """The limit has admitted a request for it."""

    def begin(self, file: AgentFile, now: float) -> None:
        """Record that a file is next."""
        self.name, self.size, self.begun = visible(file.filename, longest=80), file.size, now
        self.done = self.received = 0
        self.is_admitted = False

    def advance(self, done: int, size: int | None, now: float) -> None:
        """Record how many bytes are there."""
        if not self.is_admitted:
            self.begun = now
        else:
            self.received += max(0, done - self.done)
        self.is_admitted = True
        self.done, self.size = done, size

    def is_waiting(self, now: float) -> bool:
        """Return whether the limit makes us wait."""
        return bool(self.name) and not self.is_admitted and now - self.begun > _SILENCE

    def describe(self, now: float) -> str:
        """Return the state on one line."""
        parts = [f"{self.ended} of {self.files} files"]
        if self.is_waiting(now):
            waited = duration(now - self.begun)
            parts.append(f"{self.name} waits for the limit of 20 an hour since {waited}")
        elif self.ended < self.files and self.name:
            whole = "" if self.size is None else f" of {size_text(self.size)}"
            parts.append(f"{self.name} {size_text(self.done)}{whole}")
            if now > self.begun and self.received:
                parts.append(f"{size_text(self.received / (now - self.begun))}/s")
        return "download: " + ", ".join(parts)


@define
class Downloads:
    """Stores files in a directory, and has a record of each."""

    _agents: Agents
    _directory: Path
    _allow_unverified: bool = field(kw_only=True)
    _timeout: float | None = field(kw_only=True)
    stored: list[dict[str, Any]] = field(factory=list, init=False)
    """A record for each file that is stored now."""
    _missing: int = field(default=0, init=False)

    @property
    def exit_code(self) -> Exit:
        """What the command returns."""
        return Exit.INCOMPLETE if self._missing else Exit.OK

    async def run(self, files: Sequence[AgentFile]) -> None:
        """Store the files; one that fails does not stop the others.

        Raises:
            ConfigError: The directory cannot be made, or the operation is not for this host.
            AuthError, PermissionDenied: The token may not do this.
        """
        with told_as(f"The directory {visible(self._directory)} cannot be made"):
            self._directory.mkdir(parents=True, exist_ok=True)
        loop = asyncio.get_running_loop()
        progress = DownloadProgress(len(files))
        async with _shown(progress):
            for file in files:
                progress.begin(file, loop.time())
                await self._store(file, progress)
                progress.ended += 1
        if self._missing:
            missing = counted(self._missing, "file is", "files are")
            streams.say(f"download: {missing} missing, {len(self.stored)} stored")

    async def _store(self, file: AgentFile, progress: DownloadProgress) -> None:
        loop = asyncio.get_running_loop()
        final = self._directory / file.filename
        try:
            is_there = await self._is_there(file)
            if not is_there:
                await self._agents.download(
                    file,
                    self._directory,
                    allow_unverified=self._allow_unverified,
                    keep_part=True,
                    on_progress=lambda done, size: progress.advance(done, size, loop.time()),
                    timeout=self._timeout,
                )
        except asyncio.CancelledError:
            _say_partial(final)
            raise
        except BestDefenseError as error:
            if isinstance(error, _FOR_ALL):
                raise
            self._missing += 1
            name = visible(file.filename, longest=80)
            streams.say(f"bestdefense: {name}: {error}{self._hint(file, error)}")
            _say_partial(final)
            return
        self.stored.append(
            {
                "filename": file.filename,
                "path": str(final),
                "size": final.stat().st_size,
                "sha256": file.sha256,
                "verified": file.sha256 is not None,
                "status": "present" if is_there else "stored",
            }
        )

    def _hint(self, file: AgentFile, error: BestDefenseError) -> str:
        """Return which option helps, if any."""
        if isinstance(error, RedirectRefused):
            return " --redirect-host HOST follows it, if you know that host."
        if file.sha256 is None and not self._allow_unverified:
            return " With --allow-unverified it is stored all the same."
        return ""

    async def _is_there(self, file: AgentFile) -> bool:
        if file.sha256 is None:
            return False
        expected = ExpectedFile(sha256=file.sha256.strip().lower(), size=file.size)
        return await asyncio.to_thread(is_stored, self._directory / file.filename, expected)


def _say_partial(final: Path) -> None:
    part = final.with_name(final.name + SUFFIX)
    if part.exists():
        size = size_text(part.stat().st_size)
        streams.say(
            f"bestdefense: {size} are kept in {visible(part)}; the same command goes on with them"
        )


def _shown(progress: DownloadProgress) -> AbstractAsyncContextManager[None]:
    if streams.verbosity() < 0:
        return contextlib.nullcontext()
    return drawing(_draw(progress) if is_live() else _beat(progress))


async def _draw(progress: DownloadProgress) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    loop = asyncio.get_running_loop()
    bar = Bar(*columns, console=Console(file=sys.stderr), transient=True, auto_refresh=False)
    shown = bar.add_task(progress.name, total=progress.size, count="")
    name = progress.name
    with bar:
        while True:
            if name != progress.name:
                name = progress.name
                bar.reset(shown, total=progress.size)
            is_waiting = progress.is_waiting(loop.time())
            bar.update(
                shown,
                completed=progress.done,
                total=progress.size,
                description=f"{name} (waits for the limit)" if is_waiting else name,
                count=f"{min(progress.ended + 1, progress.files)}/{progress.files}",
            )
            bar.refresh()
            await asyncio.sleep(_REFRESH)


async def _beat(progress: DownloadProgress) -> None:
    """Write a line each 30 s or 10 % of a file, at most one a second."""
    loop = asyncio.get_running_loop()
    last, name, step, was_waiting = loop.time(), "", 0, False
    while True:
        await asyncio.sleep(_REFRESH)
        now = loop.time()
        if name != progress.name:
            name, step = progress.name, 0
        is_waiting = progress.is_waiting(now)
        reached = int(progress.done / progress.size / STEP) if progress.size else 0
        is_due_early = reached > step or (is_waiting and not was_waiting)
        if now - last >= (SHORTEST if is_due_early else INTERVAL):
            last, step, was_waiting = now, reached, is_waiting
            streams.say(progress.describe(now))


def size_text(size: float) -> str:
    """Return bytes like `512 B` or `1.5 MiB`."""
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004  # the next unit
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"
