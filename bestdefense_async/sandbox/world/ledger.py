"""What arrived at a sandbox, whole, and what a test asserts about it.

`Assertions` are the same for a sandbox in this process and for one in another process: all they
need are the arrivals and the scans.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from attrs import define, field

UNKNOWN = "unknown"
"""In place of the operation where no route matched."""

MASK = "***"
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
_CREDENTIAL_PARAMETER = re.compile(
    r"((?:\A|[&;])[^=&;]*(?:token|key|secret|password|auth)[^=&;]*=)[^&;]+", re.IGNORECASE
)
_SHORTEST_SECRET = 8
"""A shorter credential hides nothing, and masking it would make everything unreadable."""

_SHOWN = 10
"""Most requests that the message of an assertion lists."""


@define(eq=False, kw_only=True)
class Arrival:
    """One request that reached the sandbox. What would open something is masked in it."""

    operation: str
    """Its name, or `unknown` where no route matched."""

    method: str
    path: str = field(repr=False)
    """As it came, undecoded, without the query."""

    query: str = field(default="", repr=False)
    """As it came, undecoded."""

    headers: Mapping[str, str] = field(factory=dict, repr=False)
    """By name in small letters."""

    body: bytes = field(default=b"", repr=False)
    """What was read of it; empty for a method that has none."""

    site_id: str | None = None
    report_id: str | None = None
    at: float = 0.0
    """The loop's time, seconds."""

    token: str | None = None
    """Eight hex digits of a hash for the sandbox's own tokens, None for anything else."""

    status: int | None = None
    """The status answered, or None while or because nothing was answered."""

    @property
    def json(self) -> Any:  # noqa: ANN401 -- a JSON value
        """The body as JSON.

        Raises:
            ValueError: It is none.
        """
        return json.loads(self.body)

    @property
    def line(self) -> str:
        """Method, path and query."""
        return f"{self.method} {self.path}{'?' if self.query else ''}{self.query}"


def recorded_query(query: str) -> str:
    """Return a query without the values of parameters that are named as credentials are."""
    return _CREDENTIAL_PARAMETER.sub(rf"\1{MASK}", query)


def recorded_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers by name in small letters, without what opens something."""
    return {
        name.lower(): without_secret(headers, _masked(name.lower(), text))
        for name, text in headers.items()
    }


def _masked(name: str, text: str) -> str:
    if name not in _CREDENTIALS:
        return text
    scheme, _, rest = text.partition(" ")
    return f"{scheme} {MASK}" if rest and name != "cookie" else MASK


def without_secret(headers: Mapping[str, str], text: str) -> str:
    """Return what came without the credential that came with it."""
    secret = headers.get("Authorization", "").strip().rpartition(" ")[2]
    return text if len(secret) < _SHORTEST_SECRET else text.replace(secret, MASK)


@define
class Ledger:
    """What arrived at one sandbox, in order, and how it was answered.

    Counts are exact for ever; a long run stays small because only the last arrivals are kept, and
    only the very last ones whole.
    """

    kept: int = 100_000
    """How many arrivals are kept."""

    kept_whole: int = 10_000
    """How many of them keep their headers and body."""

    _arrivals: deque[Arrival] = field(init=False, repr=False)
    _whole: deque[Arrival] = field(factory=deque, repr=False)
    _counts: Counter[str] = field(factory=Counter, repr=False)

    def __attrs_post_init__(self) -> None:
        self._arrivals = deque(maxlen=self.kept)

    def record(self, arrival: Arrival) -> None:
        """Record that a request has arrived."""
        self._counts[arrival.operation] += 1
        self._arrivals.append(arrival)
        self._whole.append(arrival)
        if len(self._whole) > self.kept_whole:
            old = self._whole.popleft()
            old.headers, old.body = {}, b""

    def count(self, operation: str) -> int:
        """Return how many requests arrived for the operation."""
        return self._counts[operation]

    def counts(self) -> dict[str, int]:
        """Return the number of arrivals by operation."""
        return dict(self._counts)

    def arrivals(self) -> list[Arrival]:
        """Return the last arrivals, oldest first."""
        return list(self._arrivals)


class Assertions(ABC):
    """What a test asserts about the requests that came, and about those that did not."""

    @abstractmethod
    def requests(self, address: str = "*", *, site: str | None = None) -> list[Arrival]:
        """Return the requests that arrived, oldest first, as far back as they are kept.

        Args:
            address: An operation such as `reports.create`; or a method and a path such as
                `GET /api/report/*/progress`, where `*` stands for one segment, `**` for any rest
                and, in place of the method, for every method; `unknown` for what the API does not
                have; `*` for everything.
            site: Only requests about the site with this id or host name.

        Raises:
            LookupError: There is no such site.
            ValueError: There is no such operation.
        """

    @abstractmethod
    def scans_per_site(self) -> dict[str, int]:
        """Return how many scans were really created by site id, for the sites that have any.

        Those that schedules start are no request's, and not counted.
        """

    def assert_requested(
        self, address: str, *, times: int | None = None, site: str | None = None
    ) -> list[Arrival]:
        """Return the requests to the address; AssertionError when there are none.

        Args:
            address: As for `requests`.
            times: How many there must be; None for at least one.
            site: As for `requests`.
        """
        found = self.requests(address, site=site)
        if len(found) != times and (times is not None or not found):
            wanted = "a request" if times is None else f"{times} requests"
            about = "" if site is None else f" about {site}"
            message = f"expected {wanted} to {address}{about}, {len(found)} came"
            raise AssertionError(message + _lines(self.requests()))
        return found

    def assert_not_requested(self, address: str = "*", *, site: str | None = None) -> None:
        """Raise AssertionError when a request to the address has come; arguments as above."""
        if found := self.requests(address, site=site):
            message = f"expected no request to {address}, {len(found)} came"
            raise AssertionError(message + _lines(found))

    def assert_all_known(self) -> None:
        """Raise AssertionError when a request has come that the API does not have."""
        if found := self.requests("unknown"):
            message = f"the API does not have what {len(found)} requests asked for"
            raise AssertionError(message + _lines(found))

    def assert_no_duplicates(self) -> None:
        """Raise AssertionError when two scans were created for one site."""
        twice = {site: count for site, count in self.scans_per_site().items() if count > 1}
        if twice:
            message = f"{len(twice)} sites were scanned more than once: {twice}"
            raise AssertionError(message)


def _lines(arrivals: list[Arrival]) -> str:
    """Return the arrivals as the rest of a message, the newest ones if there are many."""
    shown = [f"\n  {each.line} -> {each.status}" for each in arrivals[-_SHOWN:]]
    left = len(arrivals) - len(shown)
    return ":" + (f"\n  ({left} before these)" if left else "") + "".join(shown) if shown else ""
