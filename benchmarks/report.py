"""What the HTML report costs, beside the same pictures drawn with plotly.

    python -m benchmarks.report [--sites 2000 20000] [--rounds 5]

plotly is no dependency of the project: `pip install plotly` before, or its lines are left out. Each
round is a process of its own; the figures are medians. Render: seconds from the run to the text of
the page, imports left out. Memory: how far the peak of the process rises above what it had before
it rendered. Browser: seconds until a headless Chromium, where there is one, has loaded and painted
the page.

Both draw the map with the names of up to 4,000 sites, the 20 worst sites, fixed and new, the
weaknesses and the timeline, and both pages stand alone. Ours also has its tables and the form for
phones; plotly's page has neither. The map is a heat map there: one cell per site, which is
the cheapest way plotly has.
"""

import argparse
import gc
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bestdefense_async.report.gate.identity import compare_runs
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.html.page import html
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.summary import (
    BANDS,
    TONES,
    banded,
    by_band,
    in_flight,
    weaknesses,
    worst_first,
)
from tests.support.browser import Browser, chromium
from tests.support.runs import fleet

COLUMNS = 100
MOST_NAMED = 4_000


def ours(run: RunResult, older: RunResult) -> str:
    """Return our page."""
    return html(run, judge(run.outcomes, GatePolicy()), older=older)


def plotly(run: RunResult, older: RunResult) -> str:
    """Return a page of the same pictures by plotly, its library inside."""
    import plotly.graph_objects as go  # noqa: PLC0415 - only where it is installed

    ranked = sorted(run.outcomes, key=worst_first)
    worst = [(row.target, by_band(row.counts())) for row in ranked[:20]]
    kinds = [(f"{kind.name} · {kind.cwe}", kind.counts) for kind in weaknesses(run)[:15]]
    figures = [
        _heat_map(go, banded(ranked), is_named=len(ranked) <= MOST_NAMED),
        _bars(go, worst),
        _changes(go, run, older),
        _bars(go, kinds),
        _timeline(go, run),
    ]
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=place == 0)
        for place, figure in enumerate(figures)
    ]
    return f"<!DOCTYPE html><html><body>{''.join(parts)}</body></html>"


def _heat_map(go: Any, bands: dict[str, list[Any]], *, is_named: bool) -> Any:  # noqa: ANN401
    cells: list[list[int | None]] = []
    names: list[list[str]] = []
    for number, name in enumerate(BANDS):
        rows = bands[name]
        for start in range(0, len(rows), COLUMNS):
            some = rows[start : start + COLUMNS]
            blank = COLUMNS - len(some)
            cells.append([number] * len(some) + [None] * blank)
            names.append([f"{row.target}: {by_band(row.counts())}" for row in some] + [""] * blank)
    steps = len(BANDS) - 1
    scale = [[number / steps, TONES[name].light] for number, name in enumerate(BANDS)]
    hover: dict[str, Any] = {"text": names, "hoverinfo": "text"} if is_named else {}
    return go.Figure(
        go.Heatmap(z=cells, zmin=0, zmax=steps, colorscale=scale, xgap=1, ygap=1, **hover)
    )


def _bars(go: Any, bars: list[tuple[str, dict[str, int]]]) -> Any:  # noqa: ANN401
    return go.Figure(
        [
            go.Bar(
                name=TONES[band].label,
                orientation="h",
                y=[label for label, _ in bars],
                x=[counts.get(band, 0) for _, counts in bars],
                marker_color=TONES[band].light,
            )
            for band in BANDS
        ],
        {"barmode": "stack"},
    )


def _changes(go: Any, run: RunResult, older: RunResult) -> Any:  # noqa: ANN401
    changes = compare_runs(run, older)
    new, fixed = by_band(dict(changes.new)), by_band(dict(changes.fixed))
    sides = {"new": list(new.values()), "fixed": [-count for count in fixed.values()]}
    return go.Figure(
        [go.Bar(name=name, orientation="h", y=list(new), x=x) for name, x in sides.items()],
        {"barmode": "relative"},
    )


def _timeline(go: Any, run: RunResult) -> Any:  # noqa: ANN401
    moments, levels = zip(*in_flight(run), strict=True)
    figure = go.Figure(go.Scatter(x=moments, y=levels, line_shape="hv", fill="tozeroy"))
    for begin, end in run.throttled:
        figure.add_vrect(x0=begin, x1=end, fillcolor=TONES["medium"].light, opacity=0.3)
    ended = [row.finished_at for row in run.outcomes if not row.has_verdict and row.started_at]
    figure.add_scatter(x=ended, y=[0] * len(ended), mode="markers", marker_symbol="x")
    return figure


PAGES: dict[str, Callable[[RunResult, RunResult], str]] = {"ours": ours, "plotly": plotly}


def _memory(name: str) -> float:
    """Return a line of this process's status in MB."""
    [line] = [
        line for line in Path("/proc/self/status").read_text("ascii").splitlines() if name in line
    ]
    return int(line.split()[1]) / 1024


def _once(name: str, sites: int, page: Path) -> None:
    """Render once, write the page and print the figures as JSON."""
    run, older = fleet(sites), fleet(sites, seed=8)
    PAGES[name](fleet(10), fleet(10, seed=8))  # imports and templates
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak starts here
    before = _memory("VmRSS")
    started = time.perf_counter()
    text = PAGES[name](run, older)
    seconds = time.perf_counter() - started
    page.write_text(text, "utf-8")
    print(json.dumps({"seconds": seconds, "memory": _memory("VmHWM") - before}))


def _painted(page: Path) -> float | None:
    """Return the seconds until a browser has loaded and painted the page."""
    program = chromium()
    if program is None:
        return None
    text = page.read_text("utf-8")
    with Browser(program) as browser:
        browser.show("<!DOCTYPE html><title>warm</title>")
        started = time.perf_counter()
        browser.show(text).evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        return time.perf_counter() - started


def _measure(name: str, sites: int, rounds: int, page: Path) -> str:
    command = [sys.executable, "-m", "benchmarks.report", "--once", name, str(sites), str(page)]
    figures: list[dict[str, float]] = []
    browser: list[float] = []
    for _ in range(rounds):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        figures.append(json.loads(done.stdout))
        painted = _painted(page)
        if painted is not None:
            browser.append(painted)
    seconds, memory = (
        statistics.median(each[key] for each in figures) for key in ("seconds", "memory")
    )
    shown = f"{statistics.median(browser):.2f} s" if browser else "-"
    size = page.stat().st_size / 1e6
    return f"{name:8} {sites:>7,}  {seconds:6.2f} s  {size:6.2f} MB  {memory:6.0f} MB  {shown:>7}"


def main() -> None:
    """Measure what was asked for, or render once in the process of a round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sites", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        name, sites, page = arguments.once
        _once(name, int(sites), Path(page))
        return
    names = [name for name in PAGES if name == "ours" or importlib.util.find_spec(name)]
    print(f"{'':8} {'sites':>7}  {'render':>8}  {'size':>9}  {'memory':>9}  {'browser':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for sites in arguments.sites:
            for name in names:
                print(_measure(name, sites, arguments.rounds, Path(folder) / f"{name}.html"))


if __name__ == "__main__":
    main()
