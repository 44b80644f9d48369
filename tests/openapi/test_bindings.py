"""Bindings in a file: read for one host, checked for all, with the line of what is wrong."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import fields

from bestdefense_async import Binding, ConfigError, read_bindings
from bestdefense_async.core.route import ROUTES

GOOD = """\
# by hand
["https://acme.example"."schedules.create"]
method = "POST"
template = "/api/v2/{siteId}/plans"  # below the site
envelope = "top"
source = "a friend"
request = { cadence = "every" }

["https://acme.example"."schedules.create".answer]
schedule = ""
"schedule.cadence" = "every"

["https://ACME.example/"."reports.list"]
method = "GET"
template = "/api/v2/reports"

["https://other.example/tenant"."reports.list"]
method = "GET"
template = "/elsewhere"
"""


def test_a_host_has_its_own_bindings(tmp_path: Path) -> None:
    """Whatever way its address is written."""
    path = tmp_path / "bindings.toml"
    path.write_text(GOOD)
    expected = {
        "schedules.create": Binding(
            method="POST",
            template="/api/v2/{siteId}/plans",
            request={"cadence": "every"},
            answer={"schedule": "", "schedule.cadence": "every"},
            envelope="top",
            source="a friend",
        ),
        "reports.list": Binding(method="GET", template="/api/v2/reports"),
    }
    assert read_bindings(path, "https://acme.example") == expected
    assert read_bindings(path, "https://acme.example/") == expected
    assert read_bindings(path, "https://acme.example:8443") == {}
    assert read_bindings(path, "https://other.example/tenant").keys() == {"reports.list"}


HEAD = '["http://127.0.0.1:1"."reports.list"]\n'
ROW = 'method = "GET"\ntemplate = "/x"\n'
BROKEN = {
    "no TOML": (f"{HEAD}method = GET\n", "line 2: this is not valid TOML"),
    "no UTF-8": (b"# \xff\n", "line 1: this is not UTF-8"),
    "no host": (f"\n[acme]\n{ROW}", "line 2: the name of the table must be a host"),
    "plain http": (
        f'["http://acme.example"]\n{ROW}',
        "line 1: the name of the table must be a host",
    ),
    "a host that is no table": ('"https://acme.example" = 1', "line 1: a host must be a table"),
    "an unknown operation": (
        f'{HEAD}{ROW}\n["http://127.0.0.1:1"."reports.lost"]\n{ROW}',
        "line 5: There is no operation 'reports.lost'",
    ),
    "an operation that is no table": (
        '["http://127.0.0.1:1"]\n"reports.list" = "/x"\n',
        "line 2: an operation must be a table",
    ),
    "no template": (f'{HEAD}method = "GET"\n', "line 1: template is missing"),
    "an unknown key": (f"{HEAD}{ROW}path = 1\n", "line 1: there is no key 'path'"),
    "a number for text": (f"{HEAD}template = '/x'\nmethod = 1\n", "line 1: method must be a text"),
    "an unknown envelope": (f'{HEAD}{ROW}envelope = "no"\n', "must be one of data, top, none"),
    "a number for a field": (
        f"{HEAD}{ROW}answer = {{ reports = 1 }}\n",
        "answer of a binding must be a mapping",
    ),
    "what cannot be bound": (
        f'{HEAD}method = "GET"\ntemplate = "/x?y"\n',
        "line 1: The binding of reports.list has no plain path",
    ),
    "an unknown field": (f"{HEAD}{ROW}answer = {{ rows = 'x' }}\n", "has no field 'rows'"),
}


@pytest.mark.parametrize(("content", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_names_its_line(tmp_path: Path, content: str | bytes, says: str) -> None:
    """Also when the host that is asked for is another one."""
    path = tmp_path / "bindings.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        read_bindings(path, "https://other.example")
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Who names a file means that it exists."""
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(ConfigError, match=str(path)):
            read_bindings(path, "https://acme.example")


def test_reading_bindings_needs_only_the_library() -> None:
    """What reads specifications belongs to the command line."""
    code = (
        "import sys; from bestdefense_async import read_bindings; "
        "print({'yaml', 'tomlkit', 'click', 'aiohttp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def _cell(names: tuple[str, ...]) -> str:
    """Return the fields of an operation as the documentation has them."""
    return ", ".join(f"`{name}`" for name in names) or "-"


def test_the_documentation_names_every_field_of_ours() -> None:
    """Who writes a binding by hand needs them all."""
    rows = [
        f"| `{row.name}` | {cells[0]} | {cells[1]} |"
        for row in ROUTES.values()
        for cells in [(_cell((*row.parts, *row.request_fields)), _cell(row.answer_fields))]
    ]
    assert "\n".join(rows) in PAGE.read_text("utf-8")


PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "specification.md"


def test_every_example_of_the_documentation_is_a_binding(tmp_path: Path) -> None:
    """All together are one file, with each key that a binding has."""
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    path = tmp_path / "bindings.toml"
    path.write_text("\n".join(blocks), "utf-8")
    found = [
        *read_bindings(path, "https://acme.bestdefense.io").values(),
        *read_bindings(path, "https://globex.bestdefense.io").values(),
    ]
    assert len(found) == len(re.findall(r"^method", "\n".join(blocks), re.MULTILINE))
    said = {key.name for key in fields(Binding) for each in found if getattr(each, key.name)}
    assert said == {key.name for key in fields(Binding)}
