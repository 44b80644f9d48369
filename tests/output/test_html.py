"""The HTML report: complete, harmless, small, and the same every time."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.models import RiskSummary
from bestdefense_async.output.gate import Policy, judge
from bestdefense_async.output.html import headline, html
from bestdefense_async.output.run import Row, Run
from tests.support.pages import SVG, Page, chromium, pictures, rendered
from tests.support.runs import PAYLOADS, done, failed, fleet, hostile, not_started, run_of

if TYPE_CHECKING:
    from pathlib import Path

MEBIBYTE = 1_000_000
SMALL = run_of(done("a.example", critical=1, high=2), done("b.example"), failed("c.example"))
RUNS = [
    pytest.param(SMALL, id="small"),
    pytest.param(fleet(300), id="fleet"),
    pytest.param(hostile(), id="hostile"),
    pytest.param(run_of(started_at=None, finished_at=None), id="empty"),
    pytest.param(run_of(Row(target="x", outcome="done")), id="done without a risk"),
    pytest.param(
        run_of(Row(target="x", outcome="done", risk=RiskSummary(high=4))), id="counts alone"
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
    )
)


def report(run: Run, *, older: Run | None = None) -> str:
    """Return the report of a run judged by the usual rules."""
    return html(run, judge(run.rows, Policy()), older=older)


@pytest.mark.parametrize("run", RUNS)
def test_the_page_can_do_nothing(run: Run) -> None:
    """It holds no script, no handler, no address to load and no style but the one it names."""
    page = Page(report(run))

    assert set(page.tags) <= EXPECTED_TAGS
    names = {name for _, name, _ in page.attributes}
    assert not [name for name in names if name.startswith("on") or name == "style"]
    assert not names & {"href", "src", "srcset", "action", "xlink:href", "data", "formaction"}


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
def test_nothing_is_hidden_in_the_page(run: Run) -> None:
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
def test_pictures_are_xml_and_tell_what_they_show(run: Run) -> None:
    """Each has a title and a description of its own, and ids are unique in the page."""
    text = report(run)
    ids = Page(text).values("id")

    assert len(ids) == len(set(ids))
    for picture in pictures(text):
        labels = (picture.get("aria-labelledby") or "").split()
        assert {f"{picture.get('class')}-title", f"{picture.get('class')}-desc"} == set(labels)
        assert picture.findtext(f"{SVG}title")
        assert picture.findtext(f"{SVG}desc")


def test_pictures_need_no_style_sheet() -> None:
    """Colour and geometry are attributes, so the page reads where styles are blocked."""
    for picture in pictures(report(fleet(100))):
        coloured = {
            child
            for parent in picture.iter()
            for child in (parent, *(parent if parent.get("fill") else ()))
            if child.get("fill") or child.get("stroke") or parent.get("fill")
        }
        drawn = [
            item
            for item in picture.iter()
            if item.tag in {f"{SVG}{name}" for name in ("rect", "path", "text", "line", "circle")}
        ]
        assert drawn
        assert not [item for item in drawn if item not in coloured]


@pytest.mark.parametrize("sites", [1, 7, 300, 2_000, 4_500])
def test_the_bands_of_the_map_add_up_to_the_number_of_sites(sites: int) -> None:
    """Every site is in exactly one band, and has its square there."""
    text = report(fleet(sites))
    [fleet_map] = [item for item in pictures(text) if item.get("class") == "fleet"]
    bands = [group for group in fleet_map.iter(f"{SVG}g") if group.get("data-sites")]

    squares = sum((path.get("d") or "").count("M") for band in bands for path in band)

    assert sum(int(band.get("data-sites") or 0) for band in bands) == squares == sites


def test_squares_stay_inside_the_map_and_right_of_its_words() -> None:
    """No square lies under a label or outside of the picture, whatever the size of the fleet."""
    for sites in (1, 300, 2_000, 4_500):
        [fleet_map] = [
            item for item in pictures(report(fleet(sites))) if item.get("class") == "fleet"
        ]
        height = float(fleet_map.get("height") or 0)
        for band in fleet_map.iter(f"{SVG}g"):
            for path in band:
                for x, y, side in re.findall(r"M([\d.]+) ([\d.]+)h(\d+)", path.get("d") or ""):
                    assert 160 < float(x) <= 1080 - float(side)
                    assert 0 <= float(y) <= height - float(side)


def test_an_unscanned_site_is_never_among_the_clean_ones() -> None:
    """What was not looked at is not clean, and says why it was not looked at."""
    text = report(run_of(done("a.example"), failed("b.example"), not_started("c.example")))
    [fleet_map] = [item for item in pictures(text) if item.get("class") == "fleet"]
    bands = {
        (group.get("class") or "").split()[-1]: [title.text for title in group.iter(f"{SVG}title")]
        for group in fleet_map.iter(f"{SVG}g")
    }

    assert bands == {
        "b-clean": ["a.example: clean"],
        "k-not_scanned": [
            "b.example: failed, ServerError",
            "c.example: not started, PermissionDenied",
        ],
    }


@pytest.mark.parametrize("sites", [2_000, 10_000])
def test_a_large_fleet_stays_below_one_megabyte(sites: int) -> None:
    """The report can be mailed and opened anywhere, and says what it left out."""
    text = report(fleet(sites))

    assert len(text.encode()) < MEBIBYTE
    assert ("The worst 2,500 of 10,000" in text) == (sites == 10_000)
    assert "The first 100 of " in text


def test_long_texts_do_not_make_a_large_page() -> None:
    """Two thousand sites of hostile length are cut, not carried."""
    rows = [
        Row(target="x" * 5_000 + str(number), outcome="done", risk=RiskSummary(high=1))
        for number in range(2_000)
    ]

    assert len(report(run_of(*rows)).encode()) < MEBIBYTE


def test_two_reports_of_one_run_are_the_same_bytes() -> None:
    """Also in two processes that hash text differently."""
    code = (
        "import hashlib; from tests.support.runs import fleet, hostile;"
        "from bestdefense_async.output.html import html;"
        "from bestdefense_async.output.gate import Policy, judge;"
        "pages = [html(run, judge(run.rows, Policy())) for run in (fleet(200), hostile())];"
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


def test_the_numbers_stand_in_tables_too() -> None:
    """Whoever cannot see a picture reads the same numbers."""
    shown = " ".join(" ".join(Page(report(SMALL)).text).split())

    assert "Critical 1 1 High 2 1 Medium 0 0" in shown
    assert "failed: no result 1" in shown
    assert "c.example failed ServerError 503 from the API" in shown


def test_a_comparison_says_what_is_new_and_what_is_fixed() -> None:
    """A site without a verdict mends nothing."""
    older = run_of(done("a.example", high=2), done("b.example", low=1), done("c.example", high=3))
    newer = run_of(done("a.example", high=1), done("b.example", low=2), failed("c.example"))

    shown = " ".join(" ".join(Page(report(newer, older=older)).text).split())

    [bars] = [
        item for item in pictures(report(newer, older=older)) if item.get("class") == "changes"
    ]

    assert bars.findtext(f"{SVG}desc") == "High: 1 fixed, 0 new; Low: 0 fixed, 1 new."
    assert "1 new findings" in shown
    assert "1 fixed" in shown
    assert "High 1 1 0 1 1" in shown
    assert "Low 2 1 1 0 1" in shown


@pytest.mark.parametrize(
    ("rows", "rules", "sentence"),
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
def test_headline(rows: list[Row], rules: dict[str, object], sentence: str) -> None:
    """The verdict is one sentence that says how much and where."""
    assert headline(judge(rows, Policy(**rules))) == sentence  # type: ignore[arg-type]


@pytest.mark.parametrize("run", [fleet(120), hostile()], ids=["fleet", "hostile"])
def test_a_browser_runs_nothing_and_asks_for_nothing(run: Run, tmp_path: Path) -> None:
    """Chromium shows the page as it was written and requests no other address."""
    browser = chromium()
    if browser is None:
        pytest.skip("no Chromium is installed here")
    page = tmp_path / "report.html"
    page.write_text(report(run), encoding="utf-8")
    log = tmp_path / "net.json"

    document = rendered(browser, page, tmp_path / "profile", f"--log-net-log={log}")

    seen = Page(document)
    assert set(seen.tags) <= EXPECTED_TAGS
    assert "alert(1)" not in "".join(seen.values("onload") + seen.values("onerror"))
    assert f"<title>Security scan: {'nightly' if run.name == 'nightly' else '&lt;script&gt;'}" in (
        document
    )
    assert sum(map(int, seen.values("data-sites"))) == len(run.rows)
    asked = set(re.findall(r'"url":"(?:https?|wss?|ftp)://([^/":]+)', log.read_text()))
    # A browser has errands of its own; the page may not send it to any place it mentions.
    assert not [host for host in asked if host in page.read_text(encoding="utf-8")]
