"""`bestdefense remediation`: let AI remediate findings, and see what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from bestdefense_async import vendor
from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group, ask
from bestdefense_async.cli.options.runs import RUN, load_run
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMAT, emit, iso
from bestdefense_async.errors import AuthError, ConfigError, PermissionDenied, RunStopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.client import BestDefense
    from bestdefense_async.models import Remediation, RemediationList
    from bestdefense_async.runs.remediation import (
        RemediationBatch,
        RemediationOutcome,
        RemediationPlan,
        RemediationRequest,
    )

_COLUMNS: Final = ("id", "stage", "weakness", "created_at", "pull_request_url")
_TRIGGERED: Final = (
    "outcome",
    "severity",
    "target",
    "weakness",
    "finding_id",
    "pull_request_url",
)
"""The columns of what was triggered."""
_SAID: Final = {
    "triggered": "triggered",
    "exists": "triggered before",
    "refused": "refused",
    "unknown": "unknown",
    "not_triggered": "not triggered",
}
"""How many remediations ended how, in the order in which it is told."""


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

    def write(listed: RemediationList) -> None:
        wanted = None if stage is None else Stage(stage)
        shown = [one for one in listed.remediations if wanted is None or one.stage == wanted]
        nothing = "There are no remediations." if stage is None else f"None is {wanted}."
        records = map(_record, shown)
        emit("remediations", records, format_, columns=_COLUMNS, nothing=nothing)
        if listed.credits_remaining is not None:
            streams.note(f"credits left: {listed.credits_remaining}")

    return connection.call(lambda bd: bd.remediation.list(), write)


@command.command("show", cls=ApiCommand)
@click.argument("remediation_id", type=params.REMEDIATION_ID)
@connected
@FORMAT
def show_remediation(remediation_id: str, format_: str, connection: Connection) -> int:
    """Show one remediation: its stage, and its pull request."""
    return connection.call(
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
            "--from",
            "run",
            type=RUN,
            metavar="RUN",
            help="Or the findings of a saved run, like `last`.",
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
@click.argument("report_id", required=False, type=params.REPORT_ID)
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
    connection.check()
    plan = _plan(connection, report_id, options)

    async def check(bd: BestDefense) -> _Checked:
        from bestdefense_async.runs.remediation import without_existing

        listed = await bd.remediation.list()
        missing, before = without_existing(plan.requests, listed.remediations)
        return _Checked(missing, before, listed.credits_remaining)

    found: list[_Checked] = []
    code = connection.call(check, found.append)
    if code:
        return code
    [checked] = found
    cost = _cost_of(checked)
    if options.dry_run:
        _write_plan(checked, format_)
        streams.say(cost)
        _say_unnamed(plan.unnamed)
        return Exit.OK
    if checked.missing and checked.credits_remaining != 0 and not options.yes:
        ask(f"{cost}. Trigger them?", f"{cost}.")

    async def send(interruption: Interruption) -> int:
        async with connection.client() as bd:
            ended = await _trigger(bd, checked, interruption)
        emit("remediations", map(_outcome_record, ended), format_, columns=_TRIGGERED)
        _say_unnamed(plan.unnamed)
        return Exit.INTERRUPTED if interruption.count else _code(ended, plan.unnamed)

    return run_async(send)


class _Checked(NamedTuple):
    """What is still to be triggered, what was before, and what that may cost."""

    missing: Sequence[RemediationRequest]
    before: Sequence[RemediationOutcome]
    credits_remaining: int | None


def _plan(
    connection: Connection, report_id: str | None, options: TriggerOptions
) -> RemediationPlan:
    """Return what is to be remediated.

    Raises:
        ConfigError: The options do not say it in exactly one way, or the run is of another host.
        JournalError: There is no such run, or it cannot be read.
    """
    from bestdefense_async.runs.remediation import (
        RemediationPlan,
        RemediationRequest,
        plan_remediations,
    )

    finding_id, weakness = options.finding_id, options.weakness
    if options.run is None:
        if report_id is None or (finding_id is None) == (weakness is None):
            raise ConfigError("Give a REPORT_ID with --finding or --weakness, or give --from RUN.")
        request = RemediationRequest(report_id=report_id, finding_id=finding_id, weakness=weakness)
        return RemediationPlan(requests=(request,), unnamed=0)
    if (report_id, finding_id, weakness) != (None, None, None):
        raise ConfigError("--from RUN has its own reports and findings: give nothing beside it.")
    run = load_run(options.run)
    if run.base_url not in {"", connection.host}:
        raise ConfigError(
            f"That run is of {run.base_url}, not of {connection.host}: its ids mean nothing here."
        )
    return plan_remediations(run, min_severity=options.min_severity, per=options.per)


def _cost_of(checked: _Checked) -> str:
    """Return a sentence about what triggering costs."""
    from bestdefense_async.report.text import counted

    remediations = counted(len(checked.missing), "remediation")
    return f"{remediations} would be triggered, a credit each{_left(checked.credits_remaining)}"


def _left(credits_remaining: int | None) -> str:
    return "" if credits_remaining is None else f"; credits left: {credits_remaining}"


async def _trigger(
    bd: BestDefense, checked: _Checked, interruption: Interruption
) -> list[RemediationOutcome]:
    """Trigger what is missing, tell how it ended, and return that of all.

    A signal lets those under way end, and sends no further one.
    """
    import asyncio

    from bestdefense_async.report.text import counted
    from bestdefense_async.runs.remediation import RemediationBatch

    batch = RemediationBatch(bd.remediation, credits_remaining=checked.credits_remaining)
    if checked.missing:
        streams.say(f"triggering {counted(len(checked.missing), 'remediation')}")
    interruption.is_handled = True
    stopping = asyncio.ensure_future(_stop_when_asked(batch, interruption))
    ended = list(checked.before)
    try:
        await batch.run(checked.missing, ended.append)
    finally:
        stopping.cancel()
    _say_ends(ended, batch.credits_remaining)
    return ended


async def _stop_when_asked(batch: RemediationBatch, interruption: Interruption) -> None:
    await interruption.requested.wait()
    streams.say("stopping: waiting for answers to what was sent; a second signal ends at once")
    batch.stop(RunStopped("Interrupted before it was sent."))


def _code(ended: Sequence[RemediationOutcome], unnamed: int) -> Exit:
    if any(isinstance(each.error, AuthError | PermissionDenied) for each in ended):
        return Exit.TOKEN
    is_complete = not unnamed and all(each.status in {"triggered", "exists"} for each in ended)
    return Exit.OK if is_complete else Exit.INCOMPLETE


def _say_ends(ended: Sequence[RemediationOutcome], credits_remaining: int | None) -> None:
    from collections import Counter

    from bestdefense_async.report.text import joined

    counts = Counter(str(each.status) for each in ended)
    said = joined([f"{counts[status]} {text}" for status, text in _SAID.items() if counts[status]])
    streams.say(f"remediations: {said or 'nothing to trigger'}{_left(credits_remaining)}")
    reasons = Counter(str(each.error) for each in ended if each.error is not None)
    for reason, count in reasons.most_common(5):
        streams.say(f"{count} x {reason}")


def _say_unnamed(unnamed: int) -> None:
    from bestdefense_async.report.text import counted

    if unnamed:
        verb = "has" if unnamed == 1 else "have"
        streams.say(
            f"{counted(unnamed, 'finding')} {verb} no name in the run and cannot be triggered"
        )


def _write_plan(checked: _Checked, format_: str) -> None:
    from bestdefense_async.runs.remediation import RemediationOutcome, RemediationStatus

    status = RemediationStatus.NOT_TRIGGERED
    new = (RemediationOutcome(request=each, status=status) for each in checked.missing)
    records = [_outcome_record(each) for each in checked.before]
    records += [_outcome_record(each) | {"outcome": "would_trigger"} for each in new]
    emit("remediations", records, format_, columns=_TRIGGERED)


def _outcome_record(ended: RemediationOutcome) -> dict[str, Any]:
    request, remediation, error = ended.request, ended.remediation, ended.error
    stage = None if remediation is None else remediation.stage
    return {
        "outcome": str(ended.status),
        "severity": None if request.severity is None else str(request.severity),
        "target": request.target or None,
        "weakness": request.weakness,
        "report_id": request.report_id,
        "finding_id": request.finding_id,
        "remediation_id": None if remediation is None else remediation.id,
        "stage": None if stage is None else str(stage),
        "pull_request_url": None if remediation is None else remediation.pull_request_url,
        "error": None if error is None else {"kind": error.kind, "message": str(error)},
    }


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
