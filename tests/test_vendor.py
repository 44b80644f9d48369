"""The vendor's words are spelled in one place; every table and every option goes by them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from attrs import fields

import bestdefense_async
from bestdefense_async import vendor
from bestdefense_async.cli.app import root
from bestdefense_async.cli.options.settings import CHECKS
from bestdefense_async.cli.options.verdict import GateOptions
from bestdefense_async.cli.terminal.words import STYLES
from bestdefense_async.models import SEVERITIES, RiskSummary, Severity, Stage
from bestdefense_async.openapi.words import MEANINGS
from bestdefense_async.report.summary import BANDS
from bestdefense_async.runs.plan import ASSUMED

PACKAGE = Path(bestdefense_async.__file__).parent
LISTS = {
    name: words for name, words in vars(vendor).items() if name.isupper() and type(words) is tuple
}

IN_THE_SAME_ORDER = {
    "severities of the models": (SEVERITIES, vendor.SEVERITIES),
    "named severities": (
        tuple(getattr(Severity, word.upper()) for word in vendor.SEVERITIES),
        vendor.SEVERITIES,
    ),
    "counts of a site": (
        tuple(each.name for each in fields(RiskSummary))[:-1],
        vendor.SEVERITIES,
    ),
    "limits of the gate": (
        tuple(name for name in GateOptions._fields if name.startswith("max_")),
        tuple(f"max_{word}" for word in vendor.SEVERITIES),
    ),
    "limits in settings": (
        tuple(key for key in CHECKS if key.startswith("max_") and key != "max_active"),
        tuple(f"max_{word}" for word in vendor.SEVERITIES),
    ),
    "styles of the terminal": (
        tuple(name for name in STYLES if name in vendor.SEVERITIES),
        vendor.SEVERITIES,
    ),
    "bands of the report": (BANDS[1:-2], vendor.SEVERITIES),
    "counts in a specification": (
        tuple(name for name in MEANINGS if name in vendor.SEVERITIES),
        vendor.SEVERITIES,
    ),
    "assumed durations": (tuple(ASSUMED), vendor.INTENSITIES),
    "named stages": (
        tuple(getattr(Stage, word.upper()) for word in vendor.STAGES),
        vendor.STAGES,
    ),
}


@pytest.mark.parametrize(("found", "words"), IN_THE_SAME_ORDER.values(), ids=IN_THE_SAME_ORDER)
def test_every_table_has_the_words_in_their_order(
    found: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """A severity that is missing somewhere would be counted nowhere."""
    assert found == words


def test_a_threshold_has_one_word_more_and_one_less() -> None:
    """Nothing fails on a mere information, and a check may never fail."""
    assert vendor.FAIL_ON == ("critical", "high", "medium", "low", "none")


def _choices(command: click.Command) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _choices(below)
    for option in command.params:
        if isinstance(option.type, click.Choice):
            yield str(option.name), tuple(option.type.choices)


def test_every_option_offers_the_words() -> None:
    """And no option has a list of its own that is nearly the same."""
    wanted = {
        "fail_on": vendor.FAIL_ON,
        "min_severity": vendor.SEVERITIES,
        "intensity": vendor.INTENSITIES,
        "mode": vendor.MODES,
        "cadence": vendor.CADENCES,
    }
    offered = dict.fromkeys(_choices(root))

    assert {name: words for name, words in offered if name in wanted} == wanted
    assert {name for name, words in offered if words in wanted.values()} == wanted.keys()


def test_no_list_is_spelled_a_second_time() -> None:
    """Three words of one list in one expression are that list; a table by them is none."""
    spelled = []
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] in {"sandbox", "vendor.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Call):
                parts = node.args if isinstance(node, ast.Call) else node.elts
                texts = {part.value for part in parts if isinstance(part, ast.Constant)}
                spelled += [
                    f"{path.name}:{node.lineno} spells {name}"
                    for name, words in LISTS.items()
                    if len(texts & {*words}) > 2
                ]

    assert len(LISTS) == 9
    assert spelled == []
