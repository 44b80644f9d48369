"""Settings files: which wins, and what is said about a broken one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bestdefense_async.cli.options.settings import VARIABLES, load_settings, unknown_variables
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cr3t-value"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return an empty project directory."""
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """Return an empty directory of user settings."""
    directory = tmp_path / "user"
    directory.mkdir()
    return directory


def test_the_nearest_file_wins(project: Path, user: Path) -> None:
    """bestdefense.toml goes before pyproject.toml, which goes before the user's file."""
    (user / "config.toml").write_text('intensity = "quick"\nmode = "ai"\nmax_active = 7\n')
    (project / "pyproject.toml").write_text(
        '[project]\nname = "x"\n[tool.bestdefense]\nintensity = "standard"\nmode = "analog"\n'
    )
    (project / "bestdefense.toml").write_text('intensity = "thorough"\n')

    settings = load_settings(project, user=user)

    assert {name: setting.value for name, setting in settings.items()} == {
        "intensity": "thorough",
        "mode": "analog",
        "max_active": 7,
    }
    assert settings["max_active"].file == user / "config.toml"


def test_no_file_is_no_setting(project: Path, user: Path) -> None:
    """Without files there are the defaults."""
    assert load_settings(project, user=user) == {}


BROKEN = {
    "an unfinished string": (f'mode = "ai"\nbase_url = "{SECRET}\n', "line 2: this is not valid"),
    "an unknown key": (f'\n\napi_token = "{SECRET}"\n', "line 3: there is no setting 'api_token'"),
    "a word that is none": (f'intensity = "{SECRET}"\n', "line 1: intensity must be one of quick"),
    "a number as text": (f'# x\nmax_active = "{SECRET}"\n', "line 2: max_active must be a whole"),
    "a truth as number": ("max_active = true\n", "line 1: max_active must be a whole number"),
    "a time that is not finite": ("timeout = nan\n", "line 1: timeout must be a time above 0"),
    "a type that is none": (f'types = ["dns", "{SECRET}"]\n', "line 1: types must be one or more"),
    "a file that cannot be": ('waivers = "a\\u0000b"\n', "line 1: waivers must be text without a"),
    "an empty address": ('base_url = ""\n', "line 1: base_url must be text"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_one_sentence_with_the_line(
    text: str, message: str, project: Path, user: Path
) -> None:
    """The value is never repeated: it may be a secret in the wrong place."""
    (project / "bestdefense.toml").write_text(text)

    with pytest.raises(ConfigError, match=r"bestdefense\.toml") as caught:
        load_settings(project, user=user)

    assert message in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_file_of_other_bytes_names_the_line(project: Path, user: Path) -> None:
    """Settings are UTF-8."""
    (project / "bestdefense.toml").write_bytes(b'mode = "ai"\n# caf\xe9\n')

    with pytest.raises(ConfigError, match="line 2: this is not UTF-8"):
        load_settings(project, user=user)


def test_a_directory_in_place_of_the_file_is_said(project: Path, user: Path) -> None:
    """What cannot be read is not passed over."""
    (project / "bestdefense.toml").mkdir()

    with pytest.raises(ConfigError, match="directory"):
        load_settings(project, user=user)


VALUES = {
    "BD_BASE_URL": ("https://a.example", "https://a.example"),
    "BD_FAIL_ON": ("Low", "low"),
    "BD_MAX_HIGH": ("0", 0),
    "BD_TYPE": ("dns,seo", ("dns", "seo")),
    "BD_TIMEOUT": ("1h30m", 5400.0),
    "BD_ALLOW_INCOMPLETE": ("5%", "5%"),
    "BD_BASELINE": ("20261124", "20261124"),
    "BD_MIN_SEVERITY": ("info", "informational"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_variable_goes_before_every_file(project: Path, user: Path, name: str) -> None:
    """It is called as the option is; an empty one counts as absent."""
    text, value = VALUES[name]
    (project / "bestdefense.toml").write_text('base_url = "https://file.example"\n')

    [(key, setting)] = [
        pair
        for pair in load_settings(project, user=user, environ={name: text}).items()
        if pair[1].file is None
    ]

    assert (key, setting.value, setting.origin) == (VARIABLES[name], value, name)
    assert load_settings(project, user=user, environ={name: ""}).keys() == {"base_url"}


def test_every_setting_has_a_variable() -> None:
    """What a file may say, the environment may."""
    assert {*VALUES, "BD_PROXY", "BD_CA_FILE", "BD_WAIVERS", "BD_RUN_TIMEOUT"} < {*VARIABLES}


def test_a_wrong_variable_is_named_and_its_value_is_not(project: Path, user: Path) -> None:
    """It may be a secret in the wrong place."""
    with pytest.raises(ConfigError, match="BD_FAIL_ON: fail_on must be one of critical") as caught:
        load_settings(project, user=user, environ={"BD_FAIL_ON": SECRET})
    assert SECRET not in str(caught.value)


def test_a_variable_that_is_no_setting_is_told() -> None:
    """With the one that may be meant; those of other programs are left alone."""
    said = unknown_variables(
        dict.fromkeys(("BD_FAILON", "BD_API_TOKEN", "HOME", "BD_STATE_DIR", "BD_DATABASE"), "x")
    )
    assert said == ["BD_FAILON is not a setting. Did you mean BD_FAIL_ON?"]
