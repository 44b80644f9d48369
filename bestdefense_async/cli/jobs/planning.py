"""The plan of a run: what would be started, what it would cost, and how long it would take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.jobs.recording import NewRun, run_store
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import Interruption, run_async
from bestdefense_async.cli.terminal.tables import FORMATS, emit
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError, TargetError, UnknownSite
from bestdefense_async.report.text import counted, duration
from bestdefense_async.runs.plan import make_plan
from bestdefense_async.runs.site_index import SiteIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bestdefense_async.cli.jobs.bulk import RunOptions
    from bestdefense_async.cli.jobs.recording import ResumedRun
    from bestdefense_async.cli.options.connection import Connection
    from bestdefense_async.models import ScanOptions, Site
    from bestdefense_async.runs import Target
    from bestdefense_async.runs.plan import Plan


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
        only = "nothing was sent but the question which sites there are"
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
