"""How often a command asks for a scan it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.core.hazard import learn
from bestdefense_async.core.polling import PollPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.cli.connection import Connection

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
