"""Security reports of the Vortex engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.core.codec import structure
from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError
from bestdefense_async.models import Alerts

if TYPE_CHECKING:
    from bestdefense_async.resources.protocol import Sender


class Vortex:
    """Read what a security scan found."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def alerts(self, security_id: int) -> Alerts:
        """Return counts and findings of a security report.

        Args:
            security_id: The number in the overview (`Overview.security_id`), not the report's id.

        Raises:
            ConfigError: The id is not a number: the two id spaces must not be mixed up.
            EnvelopeError: The answer has no risk summary. That is never read as zero findings.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "alerts of a Vortex security report". (path documented)
        """
        if isinstance(security_id, bool) or not isinstance(security_id, int):
            raise ConfigError("A security report has a number as its id; a report's id is another.")
        request = build_request(ROUTES["vortex.alerts"], {"security_id": str(security_id)})
        return structure(await self._sender.send(request), Alerts)
