"""Settings for what no option says: from the environment, else from files.

A variable `BD_FAIL_ON` goes before every file. Of the files the nearest wins: `./bestdefense.toml`,
then `[tool.bestdefense]` of `./pyproject.toml`, then the user's own `config.toml`. click asks a
mapping for defaults; ours reads them at that moment, so `--help` and `--version` never meet a
broken one. An error names variable, or file and line, and never the value, which may be a secret in
the wrong place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bestdefense_async import vendor
from bestdefense_async.cli.options import params
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST: Final = 100_000
PREFIX: Final = "BD_"
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


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("text")
    return value


def _one_of(*known: str) -> Callable[[object], str]:
    return lambda value: params.word(known, value if isinstance(value, str) else "")


def _digits(value: object) -> str:
    """Return the digits of a number; in a file a number is written without quotation marks."""
    return str(value) if type(value) in {int, _FromVariable} else ""


class _FromVariable(str):
    """The text of a variable, in which every value is text."""

    __slots__ = ()


def _count(value: object) -> int:
    return params.whole_number(_digits(value), least=1, most=_MOST)


def _limit(value: object) -> int:
    return params.whole_number(_digits(value))


def _allowance(value: object) -> str:
    return params.allowance(str(value) if type(value) is int else _text(value))


def _seconds(value: object) -> float:
    return params.seconds(f"{value:.6f}" if type(value) in {int, float} else str(value))


def _types(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return params.types(",".join(map(str, listed)))


CHECKS: Final[Mapping[str, Callable[[object], Any]]] = {
    "base_url": _text,
    "token_file": _text,
    "proxy": _text,
    "ca_file": _text,
    "types": _types,
    "intensity": _one_of(*vendor.INTENSITIES),
    "mode": _one_of(*vendor.MODES),
    "test": _one_of(*vendor.TESTING_TYPES),
    "fail_on": _one_of(*vendor.FAIL_ON),
    **{f"max_{severity}": _limit for severity in vendor.SEVERITIES},
    "allow_incomplete": _allowance,
    "baseline": _text,
    "waivers": _text,
    "min_severity": _one_of(*vendor.SEVERITIES),
    "max_active": _count,
    "confirm_over": _count,
    "timeout": _seconds,
    "run_timeout": _seconds,
}
"""Every setting, and how its value is checked."""

VARIABLES: Final[Mapping[str, str]] = {
    PREFIX + ("TYPE" if name == "types" else name.upper()): name for name in CHECKS
}
"""The settings by their variables, which are called as the options are."""

OTHER_VARIABLES: Final = frozenset({"BD_API_TOKEN", "BD_DATABASE", "BD_STATE_DIR"})
"""Variables of ours that are no settings."""


def user_directory() -> Path:
    """Return the directory of this user's settings and token file."""
    import platformdirs

    return platformdirs.user_config_path("bestdefense", appauthor=False)


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
            value = _checked(variable, name, _FromVariable(environ[variable]))
            merged[name] = Setting(value, None, variable)
    return merged


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return a sentence for each variable that looks like ours and means nothing."""
    from bestdefense_async.cli.options.grammar import nearest
    from bestdefense_async.errors import clean_text

    known = [*VARIABLES, *OTHER_VARIABLES]
    said = []
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in known:
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
        return CHECKS[name](value)
    except ValueError as error:
        problem = str(error)
    raise ConfigError(f"{where}: {name} must be {problem}.")
