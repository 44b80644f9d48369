"""How a run goes, what it needs of a client, where it stands; how it is taken over and settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol, TypedDict

from attrs import frozen

from bestdefense_async.errors import ConfigError, JournalMismatch
from bestdefense_async.runs.store.reconcile import mark_absent, reconcile
from bestdefense_async.runs.workflow import ScanClient

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable

    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.models import ScanEvent
    from bestdefense_async.report.gate.policy import GatePolicy
    from bestdefense_async.runs.store.protocol import HeldRun, Store
    from bestdefense_async.runs.store.reconcile import Listing, Settlement

MOST_ACTIVE: Final = 100
"""Scans under way at the same time, unless it is told otherwise."""


class RunClient(ScanClient, Protocol):
    """The few things a run needs of a client or a view of one."""

    @property
    def base_url(self) -> str:
        """Where the API stands."""

    @property
    def pauses(self) -> set[Callable[[float], object]]:
        """Who is called with the seconds of each pause after a 429."""

    async def token_key(self) -> str:
        """Return the name of the token."""


class GroupSettings(TypedDict, total=False):
    """How a run goes; what is left out is as usual. Times are seconds, None for no limit."""

    max_active: int
    """Most scans under way at the same time: 100."""
    max_starting: int
    """Most creations on their way at the same time: 8. So many may become unknown when the process
    is killed or the host goes away."""
    scan_timeout: float | None
    """Seconds to follow one scan, None for ever."""
    run_timeout: float | None
    """Seconds until everything is stopped, but for the answers to what was sent; the outcomes carry
    the reason."""
    fail_fast: bool
    """Stop at the first target without a result, and raise."""
    polling: PollPolicy | None
    """How often scans are asked for; None for the client's own way, or, where that is the usual
    one, as is learned from the scans in the store."""
    on_event: Callable[[ScanEvent], object] | None
    """Called with each `ScanEvent`. What it raises is logged."""


class RunSettings(GroupSettings, total=False):
    """How a run goes, what ends it, and by what it is to be judged."""

    policy: GatePolicy | None
    """The rules it is to be judged by: recorded when it begins, so that whoever goes on with it or
    reports it can judge alike. `Run.judge` takes its own."""

    drain_on: Iterable[signal.Signals]
    """Signals that end the run in order: nothing more is started, what was sent is recorded. A
    second one does what it always did. Only in the main thread."""


@frozen(kw_only=True)
class RunStats:
    """Where a run stands."""

    active: int
    """Scans that exist and are followed."""
    by_status: Mapping[str, int]
    """Targets that have an outcome, by its status."""


async def take_over(client: RunClient, store: Store, name: str) -> HeldRun:
    """Take a run over, to go on with it or to decide about it; whoever asks closes its journal.

    Raises:
        JournalError: There is none of that name, another process holds it, or it is of another
            server or organization.
        BestDefenseError: The sites, which tell the organization, cannot be listed.
    """
    token_key, base_url = await client.token_key(), client.base_url
    try:
        return await store.take(name, base_url=base_url, token_key=token_key)
    except JournalMismatch:  # perhaps the token was renewed: the sites tell the organization
        ids = [site.id for site in await client.sites.list()]
        return await store.take(name, base_url=base_url, token_key=token_key, site_ids=ids)


async def reconcile_run(
    client: RunClient, reports: Listing, store: Store | None, name: str, absent: Iterable[str] = ()
) -> list[Settlement]:
    """Settle what is unknown of a run, which nobody goes on with meanwhile: see `View.reconcile`.

    Raises:
        BestDefenseError: As named there.
    """
    if store is None:
        raise ConfigError("To settle what is unknown of a run, name the store it is in.")
    held = await take_over(client, store, name)
    try:
        await mark_absent(held.record, absent)
        return await reconcile(reports, held.record)
    finally:
        await held.journal.aclose()
