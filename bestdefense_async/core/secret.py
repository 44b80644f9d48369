"""A token that cannot be shown by accident."""

from __future__ import annotations

import hashlib
import re
from typing import Final, NoReturn

from bestdefense_async.errors import ConfigError

SANDBOX_PREFIX: Final = "bd_sandbox_"
"""How tokens of the sandbox begin; the vendor's have no known prefix."""

LONGEST_TOKEN: Final = 4096
"""Characters; servers refuse headers above some 8 KiB."""

_MASK: Final = "[token]"
_ALLOWED: Final = re.compile(r"[\x21-\x7e]+")


class Secret:
    """A bearer token that is never printed, pickled, copied out or compared by accident.

    `repr`, `str`, `format` and `attrs.asdict` show a mask. The text comes out only through
    `reveal()`, which the transport calls where it builds the header.

    Raises:
        ConfigError: The text cannot be a token: empty, too long, with spaces or control
            characters, or with the word `Bearer` in front. The text is not repeated.
    """

    __slots__ = ("__text", "token_key")

    def __init__(self, text: str) -> None:
        stripped = text.removesuffix("\n").removesuffix("\r")
        if not stripped.strip():
            raise ConfigError("The token is empty.")
        if len(stripped) > LONGEST_TOKEN:
            raise ConfigError(f"The token is longer than {LONGEST_TOKEN} characters.")
        if stripped.lower().startswith("bearer "):
            raise ConfigError("Give the token alone, without the word Bearer in front of it.")
        if not _ALLOWED.fullmatch(stripped):
            raise ConfigError(
                "The token contains a space, a line break, or another character that no token has."
            )
        self.__text = stripped
        # The prefix makes it differ from what others may have made of the same token.
        digest = hashlib.sha256(f"bestdefense-async:{stripped}".encode())
        self.token_key: str = digest.hexdigest()[:16]
        """A stable name for this token that does not reveal it: limits are kept under it."""

    @property
    def is_sandbox(self) -> bool:
        """Whether this token belongs to the sandbox."""
        return self.__text.startswith(SANDBOX_PREFIX)

    def reveal(self) -> str:
        """Return the token itself. Keep it out of names that outlive a statement."""
        return self.__text

    def redact(self, text: str) -> str:
        """Return `text` with every occurrence of the token masked."""
        return text.replace(self.__text, _MASK)

    def redact_bytes(self, body: bytes) -> bytes:
        """Return `body` with every occurrence of the token masked."""
        needle = self.__text.encode()
        return body.replace(needle, _MASK.encode()) if needle in body else body

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.token_key == self.token_key

    def __hash__(self) -> int:
        return hash(self.token_key)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A token is not pickled: read it again in the other process.")
