"""`bestdefense scan`: submit, wait, judge, report. The bulk job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from bestdefense_async.cli import params, streams
from bestdefense_async.cli.connection import ApiCommand, Connection, connected, connection
from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.running import Interruption, run_async
from bestdefense_async.cli.verdict_options import Judging, judged
from bestdefense_async.errors import ConfigError, UnknownSite
from bestdefense_async.output.text import counted

if TYPE_CHECKING:
    from bestdefense_async.cli.target_args import Targets
    from bestdefense_async.models import ScanOptions, Site


@click.command("scan", cls=ApiCommand)
@click.argument("targets", nargs=-1, metavar="TARGET...")
@click.option(
    "-l",
    "--list",
    "listing",
    metavar="FILE",
    help="Targets, one a line; # starts a comment, - is stdin.",
)
@click.option(
    "--type",
    "types",
    type=params.TYPES,
    default="security",
    show_default=True,
    help="What to scan for: security,seo,dns,whois.",
)
@click.option(
    "--intensity",
    type=click.Choice(params.INTENSITY_WORDS),
    help="How hard to scan; quick is on every plan.",
)
@click.option("--mode", type=click.Choice(params.MODE_WORDS), help="The scan engine.")
@click.option(
    "--max-active",
    type=params.count(1, 100_000),
    default=100,
    show_default=True,
    help="Scans under way at the same time.",
)
@click.option("--timeout", type=params.SECONDS, help="Longest time for one scan, like 2h.")
@click.option("--run-timeout", type=params.SECONDS, help="Longest time for the whole run.")
@click.option("--dry-run", is_flag=True, help="Resolve the targets, start nothing.")
@click.option(
    "--confirm-over",
    type=params.count(),
    help="Ask before more than this many scans are started.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@judged
@connected
@click.option("-v", "--verbose", count=True, help="Tell each outcome; -vv each request.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, only warnings and the verdict.")
def command(targets: tuple[str, ...], listing: str | None, **words: Any) -> int:  # noqa: ANN401
    """Scan sites and wait for the results.

    A TARGET is a host name, a URL or a site id. Results go to stdout, everything else to stderr.

    \b
      bestdefense scan www.example.com --fail-on high
      bestdefense scan -l hosts.txt -o report.html -o run.jsonl
    """  # noqa: D301  # \b is click's mark for text it must not fill
    from bestdefense_async.cli.target_args import collect
    from bestdefense_async.models import ScanOptions

    streams.require_stdout()
    asked = connection()
    judging = Judging.from_words(words)
    options = ScanOptions(types=words["types"], intensity=words["intensity"], mode=words["mode"])
    if "security" not in options.types and (options.intensity or options.mode):
        raise ConfigError("--intensity and --mode belong to a security scan: add it to --type.")
    asked.check()
    found = collect(targets, listing)
    if found.repeated:
        verb = "is" if found.repeated == 1 else "are"
        streams.say(
            f"bestdefense: {counted(found.repeated, 'repeated target')} {verb} scanned once"
        )
    if words["dry_run"]:
        return _dry_run(asked, found, words["form"])
    _confirm(len(found.unique), words["confirm_over"], is_agreed=words["yes"])
    return _scan(asked, found, options, judging, words)


def _scan(
    asked: Connection,
    found: Targets,
    options: ScanOptions,
    judging: Judging,
    words: dict[str, Any],
) -> int:
    from bestdefense_async.cli.results import Results

    verbosity = -1 if words["quiet"] else words["verbose"]
    if verbosity > 1:
        streams.log_requests()

    async def work(interruption: Interruption) -> int:
        from bestdefense_async.cli.bulk import SANDBOX_SPEED, Bulk, Plan
        from bestdefense_async.cli.throttling import Throttling

        throttling = Throttling()
        plan = Plan(
            options=options,
            max_active=words["max_active"],
            scan_timeout=words["timeout"],
            run_timeout=words["run_timeout"],
            speed=SANDBOX_SPEED if asked.is_sandbox else 1.0,
            verbosity=verbosity,
        )
        with Results(judging) as results:
            async with asked.client(hooks=(throttling,)) as bd:
                bulk = Bulk(bd, plan, results, throttling)
                run = await bulk.run(found.unique, interruption)
            return results.conclude(run, is_interrupted=bool(interruption.count))

    return run_async(work)


def _confirm(count: int, most: int | None, *, is_agreed: bool) -> None:
    """Ask before more scans than agreed are started, each of which may cost money.

    Raises:
        ConfigError: Nobody can be asked.
        click.Abort: The answer is no.
    """
    if most is None or count <= most or is_agreed:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError(
            f"{count} scans would be started, more than --confirm-over {most}: add -y to agree."
        )
    click.confirm(f"Start {count} scans?", abort=True, err=True)


def _dry_run(asked: Connection, found: Targets, form: str) -> int:
    """Show which sites the targets name; exit 0 when all do, 3 when some do, 2 when none does."""

    async def work(_: Interruption) -> int:
        from bestdefense_async.cli.records import emit
        from bestdefense_async.errors import TargetError
        from bestdefense_async.orchestration.site_index import SiteIndex

        async with asked.client() as bd:
            sites = await bd.sites.list()

        async def listed() -> tuple[Site, ...]:
            return sites

        index, known = SiteIndex(listed), {site.id.lower() for site in sites}
        records, refused = [], 0
        for target in found.unique:
            try:
                site_id = await index.resolve(target)
                if site_id.lower() not in known:
                    raise UnknownSite(f"No site of this organization has the id {target.text}.")
                records.append({"target": target.text, "site_id": site_id})
            except TargetError as error:
                refused += 1
                streams.say(f"bestdefense: {error}")
        emit("targets", records, form)
        rest = f", {counted(refused, 'target')} cannot be scanned" if refused else ""
        streams.say(
            f"dry run: {counted(len(records), 'scan')} would be started{rest}; nothing was sent "
            "but the question which sites there are"
        )
        return Exit.OK if not refused else Exit.INCOMPLETE if records else Exit.USAGE

    return run_async(work)
