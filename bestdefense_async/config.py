"""What comes from outside, checked before anything is sent: base URL, token, and files in TOML."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import stat
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from attrs import field, frozen

from bestdefense_async.core.check import type_of
from bestdefense_async.core.host import authority, normalise_host, written_host
from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import ConfigError, clean_text
from bestdefense_async.files import STDIN, read_bytes, shown

if TYPE_CHECKING:
    from collections.abc import Mapping


DEFAULT_BASE_URL: Final = "https://app.bestdefense.io"
"""The multi-tenant host. (documented)"""
TOKEN_VARIABLES: Final = ("BD_API_TOKEN", "BESTDEFENSE_API_KEY")
"""In order of precedence. (documented: the vendor's examples, the vendor's action)"""
BASE_URL_VARIABLE: Final = "BD_BASE_URL"

_LARGEST_TOKEN_FILE: Final = 8192
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_~.-]+)*")

_log = logging.getLogger("bestdefense_async")


@frozen(kw_only=True)
class BaseUrl:
    """An origin and perhaps a path below which the API stands."""

    origin: str
    """Scheme, host and port, without a slash at the end."""
    prefix: str = field(default="")
    """Path in front of every route, without a slash at the end."""
    is_loopback: bool = field(default=False)

    def __str__(self) -> str:
        return self.origin + self.prefix


def parse_base_url(text: str) -> BaseUrl:
    """Return the checked base URL; a slash at the end is dropped.

    Raises:
        ConfigError: It is no http(s) URL, holds user info, a query or a fragment (the text is
            not repeated then), or is plain http to a host other than this machine.
    """
    if not isinstance(text, str):
        raise ConfigError(f"The base URL must be a text, not {type_of(text)}.")
    if re.search(r"[\x00-\x20\x7f\\]", text):
        raise ConfigError("The base URL contains a space, a backslash or a control character.")
    try:
        parts = urlsplit(text)
        written, _ = written_host(parts.netloc), parts.port  # the port raises on nonsense
    except ValueError:
        written, parts = "", urlsplit("")
    if parts.scheme not in {"http", "https"} or not written:
        raise ConfigError("The base URL must look like https://app.bestdefense.io.")
    if "@" in parts.netloc or parts.query or parts.fragment or "?" in text or "#" in text:
        raise ConfigError(
            "The base URL must not hold a user name, a password, a query or a fragment."
        )
    quoted = clean_text(written, longest=80)
    try:
        host = normalise_host(written)
    except ValueError:
        host = None
    if host is None:
        raise ConfigError(f"{quoted!r} is not a host name.")
    is_here = is_loopback(host)
    if parts.scheme == "http" and not is_here:
        raise ConfigError(
            f"Plain http to {quoted} would show the token to everybody on the way: use https."
        )
    prefix = parts.path.rstrip("/")
    if not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/")):
        raise ConfigError("The path of the base URL contains a character it must not.")
    origin = f"{parts.scheme}://{authority(parts)}"
    return BaseUrl(origin=origin, prefix=prefix, is_loopback=is_here)


def base_url_from(argument: str | None, environ: Mapping[str, str] = os.environ) -> BaseUrl:
    """Return the base URL: the argument, else `BD_BASE_URL`, else the multi-tenant host.

    Raises:
        ConfigError: It is not a usable base URL.
    """
    if argument is not None:
        return parse_base_url(argument)
    return parse_base_url(environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL)


class FoundToken(NamedTuple):
    """A token and where it came from."""

    secret: Secret
    origin: str


def find_token(
    file: Path | str | None = None,
    *,
    is_file_first: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> FoundToken | None:
    """Return the token of the environment, else of a file; None when there is none.

    Args:
        file: What holds a token, `-` for stdin; None looks at the environment only.
        is_file_first: The file goes before the environment.
        environ: An empty variable counts as absent.

    Raises:
        ConfigError: There is one, and it cannot be read or cannot be a token.
    """
    if file is None or not is_file_first:
        for name in TOKEN_VARIABLES:
            if environ.get(name):
                return FoundToken(Secret(environ[name]), f"the environment variable {name}")
    return None if file is None else FoundToken(read_token_file(file), f"the file {shown(file)}")


def is_loopback(host: str) -> bool:
    """Return whether a host name or an address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token_file(path: Path | str) -> Secret:
    """Return the token in a file, or on stdin for `-`; one line break at its end is dropped.

    Raises:
        ConfigError: It cannot be read, or does not hold a token. The content is not repeated.
    """
    content = read_bytes(path, what="The token file", largest=_LARGEST_TOKEN_FILE)
    if path != STDIN and os.name == "posix" and Path(path).stat().st_mode & _OTHERS:
        _warn_of_others(os.fspath(path))
    if not content.isascii():
        raise ConfigError(
            f"The token file {shown(path)} cannot be read: it holds characters that no token has."
        )
    return Secret(content.decode("ascii"))


@cache  # once in a process, however often the file is read
def _warn_of_others(path: str) -> None:
    _log.warning("Others can read the token file %r: chmod 600 it.", path)


def parse_toml(text: str, *, where: str) -> dict[str, Any]:
    """Return the values of a file.

    Raises:
        ConfigError: It is not TOML; the message begins with `where` and the line.
    """
    import tomllib  # noqa: PLC0415  # most programs read no such file

    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # The parser's own words may quote the file.
        found = re.search(r"at line ([0-9]+)", str(error))
    line = found[1] if found else str(text.count("\n") + 1)
    raise ConfigError(f"{where}, line {line}: this is not valid TOML.")


def line_of(key: str, text: str, *, first: int = 1) -> int:
    """Return the line, from `first` on, that sets a key or opens its table.

    `first` itself when it is written in a way this does not search for.
    """
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    numbered = enumerate(text.splitlines(), start=1)
    return next((at for at, line in numbered if at >= first and pattern.match(line)), first)
