"""The user's file of bindings: written whole, for its owner alone, with what a person put there."""

import os
from pathlib import Path

import pytest

from bestdefense_async.cli.exits import Unwritable
from bestdefense_async.cli.options import bindings
from bestdefense_async.core.binding import Binding
from bestdefense_async.errors import ConfigError

HOST = "https://acme.example"
ONE = Binding(method="GET", template="/api/v2/reports", answer={"reports": "items"}, source="x")
OTHER_HOST = Binding(method="GET", template="/r")
OTHER = Binding(method="POST", template="/api/v2/plans", request={"cadence": "every"})


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file stands, in a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return bindings.path_of_bindings()


def test_what_was_written_is_read(path: Path) -> None:
    """For its host alone; a second time it is added or replaced."""
    assert bindings.load_bindings(HOST) == {}
    assert bindings.store_bindings(HOST, {"reports.list": ONE}) == path
    bindings.store_bindings("http://127.0.0.1:1", {"reports.list": OTHER_HOST})
    bindings.store_bindings(HOST, {"schedules.create": OTHER})
    assert bindings.load_bindings(HOST) == {"reports.list": ONE, "schedules.create": OTHER}
    again = Binding(method="GET", template="/api/v3/reports", envelope="top")
    bindings.store_bindings(HOST, {"reports.list": again})
    assert bindings.load_bindings(HOST) == {"reports.list": again, "schedules.create": OTHER}
    assert bindings.load_bindings("http://127.0.0.1:1") == {"reports.list": OTHER_HOST}


def test_the_file_is_its_owners_alone_and_nothing_is_left_beside_it(path: Path) -> None:
    """It says where things stand on a host that others need not know."""
    bindings.store_bindings(HOST, {"reports.list": ONE})
    path.chmod(0o644)
    bindings.store_bindings(HOST, {"schedules.create": OTHER})
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["bindings.toml"]


def test_comments_stay(path: Path) -> None:
    """What a person wrote is not the program's to throw away."""
    path.parent.mkdir(parents=True)
    path.write_text(f'# mine\n["{HOST}"."reports.list"]\nmethod = "GET" # sure\ntemplate = "/x"\n')
    bindings.store_bindings(HOST, {"schedules.create": OTHER})
    text = path.read_text()
    assert text.startswith("# mine\n")
    assert "# sure" in text


def test_a_broken_file_is_left_as_it_is(path: Path) -> None:
    """Also one that another host's part makes unreadable."""
    path.parent.mkdir(parents=True)
    for text in ("a = ", '["https://other.example"."reports.lost"]\nmethod = "GET"\n'):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"bindings\.toml, line 1"):
            bindings.store_bindings(HOST, {"reports.list": ONE})
        assert path.read_text() == text


def test_a_link_is_followed(path: Path, tmp_path: Path) -> None:
    """Where dotfiles are kept elsewhere, the link stays one."""
    kept = tmp_path / "dotfiles.toml"
    kept.write_text("# kept\n")
    path.parent.mkdir(parents=True)
    path.symlink_to(kept)
    bindings.store_bindings(HOST, {"reports.list": ONE})
    assert path.is_symlink()
    assert kept.read_text().startswith("# kept\n")
    assert bindings.load_bindings(HOST) == {"reports.list": ONE}


def test_a_disk_that_does_not_take_it_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what stood there still stands, with nothing beside it."""
    bindings.store_bindings(HOST, {"reports.list": ONE})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unwritable, match="No space left on device"):
        bindings.store_bindings(HOST, {"schedules.create": OTHER})
    assert bindings.load_bindings(HOST) == {"reports.list": ONE}
    assert [each.name for each in path.parent.iterdir()] == ["bindings.toml"]
