"""How often a command asks for a scan it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from bestdefense_async.cli import streams
from bestdefense_async.cli.connection import connection
from bestdefense_async.core.hazard import learn
from bestdefense_async.core.polling import PollPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.cli.connection import Connection
    from bestdefense_async.models import Progress

SANDBOX_SPEED: Final = 60.0
"""Scan seconds that pass in a second in the sandbox, unless it is told otherwise."""


def poll_policy(asked: Connection, samples: Sequence[tuple[float, bool]] = ()) -> PollPolicy:
    """Return the usual policy, or one for the sandbox, where scans take seconds.

    `samples` are the durations of earlier scans of the kind: with enough of them it is learned when
    to ask. The sandbox is too fast for that.
    """
    if asked.is_sandbox:
        return PollPolicy(speed=SANDBOX_SPEED)
    return PollPolicy(learned=learn(samples))


class Waiter(Protocol):
    """Waits for something of the API: the client's reports or network scans."""

    async def wait(
        self, key: str, /, *, timeout: float | None, policy: PollPolicy | None
    ) -> Progress:
        """Return its progress once it is complete."""


async def wait_for(waiter: Waiter, what: str, key: str, *, timeout: float | None) -> Progress:
    """Say what the current command waits for, and wait. Raises what the waiter raises."""
    streams.say(f"waiting for {what}, Ctrl-C stops waiting, not the scan")
    return await waiter.wait(key, timeout=timeout, policy=poll_policy(connection()))
