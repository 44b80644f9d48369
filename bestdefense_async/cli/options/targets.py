"""The targets of a command: arguments and a list, checked as a whole before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import ConfigError, TargetError
from bestdefense_async.files import opened
from bestdefense_async.runs import Target, decode_lines, read_targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SHOWN: Final = 3
"""Malformed lines that are named; the rest is counted."""


def collect(arguments: Sequence[str], listing: str | None) -> tuple[Target, ...]:
    """Return the targets of arguments and of a list: a file, or `-` for stdin.

    Raises:
        ConfigError: The list cannot be read, or there is no target at all.
        TargetError: At least one is malformed; the message names the first ones and their lines.
    """
    if not arguments and listing is None:
        raise ConfigError("Nothing to scan: name a host or a site id, or give a list with -l FILE.")
    named = (*_from_arguments(arguments), *_from_list(listing))
    wrong = [one for one in named if isinstance(one, TargetError)]
    if wrong:
        more = len(wrong) - _SHOWN
        said = " ".join(str(error) for error in wrong[:_SHOWN])
        raise TargetError(said + (f" And {more} more." if more > 0 else ""))
    if not named:
        raise ConfigError("Nothing to scan: the list holds no target.")
    return tuple(one for one in named if isinstance(one, Target))


def _from_arguments(arguments: Sequence[str]) -> Iterator[Target | TargetError]:
    for text in arguments:
        try:
            yield Target(text)
        except TargetError as error:
            yield error.with_traceback(None)


def _from_list(listing: str | None) -> Iterable[Target | TargetError]:
    if listing is None:
        return ()
    with opened(listing, what="The list") as stream:
        return list(read_targets(decode_lines(stream)))
