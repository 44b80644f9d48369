"""Files of a person's: read alike by everybody, and written whole or not at all."""

import io
import os
import stat
import sys
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from bestdefense_async import read_bindings
from bestdefense_async.cli.commands.spec_source import load_specification
from bestdefense_async.cli.options.connection import Connection
from bestdefense_async.cli.options.settings import load_settings
from bestdefense_async.cli.options.targets import Selection, TargetOptions
from bestdefense_async.config import read_token_file
from bestdefense_async.errors import ConfigError
from bestdefense_async.files import LARGEST, is_there, read_bytes, read_text, replace_file
from bestdefense_async.report.formats.json import document, saved_events
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.gate.waivers import read_waivers
from bestdefense_async.report.saved import read_run
from bestdefense_async.runs.store.doors import open_store
from tests.support.runs import done, run_of

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "UTF-8 with its mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16, little end first": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "UTF-16, big end first": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
}
RUN = run_of(done("a.example", high=1))
VERDICT = judge(RUN.outcomes, GatePolicy())
Reader = Callable[[Any], Awaitable[object]]


async def targets(path: str | Path) -> object:
    """Return the targets of a list."""
    chosen = TargetOptions(listing=str(path), is_all=False, match=(), exclude=(), exclude_from=None)
    return Selection((), chosen).named


async def waivers(path: str | Path) -> object:
    """Return the waivers of a file."""
    return read_waivers(path, today=date(2026, 1, 1)).entries


async def run(path: str | Path) -> object:
    """Return the rows of a saved run."""
    return read_run(path).outcomes


async def bindings(path: Path) -> object:
    """Return the bindings of a host."""
    return read_bindings(path, "https://acme.example")


async def settings(path: Path) -> object:
    """Return the settings of a project."""
    return load_settings(path.parent, user=path.parent / "absent")["fail_on"].value


async def specification(path: str | Path) -> object:
    """Return what a specification says."""
    nowhere = Connection(base_url=None, token_file=None)
    return evolve(await load_specification(nowhere, str(path)), location="")


async def token(path: str | Path) -> object:
    """Return the token of a file."""
    return read_token_file(path)


WAIVER = '[[waiver]]\nweakness = "CWE-79"\ntarget = "*"\nreason = "ä"\nexpires = 2027-01-31\n'
BINDING = '["https://acme.example"."reports.list"]\nmethod = "GET"\ntemplate = "/ä"\n'
READERS: dict[str, tuple[Reader, str, str]] = {
    "targets": (targets, "list", "faß.de\r\n# ä\r\nb.example"),
    "waivers": (waivers, "waivers.toml", WAIVER),
    "a document": (run, "run.json", document(RUN, VERDICT)),
    "an event log": (run, "run.jsonl", saved_events(RUN, VERDICT)),
    "bindings": (bindings, "bindings.toml", f"# ä\r\n{BINDING}".replace("/ä", "/a")),
    "settings": (settings, "bestdefense.toml", '# ä\r\nfail_on = "low"\r\n'),
    "a specification in JSON": (
        specification,
        "a.json",
        '{"openapi": "3.1.0", "info": {"title": "ä"}, "paths": {}}',
    ),
    "a specification in YAML": (
        specification,
        "a.yaml",
        'openapi: "3.1.0"\ninfo: {title: ä}\npaths: {}\n',
    ),
    "a page": (
        specification,
        "a.html",
        '<script type="json">{"openapi": "3.1.0", "info": {"title": "ä"}, "paths": {}}</script>',
    ),
}
"""Who reads a text of a person's, what the file is called, and what may stand in it."""
ON_STDIN = {*READERS} - {"bindings", "settings"}
"""Those whose file a person names; the others stand at a place of their own."""


def stdin_of(content: bytes) -> io.TextIOWrapper:
    """Return a stdin that holds `content`."""
    return io.TextIOWrapper(io.BytesIO(content))


@pytest.mark.parametrize("name", READERS)
async def test_everybody_reads_every_encoding(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PowerShell or an editor of Windows wrote is the same text, on stdin too."""
    read, file, text = READERS[name]
    path = tmp_path / file
    path.write_bytes(text.encode())
    expected = await read(path)
    assert expected

    for encode in ENCODINGS.values():
        path.write_bytes(encode(text))
        assert await read(path) == expected
        if name in ON_STDIN:
            monkeypatch.setattr(sys, "stdin", stdin_of(encode(text)))
            assert await read("-") == expected


@pytest.mark.parametrize("name", [*READERS, "token"])
async def test_everybody_names_the_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    """A directory in its place is a sentence with its name, and no traceback."""
    read, file, _ = READERS.get(name, (token, "token", ""))
    (tmp_path / file).mkdir()

    with pytest.raises(ConfigError, match=rf"^The [a-z ]+ .*{file} cannot be read: Is a directory"):
        await read(tmp_path / file)


@pytest.mark.parametrize("name", [*sorted(ON_STDIN), "token"])
async def test_everybody_says_that_stdin_is_closed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service has none."""
    read, _, _ = READERS.get(name, (token, "token", ""))
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(ConfigError, match="on stdin cannot be read: stdin is closed"):
        await read("-")


async def test_a_token_is_read_from_stdin_and_is_ascii(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No token has other characters, and what stands there instead is not repeated."""
    monkeypatch.setattr(sys, "stdin", stdin_of(b"abcdefgh\n"))
    assert read_token_file("-").reveal() == "abcdefgh"

    path = tmp_path / "token"
    for encode in [*ENCODINGS.values()][1:]:
        path.write_bytes(encode("abcdefgh"))
        with pytest.raises(ConfigError, match="characters that no token has") as caught:
            read_token_file(path)
        assert "abc" not in str(caught.value)


def test_a_token_file_that_others_can_read_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once for each file in a process, however often it is read."""
    for name in ("a", "b", "a", "b"):
        path = tmp_path / name
        path.write_text("abcdefgh")
        path.chmod(0o640)
        read_token_file(path)

    assert [caplog.text.count(f"{tmp_path / name}'") for name in "ab"] == [1, 1]


def test_a_file_has_a_cap(tmp_path: Path) -> None:
    """A device without an end is not read to its end."""
    path = tmp_path / "a"
    path.write_bytes(b"x" * LARGEST)
    assert len(read_bytes(path, what="The list")) == LARGEST
    path.write_bytes(b"x" * (LARGEST + 1))

    with pytest.raises(ConfigError, match=r"The list .*/a cannot be read: it is larger than 1 MB"):
        read_text(path, what="The list")
    with pytest.raises(ConfigError, match="larger than 10 bytes"):
        read_text(path, what="The list", largest=10)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"a\nb\n\xff", "line 3: this is not UTF-8"), (b"\xff\xfea\0\n\0x", "line 2: .* not UTF-16")],
)
def test_what_is_no_text_is_refused_with_its_line(
    tmp_path: Path, content: bytes, says: str
) -> None:
    """Half a character is none."""
    path = tmp_path / "a"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=f"^{path}, {says}") as caught:
        read_text(path, what="The list")
    assert caught.value.__context__ is None  # which would hold the content


def test_a_name_that_no_file_can_have_is_refused() -> None:
    """It is said like any other, and escapes do not reach the terminal."""
    with pytest.raises(ConfigError, match=r"The list a\\x1b\\x00 cannot be read: no file"):
        read_text("a\x1b\0", what="The list")
    with pytest.raises(ConfigError, match=r"The list a\\ud800 cannot be read: no file"):
        read_text("a\ud800", what="The list")
    assert is_there(Path("a\0"))
    for name in ("a\0", "a\ud800"):
        with pytest.raises(OSError, match="no file can be called so"):
            replace_file(name, b"1")
        with pytest.raises(ConfigError, match=r"^The store cannot be a.+: no file can be called"):
            open_store(name)
    with pytest.raises(ConfigError, match=r"^A store is a path, or an address: postgresql://\S+$"):
        open_store("mysql://me:pass-word@host/name")


def test_where_nothing_stands_is_known(tmp_path: Path) -> None:
    """A file that may be missing is asked for before it is read."""
    (tmp_path / "file").touch()

    assert is_there(tmp_path / "file")
    assert not is_there(tmp_path / "absent")
    assert not is_there(tmp_path / "file" / "below")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_usual_permissions_and_an_old_one_its_own(tmp_path: Path) -> None:
    """What somebody made private stays private."""
    usual, path = tmp_path / "usual", tmp_path / "a"
    usual.touch()

    replace_file(path, b"1")
    assert _mode(path) == _mode(usual)
    path.chmod(0o640)
    replace_file(path, b"2")
    assert (path.read_bytes(), _mode(path)) == (b"2", 0o640)
    replace_file(path, b"3", is_private=True)
    assert (path.read_bytes(), _mode(path)) == (b"3", 0o600)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a", "usual"]


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_failure_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_durable: bool
) -> None:
    """A disk that takes no more leaves the old file, and nothing beside it."""
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    if is_durable:
        with pytest.raises(OSError, match="No space left"):
            replace_file(path, b"new")
    else:
        replace_file(path, b"new", is_durable=False)
    assert path.read_bytes() == (b"old" if is_durable else b"new")
    assert [item.name for item in tmp_path.iterdir()] == ["a"]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    """Who made a link means what it leads to, also where nothing stands yet."""
    path, target = tmp_path / "link", tmp_path / "target"
    path.symlink_to(tmp_path / "second")
    (tmp_path / "second").symlink_to("target")

    for content in (b"1", b"2"):
        replace_file(path, content)
        assert path.is_symlink()
        assert target.read_bytes() == content
    target.unlink()
    target.symlink_to("link")
    with pytest.raises(OSError, match="symbolic links"):
        replace_file(path, b"3")


def test_a_link_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a directory that everybody may write, it could lead to any file of ours."""
    path, precious = tmp_path / "link", tmp_path / "precious"
    precious.write_bytes(b"old")
    path.symlink_to(precious)
    if os.geteuid() == 0:
        os.lchown(path, 1234, 1234)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 1234)

    with pytest.raises(PermissionError, match="somebody else"):
        replace_file(path, b"new")
    assert precious.read_bytes() == b"old"


def test_what_is_no_plain_file_is_written_as_it_stands(tmp_path: Path) -> None:
    """A pipe is no place to put a file in."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        replace_file(path, b"new")
        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)
