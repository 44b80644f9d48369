"""What most commands do: one call of the API, a wait if need be, and its answer written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import emit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bestdefense_async.cli.options.connection import Connection
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.client import BestDefense
    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.models import Alerts, Progress, Site


T = TypeVar("T")


def call(
    connection: Connection,
    ask: Callable[[BestDefense], Awaitable[T]],
    write: Callable[[T], object],
) -> int:
    """Ask with a client, close it, write the answer, and return 0.

    A signal ends it with 130. Raises what `ask` and `write` raise.
    """

    async def work(_: Interruption) -> int:
        async with connection.client() as bd:
            answer = await ask(bd)
        write(answer)
        return Exit.OK

    return run_async(work)


async def site_named(bd: BestDefense, text: str) -> Site:
    """Return the site of that id, else of that host name.

    Raises:
        BestDefenseError: There is none, or the sites cannot be listed.
    """
    from bestdefense_async.resources.sites import site_called

    sites = await bd.sites.list()
    return next((one for one in sites if one.id == text), None) or site_called(text, sites)


SANDBOX_SPEED: Final = 60.0
"""Scan seconds that pass in a second in the sandbox, unless it is told otherwise."""


def poll_policy(connection: Connection) -> PollPolicy | None:
    """Return how often to ask: None as usual, else as the sandbox needs it: scans take seconds."""
    from bestdefense_async.core.polling import PollPolicy

    return PollPolicy(speed=SANDBOX_SPEED) if connection.is_sandbox else None


class Waitable(Protocol):
    """Waits for something of the API: the client's reports or network scans."""

    async def wait(
        self,
        key: str,
        /,
        *,
        timeout: float | None,
        policy: PollPolicy | None,
        started_ago: float | None,
    ) -> Progress:
        """Return its progress once it is complete."""


async def wait_for(
    connection: Connection, waiter: Waitable, what: str, key: str, *, timeout: float | None
) -> Progress:
    """Say what is waited for, and wait. Raises what the waiter raises."""
    streams.note(f"waiting for {what}; Ctrl-C ends the wait, not the scan")
    # Who names a scan has had it before, so it may be complete: the first poll leaves at once.
    return await waiter.wait(key, timeout=timeout, policy=poll_policy(connection), started_ago=0.0)


def emit_findings(what: str, found: Alerts, min_severity: str, format_: str) -> None:
    """Write findings to stdout, the worst first, and their counts to stderr."""
    from bestdefense_async.cli.terminal.progress import counts_text
    from bestdefense_async.models import Severity

    least = Severity(min_severity).rank
    shown = [finding for finding in found.findings if finding.severity.rank >= least]
    shown.sort(key=lambda finding: -finding.severity.rank)
    records = [
        {
            "severity": str(finding.severity),
            "title": finding.title,
            "url": finding.url,
            "cwe": finding.cwe,
            "weakness": finding.weakness,
            "id": finding.id,
        }
        for finding in shown
    ]
    columns = ("severity", "title", "url", "cwe", "id")
    emit("alerts", records, format_, columns=columns)
    streams.note(f"{what}: {counts_text(found.risk.as_dict())}")
