"""A store by what names it: the path of a file, or the address of a database.

Databases are behind an extra, so what serves them is imported when one is named.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from bestdefense_async.errors import ConfigError
from bestdefense_async.runs.store.sqlite import SqliteStore

if TYPE_CHECKING:
    import os

    from bestdefense_async.runs.store.store import DatabaseStore

_ADDRESSES: Final = ("postgresql://", "postgres://")


def is_address(name: os.PathLike[str] | str) -> bool:
    """Return whether a store is named by the address of a database, not by the path of a file."""
    return isinstance(name, str) and name.startswith(_ADDRESSES)


def open_store(name: os.PathLike[str] | str) -> DatabaseStore:
    """Return the store of that name; nothing was opened yet.

    Raises:
        ConfigError: It is the address of a database, and cannot be one or needs the extra.
    """
    if not is_address(name):
        return SqliteStore(Path(name))
    try:
        module = importlib.import_module("bestdefense_async.distributed.store")
    except ImportError as error:
        raise ConfigError(
            f"A store in a database needs more: pip install 'bestdefense-async[distributed]' "
            f"({error.name or 'a part'} is missing)."
        ) from None
    return cast("DatabaseStore", module.PostgresStore(name))
