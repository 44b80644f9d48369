"""How often a command asks for a scan it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.core.polling import PollPolicy

if TYPE_CHECKING:
    from bestdefense_async.cli.connection import Connection

SANDBOX_SPEED: Final = 60.0
"""Scan seconds that pass in a second in the sandbox, unless it is told otherwise."""


def poll_policy(asked: Connection) -> PollPolicy:
    """Return the usual policy, or one for the sandbox, where scans take seconds."""
    return PollPolicy(speed=SANDBOX_SPEED if asked.is_sandbox else 1.0)
