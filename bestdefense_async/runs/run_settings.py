"""How a run goes, what it needs of a client, and where it stands."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import frozen

from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.models import ScanEvent
from bestdefense_async.runs.workflow import ScanClient


class RunClient(ScanClient, Protocol):
    """The few things a run needs of a client or a view of one."""

    @property
    def base_url(self) -> str:
        """Where the API stands."""

    async def token_key(self) -> str:
        """Return the name of the token."""


@frozen(kw_only=True)
class RunSettings:
    """How a run goes. Times are seconds, None for no limit."""

    max_active: int = 100
    max_starting: int = 8
    scan_timeout: float | None = None
    run_timeout: float | None = None
    fail_fast: bool = False
    polling: PollPolicy | None = None
    on_event: Callable[[ScanEvent], object] | None = None
    drain_on: tuple[signal.Signals, ...] = ()


@frozen(kw_only=True)
class RunStats:
    """Where a run stands."""

    active: int
    """Scans that exist and are followed."""
    by_status: Mapping[str, int]
    """Targets that have an outcome, by its status."""
