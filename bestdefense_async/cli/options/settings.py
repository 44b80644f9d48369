"""Settings for what no option says: from the environment, else from files.

A variable `BD_FAIL_ON` goes before every file. Of the files the nearest wins: `./bestdefense.toml`,
then `[tool.bestdefense]` of `./pyproject.toml`, then the user's own `config.toml`. click asks a
mapping for defaults; ours reads them at that moment, so `--help` and `--version` never meet a
broken one. An error names variable, or file and line, and never the value, which may be a secret in
the wrong place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from bestdefense_async import vendor
from bestdefense_async.cli.options import params
from bestdefense_async.errors import ConfigError

_PREFIX: Final = "BD_"
"""What the variables of settings begin with."""


class Setting(NamedTuple):
    """One value and where it came from."""

    value: Any
    file: Path | None
    """The file, None for a variable."""
    variable: str = ""

    @property
    def origin(self) -> str:
        """Where it came from, as people are told."""
        return str(self.file) if self.file is not None else self.variable


def _text(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError("text without a NUL character" if text.strip() else "text")
    return text


CHECKS: Final[Mapping[str, Callable[[str], Any]]] = {
    "base_url": _text,
    "token_file": _text,
    "proxy": _text,
    "ca_file": _text,
    "types": params.types,
    "intensity": partial(params.word, vendor.INTENSITIES),
    "mode": partial(params.word, vendor.MODES),
    "test": partial(params.word, vendor.TESTING_TYPES),
    "fail_on": partial(params.word, vendor.FAIL_ON),
    **{f"max_{severity}": params.whole_number for severity in vendor.SEVERITIES},
    "allow_incomplete": params.allowance,
    "baseline": _text,
    "waivers": _text,
    "min_severity": partial(params.word, vendor.SEVERITIES),
    "max_active": partial(params.whole_number, least=1, most=params.MOST_ACTIVE),
    "confirm_over": params.whole_number,
    "timeout": params.seconds,
    "run_timeout": params.seconds,
}
"""Every setting, and what reads its value: the same as reads that of its option."""

VARIABLES: Final[Mapping[str, str]] = {
    _PREFIX + ("TYPE" if name == "types" else name.upper()): name for name in CHECKS
}
"""The settings by their variables, which are called as the options are."""

_OTHER_VARIABLES: Final = frozenset({"BD_API_TOKEN", "BD_DATABASE", "BD_STATE_DIR"})
"""Variables of ours that are no settings."""


def user_directory() -> Path:
    """Return the directory of this user's settings and token file."""
    import platformdirs

    return platformdirs.user_config_path("bestdefense", appauthor=False)


def token_path() -> Path:
    """Return where this user's token is kept."""
    return user_directory() / "token"


def end_path() -> Path:
    """Return where the last day of that token is kept."""
    return user_directory() / "token.expires"


def end_of_token() -> date | None:
    """Return the last day of the token that `auth set` has stored, None when nobody has said it."""
    from bestdefense_async.files import is_there, read_text

    path = end_path()
    if not is_there(path):
        return None
    text = read_text(path, what="The last day of the token")
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None


def state_directory() -> Path:
    """Return the directory of runs and limits: `BD_STATE_DIR`, else the user's own."""
    import platformdirs

    chosen = os.environ.get("BD_STATE_DIR")
    if chosen:
        return Path(chosen)
    return platformdirs.user_state_path("bestdefense", appauthor=False)


def runs_path() -> Path:
    """Return the store of this user's runs."""
    return state_directory() / "runs.db"


def load_settings(
    directory: Path | None = None,
    *,
    user: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, Setting]:
    """Return the settings of the environment and of all files, the nearest winning.

    Args:
        directory: Where the project's files are looked for; None is the working directory.
        user: The directory of the user's `config.toml`; None is the platform's.
        environ: The variables; an empty one counts as absent.

    Raises:
        ConfigError: A file cannot be read, is not TOML, or holds an unknown key; or a value is
            wrong.
    """
    here = Path() if directory is None else directory
    own = (user_directory() if user is None else user) / "config.toml"
    merged: dict[str, Setting] = {}
    for file, table in ((own, ()), (here / "pyproject.toml", ("tool", "bestdefense"))):
        merged |= _read(file, table)
    merged |= _read(here / "bestdefense.toml", ())
    for variable, name in VARIABLES.items():
        if environ.get(variable):
            value = _checked(variable, name, environ[variable])
            merged[name] = Setting(value, None, variable)
    return merged


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return a sentence for each variable that looks like ours and means nothing."""
    from bestdefense_async.cli.options.grammar import nearest
    from bestdefense_async.errors import clean_text

    known = [*VARIABLES, *_OTHER_VARIABLES]
    said = []
    for variable in sorted(environ):
        if variable.startswith(_PREFIX) and variable not in known:
            near = nearest(variable, [name.lower() for name in known])
            hint = f" Did you mean {near.upper()}?" if near else ""
            said.append(f"{clean_text(variable, longest=60)} is not a setting.{hint}")
    return said


class Settings(Mapping[str, Any]):
    """The settings as click's defaults, read when the first one is asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Setting] | None = None

    def origin(self, name: str) -> Setting | None:
        """Return a setting with where it came from, None when nothing sets it."""
        return self._settings.get(name)

    @property
    def _settings(self) -> dict[str, Setting]:
        if self._loaded is None:
            self._loaded = load_settings()
        return self._loaded

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  # settings have many types
        return self._settings[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)


def _read(file: Path, table: tuple[str, ...]) -> dict[str, Setting]:
    from bestdefense_async.config import line_of, parse_toml
    from bestdefense_async.files import is_there, read_text

    if not is_there(file):
        return {}
    text = read_text(file, what="The settings")
    values: Any = parse_toml(text, where=str(file))
    for name in table:
        values = values.get(name, {}) if isinstance(values, dict) else {}
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: [{'.'.join(table)}] must be a table.")
    return {
        key: Setting(_checked(f"{file}, line {line_of(key, text)}", key, values[key]), file)
        for key in values
    }


def _checked(where: str, name: str, value: object) -> Any:  # noqa: ANN401
    if name not in CHECKS:
        raise ConfigError(f"{where}: there is no setting {name!r}. Known: {', '.join(CHECKS)}.")
    problem = ""
    try:
        return CHECKS[name](_written(value))
    except ValueError as error:
        problem = str(error)
    raise ConfigError(f"{where}: {name} must be {problem}.")


def _written(value: object) -> str:
    """Return a value of a file as it would be typed; nothing for what nobody types."""
    if isinstance(value, list):
        return ",".join(map(_written, value))
    if isinstance(value, float):
        return f"{value:.6f}"  # not 1e-05
    return str(value) if isinstance(value, str) or type(value) is int else ""
