"""The token of a client, wherever it comes from, asked for again when it stops working."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from bestdefense_async.config import read_token_file
from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import BestDefenseError, ConfigError

TokenSource: TypeAlias = str | Secret | Path | Callable[[], Awaitable[str]]
"""A token, a file that holds one, or an async callable that fetches one."""


class Credentials:
    """The current token; a file or callable is asked once, and once more after a 401.

    Tokens live at most 90 days (documented), so long-running services renew them.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._secret = Secret(source) if isinstance(source, str) else None
        if isinstance(source, Secret):
            self._secret = source
        self._asking = asyncio.Lock()

    async def current(self) -> Secret:
        """Return the token, asking the source the first time.

        Raises:
            ConfigError: The source has none, or not one that could be a token.
        """
        if self._secret is not None:
            return self._secret
        async with self._asking:
            if self._secret is None:
                self._secret = await self._ask()
            return self._secret

    async def renew(self, refused: Secret) -> Secret | None:
        """Return another token after the server refused `refused`, None when there is none.

        However many calls ask at once, the source is asked once.
        """
        if isinstance(self._source, str | Secret):
            return None
        async with self._asking:
            if self._secret is None or self._secret == refused:
                self._secret = await self._ask()
            return None if self._secret == refused else self._secret

    async def _ask(self) -> Secret:
        if isinstance(self._source, Path):
            return await asyncio.to_thread(read_token_file, self._source)
        if not callable(self._source):
            raise ConfigError("The token is neither text nor a file nor a callable.")
        failure = None
        try:
            text = await self._source()
        except BestDefenseError:
            raise
        except Exception as error:  # noqa: BLE001  # the caller's code may raise anything
            failure = type(error).__name__
            text = ""
        if failure is not None:
            # Its message may quote what it fetched, so only the kind is passed on.
            raise ConfigError(f"The token could not be fetched: the callable raised {failure}.")
        if not isinstance(text, str):
            raise ConfigError("The callable that fetches the token must return text.")
        return Secret(text)
