"""How bad a finding is."""

from __future__ import annotations

from typing import ClassVar, Final, Self

_WIRE_FORMS: Final = {"info": "informational"}
_RANKS: Final = {"informational": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}


class Severity(str):
    """A severity in the API's words, as text in lower case.

    The enumeration is open: a word we do not know is kept as it came. It ranks above every
    known one, so that a gate fails closed instead of overlooking it.

    Source: api-facts, "Severities". (documented; `info` as wire form inferred)
    """

    __slots__ = ()

    CRITICAL: ClassVar[Severity]
    HIGH: ClassVar[Severity]
    MEDIUM: ClassVar[Severity]
    LOW: ClassVar[Severity]
    INFORMATIONAL: ClassVar[Severity]

    def __new__(cls, text: str) -> Self:
        """Return the severity for `text` in any letter case; `info` means informational."""
        lowered = text.strip().lower()
        return super().__new__(cls, _WIRE_FORMS.get(lowered, lowered))

    @property
    def is_known(self) -> bool:
        """Whether this is one of the five words the API documents."""
        return str(self) in _RANKS

    @property
    def rank(self) -> int:
        """0 for informational up to 4 for critical; 5 for an unknown word."""
        return _RANKS.get(str(self), len(_RANKS))

    def __repr__(self) -> str:
        return f"Severity({str(self)!r})"


Severity.CRITICAL = Severity("critical")
Severity.HIGH = Severity("high")
Severity.MEDIUM = Severity("medium")
Severity.LOW = Severity("low")
Severity.INFORMATIONAL = Severity("informational")

SEVERITIES: Final = (
    Severity.CRITICAL,
    Severity.HIGH,
    Severity.MEDIUM,
    Severity.LOW,
    Severity.INFORMATIONAL,
)
"""The documented severities, worst first."""
