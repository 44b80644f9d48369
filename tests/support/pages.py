"""Reading an HTML page as a browser's parser would, without running it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final
from xml.etree import ElementTree as ET

SVG: Final = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and its attributes."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text.append(data)

    def values(self, name: str) -> list[str]:
        """Return the values of an attribute, wherever it stands."""
        return [value for _, attribute, value in self.attributes if attribute == name]


def pictures(page: str) -> list[ET.Element]:
    """Return the page's pictures, parsed as the XML they have to be."""
    found = re.findall(r"<svg xmlns=.*?</svg>", page, flags=re.DOTALL)
    return [ET.fromstring(text) for text in found]  # noqa: S314 - our own output


def picture(page: str, kind: str) -> ET.Element:
    """Return the one picture of this class: `fleet`, or `fleet narrow` for a phone."""
    [found] = [item for item in pictures(page) if item.get("class") == kind]
    return found


def squares(band: ET.Element) -> list[tuple[float, float, float]]:
    """Return the left and upper edge and the side of every square of a band of the fleet map."""
    shapes = [path for path in band.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]
    if shapes:
        return [
            (float(x), float(y), float(side))
            for shape in shapes
            for x, y, side in re.findall(
                r"^M([\d.]+) ([\d.]+)h(\d+)v\d+h-\d+z", shape.get("d") or ""
            )
        ]
    line = [path for path in band.iter(f"{SVG}path") if path.get("stroke-dasharray")][-1]
    dashes = list(map(float, (line.get("stroke-dasharray") or "").split()))
    pitch, side = sum(dashes), float(line.get("stroke-width") or 0)
    return [
        (float(x) + place * pitch, float(y) - side / 2, side)
        for x, y, length in re.findall(r"M([\d.]+) ([\d.]+)h(\d+)", line.get("d") or "")
        for place in range(round((float(length) + pitch - side) / pitch))
    ]
