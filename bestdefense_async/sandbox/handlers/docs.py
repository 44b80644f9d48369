"""The specification and the page to try it on. Both are open: they hold no data."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from bestdefense_async.sandbox.openapi import document_bytes
from bestdefense_async.sandbox.replies import HTML_TYPE, JSON_TYPE, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bestdefense_async.sandbox.world import Call, World


def show_document(_: World, __: Call) -> Reply:
    """Answer the OpenAPI document."""
    return Reply(200, document_bytes(), {**JSON_TYPE, "Cache-Control": "no-store"})


def _hash_of(tag: str, html: str) -> str:
    """Return the source expression that permits the page's one inline element."""
    match = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    text = "" if match is None else match.group(1)
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _page() -> Reply:
    html = (files("bestdefense_async.sandbox") / "docs.html").read_text(encoding="utf-8")
    policy = "; ".join(
        (
            "default-src 'none'",
            "connect-src 'self'",
            f"script-src {_hash_of('script', html)}",
            f"style-src {_hash_of('style', html)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    headers = {
        **HTML_TYPE,
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return Reply(200, html.encode(), headers)


def show_page(_: World, __: Call) -> Reply:
    """Answer the page on which the operations can be read and tried."""
    return _page()


HANDLERS: Mapping[str, Callable[[World, Call], Reply]] = {
    "docs.document": show_document,
    "docs.page": show_page,
}
