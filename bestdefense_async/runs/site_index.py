"""From targets to sites, with one request for a whole run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bestdefense_async.core.host import comparable_host
from bestdefense_async.errors import BestDefenseError, TargetError, UnknownSite

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bestdefense_async.models import Site
    from bestdefense_async.runs.targets import Target


class SiteIndex:
    """Finds the site id of a target. `list_sites` is asked once, when first needed.

    When that fails, every host name fails with its error: asking again for each of thousands
    would not help, and the client has already tried more than once.
    """

    def __init__(self, list_sites: Callable[[], Awaitable[Iterable[Site]]]) -> None:
        self._list_sites = list_sites
        self._lock = asyncio.Lock()
        self._by_host: dict[str, list[str]] | None = None
        self._error: BestDefenseError | None = None

    async def resolve(self, target: Target) -> str:
        """Return the site id of `target`; one that is a site id already is taken as it is.

        Raises:
            UnknownSite: No site of the organization has that host name.
            TargetError: Several sites have it.
            BestDefenseError: The sites could not be listed.
        """
        if target.host is None:
            return target.text
        by_host = await self._hosts()
        ids = by_host.get(target.host, [])
        if not ids:
            raise UnknownSite(
                f"No site of this organization is called {target}.",
                target=target.text,
                line=target.line,
            )
        if len(ids) > 1:
            raise TargetError(
                f"{len(ids)} sites are called {target}: name the site id instead.",
                target=target.text,
                line=target.line,
            )
        return ids[0]

    async def _hosts(self) -> dict[str, list[str]]:
        async with self._lock:
            if self._error is not None:
                raise self._error
            if self._by_host is None:
                try:
                    sites = await self._list_sites()
                except BestDefenseError as error:
                    self._error = error
                    raise
                self._by_host = {}
                for site in sites:
                    self._by_host.setdefault(comparable_host(site.hostname), []).append(site.id)
            return self._by_host
