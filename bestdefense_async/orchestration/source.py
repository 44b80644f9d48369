"""Inputs of any kind and length, read one by one."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from typing import Final, TypeAlias

from bestdefense_async.errors import ConfigError, TargetError
from bestdefense_async.models import Site
from bestdefense_async.orchestration.scan import Created, Planned
from bestdefense_async.orchestration.targets import Target

Item: TypeAlias = str | Target | Site | Created | TargetError | Planned
"""What names a target: its text, a parsed target, a site, a scan that exists already, the error
that stands in its place in a list, or one of these with the index a journal knows it by."""

Items: TypeAlias = Iterable[Item] | AsyncIterable[Item]


class End(enum.Enum):
    """What `Source.read` returns after the last item."""

    END = enum.auto()


END: Final = End.END

_BREATH: Final = 100
"""Items read in a row before other tasks get a turn."""


class Source:
    """Reads a synchronous or asynchronous iterable without ever holding more than one item.

    Raises:
        ConfigError: It is a single target, or nothing that can be iterated.
    """

    def __init__(self, items: Items) -> None:
        self._iterator: Iterator[Item] | AsyncIterator[Item]
        if isinstance(items, str | bytes):
            raise ConfigError("feed() takes an iterable of targets; start() takes a single one.")
        if isinstance(items, AsyncIterable):
            self._iterator = aiter(items)
        elif isinstance(items, Iterable):
            self._iterator = iter(items)
        else:
            raise ConfigError(f"{type(items).__name__} is no iterable of targets.")
        self.is_finite: bool = isinstance(items, Sized)
        """Whether reading to the end is certain to take no time: it is a collection."""
        self._count = 0

    async def read(self) -> Item | End:
        """Return the next item, or END. Raises what the iterable raises."""
        if isinstance(self._iterator, AsyncIterator):
            return await anext(self._iterator, END)
        self._count += 1
        if self._count % _BREATH == 0:
            await asyncio.sleep(0)
        return next(self._iterator, END)

    def rest(self) -> Iterator[Item]:
        """Return what was not read, where that is certain to take no time."""
        if self.is_finite and isinstance(self._iterator, Iterator):
            return self._iterator
        return iter(())

    async def aclose(self) -> None:
        """Close an asynchronous generator, which would otherwise be left to the event loop."""
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await close()
