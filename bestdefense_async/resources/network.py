"""Network scans. Paths are our guess: see `ProvisionalRoute`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bestdefense_async.core.check import check_id, check_text
from bestdefense_async.core.codec import ALERTS_ITEMS, structure, structure_member
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import ConfigError
from bestdefense_async.models import Alerts, NetworkScan, Progress
from bestdefense_async.resources.arguments import (
    NETWORK_SCAN,
    id_of,
    instance,
    optional_seconds,
    texts,
)
from bestdefense_async.resources.identity import progress_of
from bestdefense_async.resources.protocol import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bestdefense_async.resources.identity import CreatedIds
    from bestdefense_async.resources.protocol import Polls, Transport


class Network(Resource):
    """Scan networks, follow the scans and read what they found.

    A scan is given as its object or as its id.

    Args:
        transport: Sends what is asked for.
        polls: Returns what waits for network scans; asked for when somebody waits.
        ids: What creations have made lately.
    """

    def __init__(self, transport: Transport, polls: Callable[[], Polls], ids: CreatedIds) -> None:
        super().__init__(transport)
        self._polls = polls
        self._ids = ids

    async def start(
        self,
        targets: Sequence[str],
        *,
        jump_box: str | None = None,
        intensity: str | None = None,
        timeout: float | None = None,
    ) -> NetworkScan:
        """Start a scan of a network. Never sends a second one by itself.

        Args:
            targets: Host names, addresses, or networks like `10.0.0.0/24`; at least one.
            jump_box: The machine inside the network to go through; None scans directly.
            intensity: quick, standard or thorough; None leaves it to the server.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: There is no target, or an argument is no text. Nothing was sent.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            OutcomeUnknown: The scan may have been started and its answer is lost.
            PermissionDenied: The organization lacks `run network scans`.
            InvalidRequest: The API does not accept the targets.
            BestDefenseError: Anything else that `errors` names; then nothing was started.

        Source: api-facts, "run a network scan". (described; the names on the wire are inferred)
        """
        wanted = texts("targets", targets, like="['10.0.0.0/24']")
        if not wanted:
            raise ConfigError("A network scan needs at least one target, such as 10.0.0.0/24.")
        body: dict[str, Any] = {"targets": wanted}
        if jump_box is not None:
            body["jumpBox"] = check_text("jump_box", jump_box)
        if intensity is not None:
            body["scanIntensity"] = check_text("intensity", intensity)
        more = f" and {len(wanted) - 1} more" if len(wanted) > 1 else ""
        return await self._send(
            "network.start",
            json=body,
            subject=f"{wanted[0]}{more}",
            read=self._started,
            timeout=timeout,
        )

    async def progress(self, scan: NetworkScan | str, *, timeout: float | None = None) -> Progress:
        """Return how far a network scan is.

        Args:
            scan: A network scan, or its id.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: This names no network scan. Nothing was sent.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            NotFound: The scan does not exist, or is another organization's.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "run a network scan, follow it, read its results". (described)
        """
        scan_id = id_of(NETWORK_SCAN, scan)
        return await self._send(
            "network.progress",
            {"scan_id": scan_id},
            read=progress_of(scan_id),
            given=_jump_box(scan),
            timeout=timeout,
        )

    async def wait(
        self,
        scan: NetworkScan | str,
        *,
        timeout: float | None = None,
        policy: PollPolicy | None = None,
        started_ago: float | None = None,
    ) -> Progress:
        """Wait until a network scan is complete, as `reports.wait` does for a report.

        Args:
            scan: A network scan, or its id.
            timeout: Seconds to wait at most; None waits for ever.
            policy: How often to ask, and for how long while every poll fails.
            started_ago: Seconds since the scan was started, where that is known; the first poll is
                then sent at once.

        Raises:
            ConfigError: An argument cannot be meant. Nothing was sent.
            PollTimeout: Time is up. The scan goes on at the server.
            ScanFailed: The scan has ended without a result, in the server's words.
            EnvelopeError: Three polls in a row were answered in a shape that is not the API's.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            AuthError: The token stopped working; carries the scan's id.
            ClientClosed: The client was closed meanwhile.
            BestDefenseError: What the last poll met, when asking again cannot help.

        Source: api-facts, "run a network scan, follow it, read its results". (described)
        """
        return await self._polls().wait(
            check_id("scan_id", id_of(NETWORK_SCAN, scan)),
            timeout=optional_seconds("timeout", timeout),
            policy=None if policy is None else instance("policy", policy, PollPolicy),
            started_ago=optional_seconds("started_ago", started_ago, or_zero=True),
        )

    async def findings(self, scan: NetworkScan | str, *, timeout: float | None = None) -> Alerts:
        """Return what a network scan has found so far.

        Args:
            scan: A network scan, or its id.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: This names no network scan. Nothing was sent.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            NotFound: The scan does not exist, or is another organization's.
            EnvelopeError: The answer has no risk summary. That is never read as zero findings.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "run a network scan, follow it, read its results". (described)
        """
        return await self._send(
            "network.findings",
            {"scan_id": id_of(NETWORK_SCAN, scan)},
            items=ALERTS_ITEMS,
            read=lambda payload: structure(payload, Alerts),
            given=_jump_box(scan),
            timeout=timeout,
        )

    def _started(self, payload: object) -> NetworkScan:
        scan = structure_member(payload, "scan", NetworkScan)
        self._ids.add("network.start", scan.id)
        return scan


def _jump_box(scan: NetworkScan | str) -> dict[str, str | None]:
    """Return what a scan that is given as its object says besides its id."""
    return {"jumpBox": scan.jump_box} if isinstance(scan, NetworkScan) else {}
