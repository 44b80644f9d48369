"""The colours of the report, and the words that always stand beside them.

Light and dark differ: a colour that is clear on white is glaring or lost on black. The light ones
are written into the pictures, the dark ones stand in the page's style sheet. Each stands out from
its ground by 3 to 1 or more, and the text on each by 4.5 to 1, as WCAG 2.1 (AA) asks for.
"""

from __future__ import annotations

from typing import Final

from attrs import field, frozen


@frozen(kw_only=True)
class Tone:
    """How a band looks and is called."""

    label: str
    light: str
    dark: str
    short: str = field()
    """The label where there is little room."""
    on_light: str = "#ffffff"
    """Text on the light colour."""
    on_dark: str = "#10151d"
    """Text on the dark colour."""

    @short.default
    def _short(self) -> str:
        return self.label


TONES: Final = {
    "other": Tone(label="Other severity", short="Other", light="#5b2a86", dark="#a98cf0"),
    "critical": Tone(label="Critical", light="#7a1040", dark="#f0509f"),
    "high": Tone(label="High", light="#d0342c", dark="#ff7d66"),
    "medium": Tone(label="Medium", light="#de7410", dark="#f5a84d", on_light="#10151d"),
    "low": Tone(label="Low", light="#b38f00", dark="#ead27a", on_light="#10151d"),
    "informational": Tone(label="Informational", short="Info", light="#3a76b4", dark="#82aed6"),
    "clean": Tone(label="Clean", light="#1f8f69", dark="#4cc096"),
    "not_scanned": Tone(label="Not scanned", light="#6b7587", dark="#a3aebf"),
}


def dark_rules() -> str:
    """Return the style rules that recolour the pictures for the dark."""
    return "".join(
        f".b-{name}{{fill:{tone.dark}}}.o-{name}{{fill:{tone.on_dark}}}.k-{name}{{stroke:{tone.dark}}}"
        for name, tone in TONES.items()
    )
