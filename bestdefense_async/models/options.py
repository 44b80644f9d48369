"""What to scan, how hard, and for which pull request."""

import re
from collections.abc import Iterable
from typing import Final

from attrs import field, frozen

from bestdefense_async.errors import ConfigError

_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CALLBACK_SECRET: Final = re.compile(r"[0-9a-fA-F]{64}")


def _as_types(types: str | Iterable[str]) -> tuple[str, ...]:
    if isinstance(types, str):
        return (types,)
    if not isinstance(types, Iterable):
        raise ConfigError("The types of a scan must be words such as security.")
    return tuple(types)


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


@frozen(kw_only=True)
class ScanOptions:
    """Options of a report creation. None leaves the choice to the server.

    The words are the API's and the enumerations are open: an unknown word is sent as it is.

    Raises:
        ConfigError: No type is given, or a value could not be such a word at all.

    Source: api-facts, "Scan options". (documented)
    """

    types: tuple[str, ...] = field(default=("security",), converter=_as_types)
    """Any of security, seo, dns, whois; at least one."""
    intensity: str | None = None
    """quick (on every plan), standard or thorough."""
    mode: str | None = None
    """The engine: analog or ai."""
    testing_type: str | None = None
    """What is tested: web (api is plausible)."""
    callback_secret: str | None = field(default=None, repr=False)
    """64 hexadecimal characters that sign the server's callback."""

    def __attrs_post_init__(self) -> None:
        if not self.types:
            raise ConfigError("A scan needs at least one type, such as security.")
        chosen = (self.intensity, self.mode, self.testing_type)
        for word in (*self.types, *(each for each in chosen if each is not None)):
            if not _is(_WORD, word):
                raise ConfigError(f"{word!r} is not a word the API could know as a scan option.")
        if self.callback_secret is not None and not _is(_CALLBACK_SECRET, self.callback_secret):
            raise ConfigError("The callback secret must be 64 hexadecimal characters.")

    @property
    def kind(self) -> str:
        """What durations are learned by, like `security:standard:analog`.

        A choice that is left to the server is written as `-`.
        """
        return ":".join(("+".join(sorted(self.types)), self.intensity or "-", self.mode or "-"))


_TEXT: Final = re.compile("[^\ud800-\udfff]+")
"""Without half a surrogate pair, which cannot be sent."""
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")


@frozen(kw_only=True)
class Registration:
    """Which pull request gets the results of a scan.

    Raises:
        ConfigError: A value cannot be what it should be.

    Source: api-facts, "Registration body". (documented)
    """

    installation_id: str
    """Of the vendor's GitHub app."""
    report_id: str
    repository: str
    """Like `owner/name`."""
    commit: str
    """Hash of the commit that was scanned."""
    target_url: str
    """What was scanned."""
    callback_secret: str = field(repr=False)
    """The one the report was created with: `ScanOptions.callback_secret`."""
    scan_types: tuple[str, ...] = field(default=("security",), converter=_as_types)
    pull_request: int = 0
    """Its number, 0 when it is not known."""
    check_run_id: int | None = None
    fail_on: str = "high"
    """Least severity that fails the check: critical, high, medium, low or none."""

    def __attrs_post_init__(self) -> None:
        if not _is(_REPOSITORY, self.repository):
            raise ConfigError("The repository must be written as owner/name.")
        if not _is(_CALLBACK_SECRET, self.callback_secret):
            raise ConfigError("The callback secret must be 64 hexadecimal characters.")
        for name in ("installation_id", "report_id", "commit", "target_url", "fail_on"):
            if not _is(_TEXT, getattr(self, name)):
                raise ConfigError(f"A registration needs {name}, as text.")
        if not self.scan_types or not all(_is(_WORD, word) for word in self.scan_types):
            raise ConfigError("A registration needs at least one scan type, such as security.")
        for name in ("pull_request", "check_run_id"):
            value = getattr(self, name)
            if type(value) is not int and (name, value) != ("check_run_id", None):
                raise ConfigError(f"{name} of a registration must be a whole number.")
        if self.pull_request < 0:
            raise ConfigError("The number of a pull request is 0 or more.")
