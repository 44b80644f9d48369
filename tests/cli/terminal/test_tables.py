"""Tables: whole for programs, fitting for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import shown_length, table

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "4f0c1c9e-7a55-4f0b-9a4e-0d6a6f7d1c11"
RECORDS = [
    {
        "target": f"a-rather-long-name-of-a-host-{number}.shop.example.com",
        "status": "done",
        "critical": number,
        "high": 0,
        "report_id": ID,
    }
    for number in range(3)
]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make stdout a terminal of so many columns, without colours."""

    def of(columns: int) -> None:
        monkeypatch.setattr(streams, "is_terminal", lambda: True)
        monkeypatch.setattr(streams, "is_coloured", lambda: False)
        monkeypatch.setenv("COLUMNS", str(columns))

    return of


def test_what_a_check_has_found_is_never_cut(terminal: Callable[[int], None]) -> None:
    """Half of a sentence, or of a path, says nothing."""
    terminal(40)
    detail = "runs and limits are kept in /home/somebody/.local/state/bestdefense" + "/deep" * 30

    assert detail in table([{"check": "state", "result": "ok", "detail": detail}])


def test_a_program_gets_the_whole_table() -> None:
    """Whatever `COLUMNS` says: nothing is cut where nobody reads on a screen."""
    long = "x" * 110
    assert long in table([{"target": long, "error": long}])


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_a_table_fits_the_terminal(terminal: Callable[[int], None], columns: int) -> None:
    """First without what is not needed, then with shorter names."""
    terminal(columns)
    shown = table(RECORDS, extra=("report_id", "high"))
    assert max(map(len, shown.splitlines())) <= columns
    assert ("REPORT ID" in shown) is (columns >= 120)
    assert shown.count("\n") == 1 + len(RECORDS)


def test_what_is_typed_again_is_never_cut(terminal: Callable[[int], None]) -> None:
    """A record becomes lines where its id alone is too wide."""
    terminal(40)
    shown = table(RECORDS)
    assert shown.count(ID) == len(RECORDS)
    assert "target     a-rather-long-name-of-a-host-0.shop.example.com" in shown


def test_letters_that_take_two_columns_are_counted(terminal: Callable[[int], None]) -> None:
    """Columns stay under each other."""
    terminal(80)
    first, second, third = table(
        [{"target": "日本.example", "n": 1}, {"target": "abcd.example", "n": 2}]
    ).splitlines()
    assert shown_length(first[: first.index("N")]) == 14
    assert shown_length(second[: second.index("1")]) == 14
    assert shown_length(third[: third.index("2")]) == 14


def test_colours_are_those_of_the_live_view_and_take_no_room(
    monkeypatch: pytest.MonkeyPatch, terminal: Callable[[int], None]
) -> None:
    """Zeros are not coloured: nothing is no danger."""
    terminal(80)
    plain = table(RECORDS, extra=("report_id",))
    monkeypatch.setattr(streams, "is_coloured", lambda: True)
    coloured = table(RECORDS, extra=("report_id",))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert "\x1b[1;37;41m2\x1b[0m" in coloured
    assert "\x1b[32mdone\x1b[0m" in coloured
    assert coloured.count("\x1b[1;37;41m") == 2


@pytest.mark.parametrize(
    ("env", "is_coloured"),
    [({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False), ({}, False)],
)
def test_colours_can_be_forced_and_refused(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], *, is_coloured: bool
) -> None:
    """As https://no-color.org and force-color.org ask."""
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert streams.is_coloured() is is_coloured
