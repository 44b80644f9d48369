"""From targets to sites, with one request for many of them."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, TypeVar

from bestdefense_async.core.admission import Fate, fate_of
from bestdefense_async.core.host import comparable_host
from bestdefense_async.errors import BestDefenseError, TargetError, UnknownSite
from bestdefense_async.resources.pages import cut_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bestdefense_async.models import Site
    from bestdefense_async.runs.targets import Target

T = TypeVar("T")

KEPT_FOR: Final = 60.0
"""Seconds for which a list of sites is good."""
ASKED_EVERY: Final = 10.0
"""Seconds between two lists at least, when a name is not in the last one or it failed."""


class SiteIndex:
    """Finds the site id of a target; one for all runs of an organization.

    The list is asked for when it is first needed, when it is older than a minute, and for a name
    that is not in it. An error holds for ten seconds: asking again for each of thousands would not
    help, and the client has already tried more than once. While the host is away the last list is
    good: a run whose names were known does not end for that.

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
        self._asked_at = -math.inf

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
        ids = await self._look_up(self._by_host, target.host)
        if ids is None:
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
        return await self._look_up(self._host_of, site_id.lower())

    def close(self) -> Iterable[asyncio.Task[None]]:
        """Have nothing to stop: a list is asked for by who waits for it."""
        return ()

    async def _look_up(self, sites: dict[str, T], key: str) -> T | None:
        """Return what the list has, which is asked for first where it may be out of date."""
        async with self._lock:
            age = asyncio.get_running_loop().time() - self._asked_at
            is_in_doubt = key not in sites or self._error is not None
            if age >= KEPT_FOR or (is_in_doubt and age >= ASKED_EVERY):
                await self._ask()
            if self._error is not None and key not in sites:
                raise self._error
            return sites.get(key)

    async def _ask(self) -> None:
        listed: Iterable[Site] = ()
        self._error = None
        try:
            listed = await self._list_sites()
        except BestDefenseError as error:
            self._error = error.with_traceback(None)
        if self._error is None or fate_of(self._error) is not Fate.AWAY:
            self._cut = cut_of(listed)
            self._by_host.clear()
            self._host_of.clear()
        for site in listed:
            self._by_host.setdefault(comparable_host(site.hostname), []).append(site.id)
            self._host_of[site.id.lower()] = site.hostname
        self._asked_at = asyncio.get_running_loop().time()
