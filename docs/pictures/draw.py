"""Draw the two pictures of the first page again: `python docs/pictures/draw.py`.

`live.svg` is a frame of the live view of `bestdefense demo`, taken while the demo really runs on a
pseudo-terminal. `report.png` is the head of the report of 2,000 sites of the sandbox, as Chromium
shows it; they are scanned in virtual time, so that a slow machine draws the same.
"""

from __future__ import annotations

import asyncio
import io
import os
import pty
import re
import subprocess
import tempfile
import threading
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING, Any

import looptime
from rich.console import Console
from rich.live import Live
from rich.text import Text

from bestdefense_async import BestDefense, ScanOptions
from bestdefense_async.cli import main
from bestdefense_async.sandbox import Sandbox

if TYPE_CHECKING:
    from rich.console import RenderableType

HERE = Path(__file__).parent
WIDTH = 80
SHARE = 60
"""Per cent of the sites that are finished in the frame."""

FONTS = re.compile(r"@font-face \{.*?\}\n", re.DOTALL)
CLASSES = re.compile(r"terminal-\d+-")
NUMBER = re.compile(r"(\d+) %")


def run_demo(sites: int) -> list[RenderableType]:
    """Run the demo on a terminal of its own, and return every frame that it draws."""
    frames: list[RenderableType] = []
    update = Live.update

    def record(live: Live, frame: RenderableType, **settings: Any) -> None:  # noqa: ANN401  # Rich's own
        frames.append(frame)
        update(live, frame, **settings)

    ours, theirs = pty.openpty()
    threading.Thread(target=drain, args=[ours], daemon=True).start()
    kept = os.dup(2)
    os.dup2(theirs, 2)
    os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(WIDTH), "LINES": "30"}
    os.environ.pop("CI", None)
    Live.update = record  # type: ignore[method-assign]
    try:
        main(["demo", "--sites", str(sites)])
    finally:
        Live.update = update  # type: ignore[method-assign]
        os.dup2(kept, 2)
    return frames


def drain(terminal: int) -> None:
    """Read what is shown on a terminal, so that who writes to it never waits."""
    while os.read(terminal, 4096):
        pass


def share(frame: RenderableType) -> int:
    """Return how many per cent of the sites are finished in a frame."""
    console = Console(file=io.StringIO(), width=WIDTH)
    console.print(frame)
    found = NUMBER.search(console.file.getvalue())  # type: ignore[attr-defined]
    return int(found[1]) if found else 0


def draw_live(frames: list[RenderableType]) -> str:
    """Return the frame nearest to `SHARE` as SVG, with the command that shows it."""
    frame = min(frames, key=lambda each: abs(share(each) - SHARE))
    console = Console(
        record=True, file=io.StringIO(), width=WIDTH, force_terminal=True, color_system="truecolor"
    )
    console.print(Text("$ python3 run.py demo"))
    console.print(frame)
    svg = console.export_svg(title="bestdefense")
    return CLASSES.sub("t-", FONTS.sub("", svg))  # no font from elsewhere, no name made at random


async def scan(report: str) -> None:
    """Scan 2,000 sites of a sandbox on this loop, and write the report."""
    async with (
        Sandbox(sites=2000, scenario="mixed") as sandbox,
        BestDefense(sandbox.token, sandbox.url) as bd,
        bd.scan_many(sandbox.hostnames, max_active=2000, options=ScanOptions()) as run,
    ):
        async for _ in run:
            pass
    run.write(report, run.judge(fail_on="high"))


def draw_report(page: Path) -> None:
    """Take the picture of the head of a report."""
    command = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars"]
    size = ["--window-size=1200,890", f"--screenshot={HERE / 'report.png'}"]
    subprocess.run([*command, *size, page.resolve().as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        (HERE / "live.svg").write_text(draw_live(run_demo(200)), "utf-8")
        with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
            runner.run(scan("report.html"))
        draw_report(Path("report.html"))
