"""Tokens: which organization a caller belongs to, and what it may do.

Only tokens this sandbox made are known, and they start with `bd_sandbox_`. Any other credential is
refused without being kept, logged or repeated: somebody may send a real one by mistake.

Source: "API access & tokens" (documented): bearer token, one organization, expiry, immediate
revocation; the permission names. The names of the view permissions are inferred.
"""

from __future__ import annotations

import hashlib

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


@define(eq=False)
class Token:
    """What the sandbox knows about one of its tokens; not the token itself."""

    organization: str
    permissions: frozenset[str]
    key: str
    """Eight hex digits of its SHA-256, for the ledger."""

    expired: bool = False
    revoked: bool = False

    @property
    def refusal(self) -> str | None:
        """Why it is refused, or None while it is good."""
        if self.revoked:
            return "The API token has been revoked."
        return "The API token has expired." if self.expired else None


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
        permissions: frozenset[str],
        expired: bool = False,
    ) -> str:
        """Make a token and return it."""
        self._made += 1
        text = PREFIX + digest("token", self.seed, self._made, size=20).hex()
        self._by_header[f"Bearer {text}"] = Token(
            organization, permissions, token_key(text), expired=expired
        )
        return text

    def find(self, header: str) -> Token | None:
        """Return the token an Authorization header names, also one that is expired or revoked."""
        token = self._by_header.get(header)
        if token is None and header[:7].lower() == "bearer ":
            token = self._by_header.get("Bearer " + header[7:].strip())
        return token

    def revoke(self, text: str) -> None:
        """Refuse the token from now on.

        Raises:
            LookupError: This sandbox did not make it.
        """
        token = self._by_header.get(f"Bearer {text}")
        if token is None:
            message = "this sandbox did not make that token"
            raise LookupError(message)
        token.revoked = True
