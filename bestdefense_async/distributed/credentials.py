"""The tokens of a worker, by the names that runs call them by: no token is ever stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import ConfigError, clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT: Final = "default"
"""The credential of a run that names none."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """Return the name of a credential.

    Raises:
        ConfigError: It cannot be one; a token that was given by mistake is not repeated.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            "The name of a credential has up to 64 letters, digits, dots, dashes and underscores."
        )
    return name


def read_credentials(given: Iterable[str], environment: Mapping[str, str]) -> dict[str, str | Path]:
    """Return the sources of tokens that options like `org-a=env:ORG_A_TOKEN` name.

    Args:
        given: Each `NAME=env:VARIABLE` or `NAME=file:PATH`.
        environment: Where variables are looked up, now; a file is read for each new token.

    Raises:
        ConfigError: One is of another form, names one twice, or its variable or file is not there.
    """
    found: dict[str, str | Path] = {}
    for each in given:
        name, _, source = each.partition("=")
        kind, _, place = source.partition(":")
        if kind not in {"env", "file"} or not place:
            raise ConfigError(
                "A credential is given like org-a=env:ORG_A_TOKEN or org-a=file:/run/org-a.token."
            )
        if check_name(name) in found:
            raise ConfigError(f"The credential {name} is given twice.")
        if kind == "file":
            found[name] = path = Path(place).expanduser()
            if not path.is_file():
                shown = clean_text(place, longest=200)
                raise ConfigError(f"The credential {name} needs the file {shown}: it is not there.")
        elif environment.get(place):
            found[name] = environment[place]
        else:
            variable = clean_text(place, longest=80)
            raise ConfigError(
                f"The credential {name} needs the variable {variable}: it is not set."
            )
    return found
