"""The sandbox itself: opened on a loopback port, used by any client, closed without a trace.

async with Sandbox(sites=5) as sandbox:
...  # sandbox.url, sandbox.token

"""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Any, Self, Unpack

from bestdefense_async.sandbox.server.connection import Listener
from bestdefense_async.sandbox.server.engine import Engine
from bestdefense_async.sandbox.world.faults import Fault, FaultPlan
from bestdefense_async.sandbox.world.fleet import MAIN, Site
from bestdefense_async.sandbox.world.ledger import UNKNOWN, Arrival, Assertions
from bestdefense_async.sandbox.world.routes import CONTROL, DOCS, NAMES, OPERATIONS, Address, Routes
from bestdefense_async.sandbox.world.settings import Options, Settings
from bestdefense_async.sandbox.world.specs import (
    FOREIGN_SITES,
    FindingSpec,
    OrganizationSpec,
    SiteSpec,
    plant,
    read_findings,
    read_sites,
)
from bestdefense_async.sandbox.world.tokens import DAY, PERMISSIONS, Token
from bestdefense_async.sandbox.world.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType


_BY_CONTROL = ["add_organization", "add_token", "advance", "clear_faults", "count", "counts"]
_BY_CONTROL += ["plant", "requests", "reset", "revoke", "scans_per_site", "script"]
_BY_CONTROL += ["set_fault", "tokens"]
"""Methods that the control route calls."""

_STOP = 0.5
"""Seconds that handlers under way are given when the sandbox closes; twice that at most."""


class Sandbox(Assertions):
    """A stand-in for the API, on a loopback port of its own.

    Everything after `async with` lives on the running loop and keeps that loop's time. Keyword
    arguments are those of `Settings`; those of a scenario file stand below them.

    Raises:
        ValueError: A setting is impossible, or the scenario file is none.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        self._settings = Settings.read(**options)
        self._world: World | None = None
        self._engine: Engine | None = None
        self._listener: Listener | None = None
        self._url = ""
        self.token: str = ""
        """A token of the organization that owns the fleet, with every permission."""

        self.control_token: str | None = None
        """Opens the control routes; None without them."""

    async def __aenter__(self) -> Self:
        """Bind the port and serve.

        Raises:
            OSError: The address cannot be bound.
        """
        settings = self._settings
        world = World(self._settings)
        engine = Engine(
            world,
            Routes(OPERATIONS + DOCS + (CONTROL if settings.control else ())),
            read_deadline=settings.read_deadline,
            remote=settings.allow_remote,
        )
        listener = Listener(engine.answer, read_deadline=settings.read_deadline)
        port = await listener.listen(settings.host, settings.port)
        # What listens on every address is reached by this one.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
        self._url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.control_token = secrets.token_urlsafe(24) if settings.control else None
        self._engine, self._listener = engine, listener
        self._begin(world)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every connection, within about a second also when handlers hang.

        Raises:
            AssertionError: It is strict, and a request came that the API does not have.
        """
        if self._engine is not None and self._listener is not None:
            self._engine.close()
            await self._listener.close(grace=_STOP)
        if self._settings.strict and error is None:
            self.assert_all_known()

    def _begin(self, world: World) -> None:
        """Let this world be the one that answers."""
        if self._engine is None:
            return
        world.url = self._url
        port = self._url.rpartition(":")[2]
        world.origins = frozenset({self._url, f"http://localhost:{port}"})
        world.control_token = self.control_token
        world.methods = {name: getattr(self, name) for name in _BY_CONTROL}
        self._world = self._engine.world = world
        self.token = self.add_token(name="sandbox")
        world.tokens.of(self.token).expires = math.inf

    def reset(self) -> None:
        """Begin again as after the start: same address, same `token`, nothing else is left.

        Sites, findings and faults are those of the settings again. Requests under way still get
        their answer from before.
        """
        self._begin(World(self._settings))

    def advance(self, seconds: float) -> None:
        """Let time pass at once, however fast the sandbox is.

        Scans come `seconds` scan seconds further; tokens, limits, schedules and the calendar are
        `seconds` later. Pauses of a fault and the client's own waits are not shortened.

        Raises:
            ValueError: It is negative or not a number.
        """
        self._open.clock.skip(seconds)

    @property
    def _open(self) -> World:
        if self._world is None:
            message = "the sandbox is not open: use it as `async with Sandbox() as sandbox`"
            raise RuntimeError(message)
        self._world.catch_up()
        return self._world

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at the end."""
        return self._open.url

    @property
    def speed(self) -> float:
        """Scan seconds that pass in a second."""
        return self._settings.speed

    @property
    def site_ids(self) -> list[str]:
        """The ids of the fleet, in a fixed order."""
        return [site.id for site in self._open.fleet.of(MAIN)]

    @property
    def hostnames(self) -> list[str]:
        """The host names of the fleet, in the order of `site_ids`."""
        return [site.hostname for site in self._open.fleet.of(MAIN)]

    def sites_of(self, organization: str) -> list[Site]:
        """Return an organization's sites; one made by its first token has three."""
        return list(self._open.fleet.of(organization))

    def add_organization(
        self,
        name: str,
        *,
        sites: int | Iterable[SiteSpec | Mapping[str, Any] | str] = FOREIGN_SITES,
        plan: str | None = None,
        credits: int | None = None,  # noqa: A002 -- the API's word
    ) -> str:
        """Add an organization and return a token of it, with every permission.

        Args:
            name: Its name, which `add_token` takes.
            sites: How many seeded ones, or which; as for `Sandbox`.
            plan: `starter` or `growth`; None for the sandbox's own.
            credits: AI remediation credits; None for the sandbox's own.

        Raises:
            ValueError: There is one of that name, or an argument is impossible.
        """
        self._open.add_organization(
            OrganizationSpec(name, sites=read_sites(sites), plan=plan, credits=credits)
        )
        return self.add_token(organization=name)

    def plant(self, site: str, findings: Iterable[FindingSpec | Mapping[str, Any] | str]) -> None:
        """Decide what scans of the site find that are created from now on.

        Args:
            site: A site's id or host name.
            findings: As for `SiteSpec`; an empty list for a clean site.

        Raises:
            LookupError: There is no such site.
            ValueError: A finding is impossible.
        """
        found = self._open.fleet.find(site)
        found.findings = plant(found.hostname, read_findings(findings))

    def add_token(
        self,
        *,
        organization: str = MAIN,
        permissions: Iterable[str] | None = None,
        name: str = "",
        days: float = 30,
        expired: bool = False,
        revoked: bool = False,
    ) -> str:
        """Make a token and return it; it is shown this once.

        Args:
            organization: Whose data it sees; a new name makes an organization with three sites.
            permissions: Some of `PERMISSIONS`; None for all.
            name: What lists call it.
            days: How long it lives, 1 to 90; `advance` lets it grow old.
            expired: Let it be too old already.
            revoked: Refuse it as revoked.

        Raises:
            ValueError: A permission does not exist, or the life is not 1 to 90 days.
        """
        spec = OrganizationSpec(organization)
        world = self._open
        today = world.clock.today()
        token = world.tokens.add(
            organization=organization,
            permissions=PERMISSIONS if permissions is None else frozenset(permissions),
            name=name,
            days=days,
            created=today - days * DAY - 1 if expired else today,
        )
        world.fleet.add(spec.name, spec.sites)
        if revoked:
            world.tokens.revoke(token)
        return token

    def tokens(self, organization: str | None = None) -> list[Token]:
        """Return what is known about tokens, oldest first; never their text.

        Args:
            organization: Whose; None for all.
        """
        return self._open.tokens.listed(organization)

    def revoke(self, token: str) -> None:
        """Refuse the token from now on.

        Args:
            token: The token itself, or the `key` that `tokens` tells.

        Raises:
            LookupError: This sandbox did not make it.
        """
        self._open.tokens.revoke(token)

    def fault(self, operation: str, **plan: object) -> Fault:
        """Let something go wrong; return it, with its hits and a way to end it.

        Args:
            operation: An operation's name, `*` for every one, or a method and a path such as
                `GET /api/report/*/progress`, as for `requests`.
            **plan: The fields of `FaultPlan`: kind, status, body, headers, delay, nth, times,
                probability, site, after_effect, cut. A fault with a delay alone only delays.

        Raises:
            LookupError: There is no such site.
            ValueError: There is no such operation, or the plan is impossible.
        """
        return self._open.add_fault(FaultPlan.of(operation, plan))

    def set_fault(self, operation: str, **plan: object) -> None:
        """Let something go wrong, as `fault` does."""
        self.fault(operation, **plan)

    def clear_faults(self) -> None:
        """End every fault, those of the scenario included."""
        self._open.faults.active.clear()

    def script(
        self,
        site: str,
        *,
        duration: float | None = None,
        visible_after: float | None = None,
        backwards: bool = False,
    ) -> None:
        """Decide how scans of one site (id or host name) run from now on.

        Args:
            site: A site's id or host name.
            duration: Scan seconds; inf never ends; None takes the seeded time.
            visible_after: Seconds of the loop after creation in which its reports answer 404; None
                takes the sandbox's own.
            backwards: Let progress, and once completion, take a step back.

        Raises:
            LookupError: There is no such site.
        """
        found = self._open.fleet.find(site)
        found.script(duration=duration, visible_after=visible_after, backwards=backwards)

    def credits(self, organization: str = MAIN) -> int:
        """Return how many AI remediation credits an organization has left."""
        return self._open.organization(organization).credits

    def count(self, operation: str) -> int:
        """Return how many requests have arrived for the operation, whatever became of them."""
        return self._open.ledger.count(operation)

    def requests(self, address: str = "*", *, site: str | None = None) -> list[Arrival]:
        """Return the requests that arrived, oldest first, the last 10,000 of them whole."""
        meant = Address.of(address, NAMES | {UNKNOWN})
        world = self._open
        wanted = None if site is None else {each.id for each in world.fleet.named(site)}
        return [
            each
            for each in world.ledger.arrivals()
            if meant.means(each.operation, each.method, each.path)
            and (wanted is None or each.site_id in wanted)
        ]

    def counts(self) -> dict[str, int]:
        """Return how many requests have arrived by operation."""
        return self._open.ledger.counts()

    @property
    def ledger(self) -> list[Arrival]:
        """The last 100,000 arrivals, oldest first."""
        return self._open.ledger.arrivals()

    def scans_per_site(self) -> dict[str, int]:
        """Return how many scans requests have really created, for the sites that have any.

        What a schedule has started is not among them; reports list it.
        """
        return self._open.scans.per_site()
