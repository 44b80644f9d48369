"""Settings from files, for what neither an option nor the environment says.

The nearest file wins: `./bestdefense.toml`, then `[tool.bestdefense]` of `./pyproject.toml`, then
the user's own `config.toml`. click asks a mapping for defaults; ours reads the files at that
moment, so `--help` and `--version` never meet a broken one. An error names file and line and never
the value, which may be a secret in the wrong place.
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


class Setting(NamedTuple):
    """One value and the file it came from."""

    value: Any
    file: Path


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("text")
    return value


def _one_of(*known: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return str(value)

    return check


def _count(value: object) -> int:
    return params.whole_number(str(value) if type(value) is int else "", least=1, most=_MOST)


def _limit(value: object) -> int:
    return params.whole_number(str(value) if type(value) is int else "")


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
    "types": _types,
    "intensity": _one_of(*vendor.INTENSITIES),
    "mode": _one_of(*vendor.MODES),
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
"""Every key a file may hold, and how its value is checked."""


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


def load_settings(directory: Path | None = None, *, user: Path | None = None) -> dict[str, Setting]:
    """Return the settings of all files, the nearest winning.

    Args:
        directory: Where the project's files are looked for; None is the working directory.
        user: The directory of the user's `config.toml`; None is the platform's.

    Raises:
        ConfigError: A file cannot be read, is not TOML, or holds an unknown key or a wrong value.
    """
    here = Path() if directory is None else directory
    own = (user_directory() if user is None else user) / "config.toml"
    merged: dict[str, Setting] = {}
    for file, table in ((own, ()), (here / "pyproject.toml", ("tool", "bestdefense"))):
        merged |= _read(file, table)
    return merged | _read(here / "bestdefense.toml", ())


class FileSettings(Mapping[str, Any]):
    """The values of the files as click's defaults, read when the first one is asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Setting] | None = None

    def origin(self, name: str) -> Path:
        """Return the file a value came from."""
        return self._settings[name].file

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
    from bestdefense_async.config import parse_toml
    from bestdefense_async.files import is_there, read_text

    if not is_there(file):
        return {}
    text = read_text(file, what="The settings")
    values: Any = parse_toml(text, where=str(file))
    for name in table:
        values = values.get(name, {}) if isinstance(values, dict) else {}
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: [{'.'.join(table)}] must be a table.")
    return {key: Setting(_checked(file, text, key, values[key]), file) for key in values}


def _checked(file: Path, text: str, key: str, value: object) -> Any:  # noqa: ANN401
    from bestdefense_async.config import line_of

    where = f"{file}, line {line_of(key, text)}"
    if key not in CHECKS:
        raise ConfigError(f"{where}: there is no setting {key!r}. Known: {', '.join(CHECKS)}.")
    problem = ""
    try:
        return CHECKS[key](value)
    except ValueError as error:
        problem = str(error)
    raise ConfigError(f"{where}: {key} must be {problem}.")
