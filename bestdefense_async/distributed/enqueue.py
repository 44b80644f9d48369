"""Begins runs that workers carry out: sites are looked up once, here, and workers get their ids."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bestdefense_async.distributed import engine
from bestdefense_async.distributed.credentials import DEFAULT, check_name
from bestdefense_async.distributed.shards import SHARD_SIZE
from bestdefense_async.errors import ConfigError, TargetError
from bestdefense_async.models import ScanOptions, Site
from bestdefense_async.runs.source import listed
from bestdefense_async.runs.store.statements import key_of
from bestdefense_async.runs.store.store import planned_row
from bestdefense_async.runs.targets import Target

if TYPE_CHECKING:
    from bestdefense_async.distributed.store import PostgresStore
    from bestdefense_async.report.gate.policy import GatePolicy
    from bestdefense_async.runs.run_settings import RunClient
    from bestdefense_async.runs.source import Planned, Source

log: logging.Logger = logging.getLogger("bestdefense_async.distributed")


@frozen(kw_only=True)
class Enqueued:
    """A run that is in the database."""

    name: str
    targets: int
    """Its inputs, those that name no site included."""
    rejected: int
    """Inputs that name no site."""
    duplicates: int
    """Inputs that were left out, since they name a site again."""


async def enqueue(
    client: RunClient,
    source: Source,
    *,
    store: PostgresStore,
    credential: str = DEFAULT,
    options: ScanOptions | None = None,
    shard_size: int = SHARD_SIZE,
    policy: GatePolicy | None = None,
) -> Enqueued:
    """Begin a run over many sites and return at once: workers carry it out.

    Costs one request for the list of sites. Nothing is started here.

    Args:
        client: Its host is the run's, and its token tells the organization.
        source: The path of a list, or a collection of texts, targets and sites.
        store: Where the run is recorded.
        credential: What workers call the organization's token, which is not stored.
        options: What to scan; None is a security scan with the server's defaults.
        shard_size: Inputs that one worker takes at a time.
        policy: The rules it is to be judged by, recorded for whoever watches or reports it.

    Raises:
        ConfigError: The targets cannot be read.
        JournalError: The database cannot be written.
        BestDefenseError: The sites cannot be listed.
    """
    options = ScanOptions() if options is None else options
    if options.callback_secret is not None:
        raise ConfigError("A callback secret is not stored, so workers could not send it.")
    items = await listed(source)
    if items is None:
        raise ConfigError("A run for workers is planned whole: give a list or a path.")
    plan = await _planned(client, items)
    name, shards = await store.enqueue(
        plan.rows,
        base_url=client.base_url,
        token_key=await client.token_key(),
        credential=check_name(credential),
        options=options,
        shard_size=shard_size,
        policy=None if policy is None else policy.as_dict(),
    )
    app = engine.open_app(store.database.address)
    try:
        async with app.open_async():
            await engine.wake(app, shards)
    except engine.FAULTS as error:
        log.warning("Workers find run %s by themselves: %s", name, type(error).__name__)
    return Enqueued(
        name=name, targets=len(plan.rows), rejected=plan.rejected, duplicates=plan.duplicates
    )


@frozen
class _Plan:
    rows: list[tuple[Any, ...]]
    rejected: int
    duplicates: int


async def _planned(client: RunClient, items: list[Planned]) -> _Plan:
    """Return the rows of a plan, each site once."""
    rows: list[tuple[Any, ...]] = []
    seen: set[str] = set()
    rejected = duplicates = 0
    for item in items:
        try:
            site_id = await _site_of(client, item)
        except TargetError as error:
            rows.append(planned_row(len(rows), error.with_traceback(None)))
            rejected += 1
            continue
        if key_of(site_id) in seen:
            duplicates += 1
            continue
        seen.add(key_of(site_id))
        rows.append(planned_row(len(rows), item, site_id))
    return _Plan(rows, rejected, duplicates)


async def _site_of(client: RunClient, item: Planned) -> str:
    if isinstance(item, Site):
        return item.id
    if isinstance(item, Target):
        return await client.site_index.resolve(item)
    raise item
