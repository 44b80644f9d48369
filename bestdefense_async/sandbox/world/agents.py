"""The agent's files: bytes that are made while they are sent, the same ones every time.

A file of any size costs one block of memory. Its blocks differ in a counter, so that a piece that
is stored at the wrong place changes the checksum.

Source: the names are the published ones; sizes, version and content are ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from attrs import define, field, frozen

from bestdefense_async.sandbox.data import read_table
from bestdefense_async.sandbox.world.chance import number

BLOCK = 1 << 20
"""Bytes made at a time."""

CHUNK = 1 << 18
"""Bytes sent at a time."""

_TABLE = read_table("agents.toml")
VERSION: str = _TABLE["version"]
_PLATFORMS: list[str] = _TABLE["platforms"]


@frozen
class AgentFile:
    """One file that can be downloaded."""

    seed: int
    name: str
    size: int
    """Bytes."""

    @property
    def platform(self) -> str | None:
        """Operating system and processor, or None for a name that tells neither."""
        return next((name for name in _PLATFORMS if name in self.name), None)

    def chunks(self, start: int = 0) -> Iterator[memoryview]:
        """Yield the bytes from `start` to the end."""
        pattern = hashlib.shake_128(f"agent {self.seed} {self.name}".encode()).digest(BLOCK)
        block = bytearray(pattern)
        position = start
        while position < self.size:
            index, offset = divmod(position, BLOCK)
            # A fresh block each time: the last one may still be on its way out.
            block = bytearray(pattern)
            block[:8] = index.to_bytes(8)
            end = min(BLOCK, self.size - index * BLOCK)
            view = memoryview(block).toreadonly()
            for first in range(offset, end, CHUNK):
                yield view[first : min(first + CHUNK, end)]
            position = index * BLOCK + end

    def sha256(self) -> str:
        """Return the hex digest of the whole; about a second for a gigabyte."""
        whole = hashlib.sha256()
        for chunk in self.chunks():
            whole.update(chunk)
        return whole.hexdigest()


@define
class AgentFiles:
    """All files, by name, with the checksums known so far."""

    files: Mapping[str, AgentFile]
    _checksums: dict[str, str] = field(factory=dict, repr=False)

    @classmethod
    def of(cls, seed: int, sizes: Mapping[str, int]) -> AgentFiles:
        """Return the published files and any further ones, with sizes of their own."""
        usual = {name: 180_000 + number("agent", seed, name) % 240_000 for name in _TABLE["files"]}
        merged = {**usual, **sizes}
        return cls({name: AgentFile(seed, name, size) for name, size in merged.items()})

    def size_to_hash(self, name: str) -> int:
        """Return how many bytes must be made to know the file's checksum."""
        return 0 if name in self._checksums else self.files[name].size

    def checksum(self, name: str) -> str:
        """Return the file's SHA-256 in hex; made once."""
        known = self._checksums.get(name)
        if known is None:
            known = self._checksums[name] = self.files[name].sha256()
        return known
