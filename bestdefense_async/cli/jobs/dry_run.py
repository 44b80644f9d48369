"""What a run would start: its targets with their sites, and its plan in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options.database import runs_store
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.closing import SHOWN
from bestdefense_async.cli.terminal.tables import FORMATS, emit
from bestdefense_async.errors import ConfigError, TargetError, UnknownSite
from bestdefense_async.models import Site
from bestdefense_async.report.text import counted
from bestdefense_async.resources.pages import cut_of
from bestdefense_async.runs.inputs import scan_of
from bestdefense_async.runs.site_index import SiteIndex
from bestdefense_async.runs.source import text_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bestdefense_async.client import BestDefense
    from bestdefense_async.runs import Target
    from bestdefense_async.runs.plan import Plan


async def dry_run(
    bd: BestDefense,
    targets: Sequence[Target | Site],
    plan_of: Callable[[Sequence[Target | Site]], Awaitable[Plan]],
    *,
    resumes: str | None,
    format_: str,
) -> int:
    """Show what would be started; exit 0 when all targets can be, 3 when some, 2 when none.

    Args:
        bd: Knows the sites.
        targets: What is to be scanned, when the run is new.
        plan_of: Returns the plan of a run over targets; of one that is gone on with, whatever they
            are.
        resumes: The run that is gone on with.
        format_: How the targets are shown.
    """
    if format_ not in FORMATS:
        raise ConfigError(
            f"A dry run has no findings to show as {format_}: choose --format {', '.join(FORMATS)}."
        )
    if resumes is not None:
        plan = await plan_of(())
        emit("targets", await _left_of(resumes), format_)
        streams.say(f"dry run: {plan.sentence}; nothing was sent")
        return Exit.OK
    sites, refused = await _sites_of(bd, targets)
    records = [_record(text_of(target), site_id) for site_id, target in sites.items()]
    emit("targets", records, format_)
    plan = await plan_of(tuple(sites.values()))
    rest = f"; {counted(refused, 'target')} cannot be scanned" if refused else ""
    only = "nothing was sent but one request for the list of sites"
    streams.say(f"dry run: {plan.sentence}{rest}; {only}")
    return Exit.OK if not refused else Exit.INCOMPLETE if sites else Exit.USAGE


async def _left_of(name: str) -> list[dict[str, Any]]:
    """Return what is left to do of a run."""
    async with runs_store() as store:
        left = await (await store.record(name)).remaining()
    scans = [scan_of(each.item, index=each.index, priority=0) for each in left]
    return [
        _record(scan.text, scan.site_id if scan.target is None else scan.target.site_id)
        for scan in scans
    ]


async def _sites_of(
    bd: BestDefense, targets: Sequence[Target | Site]
) -> tuple[dict[str, Target | Site], int]:
    """Return the sites of targets, and how many targets have none; say why."""
    known = await bd.sites.list()
    ids = {site.id.lower() for site in known}

    async def listed() -> tuple[Site, ...]:
        return known

    index = SiteIndex(listed)
    found: dict[str, Target | Site] = {}
    problems: list[str] = []
    for target in targets:
        try:
            site_id = target.id if isinstance(target, Site) else await index.resolve(target)
            if site_id.lower() not in ids:
                problem = f"No site of this organization has the id {site_id}."
                raise UnknownSite(problem + cut_of(known))
        except TargetError as error:
            problems.append(str(error))
        else:
            found.setdefault(site_id.lower(), target)
    for problem in problems[:SHOWN]:
        streams.say(f"bestdefense: {problem}")
    if len(problems) > SHOWN:
        streams.say(f"bestdefense: and {len(problems) - SHOWN:,} more")
    return found, len(problems)


def _record(target: str, site_id: str | None) -> dict[str, Any]:
    return {"target": target, "site_id": site_id}
