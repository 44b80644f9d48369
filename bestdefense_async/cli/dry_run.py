"""`scan --dry-run`: what would be started, what it would cost, and how long it would take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bestdefense_async.cli import streams
from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.planning import plan_of, said
from bestdefense_async.cli.recording import NewRun
from bestdefense_async.cli.records import FORMATS, emit
from bestdefense_async.cli.running import Interruption, run_async
from bestdefense_async.errors import ConfigError, TargetError, UnknownSite
from bestdefense_async.orchestration.site_index import SiteIndex
from bestdefense_async.output.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bestdefense_async.cli.bulk import Manner
    from bestdefense_async.cli.connection import Connection
    from bestdefense_async.cli.recording import ResumedRun
    from bestdefense_async.models import Site
    from bestdefense_async.orchestration import Target


def dry_run(asked: Connection, run: NewRun | ResumedRun, manner: Manner, form: str) -> int:
    """Show what would be started; exit 0 when all targets can be, 3 when some, 2 when none."""
    if form not in FORMATS:
        raise ConfigError(
            f"A dry run has no findings to show as {form}: choose --format {', '.join(FORMATS)}."
        )
    if not isinstance(run, NewRun):
        emit("targets", [_record(each.target, each.site_id) for each in run.left], form)
        streams.say(f"dry run: {said(plan_of(run, manner))}; nothing was sent")
        return Exit.OK

    async def work(_: Interruption) -> int:
        async with asked.client() as bd:
            sites = await bd.sites.list()
        records = await _resolved(run.targets, sites)
        emit("targets", records, form)
        refused = run.total - len(records)
        rest = f"; {counted(refused, 'target')} cannot be scanned" if refused else ""
        plan = plan_of(run, manner, creations=len(records))
        streams.say(
            f"dry run: {said(plan)}{rest}; nothing was sent but the question which sites there are"
        )
        plan.check(run_timeout=manner.run_timeout, scan_timeout=manner.scan_timeout)
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
