"""A run before it starts: new or resumed, its plan, and a dry run.

What is to be done is known before anything is opened for writing or sent, so that a plan can be
shown, refused or agreed to first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.jobs.bulk_run import RunInput
from bestdefense_async.cli.options.settings import state_directory
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMATS, emit
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError, TargetError, UnknownSite
from bestdefense_async.models import OutcomeStatus, ScanOptions
from bestdefense_async.report.text import counted, duration
from bestdefense_async.runs import RunStore, Snapshot, SqliteJournal, Target, read_journal
from bestdefense_async.runs.plan import make_plan
from bestdefense_async.runs.site_index import SiteIndex

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from bestdefense_async.cli.jobs.bulk_run import RunOptions
    from bestdefense_async.cli.options.connection import Connection
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.client import BestDefense
    from bestdefense_async.models import Outcome, Site
    from bestdefense_async.runs.plan import Plan


_SETTLED: Final = {OutcomeStatus.DONE, OutcomeStatus.UNKNOWN}
"""What cannot be gone on with."""


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
            yield await _run_input(journal)


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
        """What has no result and can be resumed; what is unknown cannot."""
        return [each for each in self.snapshot.outcomes if each.status not in _SETTLED]

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
        """Open the journal of the run, and hold it. Raises what `journal` raises."""
        async with await self.journal(connection, client) as journal:
            # Again: somebody may have gone on with it since. In a thread: it may be long.
            now = await asyncio.to_thread(read_journal, self.path)
            ended = [each for each in now.outcomes if each.status in _SETTLED]
            yield await _run_input(journal, ended=ended)

    async def journal(self, connection: Connection, client: BestDefense) -> SqliteJournal:
        """Open the journal; the caller closes it.

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


async def _run_input(journal: SqliteJournal, *, ended: Sequence[Outcome] = ()) -> RunInput:
    return RunInput(
        items=await journal.remaining(),
        ended=ended,
        journal=journal,
        name=journal.path.stem,
        started_at=journal.run.created_at,
    )


def earlier_scans(connection: Connection, options: ScanOptions) -> Sequence[tuple[float, bool]]:
    """Return how long scans of the kind have taken at the host, as this machine knows it."""
    return run_store().samples(options.kind, base_url=connection.host)


def plan_of(
    run: NewRun | ResumedRun, run_options: RunOptions, *, creations: int | None = None
) -> Plan:
    """Return the plan of a run; `creations` says how many targets can be scanned, if known."""
    return make_plan(
        targets=run.total,
        creations=run.creations if creations is None else creations,
        follows=run.follows,
        options=run.options,
        max_active=run_options.max_active,
        polling=run_options.polling,
        limits={name: route.limits for name, route in ROUTES.items()},
        samples=run_options.samples,
    )


def sentence_of(plan: Plan) -> str:
    """Return a plan in one line."""
    if not plan.creations and not plan.follows:
        return "nothing is left to do"
    parts = [f"{counted(plan.creations, 'scan')} to start"]
    if plan.follows:
        parts.append(f"{plan.follows} to follow")
    parts.append(f"about {counted(plan.calls, 'request')}")
    return f"{', '.join(parts)}, {duration(plan.seconds)} expected ({plan.reason})"


def dry_run(
    connection: Connection, run: NewRun | ResumedRun, run_options: RunOptions, format_: str
) -> int:
    """Show what would be started; exit 0 when all targets can be, 3 when some, 2 when none."""
    if format_ not in FORMATS:
        raise ConfigError(
            f"A dry run has no findings to show as {format_}: choose --format {', '.join(FORMATS)}."
        )
    if not isinstance(run, NewRun):
        emit("targets", [_record(each.target, each.site_id) for each in run.left], format_)
        streams.say(f"dry run: {sentence_of(plan_of(run, run_options))}; nothing was sent")
        return Exit.OK

    async def work(_: Interruption) -> int:
        async with connection.client() as bd:
            sites = await bd.sites.list()
        records = await _resolved(run.targets, sites)
        emit("targets", records, format_)
        refused = run.total - len(records)
        rest = f"; {counted(refused, 'target')} cannot be scanned" if refused else ""
        plan = plan_of(run, run_options, creations=len(records))
        only = "nothing was sent but one request for the list of sites"
        streams.say(f"dry run: {sentence_of(plan)}{rest}; {only}")
        plan.check(run_timeout=run_options.run_timeout, scan_timeout=run_options.scan_timeout)
        return Exit.OK if not refused else Exit.INCOMPLETE if records else Exit.USAGE

    return run_async(work)


async def _resolved(targets: Iterable[Target], sites: tuple[Site, ...]) -> list[dict[str, Any]]:
    """Return the targets that can be scanned with their sites; say why the others cannot."""

    async def listed() -> tuple[Site, ...]:
        return sites

    index, known = SiteIndex(listed), {site.id.lower() for site in sites}
    records = []
    for target in targets:
        try:
            site_id = await index.resolve(target)
            if site_id.lower() not in known:
                raise UnknownSite(f"No site of this organization has the id {target.text}.")
            records.append(_record(target.text, site_id))
        except TargetError as error:
            streams.say(f"bestdefense: {error}")
    return records


def _record(target: str, site_id: str | None) -> dict[str, Any]:
    return {"target": target, "site_id": site_id}
