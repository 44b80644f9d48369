"""The plan of a run, made from what its journal and earlier runs know, and said in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.cli.recording import run_store
from bestdefense_async.core.route import ROUTES
from bestdefense_async.orchestration.plan import make_plan
from bestdefense_async.output.text import counted, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.cli.bulk import Manner
    from bestdefense_async.cli.connection import Connection
    from bestdefense_async.cli.recording import NewRun, ResumedRun
    from bestdefense_async.models import ScanOptions
    from bestdefense_async.orchestration.plan import Plan


def earlier_scans(asked: Connection, options: ScanOptions) -> Sequence[tuple[float, bool]]:
    """Return how long scans of the kind have taken at the host, as this machine knows it."""
    return run_store().samples(options.kind, base_url=asked.host)


def plan_of(run: NewRun | ResumedRun, manner: Manner, *, creations: int | None = None) -> Plan:
    """Return the plan of a run; `creations` says how many targets can be scanned, if known."""
    return make_plan(
        targets=run.total,
        creations=run.creations if creations is None else creations,
        follows=run.follows,
        options=run.options,
        max_active=manner.max_active,
        polling=manner.polling,
        limits={name: route.limits for name, route in ROUTES.items()},
        samples=manner.samples,
    )


def said(plan: Plan) -> str:
    """Return a plan in one line."""
    if not plan.creations and not plan.follows:
        return "nothing is left to do"
    parts = [f"{counted(plan.creations, 'scan')} to start"]
    if plan.follows:
        parts.append(f"{plan.follows} to follow")
    parts.append(f"about {counted(plan.calls, 'request')}")
    return f"{', '.join(parts)}, {duration(plan.seconds)} expected ({plan.reason})"
