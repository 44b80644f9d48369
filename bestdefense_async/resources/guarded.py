"""Refuses to start a scan outside of an organization's own list, and records it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bestdefense_async.errors import ConfigError, TargetError, clean_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bestdefense_async.core.host import Scope
    from bestdefense_async.core.request import Request
    from bestdefense_async.resources.protocol import Transport

T = TypeVar("T")

STARTING: Final = frozenset({"reports.create", "schedules.create", "network.start"})
"""Operations that start scans, at once or later."""

_log = logging.getLogger("bestdefense_async.scope")


class Guard:
    """Checks what is to be scanned against the list of one organization.

    Args:
        tenant: Its name, for the log.
        scope: Returns its list, None where everything is allowed.
        host_of: Returns the host name of a site by its id, None for an unknown one: the server's
            word, for whoever names an id may say anything.
    """

    def __init__(
        self,
        tenant: str,
        scope: Callable[[], Scope | None],
        host_of: Callable[[str], Awaitable[str | None]],
    ) -> None:
        self._tenant = tenant
        self._scope = scope
        self._host_of = host_of

    def check_host(self, host: str, *, asked_by: str | None = None) -> None:
        """Refuse a host name, an address or a network that is not on the list.

        Raises:
            TargetError: It is not.
        """
        scope = self._scope()
        if scope is None or scope.covers(host):
            return
        shown = clean_text(host, longest=300)
        _log.warning(
            "A scan of %s was refused: it is outside of what %s may scan (asked by %s).",
            shown,
            self._tenant,
            asked_by or "the program",
            extra={
                "bestdefense": {
                    "event": "scope.refused",
                    "tenant": self._tenant,
                    "target": shown,
                    "asked_by": asked_by,
                }
            },
        )
        raise TargetError(f"{shown} is outside of what {self._tenant} may scan.", target=shown)

    async def check_site(self, site_id: str, *, asked_by: str | None = None) -> None:
        """Refuse a site whose host name is not on the list, and one that is unknown.

        Raises:
            TargetError: It is not on it.
            BestDefenseError: The sites cannot be listed.
        """
        if self._scope() is not None:
            self.check_host(await self._host_of(site_id) or site_id, asked_by=asked_by)

    async def check(self, request: Request[Any]) -> None:
        """Refuse a request that would start a scan outside of the list.

        Raises:
            ConfigError: It is written by hand, so that nobody can tell what it starts.
            TargetError: It would.
            BestDefenseError: The sites cannot be listed.
        """
        operation = request.route.name
        if operation == "network.start" and isinstance(request.json, dict) and not request.parts:
            targets = request.json.get("targets")
            if isinstance(targets, list) and request.read is not None:
                for each in targets:
                    self.check_host(each)
                return
        site_id = request.parts.get("site_id")
        if operation == "schedules.create" and request.read is not None:
            site_id = request.json["siteId"]
        if site_id is None:
            raise ConfigError(
                f"{operation} by hand is refused where a list says what may be scanned: use "
                f"{operation} of the client."
            )
        await self.check_site(site_id)


class GuardedTransport:
    """A transport of an organization that may scan what is on its list."""

    def __init__(self, transport: Transport, guard: Guard) -> None:
        self._transport = transport
        self._guard = guard

    async def send(self, request: Request[T], *, timeout: float | None = None) -> T:
        """Send a request, unless it would start a scan outside of the list."""
        if request.route.name in STARTING:
            await self._guard.check(request)
        return await self._transport.send(request, timeout=timeout)

    async def download(
        self,
        request: Request[None],
        final: Path,
        **wanted: Any,  # noqa: ANN401 - as the transport's
    ) -> None:
        """Store what a request answers."""
        await self._transport.download(request, final, **wanted)
