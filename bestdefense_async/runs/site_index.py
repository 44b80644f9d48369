"""From targets to sites, with one request for many of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bestdefense_async.core.host import comparable_host
from bestdefense_async.errors import BestDefenseError, TargetError, UnknownSite
from bestdefense_async.resources.pages import cut_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bestdefense_async.models import Site
    from bestdefense_async.runs.targets import Target

KEPT_FOR: Final = 60.0
"""Seconds for which a list of sites is good."""
ASKED_EVERY: Final = 10.0
"""Seconds between two lists at least, when a name is not in the last one or it failed."""


class SiteIndex:
    """Finds the site id of a target; one for all runs of an organization.

    The list is asked for when it is first needed, when it is older than a minute, and for a name
    that is not in it. An error holds for ten seconds: asking again for each of thousands would not
    help, and the client has already tried more than once.

    Args:
        list_sites: Lists them.
        check: Called with each host name first; raises when it may not be scanned.
    """

    def __init__(
        self,
        list_sites: Callable[[], Awaitable[Iterable[Site]]],
        *,
        check: Callable[[str], object] = bool,
    ) -> None:
        self._list_sites = list_sites
        self._check = check
        self._lock = asyncio.Lock()
        self._by_host: dict[str, list[str]] = {}
        self._host_of: dict[str, str] = {}
        self._cut = ""
        """What the host keeps back, for the sentence that a site is unknown."""
        self._error: BestDefenseError | None = None
        self._asked_at: float | None = None

    async def resolve(self, target: Target) -> str:
        """Return the site id of `target`; one that is a site id already is taken as it is.

        Raises:
            UnknownSite: No site of the organization has that host name.
            TargetError: Several sites have it.
            BestDefenseError: The sites could not be listed.
        """
        if target.host is None:
            return target.text
        self._check(target.host)
        ids = await self._ids(target.host)
        if not ids:
            raise UnknownSite(
                f"No site of this organization is called {target}.{self._cut}",
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

    async def host_of(self, site_id: str) -> str | None:
        """Return the host name of a site, None for one that the organization does not have.

        Raises:
            BestDefenseError: The sites could not be listed.
        """
        async with self._lock:
            age, key = self._age(), site_id.lower()
            is_missed = key not in self._host_of
            if age is None or age >= KEPT_FOR or (is_missed and age >= ASKED_EVERY):
                await self._ask()
            if self._error is not None:
                raise self._error
            return self._host_of.get(key)

    def close(self) -> Iterable[asyncio.Task[None]]:
        """Have nothing to stop: a list is asked for by who waits for it."""
        return ()

    async def _ids(self, host: str) -> list[str]:
        async with self._lock:
            age = self._age()
            is_missed = host not in self._by_host
            if age is None or age >= KEPT_FOR or (is_missed and age >= ASKED_EVERY):
                await self._ask()
            if self._error is not None:
                raise self._error
            return self._by_host.get(host, [])

    def _age(self) -> float | None:
        """Return how long ago the sites were asked for, None when they never were."""
        now = asyncio.get_running_loop().time()
        return None if self._asked_at is None else now - self._asked_at

    async def _ask(self) -> None:
        self._error, self._by_host, self._host_of = None, {}, {}
        try:
            listed = await self._list_sites()
            self._cut = cut_of(listed)
            for site in listed:
                self._by_host.setdefault(comparable_host(site.hostname), []).append(site.id)
                self._host_of[site.id.lower()] = site.hostname
        except BestDefenseError as error:
            self._error = error.with_traceback(None)
        self._asked_at = asyncio.get_running_loop().time()
