"""The organization's sites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.core.check import check_text
from bestdefense_async.core.codec import structure_member
from bestdefense_async.core.host import comparable_host
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import UnknownSite, clean_text
from bestdefense_async.models import Site
from bestdefense_async.resources.arguments import optional_seconds
from bestdefense_async.resources.pages import cut_of, iterate, list_all
from bestdefense_async.resources.protocol import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from bestdefense_async.resources.pages import Listed

_ITEMS: Final[Mapping[str, type]] = {"sites": Site}


class Sites(Resource):
    """List and find sites."""

    async def list(self, *, timeout: float | None = None) -> Listed[Site]:
        """Return all sites of the organization, in the API's order.

        In one request, and one more for each further page that the host names. Where the host says
        that there are more than it shows, `missing` of the result says how many.

        Args:
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            AuthError: The token is missing, expired or revoked.
            PermissionDenied: The organization may not list sites.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "list sites". (documented; no pagination is documented)
        """
        wait = optional_seconds("timeout", timeout)
        route = ROUTES["sites.list"]
        return await list_all(self._transport, route, _sites, items=_ITEMS, timeout=wait)

    def iterate(self, *, timeout: float | None = None) -> AsyncGenerator[Site, None]:
        """Yield the sites as `list` returns them, a page at a time.

        Args:
            timeout: Seconds that all requests together may take.

        Raises:
            BestDefenseError: As for `list`.
        """
        wait = optional_seconds("timeout", timeout)
        route = ROUTES["sites.list"]
        return iterate(self._transport, route, _sites, items=_ITEMS, timeout=wait)

    async def find(self, hostname: str, *, timeout: float | None = None) -> Site:
        """Return the site with this host name, compared as hosts are: `Faß.de` is `xn--fa-hia.de`.

        Args:
            hostname: Like `shop.example.com`.
            timeout: Seconds the whole call may take, waiting included.

        Raises:
            ConfigError: The host name is no text, or empty. Nothing was sent.
            UnknownSite: The organization has none, or more than one, with this name.
            BestDefenseError: As for `list`, which this calls.
        """
        check_text("The host name", hostname)
        return site_called(hostname, await self.list(timeout=timeout))


def site_called(hostname: str, sites: Listed[Site]) -> Site:
    """Return the one of all sites with this host name.

    Raises:
        UnknownSite: None has it, or more than one.
    """
    wanted = comparable_host(check_text("The host name", hostname))
    found = [site for site in sites if comparable_host(site.hostname) == wanted]
    if len(found) == 1:
        return found[0]
    shown = clean_text(hostname, longest=120)
    if found:
        raise UnknownSite(f"{len(found)} sites are named {shown}: use the id.", target=hostname)
    problem = f"The organization has no site named {shown}.{cut_of(sites)}"
    raise UnknownSite(problem, target=hostname)


def _sites(payload: object) -> tuple[Site, ...]:
    return structure_member(payload, "sites", tuple[Site, ...])
