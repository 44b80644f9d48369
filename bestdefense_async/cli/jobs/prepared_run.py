"""A run before it starts: new or resumed, its plan, and a dry run.

What is to be done is known before anything is opened for writing or sent, so that a plan can be
shown, refused or agreed to first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import field, frozen

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options.settings import runs_path
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMATS, emit
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError, JournalError, TargetError, UnknownSite
from bestdefense_async.models import OutcomeStatus, ScanOptions
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.text import counted, duration
from bestdefense_async.resources.pages import cut_of
from bestdefense_async.runs import Target
from bestdefense_async.runs.plan import make_plan
from bestdefense_async.runs.site_index import SiteIndex
from bestdefense_async.runs.store.protocol import RunInfo
from bestdefense_async.runs.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bestdefense_async.cli.jobs.bulk_run import RunOptions
    from bestdefense_async.cli.options.connection import Connection
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.client import BestDefense
    from bestdefense_async.models import Outcome, Site
    from bestdefense_async.runs.plan import Plan
    from bestdefense_async.runs.run import Run


T = TypeVar("T")

_SETTLED: Final = {OutcomeStatus.DONE, OutcomeStatus.UNKNOWN}
"""What cannot be gone on with."""


def from_store(work: Callable[[SqliteStore], Awaitable[T]]) -> T:
    """Return what `work` reads or changes in the store of this user's runs.

    Raises:
        JournalError: The store cannot be read, or what is asked for is not in it.
    """

    async def main() -> T:
        async with SqliteStore(runs_path()) as store:
            return await work(store)

    return asyncio.run(main())


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

    def opened(self, bd: BestDefense, **settings: Any) -> Run:  # noqa: ANN401  # those of `scan_many`
        """Return the run, to be entered."""
        return bd.scan_many(self.targets, options=self.options, store=runs_path(), **settings)


@frozen
class ResumedRun:
    """A run that was left before its end."""

    info: RunInfo
    options: ScanOptions
    result: RunResult = field(repr=False)

    @classmethod
    def find(cls, name: str) -> ResumedRun:
        """Return the run of that name.

        Raises:
            JournalError: There is none, or it cannot be read.
        """

        async def read(store: SqliteStore) -> ResumedRun:
            record = await store.record(name)
            info = await record.info()
            if info.problem is not None or info.options is None:
                raise JournalError(f"Run {info.name} cannot be read: {info.problem}")
            return cls(info, info.options, await record.result())

        return from_store(read)

    @property
    def total(self) -> int:
        """How many targets the run has."""
        return len(self.result.outcomes)

    @property
    def left(self) -> list[Outcome]:
        """What has no result and can be gone on with; what is unknown cannot."""
        return [each for each in self.result.outcomes if each.status not in _SETTLED]

    @property
    def creations(self) -> int:
        """How many scans are still to be started."""
        return sum(each.report_id is None for each in self.left)

    @property
    def follows(self) -> int:
        """How many scans exist and have no result yet."""
        return len(self.left) - self.creations

    def opened(self, bd: BestDefense, **settings: Any) -> Run:  # noqa: ANN401  # those of `resume`
        """Return the run, to be entered."""
        return bd.resume(self.info.name, store=runs_path(), **settings)


def earlier_scans(connection: Connection, options: ScanOptions) -> Sequence[tuple[float, bool]]:
    """Return how long scans of the kind have taken at the host, as this machine knows it."""
    return from_store(lambda store: store.samples(options.kind, base_url=connection.host))


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
                problem = f"No site of this organization has the id {target.text}."
                raise UnknownSite(problem + cut_of(sites))
            records.append(_record(target.text, site_id))
        except TargetError as error:
            streams.say(f"bestdefense: {error}")
    return records


def _record(target: str, site_id: str | None) -> dict[str, Any]:
    return {"target": target, "site_id": site_id}
