"""What is wrong with how a page looks, measured on the page as a browser draws it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.support.browser import Shown

_SCRIPT: Final = Path(__file__).with_suffix(".js").read_text("utf-8")

_NAMED_ROLES: Final = frozenset(
    (
        "img",
        "image",
        "figure",
        "table",
        "columnheader",
        "region",
        "heading",
        "button",
        "link",
        "DisclosureTriangle",
    )
)


def _asked(page: Shown, question: str) -> list[Any]:
    found: list[Any] = page.evaluate(f"{_SCRIPT}.{question}()")
    return found


def crowded(page: Shown) -> list[str]:
    """Return the texts that touch another text, the map or the edge of a mark."""
    return _asked(page, "crowded")


def outside(page: Shown) -> list[str]:
    """Return what is cut off by its picture or by the window."""
    return _asked(page, "outside")


def faint(page: Shown) -> list[str]:
    """Return the texts whose contrast is below WCAG 2.1 AA, as they are painted."""
    return _asked(page, "faint")


def bands(page: Shown) -> list[int]:
    """Return how many squares the visible bands of the fleet map have, from above."""
    return _asked(page, "bands")


def open_all(page: Shown) -> None:
    """Open every part of the page that can be opened."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true })")


def nameless(page: Shown) -> list[str]:
    """Return the parts that a screen reader would announce without a name."""
    nodes = page.browser.call("Accessibility.getFullAXTree")["nodes"]
    return [
        node["role"]["value"]
        for node in nodes
        if not node["ignored"]
        and node["role"]["value"] in _NAMED_ROLES
        and not node.get("name", {}).get("value", "").strip()
    ]


def roles(page: Shown) -> list[str]:
    """Return the roles of all parts that a screen reader announces."""
    nodes = page.browser.call("Accessibility.getFullAXTree")["nodes"]
    return [node["role"]["value"] for node in nodes if not node["ignored"]]
