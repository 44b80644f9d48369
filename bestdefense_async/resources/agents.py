"""The device agent's files. Paths are our guess: see `ProvisionalRoute`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.core.codec import structure
from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.models import AgentManifest

if TYPE_CHECKING:
    from bestdefense_async.resources.protocol import Sender


class Agents:
    """Read the manifest of agent files."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def manifest(self, *, timeout: float | None = None) -> AgentManifest:
        """Return which files there are.

        Limited to 60 calls a minute per token (documented).

        Args:
            timeout: Seconds the call may take, waiting for the limit included.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            LimitWaitTooLong: The limit allows the call only after `timeout`.
            BestDefenseError: Anything else that `errors` names.
        """
        payload = await self._sender.send(build_request(ROUTES["agents.manifest"]), timeout=timeout)
        return structure(payload, AgentManifest)
