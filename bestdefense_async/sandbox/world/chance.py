"""Seeded chance: the same seed and subject give the same answer on every machine.

Hashing instead of `random.Random`, because a value must depend on what it is about (this host,
this scan) and not on how many values were drawn before it.
"""

from __future__ import annotations

from hashlib import blake2b
from statistics import NormalDist

_NORMAL = NormalDist()


def digest(*parts: object, size: int = 16) -> bytes:
    """Return `size` (1 to 64) bytes that depend on nothing but `parts`."""
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=size).digest()


def number(*parts: object) -> int:
    """Return an integer in [0, 2**64)."""
    return int.from_bytes(digest(*parts, size=8))


def fraction(*parts: object) -> float:
    """Return a float strictly between 0 and 1."""
    return ((number(*parts) >> 11) + 0.5) / (1 << 53)


def identifier(*parts: object) -> str:
    """Return the text of a version 4 UUID."""
    text = digest(*parts).hex()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def bell(*parts: object) -> float:
    """Return a draw of the standard normal distribution."""
    return _NORMAL.inv_cdf(fraction(*parts))
