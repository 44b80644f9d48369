"""What the sandbox answers: one value per answer, and the documented envelope as bytes.

Source: "API access & tokens": `{"success", "message", "data", "error"}` (documented). That `error`
repeats the message on failure is inferred.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NoReturn

from attrs import field, frozen

JSON_TYPE = {"Content-Type": "application/json"}
HTML_TYPE = {"Content-Type": "text/html; charset=UTF-8"}


@frozen
class Reply:
    """A complete answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default=JSON_TYPE)
    close: bool = False
    """Close the connection behind it."""


@frozen
class Stream:
    """An answer whose body is made while it is sent."""

    status: int
    size: int
    """Length of the body in bytes."""

    chunks: Iterator[bytes | memoryview]
    headers: Mapping[str, str]


def encoded(value: object) -> bytes:
    """Return `value` as compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def wrapped(data: bytes, message: str = "OK") -> bytes:
    """Return the envelope around a payload that is JSON already."""
    return b'{"success":true,"message":%b,"data":%b,"error":null}' % (encoded(message), data)


def success(data: object, message: str = "OK") -> Reply:
    """Return a 200 with `data` in the envelope."""
    return Reply(200, wrapped(encoded(data), message))


def failure(
    status: int,
    message: str,
    *,
    error: object = None,
    headers: Mapping[str, str] | None = None,
    close: bool = False,
) -> Reply:
    """Return a failure in the envelope; `error` is the message where nothing more is known."""
    body = encoded(
        {
            "success": False,
            "message": message,
            "data": None,
            "error": message if error is None else error,
        }
    )
    return Reply(status, body, {**JSON_TYPE, **(headers or {})}, close=close)


def page(status: int, title: str, text: str) -> Reply:
    """Return an HTML page, as the framework or whatever stands in front of it would."""
    body = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="UTF-8"><title>{title}</title>'
        f"</head><body><h1>{title}</h1><p>{text}</p></body></html>\n"
    )
    return Reply(status, body.encode(), HTML_TYPE)


NOT_FOUND = page(404, "Not Found", "No route was found for this address.")
"""Unknown paths answer HTML, as a Symfony application does. (inferred)"""


class Refused(Exception):
    """Ends a handler with a failure in the envelope."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def refuse(status: int, message: str) -> NoReturn:
    """End the handler with a failure in the envelope."""
    raise Refused(status, message)


def not_found(what: str) -> NoReturn:
    """End the handler with the 404 that means absent or foreign, as documented."""
    refuse(404, f"{what} not found.")
