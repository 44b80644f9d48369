"""A token that cannot be shown by accident."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from bestdefense_async.core.check import type_of
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

SANDBOX_PREFIX: Final = "bd_sandbox_"
"""How tokens of the sandbox begin; the vendor's have no known prefix."""

LONGEST_TOKEN: Final = 4096
"""Characters; servers refuse headers above some 8 KiB."""

SHORTEST_TOKEN: Final = 8
"""Characters; a shorter one stands by chance in what is not the token."""

_MASK: Final = "[token]"
_ALLOWED: Final = re.compile(r"[\x21-\x7e]+")
_QUOTES: Final = "\"'`\u2018\u2019\u201a\u201c\u201d\u201e\xab\xbb"
_PIECE: Final = 1 << 18
"""Bytes of a large text that are searched at once."""


class Secret:
    """A bearer token that is never printed, pickled, copied out or compared by accident.

    `repr`, `str`, `format` and `attrs.asdict` show a mask. The text comes out only through
    `reveal()` and `header_line()`, which the transport calls where it writes the header.

    Raises:
        ConfigError: The text cannot be a token: not a text, empty, too long, in quotation marks,
            with spaces or control characters, or with the word `Bearer` in front. The text is not
            repeated.
    """

    __slots__ = (
        *("__escaped", "__header", "__is_maskable", "__lowered", "__pattern", "__text"),
        *("is_sandbox", "token_key"),
    )

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ConfigError(f"The token must be a text, not {type_of(text)}.")
        stripped = text.removesuffix("\n").removesuffix("\r")
        if not stripped.strip():
            raise ConfigError("The token is empty.")
        if len(stripped) > LONGEST_TOKEN:
            raise ConfigError(f"The token is longer than {LONGEST_TOKEN} characters.")
        if stripped[0] in _QUOTES or stripped[-1] in _QUOTES:
            raise ConfigError("The token stands in quotation marks: give it without them.")
        if stripped.lower().startswith("bearer "):
            raise ConfigError("Give the token alone, without the word Bearer in front of it.")
        if not _ALLOWED.fullmatch(stripped):
            raise ConfigError(
                "The token contains a space, a line break, or another character that no token has."
            )
        self.__text = stripped
        self.__header = f"Authorization: Bearer {stripped}\r\n".encode("ascii")
        self.__lowered = stripped.lower().encode("ascii")
        self.__is_maskable = len(stripped) >= SHORTEST_TOKEN
        # Compiled when something is masked: a service makes a secret for each of its requests.
        self.__escaped: re.Pattern[bytes] | None = None
        self.__pattern: re.Pattern[str] | None = None
        self.is_sandbox: bool = stripped.startswith(SANDBOX_PREFIX)
        """Whether this token belongs to the sandbox."""
        # The prefix makes it differ from what others may have made of the same token.
        digest = hashlib.sha256(f"bestdefense-async:{stripped}".encode())
        self.token_key: str = digest.hexdigest()[:16]
        """A stable name for this token that does not reveal it: limits are kept under it."""

    def check_length(self) -> None:
        """Check that the token is long enough to be masked: for every host but the sandbox.

        Raises:
            ConfigError: It is not.
        """
        if not self.__is_maskable:
            raise ConfigError(
                f"The token is shorter than {SHORTEST_TOKEN} characters: only the sandbox takes it."
            )

    def reveal(self) -> str:
        """Return the token itself. Keep it out of names that outlive a statement."""
        return self.__text

    def header_line(self) -> bytes:
        """Return the header that carries the token: for the connection that it is written to."""
        return self.__header

    def redact(self, text: str) -> str:
        """Return a text for people with every occurrence of the token masked, in any letter case.

        Redact first and cut or change case afterwards: what is left of a token is not found.
        """
        if self.__pattern is None:
            self.__pattern = re.compile(re.escape(self.__text), re.ASCII | re.IGNORECASE)
        return self.__pattern.sub(_MASK, text)

    def is_in(self, body: bytes) -> bool:
        """Return whether the token may stand in a JSON text, also in another case or escaped.

        Always False for one that is too short to be masked in what is parsed.
        """
        if not self.__is_maskable:
            return False
        lowered = body.lower()
        if self.__lowered in lowered or b"\0" in body[:4]:  # NUL: UTF-16 or UTF-32
            return True
        if b"\\" not in lowered:
            return False
        if b"/" in self.__lowered and self.__lowered in lowered.replace(b"\\/", b"/"):
            return True
        if self.__escaped is None:
            self.__escaped = _escaped(self.__text)
        return self.__escaped.search(lowered) is not None

    def search(self, body: bytes) -> Iterator[bool]:
        """Yield for each piece of a large JSON text whether the token may stand in it."""
        overlap = 2 * len(self.__lowered)  # half of it may be backslashes
        for start in range(0, len(body), _PIECE):
            yield self.is_in(body[start : start + _PIECE + overlap])

    def redact_bytes(self, body: bytes) -> bytes:
        """Return a document with the token masked, unless it is too short to be masked there."""
        if not self.__is_maskable or self.__lowered not in body.lower():
            return body
        return self.redact(body.decode("latin-1")).encode("latin-1")  # byte by byte

    def redact_json(self, value: Any) -> Any:  # noqa: ANN401  # any JSON value
        """Return a JSON value with the token masked in every text of it, names included."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, list):
            return [self.redact_json(each) for each in value]
        if isinstance(value, dict):
            return {self.redact(name): self.redact_json(each) for name, each in value.items()}
        return value

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


def _escaped(token: str) -> re.Pattern[bytes]:
    """Return what finds a character of the token that JSON escapes, in a text in lower case.

    Servers escape what could be mistaken for HTML, which is in no token: that is not found.
    """
    codes = sorted({f"{ord(letter):02x}" for letter in token.lower() + token.upper()})
    marks = "".join(re.escape(mark) for mark in '"\\' if mark in token)
    short = rf"|\\[{marks}]" if marks else ""
    return re.compile(rf"\\u00(?:{'|'.join(codes)}){short}".encode("ascii"))
