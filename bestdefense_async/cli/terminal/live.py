"""The live view: one block of bounded height on the terminal, drawn anew a few times a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bestdefense_async import vendor
from bestdefense_async.cli.terminal.words import SHORT, STYLES, UNKNOWN_STYLE, status_text
from bestdefense_async.report.text import counted, duration, middle_cut, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, RenderableType

    from bestdefense_async.cli.terminal.tally import Tally

FRAMES: Final = 8
"""Drawings in a second."""

_WIDE_NAME: Final = 44
_NARROW_NAME: Final = 13
_COUNT_WIDTH: Final = 11

_GLYPHS: Final = {
    "scanning": ("●", "*"),
    "waiting": ("○", "."),
    "done": ("✓", "+"),
    "running": ("▷", ">"),
    "failed": ("✗", "x"),
    "unknown": ("?", "?"),
    "not_started": ("∅", "-"),
}
"""Sign and sign in ASCII of each state: colour never says anything alone."""


class LiveView:
    """Draws a tally on a terminal."""

    def __init__(self, console: Console, tally: Tally, *, title: str) -> None:
        self._console = console
        self._tally = tally
        self._title = title
        self._is_ascii = not console.encoding.lower().startswith("utf")

    async def run(self, *, keep: bool) -> None:
        """Draw until cancelled; then the block disappears, or its last state is kept."""
        loop = asyncio.get_running_loop()
        with Live(console=self._console, auto_refresh=False, transient=not keep) as live:
            try:
                while True:
                    live.update(self.frame(loop.time()), refresh=True)
                    await asyncio.sleep(1 / FRAMES)
            finally:
                live.update(self.frame(loop.time()))

    def frame(self, now: float) -> RenderableType:
        """Return the block as it looks now: at most 7 lines and the worst targets."""
        tally = self._tally
        parts: list[RenderableType] = [
            Text(visible(self._title, longest=100), style="bold", no_wrap=True),
            self._bar(),
            self._states(),
            self._speed(now),
        ]
        if tally.findings:
            parts += [Text(), self._findings()]
        return Group(*parts)

    def _bar(self) -> Table:
        tally = self._tally
        share = tally.ended / tally.total if tally.total else 0.0
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        row.add_row(
            ProgressBar(total=max(tally.total, 1), completed=tally.ended),
            Text(f"{tally.ended}/{tally.total}  {int(share * 100):3d} %"),
        )
        return row

    def _states(self) -> Text:
        outcomes = self._tally.outcomes
        counts = {
            "scanning": self._tally.active,
            "waiting": self._tally.waiting,
            "done": outcomes["done"],
            **{each: outcomes[each] for each in ("running", "failed", "unknown", "not_started")},
        }
        line = Text(no_wrap=True)
        for state, count in counts.items():
            if count or state in {"scanning", "waiting", "done"}:
                fine, plain = _GLYPHS[state]
                said = f"{plain if self._is_ascii else fine} {count} {status_text(state)}"
                line.append(said, style=STYLES[state])
                line.append("   ")
        return line

    def _speed(self, now: float) -> Text:
        tally = self._tally
        away = tally.away(now)
        if away is not None:
            return Text(away, style="bold yellow", no_wrap=True)
        parts = [duration(now - tally.started)]
        rate = tally.rate(now)
        if rate is not None:
            parts.append(f"{rate:.1f} sites/s" if rate >= 1 else f"{rate * 60:.1f} sites/min")
        left = tally.left(now)
        if left and tally.ended < tally.total:
            parts.append(f"about {duration(left)} left")
        if tally.pauses:
            parts.append(f"rate limited {counted(tally.pauses, 'time')}")
        return Text((" | " if self._is_ascii else " · ").join(parts), style="dim", no_wrap=True)

    def _findings(self) -> Table:
        """Return the counts of all targets above those of the worst.

        Where it is narrow, of the worst severities only: half a word says less than none.
        """
        most = max((self._console.width - _NARROW_NAME - 4) // _COUNT_WIDTH, 1)
        severities = _severities(self._tally.findings)[:most]
        table = Table.grid(padding=(0, 2))
        for _ in range(len(severities) + 1):
            table.add_column(no_wrap=True)
        table.add_row(
            Text("findings so far", style="bold"), *_cells(self._tally.findings, severities)
        )
        room = self._console.width - _COUNT_WIDTH * len(severities) - 4
        longest = min(max(room, _NARROW_NAME), _WIDE_NAME)
        for target, counts in self._tally.worst:
            name = middle_cut(visible(target), longest=longest)
            table.add_row(Text("  " + name), *_cells(counts, severities))
        return table


def _severities(counts: Mapping[str, int]) -> list[str]:
    """Return the severities that occur, the worst first; unknown ones rank above all."""
    unknown = sorted(name for name in counts if name not in vendor.SEVERITIES)
    return [name for name in (*unknown, *vendor.SEVERITIES) if counts.get(name)]


def _cells(counts: Mapping[str, int], severities: Sequence[str]) -> list[Text]:
    cells = []
    for severity in severities:
        name = SHORT.get(severity, visible(severity, longest=20))
        style = STYLES.get(severity, UNKNOWN_STYLE)
        count = counts.get(severity)
        cells.append(Text(f"{count} {name}", style=style) if count else Text())
    return cells
