"""A run before it starts: new or resumed, its plan, and a dry run.

What is to be done is known before anything is opened for writing or sent, so that a plan can be
shown, refused or agreed to first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import field, frozen

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.jobs.bulk_run import RunInput
from bestdefense_async.cli.options.settings import state_directory
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMATS, emit
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError, JournalError, TargetError, UnknownSite
from bestdefense_async.models import OutcomeStatus, ScanOptions
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.text import counted, duration
from bestdefense_async.runs import SqliteStore, Target
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
    from bestdefense_async.runs.store.protocol import HeldRun

T = TypeVar("T")

_SETTLED: Final = {OutcomeStatus.DONE, OutcomeStatus.UNKNOWN}
"""What cannot be gone on with."""


def run_store() -> SqliteStore:
    """Return where this user's runs are kept; the caller closes it."""
    return SqliteStore(state_directory() / "runs.db")


def ask_store(question: Callable[[SqliteStore], Awaitable[T]]) -> T:
    """Ask this user's runs something, where no loop runs yet."""

    async def ask() -> T:
        async with run_store() as store:
            return await question(store)

    return asyncio.run(ask())


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
        """Write the plan of the run into the store, and hold it.

        Raises:
            JournalError: It cannot be written.
        """
        async with run_store() as store:
            held = await store.create(
                base_url=client.base_url,
                token_key=connection.token.secret.token_key,
                options=self.options,
                plan=self.targets,
            )
            yield await _run_input(held)
            await held.journal.aclose()


@frozen
class ResumedRun:
    """A run that was left before its end."""

    result: RunResult = field(repr=False)
    options: ScanOptions
    """What the run scans."""

    @classmethod
    def find(cls, name: str) -> ResumedRun:
        """Return the run of that name, where no loop runs yet. Raises what `read` raises."""
        return ask_store(lambda store: cls.read(store, name))

    @classmethod
    async def read(cls, store: SqliteStore, name: str) -> ResumedRun:
        """Return the run of that name.

        Raises:
            JournalError: There is none, or it cannot be read.
        """
        record = await store.record(name)
        info = await record.info()
        if info.options is None:
            raise JournalError(f"Run {info.name}: {info.problem}")
        return cls(await record.result(), info.options)

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.result.name

    @property
    def total(self) -> int:
        """How many targets the run has."""
        return len(self.result.outcomes)

    @property
    def left(self) -> list[Outcome]:
        """What has no result and can be resumed; what is unknown cannot."""
        return [each for each in self.result.outcomes if each.status not in _SETTLED]

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
        """Take the run over, and hold it. Raises what `taken` raises."""
        async with self.taken(connection, client) as held:
            # Again: somebody may have gone on with it since.
            now = await held.record.result()
            ended = [each for each in now.outcomes if each.status in _SETTLED]
            yield await _run_input(held, ended=ended)

    @contextlib.asynccontextmanager
    async def taken(self, connection: Connection, client: BestDefense) -> AsyncIterator[HeldRun]:
        """Take the run over.

        Raises:
            JournalError: It is held, of another organization, or cannot be written.
            BestDefenseError: The sites, which tell the organization, cannot be listed.
        """
        sites = await client.sites.list()
        async with run_store() as store:
            held = await store.take(
                self.name,
                base_url=client.base_url,
                token_key=connection.token.secret.token_key,
                site_ids=[site.id for site in sites],
            )
            yield held
            await held.journal.aclose()


async def _run_input(held: HeldRun, *, ended: Sequence[Outcome] = ()) -> RunInput:
    return RunInput(
        items=await held.record.remaining(),
        ended=ended,
        journal=held.journal,
        name=held.name,
        started_at=(await held.record.info()).created_at,
    )


def earlier_scans(connection: Connection, options: ScanOptions) -> Sequence[tuple[float, bool]]:
    """Return how long scans of the kind have taken at the host, as this machine knows it."""
    return ask_store(lambda store: store.samples(options.kind, base_url=connection.host))


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
