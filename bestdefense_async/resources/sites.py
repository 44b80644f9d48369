"""The organization's sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.core.codec import structure_member
from bestdefense_async.core.host import comparable_host
from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import UnknownSite, clean_text
from bestdefense_async.models import Site

if TYPE_CHECKING:
    from bestdefense_async.resources.protocol import Transport


class Sites:
    """List and find sites."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> tuple[Site, ...]:
        """Return all sites of the organization, in the API's order, in one request.

        Raises:
            AuthError: The token is missing, expired or revoked.
            PermissionDenied: The organization may not list sites.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "list sites". (documented; no pagination is documented)
        """
        payload = await self._transport.send(build_request(ROUTES["sites.list"]))
        return structure_member(payload, "sites", tuple[Site, ...])

    async def find(self, hostname: str) -> Site:
        """Return the site with this host name, compared as hosts are: `Faß.de` is `xn--fa-hia.de`.

        Raises:
            UnknownSite: The organization has none, or more than one, with this name.
            BestDefenseError: As for `list`, which this calls.
        """
        wanted = comparable_host(hostname)
        found = [site for site in await self.list() if comparable_host(site.hostname) == wanted]
        if len(found) == 1:
            return found[0]
        shown = clean_text(hostname, longest=120)
        if found:
            raise UnknownSite(f"{len(found)} sites are named {shown}: use the id.", target=hostname)
        raise UnknownSite(f"The organization has no site named {shown}.", target=hostname)
