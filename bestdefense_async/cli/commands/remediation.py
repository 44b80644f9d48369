"""`bestdefense remediation`: let AI remediate findings, and see what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bestdefense_async import vendor
from bestdefense_async.cli.jobs.one_call import call
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMAT, emit, iso
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from bestdefense_async.cli.jobs.remediation import RemediationPlan
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.models import Remediation, RemediationList

_COLUMNS = ("id", "stage", "weakness", "created_at", "pull_request_url")


@click.group("remediation", cls=Group)
def command() -> None:
    """Trigger AI remediations, and see at which stage they are."""


@command.command("list", cls=ApiCommand)
@click.option("--stage", help="Only those at this stage: Review, Approved, Blocked or Rejected.")
@connected
@FORMAT
def list_remediations(stage: str | None, format_: str, connection: Connection) -> int:
    """List all remediations of the organization; the credits left go to stderr."""
    from bestdefense_async.models import Stage

    streams.require_stdout()

    def write(listed: RemediationList) -> None:
        wanted = None if stage is None else Stage(stage)
        shown = [one for one in listed.remediations if wanted is None or one.stage == wanted]
        emit("remediations", [_record(one) for one in shown], format_, columns=_COLUMNS)
        if not shown:
            streams.note("There are no remediations." if stage is None else f"None is {wanted}.")
        if listed.credits_remaining is not None:
            streams.note(f"credits left: {listed.credits_remaining}")

    return call(connection, lambda bd: bd.remediation.list(), write)


@command.command("show", cls=ApiCommand)
@click.argument("remediation_id")
@connected
@FORMAT
def show_remediation(remediation_id: str, format_: str, connection: Connection) -> int:
    """Show one remediation: its stage, and its pull request."""
    streams.require_stdout()
    return call(
        connection,
        lambda bd: bd.remediation.get(remediation_id),
        lambda found: emit("remediations", [_record(found)], format_),
    )


class TriggerOptions(NamedTuple):
    """What to remediate, and whether to ask first."""

    finding_id: str | None
    weakness: str | None
    run: str | None
    min_severity: str
    per: str
    dry_run: bool
    yes: bool


_trigger_options = params.options_as(
    "options",
    TriggerOptions,
    (
        click.option(
            "--finding", "finding_id", metavar="ID", help="The finding of REPORT_ID to remediate."
        ),
        click.option(
            "--weakness", metavar="NAME", help="Or all its findings of this weakness type."
        ),
        click.option(
            "--from", "run", metavar="RUN", help="Or the findings of a saved run, like `last`."
        ),
        click.option(
            "--min-severity",
            type=params.Word(*vendor.SEVERITIES),
            default="high",
            show_default=True,
            help="Least severity, with --from; unknown ones are always included.",
        ),
        click.option(
            "--per",
            type=click.Choice(("finding", "weakness")),
            default="finding",
            show_default=True,
            help="With --from: one remediation for each finding, or for each weakness type of a "
            "report.",
        ),
        click.option(
            "--dry-run", is_flag=True, help="Show what would be triggered, and trigger nothing."
        ),
        click.option("-y", "--yes", is_flag=True, help="Do not ask before credits are spent."),
    ),
)


@command.command("trigger", cls=ApiCommand)
@click.argument("report_id", required=False)
@_trigger_options
@connected
@FORMAT
def trigger(
    report_id: str | None, *, options: TriggerOptions, format_: str, connection: Connection
) -> int:
    """Trigger remediations, each for a credit.

    What has a remediation already, at whatever stage, is not triggered again, and a trigger whose
    answer is lost is not sent again. When the credits are spent the rest is not triggered: exit 3.

    \b
      bestdefense remediation trigger REPORT_ID --finding ID
      bestdefense remediation trigger --from last --min-severity high --dry-run
      bestdefense remediation trigger --from run.jsonl --per weakness -y
    """  # noqa: D301  # \b is click's mark for text it must not fill
    streams.require_stdout()
    connection.check()
    from bestdefense_async.cli.jobs.remediation import RemediationTrigger, confirm

    job = RemediationTrigger(_plan(connection, report_id, options), format_)

    async def check(_: Interruption) -> int:
        async with connection.client() as bd:
            await job.check_existing(bd)
        return 0

    async def send(interruption: Interruption) -> int:
        async with connection.client() as bd:
            return await job.trigger(bd, interruption)

    code = run_async(check)
    if code:
        return code
    if options.dry_run:
        job.write_plan()
        return code
    confirm(len(job.missing), job.credits_remaining, is_agreed=options.yes)
    return run_async(send)


def _plan(
    connection: Connection, report_id: str | None, options: TriggerOptions
) -> RemediationPlan:
    """Return what is to be remediated.

    Raises:
        ConfigError: The options do not say it in exactly one way, or the run is of another host.
        JournalError: There is no such run, or it cannot be read.
    """
    from bestdefense_async.cli.jobs.remediation import RemediationPlan, plan_for
    from bestdefense_async.runs.remediation import RemediationRequest

    finding_id, weakness = options.finding_id, options.weakness
    if options.run is None:
        if report_id is None or (finding_id is None) == (weakness is None):
            raise ConfigError("Give a REPORT_ID with --finding or --weakness, or give --from RUN.")
        request = RemediationRequest(report_id=report_id, finding_id=finding_id, weakness=weakness)
        return RemediationPlan(requests=(request,), unnamed=0)
    if (report_id, finding_id, weakness) != (None, None, None):
        raise ConfigError("--from RUN has its own reports and findings: give nothing beside it.")
    from bestdefense_async.cli.jobs.report_options import load_run

    run = load_run(options.run)
    if run.base_url not in {"", connection.host}:
        raise ConfigError(
            f"That run is of {run.base_url}, not of {connection.host}: its ids mean nothing here."
        )
    return plan_for(run, min_severity=options.min_severity, per=options.per)


def _record(remediation: Remediation) -> dict[str, Any]:
    return {
        "id": remediation.id,
        "stage": None if remediation.stage is None else str(remediation.stage),
        "weakness": remediation.weakness,
        "finding_id": remediation.finding_id,
        "report_id": remediation.report_id,
        "created_at": iso(remediation.created_at),
        "pull_request_url": remediation.pull_request_url,
    }
