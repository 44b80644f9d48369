"""Network scans. Paths are our guess: see `ProvisionalRoute`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.core.codec import structure, structure_member
from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError
from bestdefense_async.models import Alerts, NetworkScan, Progress
from bestdefense_async.resources.protocol import send_creation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.resources.protocol import Polls, Transport


class Network:
    """Scan networks, follow the scans and read what they found.

    Args:
        transport: Sends what is asked for.
        polls: Returns what waits for network scans; asked for when somebody waits.
    """

    def __init__(self, transport: Transport, polls: Callable[[], Polls]) -> None:
        self._transport = transport
        self._polls = polls

    async def start(
        self, targets: Sequence[str], *, jump_box: str | None = None, intensity: str | None = None
    ) -> NetworkScan:
        """Start a scan of a network. Never sends a second one by itself.

        Args:
            targets: Host names, addresses, or networks like `10.0.0.0/24`; at least one.
            jump_box: The machine inside the network to go through; None scans directly.
            intensity: quick, standard or thorough; None leaves it to the server.

        Raises:
            ConfigError: There is no target.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            OutcomeUnknown: The scan may have been started and its answer is lost.
            PermissionDenied: The organization lacks `run network scans`.
            InvalidRequest: The API does not accept the targets.
            BestDefenseError: Anything else that `errors` names; then nothing was started.

        Source: api-facts, "run a network scan". (described; the names on the wire are inferred)
        """
        wanted = [] if isinstance(targets, str) else [*targets]
        if not wanted or not all(wanted):
            raise ConfigError("A network scan needs a list of targets, such as 10.0.0.0/24.")
        more = f" and {len(wanted) - 1} more" if len(wanted) > 1 else ""
        body = {"targets": wanted, "jumpBox": jump_box, "scanIntensity": intensity}
        request = build_request(
            ROUTES["network.start"],
            json={name: value for name, value in body.items() if value is not None},
            subject=f"{wanted[0]}{more}",
        )
        return await send_creation(
            self._transport, request, lambda payload: structure_member(payload, "scan", NetworkScan)
        )

    async def progress(self, scan_id: str) -> Progress:
        """Return how far a network scan is.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            NotFound: The scan does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "run a network scan, follow it, read its results". (described)
        """
        request = build_request(ROUTES["network.progress"], {"scan_id": scan_id})
        return structure(await self._transport.send(request), Progress)

    async def wait(
        self, scan_id: str, *, timeout: float | None = None, policy: PollPolicy | None = None
    ) -> Progress:
        """Wait until a network scan is complete, as `reports.wait` does for a report.

        Args:
            scan_id: The scan.
            timeout: Seconds to wait at most; None waits for ever.
            policy: How often to ask, and for how long while every poll fails.

        Raises:
            PollTimeout: Time is up. The scan goes on at the server.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            AuthError: The token stopped working; carries the scan's id.
            ClientClosed: The client was closed meanwhile.
            BestDefenseError: What the last poll met, when asking again cannot help.
        """
        return await self._polls().wait(scan_id, timeout=timeout, policy=policy)

    async def findings(self, scan_id: str) -> Alerts:
        """Return what a network scan has found so far.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            NotFound: The scan does not exist, or is another organization's.
            EnvelopeError: The answer has no risk summary. That is never read as zero findings.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "run a network scan, follow it, read its results". (described)
        """
        request = build_request(ROUTES["network.findings"], {"scan_id": scan_id})
        return structure(await self._transport.send(request), Alerts)
