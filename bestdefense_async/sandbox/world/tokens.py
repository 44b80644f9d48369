"""Tokens: which organization a caller belongs to, and what it may do.

Only tokens this sandbox made are known, and they start with `bd_sandbox_`. Any other credential is
refused without being kept, logged or repeated: somebody may send a real one by mistake.

Source: "API access & tokens" (documented): bearer token, one organization, expiry, immediate
revocation; the permission names. The names of the view permissions are inferred.
"""

from __future__ import annotations

import hashlib
import math

from attrs import define, field

from bestdefense_async.sandbox.world.chance import digest

PREFIX = "bd_sandbox_"

CREATE_REPORTS = "create reports"
MANAGE_SCHEDULED_REPORTS = "manage scheduled reports"
AI_REMEDIATION = "AI remediation"
RUN_NETWORK_SCANS = "run network scans"
VIEW_SITES = "view sites"
VIEW_REPORTS = "view reports"

PERMISSIONS = frozenset(
    {
        CREATE_REPORTS,
        MANAGE_SCHEDULED_REPORTS,
        AI_REMEDIATION,
        RUN_NETWORK_SCANS,
        VIEW_SITES,
        VIEW_REPORTS,
    }
)


DAY = 86_400.0
MOST_DAYS = 90
"""A token lives 1 to 90 days, 30 unless told otherwise. (documented)"""


@define(eq=False, kw_only=True)
class Token:
    """What the sandbox knows about one of its tokens; not the token itself."""

    organization: str
    permissions: frozenset[str]
    key: str
    """Eight hex digits of its SHA-256: its name in the ledger and in lists."""

    name: str = ""
    created: float = 0.0
    """Seconds since 1970, by the sandbox's calendar."""

    expires: float = math.inf
    """Seconds since 1970, by the sandbox's calendar."""

    revoked: bool = False

    def refusal(self, today: float) -> str | None:
        """Return why it is refused, or None while it is good."""
        if self.revoked:
            return "The API token has been revoked."
        return "The API token has expired." if today >= self.expires else None


def token_key(text: str) -> str:
    """Return a short hash that tells tokens apart and opens nothing."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@define
class Tokens:
    """All tokens of one sandbox, found by the whole Authorization header."""

    seed: int
    _by_header: dict[str, Token] = field(factory=dict, repr=False)
    _made: int = 0

    def add(
        self,
        *,
        organization: str,
        permissions: frozenset[str] = PERMISSIONS,
        name: str = "",
        days: float = 30,
        created: float,
    ) -> str:
        """Make a token and return it, the only time it is shown.

        Raises:
            ValueError: A permission does not exist, or the life is not 1 to 90 days.
        """
        if permissions - PERMISSIONS:
            unknown = ", ".join(sorted(permissions - PERMISSIONS))
            message = f"unknown permissions: {unknown}"
            raise ValueError(message)
        if not 1 <= days <= MOST_DAYS:
            message = f"a token lives 1 to {MOST_DAYS} days, not {days!r}"
            raise ValueError(message)
        self._made += 1
        text = PREFIX + digest("token", self.seed, self._made, size=20).hex()
        self._by_header[f"Bearer {text}"] = Token(
            organization=organization,
            permissions=permissions,
            key=token_key(text),
            name=name or f"token {self._made}",
            created=created,
            expires=created + days * DAY,
        )
        return text

    def listed(self, organization: str | None = None) -> list[Token]:
        """Return the tokens of an organization, or all, oldest first."""
        tokens = self._by_header.values()
        return [each for each in tokens if organization in (None, each.organization)]

    def find(self, header: str) -> Token | None:
        """Return the token an Authorization header names, also one that is expired or revoked."""
        token = self._by_header.get(header)
        if token is None and header[:7].lower() == "bearer ":
            token = self._by_header.get("Bearer " + header[7:].strip())
        return token

    def of(self, text: str) -> Token:
        """Return what is known about a token, by itself or by its key.

        Raises:
            LookupError: This sandbox did not make it.
        """
        token = self._by_header.get(f"Bearer {text}")
        for each in self._by_header.values() if token is None else ():
            if each.key == text:
                return each
        if token is None:
            message = "this sandbox did not make that token"
            raise LookupError(message)
        return token

    def revoke(self, text: str) -> None:
        """Refuse the token from now on, as `of` finds it."""
        self.of(text).revoked = True
