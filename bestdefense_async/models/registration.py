"""A scan that belongs to a pull request."""

import re
from typing import Final

from attrs import field, frozen

from bestdefense_async.errors import ConfigError

_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_CALLBACK_SECRET: Final = re.compile(r"[0-9a-fA-F]{64}")


@frozen(kw_only=True)
class Registration:
    """Tells the server which pull request gets the results of a scan.

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
    scan_types: tuple[str, ...] = field(default=("security",), converter=tuple)
    pull_request: int = 0
    """Its number, 0 when it is not known."""
    check_run_id: int | None = None
    fail_on: str = "high"
    """Least severity that fails the check: critical, high, medium, low or none."""

    def __attrs_post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.repository):
            raise ConfigError("The repository must be written as owner/name.")
        if not _CALLBACK_SECRET.fullmatch(self.callback_secret):
            raise ConfigError("The callback secret must be 64 hexadecimal characters.")
        for name in ("installation_id", "report_id", "commit", "target_url", "fail_on"):
            if not getattr(self, name):
                raise ConfigError(f"A registration needs {name}.")
        if not self.scan_types:
            raise ConfigError("A registration needs at least one scan type, such as security.")
        if self.pull_request < 0:
            raise ConfigError("The number of a pull request is 0 or more.")
