"""The colours of the report, and the words that always stand beside them.

Light and dark differ: a colour that is clear on white is glaring or lost on black. The light ones
are written into the pictures, the dark ones stand in the page's style sheet.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen


@frozen(kw_only=True)
class Tone:
    """How a band looks and is called."""

    label: str
    light: str
    dark: str
    on_light: str = "#ffffff"
    """Text on the light colour."""
    on_dark: str = "#10151d"
    """Text on the dark colour."""


TONES: Final = {
    "other": Tone(label="Other severity", light="#5b2a86", dark="#a98cf0"),
    "critical": Tone(label="Critical", light="#8f1238", dark="#e24a9b"),
    "high": Tone(label="High", light="#d6402f", dark="#ff7d66"),
    "medium": Tone(label="Medium", light="#f0932b", dark="#f5a84d", on_light="#1d2433"),
    "low": Tone(label="Low", light="#f3cf55", dark="#ead27a", on_light="#1d2433"),
    "informational": Tone(
        label="Informational", light="#7ba7cf", dark="#82aed6", on_light="#1d2433"
    ),
    "clean": Tone(label="Clean", light="#2f9e77", dark="#4cc096"),
    "not_scanned": Tone(label="Not scanned", light="#6b7587", dark="#a3aebf"),
}


def dark_rules() -> str:
    """Return the style rules that recolour the pictures for the dark."""
    return "".join(
        f".b-{name}{{fill:{tone.dark}}}.o-{name}{{fill:{tone.on_dark}}}.k-{name}{{stroke:{tone.dark}}}"
        for name, tone in TONES.items()
    )
