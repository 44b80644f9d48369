"""The address of a database, which may hold a password: it is shown in no text."""

from __future__ import annotations

from typing import Any, Final

from attrs import field, frozen
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bestdefense_async.errors import ConfigError, clean_text

SCHEMES: Final = ("postgresql://", "postgres://")

_USUAL: Final[dict[str, Any]] = {
    "application_name": "bestdefense",
    "client_encoding": "utf8",
    "connect_timeout": 5,
    # A peer that is gone is noticed within some 20 s, not after the two hours of the system.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}
"""What a connection has unless the address says otherwise."""


@frozen(repr=False)
class Address:
    """Where a database is, and as whom."""

    conninfo: str
    """For the driver: with the password."""
    shown: str
    """For people: without it."""
    _password: str = field(default="")

    @classmethod
    def of(cls, text: str) -> Address:
        """Return the address that a URL says.

        Raises:
            ConfigError: It is none.
        """
        if not text.startswith(SCHEMES):
            raise ConfigError(f"A database is named like {SCHEMES[0]}user@host/name.")
        problem = ConfigError(
            f"This is no address of a database; one is like {SCHEMES[0]}user@host/name."
        )
        try:
            parts = conninfo_to_dict(text)
        except (ProgrammingError, UnicodeError):  # its text would repeat what was given
            raise problem from None
        if not str(parts.get("port") or 1).replace(",", "").isdecimal():
            raise problem
        if "@" in str(parts.get("host") or ""):  # the end of a password
            raise ConfigError("A password with a character like @ belongs into PGPASSWORD.")
        user, port = parts.get("user"), parts.get("port")
        name = parts.get("dbname") or user or ""
        place = f"{user}@" if user else ""
        place += str(parts.get("host") or "") + (f":{port}" if port else "")
        return cls(
            make_conninfo("", **{**_USUAL, **parts}),
            clean_text(f"postgresql://{place}/{name}", longest=200),
            str(parts.get("password") or ""),
        )

    def clean(self, text: str) -> str:
        """Return the first line of a message of the database, without the password."""
        line = next(iter(text.strip().splitlines()), "").strip()
        if self._password:
            line = line.replace(self._password, "***")
        return clean_text(line, longest=300)

    def __repr__(self) -> str:
        return f"<Address {self.shown}>"
