"""A run and its journal: begun with a list of targets, or taken up where it was left.

What is to be done is known before anything is opened for writing or sent, so that a plan can be
shown, refused or agreed to first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from bestdefense_async.cli.jobs.bulk import RunInput
from bestdefense_async.cli.options.settings import state_directory
from bestdefense_async.models import ScanOptions
from bestdefense_async.runs import (
    Done,
    RunStore,
    Snapshot,
    SqliteJournal,
    Target,
    Unknown,
    read_journal,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bestdefense_async.cli.options.connection import Connection
    from bestdefense_async.client import BestDefense
    from bestdefense_async.runs import Outcome


def run_store() -> RunStore:
    """Return where this user's runs are kept."""
    return RunStore(state_directory() / "runs")


@frozen
class NewRun:
    """A run that is to begin."""

    targets: Sequence[Target]
    options: ScanOptions

    follows = 0

    @property
    def total(self) -> int:
        """How many targets the run has."""
        return len(self.targets)

    @property
    def creations(self) -> int:
        """How many scans are to be started."""
        return len(self.targets)

    @contextlib.asynccontextmanager
    async def opened(self, connection: Connection, client: BestDefense) -> AsyncIterator[RunInput]:
        """Write the plan of the run into a new journal, and hold it.

        Raises:
            JournalError: It cannot be written.
        """
        journal = await SqliteJournal.create(
            run_store().new_path(now=time.time()),
            base_url=client.base_url,
            token=connection.token.secret.reveal(),
            options=self.options,
            targets=self.targets,
        )
        async with journal:
            yield await _workload(journal)


@frozen
class ResumedRun:
    """A run that was left before its end."""

    path: Path
    snapshot: Snapshot = field(repr=False)

    @classmethod
    def find(cls, name: str) -> ResumedRun:
        """Return the run of that name.

        Raises:
            JournalError: There is none, or it cannot be read.
        """
        path = run_store().find(name)
        return cls(path, read_journal(path))

    @property
    def options(self) -> ScanOptions:
        """What the run scans."""
        return self.snapshot.run.options

    @property
    def total(self) -> int:
        """How many targets the run has."""
        return len(self.snapshot.outcomes)

    @property
    def left(self) -> list[Outcome]:
        """What has no result and can be gone on with; what is unknown cannot."""
        return [each for each in self.snapshot.outcomes if not isinstance(each, Done | Unknown)]

    @property
    def creations(self) -> int:
        """How many scans are still to be started."""
        return sum(each.report_id is None for each in self.left)

    @property
    def follows(self) -> int:
        """How many scans exist and have no result yet."""
        return len(self.left) - self.creations

    @contextlib.asynccontextmanager
    async def opened(self, connection: Connection, client: BestDefense) -> AsyncIterator[RunInput]:
        """Take the run over, and hold it. Raises what `journal` raises."""
        async with await self.journal(connection, client) as journal:
            # Again, for somebody may have gone on with it since; in a thread, for it may be long.
            now = await asyncio.to_thread(read_journal, self.path)
            ended = [each for each in now.outcomes if isinstance(each, Done | Unknown)]
            yield await _workload(journal, ended=ended)

    async def journal(self, connection: Connection, client: BestDefense) -> SqliteJournal:
        """Take the journal over; whoever asks for it closes it.

        Raises:
            JournalError: It is held, of another organization, or cannot be written.
            BestDefenseError: The sites, which tell the organization, cannot be listed.
        """
        sites = await client.sites.list()
        return await SqliteJournal.open(
            self.path,
            base_url=client.base_url,
            token=connection.token.secret.reveal(),
            site_ids=[site.id for site in sites],
        )


async def _workload(journal: SqliteJournal, *, ended: Sequence[Outcome] = ()) -> RunInput:
    return RunInput(
        items=await journal.remaining(),
        ended=ended,
        journal=journal,
        name=journal.path.stem,
        started_at=journal.run.created_at,
    )
