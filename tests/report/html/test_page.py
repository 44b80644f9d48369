"""The HTML report: complete, harmless, small, and the same every time."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from bestdefense_async.models import Finding, Outcome, RiskSummary, Severity
from bestdefense_async.report.gate.identity import fingerprint
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.gate.waivers import Waiver, Waivers
from bestdefense_async.report.html import svg
from bestdefense_async.report.html.fleet import fleet_map
from bestdefense_async.report.html.head import headline
from bestdefense_async.report.html.page import html
from bestdefense_async.report.summary import TONES, banded, page_for_people, worst_first
from tests.support.pages import SVG, Page, picture, pictures, squares
from tests.support.runs import (
    PAYLOADS,
    before,
    done,
    error,
    failed,
    fleet,
    hostile,
    not_started,
    run_of,
)

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from bestdefense_async.report.result import RunResult

MEGABYTE = 1_000_000
SMALL = run_of(done("a.example", critical=1, high=2), done("b.example"), failed("c.example"))
RUNS = [
    pytest.param(SMALL, id="small"),
    pytest.param(fleet(300), id="fleet"),
    pytest.param(hostile(), id="hostile"),
    pytest.param(run_of(started_at=None, finished_at=None), id="empty"),
    pytest.param(run_of(Outcome(target="x", status="done")), id="done without a risk"),
    pytest.param(
        run_of(Outcome(target="x", status="done", risk=RiskSummary(high=4))), id="counts alone"
    ),
]
EXPECTED_TAGS = frozenset(
    (
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "header",
        "footer",
        "section",
        "div",
        "h1",
        "h2",
        "p",
        "b",
        "span",
        "br",
        "ul",
        "li",
        "details",
        "summary",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "svg",
        "desc",
        "g",
        "rect",
        "path",
        "circle",
        "line",
        "text",
        "a",
        "article",
        "blockquote",
        "code",
        "h3",
        "i",
        "ol",
        "q",
        "small",
    )
)


def report(run: RunResult, *, older: RunResult | None = None) -> str:
    """Return the report of a run judged by the usual rules."""
    return html(run, judge(run.outcomes, GatePolicy()), older=older)


@pytest.mark.parametrize("run", RUNS)
def test_the_page_can_do_nothing(run: RunResult) -> None:
    """It holds no script, no handler, no address to load and no style but the one it names."""
    page = Page(report(run))

    assert set(page.tags) <= EXPECTED_TAGS
    names = {name for _, name, _ in page.attributes}
    assert not [name for name in names if name.startswith("on") or name == "style"]
    assert not names & {"src", "srcset", "action", "xlink:href", "data", "formaction"}


@pytest.mark.parametrize("run", RUNS)
def test_links_lead_into_the_page_or_to_the_application(run: RunResult) -> None:
    """Each place that is linked is there; a saved run cannot make one lead anywhere else."""
    page = Page(report(run))
    links = page.values("href")
    inside = {link.removeprefix("#") for link in links if link.startswith("#")}
    outside = [link for link in links if not link.startswith("#")]

    assert inside <= set(page.values("id"))
    assert all(link.startswith(f"{run.base_url}/report/") for link in outside)
    if run.base_url != "https://scanner.example":
        assert outside == []
    assert len(outside) == sum(
        each.report_id is not None and run.base_url == "https://scanner.example"
        for each in run.outcomes
    )


@pytest.mark.parametrize(
    ("base_url", "report_id", "address"),
    [
        ("https://App.example:443", "r1", "https://app.example/report/r1"),
        ("http://127.0.0.1:8000", "a/b?c", "http://127.0.0.1:8000/report/a%2Fb%3Fc"),
        ("https://u:p@app.example", "r", "https://app.example/report/r"),
        ("javascript:alert(1)", "r", None),
        ("https://", "r", None),
        ("https://[", "r", None),
        ("", "r", None),
        ("https://app.example", None, None),
        ("https://app.example", "", None),
        ("https://app.example", "x" * 101, None),
    ],
)
def test_the_page_for_people_is_at_the_host_of_the_run(
    base_url: str, report_id: str | None, address: str | None
) -> None:
    """Without credentials, and with nothing in it that a saved run could smuggle in."""
    assert page_for_people(base_url, report_id) == address


def test_the_policy_allows_its_own_style_sheet_and_nothing_else() -> None:
    """A wrong hash would leave the page without its style."""
    text = report(SMALL)
    style = re.search(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()

    policy = [value for value in Page(text).values("content") if "default-src" in value]

    assert policy == [
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    ]


@pytest.mark.parametrize("run", RUNS)
def test_nothing_is_hidden_in_the_page(run: RunResult) -> None:
    """Controls, bidirectional overrides and invisible characters became visible escapes."""
    text = report(run)

    text.encode()
    assert all(line.replace("\xa0", " ").isprintable() for line in text.splitlines())


def test_hostile_text_is_shown_as_text() -> None:
    """A reader sees what the attacker wrote instead of what it does."""
    shown = "".join(Page(report(hostile())).text)

    assert PAYLOADS[0] in shown
    assert "\\x1b[2J" in shown
    assert "{{7*7}}" in shown


@pytest.mark.parametrize("run", RUNS)
def test_pictures_are_xml_and_tell_what_they_show(run: RunResult) -> None:
    """Each has a title and a description of its own, and ids are unique in the page."""
    text = report(run)
    ids = Page(text).values("id")

    assert len(ids) == len(set(ids))
    for item in pictures(text):
        name = (item.get("class") or "").replace(" ", "-")
        assert (item.get("aria-labelledby") or "").split() == [f"{name}-title", f"{name}-desc"]
        for part in ("title", "desc"):
            assert item.findtext(f"{SVG}{part}[@id='{name}-{part}']")


def test_pictures_need_no_style_sheet() -> None:
    """Colour and geometry are attributes, so the page reads where styles are blocked."""
    for item in pictures(report(fleet(100))):
        coloured = {
            child
            for parent in item.iter()
            for child in (parent, *(parent.iter() if parent.get("fill") else ()))
            if child.get("fill") or child.get("stroke") or parent.get("fill")
        }
        drawn = [
            part
            for part in item.iter()
            if part.tag in {f"{SVG}{name}" for name in ("rect", "path", "text", "line", "circle")}
        ]
        assert drawn
        assert not [part for part in drawn if part not in coloured]


def fleet_picture(sites: int, kind: str) -> ET.Element:
    """Return the map of a fleet, as it stands in a report."""
    bands = banded(sorted(fleet(sites).outcomes, key=worst_first))
    return picture(fleet_map(bands, anchors={}, is_narrow=kind == "fleet narrow"), kind)


@pytest.mark.parametrize("kind", ["fleet", "fleet narrow"])
@pytest.mark.parametrize("sites", [60, 300, 2_000, 4_500, 20_000])
def test_the_bands_of_the_map_add_up_to_the_number_of_sites(sites: int, kind: str) -> None:
    """Every site is in exactly one band, and has its square there."""
    drawn = fleet_picture(sites, kind)
    bands = [group for group in drawn.iter(f"{SVG}g") if group.get("data-sites")]

    assert [len(squares(band)) for band in bands] == [
        int(band.get("data-sites", 0)) for band in bands
    ]
    assert sum(len(squares(band)) for band in bands) == sites


@pytest.mark.parametrize(
    ("kind", "left", "right"), [("fleet", 172, 1080), ("fleet narrow", 0, 340)]
)
@pytest.mark.parametrize("sites", [60, 300, 2_000, 4_500, 20_000])
def test_squares_stay_inside_the_map_and_never_meet(
    sites: int, kind: str, left: int, right: int
) -> None:
    """Each has its own position, right of the labels, whatever the size of the fleet."""
    drawn = fleet_picture(sites, kind)
    places = [
        position
        for band in drawn.iter(f"{SVG}g")
        if band.get("data-sites")
        for position in squares(band)
    ]

    assert len({(x, y) for x, y, _ in places}) == sites
    for x, y, side in places:
        assert left <= x <= right - side
        assert 0 <= y <= float(drawn.get("height") or 0) - side


@pytest.mark.parametrize("name", TONES)
def test_every_band_stands_out_from_the_page(name: str) -> None:
    """By 3 to 1 against its ground, and 4.5 to 1 for text on it, in the light and in the dark."""
    tone = TONES[name]

    assert contrast(tone.light, "#ffffff") >= 3
    assert contrast(tone.dark, "#161d28") >= 3
    assert contrast(tone.on_light, tone.light) >= 4.5 or name in {"clean", "not_scanned"}
    assert contrast(tone.on_dark, tone.dark) >= 4.5


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2.1 defines it."""
    lights = []
    for color in (one, other):
        parts = [part / 255 for part in bytes.fromhex(color[1:])]
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        lights.append(sum(map(float.__mul__, (0.2126, 0.7152, 0.0722), linear)) + 0.05)
    return max(lights) / min(lights)


def test_an_unscanned_site_is_never_among_the_clean_ones() -> None:
    """What was not scanned is not clean, and has the reason."""
    clean = [done(f"{number}.a.example") for number in range(60)]
    text = report(run_of(*clean, failed("b.example"), not_started("c.example")))
    bands = {
        (group.get("class") or "").split()[-1]: [title.text for title in group.iter(f"{SVG}title")]
        for group in picture(text, "fleet").iter(f"{SVG}g")
        if group.get("data-sites") is None
    }

    assert bands == {
        "b-clean": [f"{name}: clean" for name in sorted(one.target for one in clean)],
        "k-not_scanned": [
            "b.example: failed, ServerError",
            "c.example: not started, PermissionDenied",
        ],
    }


@pytest.mark.parametrize("kind", ["fleet", "fleet narrow"])
@pytest.mark.parametrize("sites", [1, 30, 59])
def test_a_small_fleet_has_a_tile_for_each_site(sites: int, kind: str) -> None:
    """With its name and its numbers, and it leads to the section of the site."""
    run = fleet(sites)
    drawn = picture(report(run), kind)
    tiles = list(drawn.iter(f"{SVG}a"))
    texts = [[part.text or "" for part in tile.iter(f"{SVG}text")] for tile in tiles]

    assert len(tiles) == len({tile.get("href") for tile in tiles}) == sites
    assert {len(text) for text in texts} == {2}
    assert sum(text[1].startswith(("failed", "not sta")) for text in texts) == sum(
        not each.has_verdict for each in run.outcomes
    )
    assert any("…" not in text[0] for text in texts) or kind == "fleet narrow" or sites == 1


@pytest.mark.parametrize("sites", [2_000, 4_000, 20_000])
def test_a_large_fleet_stays_below_one_megabyte(sites: int) -> None:
    """The report can be mailed and opened anywhere, and says what it left out."""
    text = report(fleet(sites))

    assert len(text.encode()) < MEGABYTE
    assert (f"All {sites:,}, worst first" in text) == (sites < 20_000)
    assert bool(re.search("The first [4-9],[0-9]{3} of 20,000, worst first", text)) == (
        sites == 20_000
    )
    assert ("; after the first 2,000 by name alone." in text) == (sites > 2_000)
    assert ("The first 500 of 608 without a verdict: 397 PollTimeout and 211" in text) == (
        sites == 20_000
    )
    assert "Where a site shows no findings, JSON, SARIF and CSV do." in text
    assert re.search(r"And [0-9,]+ more findings: see JSON, SARIF or CSV\.", text)
    assert len(text.encode()) > MEGABYTE * 0.9


def test_the_map_of_a_large_fleet_leads_to_every_site() -> None:
    """A link is over some squares side by side, and its sites stand where it leads to, in order."""
    run = fleet(4_500)
    text = report(run)
    names = [one.target for one in sorted(run.outcomes, key=worst_first)]
    listed = text[text.index('id="h-sites"') :]
    one = r'(?:<div id="(site-\d+)"><b>|<li(?: id="(site-\d+)")?>)([^<\s]+)'
    found = re.findall(one, listed)
    places = {section or line: at for at, (section, line, _) in enumerate(found)}

    assert [name for *_, name in found] == names
    for kind in ("fleet", "fleet narrow"):
        begun = 0
        for link in picture(text, kind).iter(f"{SVG}a"):
            first, _, last = (link.findtext(f"{SVG}title") or "").partition(" … ")
            shape = re.findall(r"h([\d.]+)v([\d.]+)", link[1].get("d") or "")
            squares_of_it = round(float(shape[0][0]) / float(shape[0][1]))
            assert (first, last or first) == (names[begun], names[begun + squares_of_it - 1])
            assert 0 <= begun - places[(link.get("href") or "")[1:]] < 20
            begun += squares_of_it
        assert begun == len(names)


@pytest.mark.parametrize("letter", ["&", "\U00020000"])
def test_long_texts_do_not_make_a_large_page(letter: str) -> None:
    """A thousand sites of hostile length are cut, not carried; then lists become shorter."""
    texts: dict[str, Any] = dict.fromkeys(
        ("title", "url", "evidence", "guidance", "cwe"), letter * 700
    )
    bad = Finding(severity=Severity("high"), **texts)
    rows = [
        Outcome(
            target=letter * 700 + str(number),
            status="done" if number % 2 else "failed",
            risk=RiskSummary(high=1),
            findings=(bad, evolve(bad, cwe=f"{letter * 700}{number}")),
            error=None if number % 2 else error("ServerError", letter * 700),
        )
        for number in range(1_000)
    ]

    assert MEGABYTE * 0.3 < len(report(run_of(*rows)).encode()) < MEGABYTE


def test_two_reports_of_one_run_are_the_same_bytes() -> None:
    """Also in two processes that hash text differently."""
    code = (
        "import hashlib; from tests.support.runs import fleet, hostile;"
        "from bestdefense_async.report.html.page import html;"
        "from bestdefense_async.report.gate.policy import GatePolicy;"
        "from bestdefense_async.report.gate.verdict import judge;"
        "older = fleet(200, seed=9);"
        "pages = [html(run, judge(run.outcomes, GatePolicy()), older=older)"
        " for run in (fleet(200), hostile())];"
        "print(hashlib.sha256(''.join(pages).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1


def test_weaknesses_that_are_spelled_alike_have_places_of_their_own() -> None:
    """An id that occurs twice would lead every link to the first."""
    names = ("CWE 79", "<x>", "number 3", "NUMBER 4", "3")
    found = [Finding(severity=Severity("high"), weakness=name, title="t") for name in names]
    found.append(Finding(severity=Severity("high"), cwe="CWE-79", title="t"))

    ids = Page(report(run_of(evolve(done("a.example"), findings=tuple(found))))).values("id")

    assert len(ids) == len(set(ids))
    assert len([name for name in ids if name.startswith("weakness-")]) == len(found)


def test_a_count_beyond_all_numbers_is_drawn() -> None:
    """A scan is paid for: its report is written whatever the server counts."""
    shown = report(
        run_of(
            done("a.example", high=1), evolve(done("b.example"), risk=RiskSummary(critical=10**400))
        )
    )

    assert len(pictures(shown)) > 5


def test_the_numbers_stand_in_tables_too() -> None:
    """The same numbers are there as text."""
    shown = " ".join(" ".join(Page(report(SMALL)).text).split())

    assert "Critical 1 1 High 2 1 Medium 0 0" in shown
    assert "failed: no result 1" in shown
    assert "c.example failed ServerError 503 from the API" in shown


def test_a_comparison_shows_what_is_new_and_what_is_fixed() -> None:
    """A site without a verdict mends nothing."""
    older = before(
        run_of(done("a.example", high=2), done("b.example", low=1), done("c.example", high=3))
    )
    newer = run_of(done("a.example", high=1), done("b.example", low=2), failed("c.example"))

    shown = " ".join(" ".join(Page(report(newer, older=older)).text).split())

    for kind in ("changes", "changes narrow"):
        bars = picture(report(newer, older=older), kind)
        assert bars.findtext(f"{SVG}desc") == "High: 1 fixed, 0 new; Low: 0 fixed, 1 new."
    assert (
        "Since the run of 2026-09-21 14:13:20 UTC (nightly): 1 finding new, 1 fixed, 2 unchanged."
        in shown
    )
    assert "1 new findings" in shown
    assert "1 fixed" in shown
    assert "High 1 1 0 1 1" in shown
    assert "Low 2 1 1 0 1" in shown


def test_a_comparison_without_any_change_is_shown_too() -> None:
    """Nothing new and nothing fixed is an answer, with no picture to go with it."""
    run = run_of(done("a.example", high=2))
    text = report(run, older=evolve(before(run), started_at=None))

    assert "Since the run (nightly): 0 findings new, 0 fixed, 2 unchanged." in text
    assert not [item for item in pictures(text) if (item.get("class") or "").startswith("changes")]


def test_what_the_rules_left_out_is_shown() -> None:
    """Waived findings, those known from a baseline, and each waiver with its state and reason."""
    older = before(run_of(done("a.example", medium=1)))
    run = run_of(done("a.example", high=2, medium=2), done("b.example", low=1))
    waivers = Waivers(
        entries=(
            Waiver(reason="Behind a proxy <b>.", expires=date(2027, 1, 1), weakness="CWE-79"),
            Waiver(reason="Was for the launch.", expires=date(2026, 1, 1), weakness="CWE-352"),
            Waiver(reason="Gone.", expires=date(2027, 1, 1), target="c.example", weakness="CWE-1"),
        ),
        today=date(2026, 9, 21),
    )
    verdict = judge(run.outcomes, GatePolicy(), baseline=older.outcomes, waivers=waivers)
    text = html(run, verdict)
    shown = " ".join(" ".join(Page(text).text).split())

    assert "Failed: 1 new finding rated high or worse on 1 of 2 sites." in shown
    assert verdict.sentence in shown
    assert "3 new findings beside the baseline, 1 waived 3 new findings" in shown
    names = [fingerprint(run.outcomes[0], each) for each in run.outcomes[0].findings]
    assert f"/path/0 waived {names[0]}" in shown
    assert f"/path/0 known {names[2]}" in shown
    assert f"a.example /path/1 {names[1]}" in shown
    assert "CWE-352 expired 0 2026-01-01 Was for the launch." in shown
    assert "CWE-1 at c.example matches nothing 0 2027-01-01 Gone." in shown
    assert "CWE-79 used 1 2027-01-01 Behind a proxy <b>." in shown


def test_findings_that_are_new_since_an_older_run_come_first_of_their_severity() -> None:
    """Each is marked, so that what came since is seen among what was there."""
    older = before(run_of(done("a.example", high=1)))
    run = run_of(done("a.example", high=2))
    shown = " ".join(" ".join(Page(report(run, older=older)).text).split())
    sites = shown[shown.index("All 1, worst first") :]

    assert "a.example /path/1 new " in shown
    assert sites.index("Image proxy reaches internal addresses /path/1 new") < sites.index(
        "Text from the address is run as script /path/0"
    )
    assert sites.count(" new ") == 1


@pytest.mark.parametrize(
    ("content", "width", "shown"),
    [
        ("shop.example", 200, "shop.example"),
        ("W" * 40, 100, "WWW…WWWW"),
        ("i" * 40, 100, "i" * 11 + "…" + "i" * 11),
        ("\x1b[2J", 100, "\\x1b[2J"),
        ("anything", 1, "…"),
    ],
)
def test_a_label_is_cut_to_the_room_it_has(content: str, width: float, shown: str) -> None:
    """By the width of its characters, in the middle, and never below one character."""
    assert svg.fitted(content, width=width, size=12) == shown


@pytest.mark.parametrize(
    ("outcomes", "rules", "sentence"),
    [
        ([done("a")], {}, "Passed: no finding is rated high or worse on 1 site."),
        ([done("a")], {"fail_on": "none"}, "Passed: no threshold was set on 1 site."),
        (
            [done("a", high=2), failed("b")],
            {},
            "Failed: 2 findings rated high or worse on 1 of 2 sites; 1 of 2 sites has no verdict.",
        ),
        (
            [done("a", critical=1)],
            {"fail_on": "critical"},
            "Failed: 1 finding rated critical on 1 of 1 site.",
        ),
        (
            [done("a", low=1)],
            {"max_counts": {"low": 0}},
            "Failed: more findings than a limit allows on 1 site.",
        ),
        (
            [done("a", low=1)],
            {"fail_on": None, "max_counts": {"low": 1}},
            "Passed: no limit of findings is exceeded on 1 site.",
        ),
        (
            [failed("a")],
            {"allow_incomplete": 1},
            "Incomplete: 1 of 1 site has no verdict.",
        ),
        (
            [done("a"), failed("b")],
            {},
            "Incomplete: 1 of 2 sites has no verdict. Where there is one, nothing failed.",
        ),
        ([failed("b")], {}, "Incomplete: 1 of 1 site has no verdict."),
        ([], {}, "Incomplete: no site was scanned."),
        (
            [done("a"), failed("b")],
            {"allow_incomplete": 1},
            "Passed: no finding is rated high or worse on 2 sites; 1 of 2 sites has no verdict.",
        ),
    ],
)
def test_headline(outcomes: list[Outcome], rules: dict[str, object], sentence: str) -> None:
    """The verdict is one sentence that says how much and where."""
    assert headline(judge(outcomes, GatePolicy(**rules))) == sentence  # type: ignore[arg-type]


def test_the_timeline_shows_when_the_host_was_away() -> None:
    """One bar for each outage, with how long it lasted, and its key."""
    run = fleet(60)
    begin = (run.started_at or 0.0) + 20.0
    page = report(evolve(run, outages=((begin, begin + 42.0), (begin + 60.0, begin + 110.0))))

    assert (
        page.count("host away, 42.0 s") == page.count("host away, 50.0 s") == 2
    )  # wide and narrow
    assert "host away, nothing started" in page
    assert "host away," not in report(run)
