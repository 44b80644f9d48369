"""A large answer, read in steps of a fraction of a millisecond, between which others get a turn.

Ten megabytes in one piece would stop the event loop for half a second. So a body above `LARGE` is
decoded in pieces, the way down to its lists (envelope, data, list) is walked by hand, and the
members of a list are scanned and made models at once: only those of one piece of text exist as JSON
values at a time.

Nothing is accepted here that `read_envelope` would refuse, nor read as something else. Whatever is
unusual, and every fault, ends the walk; then the whole is read in one piece, so that errors are the
same. The pieces are cut anywhere, and a value that is not there in full is scanned again when more
of it is. Members of a list mostly begin alike, so all up to the last such beginning in a piece are
scanned together; that this was no beginning inside another value shows in that the scan succeeds.
"""

from __future__ import annotations

import codecs
from contextlib import suppress
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.core.codec import Structured, builder
from bestdefense_async.core.envelope import open_envelope, read_envelope
from bestdefense_async.core.json import (
    BOM,
    DEEPEST,
    SURROGATE,
    check_characters,
    check_depth,
    scan,
    skip_space,
)
from bestdefense_async.core.route import Body

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from bestdefense_async.core.request import Reply, Request
    from bestdefense_async.core.secret import Secret

LARGE: Final = 1 << 18
"""Bytes of a body above which it is to be read in steps."""
PIECE: Final = 1 << 16
"""Bytes that are decoded at once, and so the size of a step."""
_ALIKE: Final = 8
"""Characters that two members of a list have in common, such as `{"id": "`."""


def read_in_steps(
    reply: Reply, request: Request[Any], secret: Secret
) -> Generator[None, None, Any]:
    """Return what `read_envelope` returns; yield after each step.

    Lists that `request.items` names hold models, see `Structured`.

    Raises:
        BestDefenseError: As `read_envelope`.
    """
    members = None
    with suppress(Exception):  # in one piece it is said what is wrong
        members = yield from _members(reply, request, secret)
    if members is None:
        return read_envelope(reply, request, secret)
    return open_envelope(members, reply.status, request, secret)


def _members(
    reply: Reply, request: Request[Any], secret: Secret
) -> Generator[None, None, dict[str, Any] | None]:
    """Return the members of the answer, None where it must be read in one piece."""
    if not 200 <= reply.status < 300 or reply.status == 204:  # noqa: PLR2004  # successes; no content
        return None
    for may_hold_token in secret.search(reply.body):
        if may_hold_token:
            return None
        yield
    text = _Text(reply.body)
    has_data = request.route.body is Body.ENVELOPE
    members = yield from _object(text, 0, request.items, has_lists=not has_data, has_data=has_data)
    return members if text.is_over() else None


class _Unusual(Exception):
    """This is no matter for reading in steps."""


class _Text:
    """The text of a body, decoded piece by piece; what has been read is forgotten."""

    __slots__ = ("_body", "_decoder", "_has_surrogates", "_next", "_text", "at", "pieces")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._next = 0
        self._text = ""
        self._has_surrogates = False
        self.at = 0
        """Where reading goes on."""
        self.pieces = 0
        """How many pieces were decoded so far."""
        self._extend()
        self._text = self._text.removeprefix(BOM)

    def peek(self) -> str:
        """Return the next character that is no white space, without taking it."""
        while True:
            if self.at < len(self._text):
                mark = self._text[self.at]
                if mark not in " \t\n\r":
                    return mark
                self.at = skip_space(self._text, self.at)
            else:
                self._extend()

    def take(self, marks: str) -> str:
        """Take the next character that is no white space; it must be one of `marks`."""
        mark = self.peek()
        if mark not in marks:
            raise _Unusual
        self.at += 1
        return mark

    def value(self, depth: int) -> Any:  # noqa: ANN401  # any JSON value
        """Take the value that comes next, `depth` levels below the top."""
        self.peek()
        while True:
            try:
                value, end = scan(self._text, self.at)
            except (StopIteration, JSONDecodeError):  # cut, or wrong: more text will tell
                self._extend()
                continue
            # Of 1.5e+3 the beginnings 1, 1. and 1.5e+ are read as numbers, too.
            if end + 2 < len(self._text) or self._next >= len(self._body):
                break
            self._extend()
        self._check(value, self.at, end, DEEPEST - depth)
        self.at = end
        return value

    def beginning(self) -> str:
        """Take the comma between two members of a list; return it with how the next one begins.

        Nothing where a piece ends between the two.
        """
        start, pieces = self.at, self.pieces
        self.take(",")
        self.peek()
        return self._text[start : self.at + _ALIKE] if self.pieces == pieces else ""

    def values(self, beginning: str, depth: int) -> list[Any]:
        """Take the values up to the last one here that follows `beginning`, or nothing."""
        end = self._text.rfind(beginning, self.at + 1) if beginning else -1
        if end < 0:
            return []
        members = f"[{self._text[self.at : end]}]"
        try:
            values, length = scan(members, 0)
        except (StopIteration, JSONDecodeError):  # it stands inside of a value
            return []
        if length != len(members):
            return []
        self._check(values, self.at, end, DEEPEST - depth + 1)
        self.at = end
        return values  # type: ignore[no-any-return]

    def _check(self, value: Any, start: int, end: int, most: int) -> None:  # noqa: ANN401  # JSON
        if end - start > 2 * most:  # each level takes two characters
            check_depth(value, most=most)
        if self._has_surrogates and SURROGATE.search(self._text, start, end):
            check_characters(value)

    def is_over(self) -> bool:
        """Return whether nothing but white space is left."""
        while self._next < len(self._body):
            self._extend()
        return skip_space(self._text, self.at) == len(self._text)

    def _extend(self) -> None:
        """Decode the next piece; larger ones while a value does not fit into what is there."""
        if self._next >= len(self._body):
            raise _Unusual
        rest = self._text[self.at :]
        end = self._next + max(PIECE, len(rest))
        piece = self._body[self._next : end]
        self._text = rest + self._decoder.decode(piece, end >= len(self._body))
        self._has_surrogates = SURROGATE.search(self._text) is not None
        self._next = end
        self.at = 0
        self.pieces += 1


def _object(
    text: _Text, depth: int, items: Mapping[str, type], *, has_lists: bool, has_data: bool
) -> Generator[None, None, dict[str, Any]]:
    """Return the members of the object that comes next.

    Args:
        text: Where it stands.
        depth: Levels above the object.
        items: What the members of lists become.
        has_lists: Whether lists in it are read in steps.
        has_data: Whether the object under `data` is walked, too.
    """
    members: dict[str, Any] = {}
    mark = text.take("{")
    if text.peek() == "}":
        mark = text.take("}")
    while mark != "}":
        if text.peek() != '"':
            raise _Unusual
        name = text.value(depth)
        if name in members or (name in items and not items.keys().isdisjoint(members)):
            raise _Unusual  # of two lists that may be meant the other one stays as it came
        text.take(":")
        opening = text.peek()
        if has_data and name == "data" and opening == "{":
            members[name] = yield from _object(
                text, depth + 1, items, has_lists=True, has_data=False
            )
        elif has_lists and opening == "[":
            members[name] = yield from _list(text, depth + 1, items.get(name))
        else:
            members[name] = text.value(depth + 1)
        mark = text.take(",}")
    return members


def _list(text: _Text, depth: int, model: type | None) -> Generator[None, None, list[Any]]:
    """Return the members of the list that comes next, made models if there is one."""
    found: list[Any] = [] if model is None else Structured(model)
    build = None if model is None else builder(model)
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return found
    values = [text.value(depth + 1)]
    while True:
        found += values if build is None else [build(value, model) for value in values]
        if text.peek() != ",":
            text.take("]")
            return found
        beginning = text.beginning()
        seen = text.pieces
        values = text.values(beginning, depth + 1) or [text.value(depth + 1)]
        if text.pieces != seen:
            yield
