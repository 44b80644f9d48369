"""The HTML report as a real Chromium draws it: readable, in order, and it can do nothing."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from attrs import evolve

from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.gate.waivers import Waiver, Waivers
from bestdefense_async.report.html.page import html
from bestdefense_async.report.summary import TONES
from bestdefense_async.testing.process import SandboxProcess
from tests.support import looks
from tests.support.browser import JENKINS, Browser, View, chromium
from tests.support.command import Command
from tests.support.runs import done, failed, fleet, hostile, not_started, run_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bestdefense_async.report.result import RunResult

PHONE = View(width=390)
DESK = View(width=1280)
BLOCKED = View(width=1280, policy=JENKINS)


def long_names() -> RunResult:
    """Return a run whose host names and addresses are as long as they may be."""
    run = fleet(30)
    label = "-".join(["label"] * 10)
    rows = [
        evolve(
            row,
            target=f"{label}.{label}.{label}.{number}.example",
            findings=tuple(
                evolve(finding, url=f"https://{label}.{label}/{'path' * 60}")
                for finding in row.findings
            ),
        )
        for number, row in enumerate(run.outcomes)
    ]
    return evolve(run, outcomes=tuple(rows))


RUNS = [
    pytest.param(fleet(300), id="fleet"),
    pytest.param(run_of(done("a.example", high=1)), id="one site"),
    pytest.param(run_of(*(done(f"{number}.example") for number in range(40))), id="nothing found"),
    pytest.param(
        run_of(failed("a.example"), *(not_started(f"{number}.example") for number in range(40))),
        id="nothing scanned",
    ),
    pytest.param(run_of(started_at=None, finished_at=None), id="empty"),
    pytest.param(long_names(), id="long names"),
    pytest.param(hostile(), id="hostile"),
]
WAIVERS = Waivers(
    entries=(
        Waiver(reason="Behind a proxy.", expires=date(2027, 1, 1), weakness="CWE-79", target="*"),
        Waiver(reason="Gone. " * 40, expires=date(2026, 1, 1), weakness="CWE-1", target="*.a"),
    ),
    today=date(2026, 9, 21),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The one browser of these tests."""
    program = chromium()
    if program is None:
        pytest.skip("no Chromium is installed here")
    with Browser(program) as started:
        yield started


def report(run: RunResult) -> str:
    """Return the report of a run with all its parts: waivers, and an older run if it has one."""
    older = (
        fleet(len(run.outcomes), seed=9)
        if run.outcomes == fleet(len(run.outcomes)).outcomes
        else None
    )
    return html(run, judge(run.outcomes, GatePolicy(), waivers=WAIVERS), older=older)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("view", [DESK, PHONE, BLOCKED], ids=["desk", "phone", "style blocked"])
def test_everything_is_in_its_place(browser: Browser, run: RunResult, view: View) -> None:
    """No text touches another or the map, nothing is cut off, nothing scrolls sideways."""
    page = browser.show(report(run), view)
    looks.open_all(page)

    assert looks.crowded(page) == []
    # Without a style sheet a line of text breaks only where it has a space.
    if view is not BLOCKED or run.outcomes == fleet(300).outcomes:
        assert looks.outside(page) == []


@pytest.mark.parametrize("sites", [2_000, 4_500])
@pytest.mark.parametrize("view", [DESK, PHONE, BLOCKED], ids=["desk", "phone", "style blocked"])
def test_the_bands_add_up_as_drawn(browser: Browser, sites: int, view: View) -> None:
    """One map is to be seen, and it has as many squares as there are sites."""
    page = browser.show(report(fleet(sites)), view)

    drawn = looks.bands(page)

    assert drawn == [
        int(number)
        for number in page.evaluate(
            "[...document.querySelectorAll('svg.fleet:not(.narrow) g.band')]"
            ".map((band) => band.dataset.sites)"
        )
    ]
    assert sum(drawn) == sites


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_text_is_strong_enough(browser: Browser, is_dark: bool, width: int) -> None:  # noqa: FBT001 - a parameter
    """Each has the contrast that WCAG 2.1 AA asks for, on the colour that is really behind it."""
    page = browser.show(report(fleet(300)), View(width=width, is_dark=is_dark))
    looks.open_all(page)

    assert looks.faint(page) == []


def test_the_dark_is_dark(browser: Browser) -> None:
    """Page, cards and pictures change their colours, each band to its own."""
    page = browser.show(report(fleet(300)), View(is_dark=True))

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 19, 27)"
    colors = page.evaluate(
        "[...document.querySelectorAll('svg.fleet g[fill]:not(.hollow,.links)')]"
        ".map((band) => [band.getAttribute('class').slice(2), getComputedStyle(band).fill])"
    )
    assert colors == [
        [name, "rgb({}, {}, {})".format(*bytes.fromhex(TONES[name].dark[1:]))] for name, _ in colors
    ]
    assert len(colors) > 5


def test_paper_is_white_and_has_no_closed_parts(browser: Browser) -> None:
    """What is printed has the colours of the light, and only what stands open."""
    page = browser.show(report(fleet(300)), View(is_dark=True, is_printed=True, width=690))

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.querySelector('details').getBoundingClientRect().height") == 0
    assert looks.faint(page) == []
    assert looks.crowded(page) == []
    assert page.pdf().startswith(b"%PDF-")


def test_pictures_are_whole_where_styles_are_blocked(browser: Browser) -> None:
    """Under the policy of Jenkins no style holds; pictures keep their sizes and colours."""
    page = browser.show(report(fleet(300)), BLOCKED)

    assert page.evaluate("getComputedStyle(document.body).margin") == "8px"
    assert page.evaluate(
        "[...document.querySelectorAll('svg.fleet')]"
        ".map((map) => map.getBoundingClientRect().width)"
    ) == [1080, 0]
    fill = page.evaluate("getComputedStyle(document.querySelector('svg.fleet g.b-high')).fill")
    assert fill == "rgb({}, {}, {})".format(*bytes.fromhex(TONES["high"].light[1:]))
    assert looks.faint(page) == []
    assert [event for event in page.events if "inline style" not in event] == []


@pytest.mark.parametrize("view", [DESK, PHONE, BLOCKED], ids=["desk", "phone", "style blocked"])
def test_everything_has_a_name(browser: Browser, view: View) -> None:
    """A screen reader has a text for every picture, table and part."""
    page = browser.show(report(fleet(300)), view)

    assert looks.nameless(page) == []
    assert {"heading", "table", "region"} <= set(looks.roles(page))


@pytest.mark.parametrize("run", [fleet(300), hostile()], ids=["fleet", "hostile"])
@pytest.mark.parametrize("view", [DESK, View(ignores_policies=True)], ids=["policy", "no policy"])
def test_nothing_runs_and_nothing_is_asked_for(
    browser: Browser, run: RunResult, view: View
) -> None:
    """Also with every policy switched off, so that escaping alone protects."""
    page = browser.show(report(run), view)
    looks.open_all(page)
    title = page.evaluate("document.title")

    assert title.startswith("✗ Failed: ")
    assert title.endswith(f" {run.name}")
    assert page.requests == []
    assert page.events == []
    assert (
        page.evaluate("document.scripts.length + document.images.length + document.forms.length")
        == 0
    )


def test_a_hostile_server_reaches_no_reader(browser: Browser, tmp_path: Path) -> None:
    """Scanned and rendered by the real command: every format can be read, and nothing runs."""
    command = Command(tmp_path)
    files = ["report.html", "run.json", "run.jsonl", "run.sarif", "run.xml", "run.md"]
    outputs = [argument for file in files for argument in ("-o", file)]
    with SandboxProcess(sites=20, speed=6000.0, scenario="hostile") as sandbox:
        hosts = command("sites", "list", "--format", "jsonl", env=sandbox.env).events
        names = [host["hostname"] for host in hosts]
        ended = command("scan", *names, *outputs, "--format", "table", "-y", env=sandbox.env)

    assert ended.code in {0, 1}, ended.err
    texts = {file: (tmp_path / file).read_text("utf-8") for file in files}
    assert json.loads(texts["run.json"])["targets"] == 20
    assert [json.loads(line)["event"] for line in texts["run.jsonl"].splitlines()][-1] == (
        "run.summary"
    )
    assert json.loads(texts["run.sarif"])["runs"][0]["results"]
    assert len(ET.fromstring(texts["run.xml"])) > 0  # noqa: S314 - our own output
    for shown in (ended.out, ended.err, texts["run.md"], texts["report.html"]):
        plain = shown.replace("\n", " ").replace("\xa0", " ")
        assert {one for one in plain if not one.isprintable()} == set()
    page = browser.show(texts["report.html"], View(ignores_policies=True))
    looks.open_all(page)
    assert page.requests == []
    assert page.events == []
    assert "<script>" in page.evaluate("document.body.innerText")
    assert looks.crowded(page) == []
    assert looks.outside(page) == []


def test_a_page_that_does_something_is_noticed(browser: Browser) -> None:
    """The browser of these tests sees a script, a request and a faint or crowded text."""
    page = browser.show(
        "<!DOCTYPE html><title>x</title>"
        "<img src='http://attacker.example/p.png' onerror='alert(1)'>"
        "<script>document.title = 'owned'</script>"
        "<p style='color:#aaa;width:2000px;text-align:right'>pale and far away</p>"
        "<p style='position:absolute;top:4em'>one text<p style='position:absolute;top:4em'>over it"
        "<svg role=img width=100 height=20><rect width=20 height=20 /><text y=14>half</text></svg>"
    )

    assert page.evaluate("document.title") == "owned"
    assert "http://attacker.example/p.png" in page.requests
    assert any("script" in event for event in page.events)
    assert "dialog 1" in page.events
    assert any("pale" in text for text in looks.faint(page))
    assert any("half" in text for text in looks.crowded(page))
    assert any("over it" in text for text in looks.crowded(page))
    assert any("pale" in text for text in looks.outside(page))
    assert looks.nameless(page)


@pytest.mark.parametrize("sites", [30, 200])
@pytest.mark.parametrize("view", [DESK, PHONE, BLOCKED], ids=["desk", "phone", "style blocked"])
def test_a_square_and_a_bar_lead_to_their_site(browser: Browser, sites: int, view: View) -> None:
    """By the page's own anchors, also where a server forbids scripts and styles."""
    page = browser.show(report(fleet(sites)), view)
    shown = "[...document.querySelectorAll('svg.fleet a, svg.worst a')].filter((link) => "
    shown += "link.getBoundingClientRect().width)"

    missed = page.evaluate(
        f"{shown}.filter((link) => {{"
        "const site = document.querySelector(link.getAttribute('href'));"
        "return !site || !(link.textContent.includes('…') || "
        "link.textContent.startsWith(site.querySelector('b').textContent)) }).length"
    )

    assert page.evaluate(f"{shown}.length") >= 9
    assert missed == 0
