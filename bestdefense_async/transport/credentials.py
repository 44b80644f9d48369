"""The token of a tenant, wherever it comes from, asked for again when it stops working."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bestdefense_async.config import read_token_file
from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import BestDefenseError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

TokenSource: TypeAlias = str | Secret | Path | Callable[[], Awaitable[str]]
"""A token, a file that holds one, or an async callable that fetches one."""


class Credentials:
    """The current token; a file or callable is asked once, and once more after a 401.

    Tokens live at most 90 days (documented), so long-running services renew them. A callable runs
    in the context in which it was given, whoever's call makes it run.

    Raises:
        ConfigError: The source is none of the kinds, or not a token.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = checked_source(source)
        self._context = contextvars.copy_context()
        self.known: Secret | None = self._source if isinstance(self._source, Secret) else None
        """The token, None while the source has not been asked."""
        self._asking: asyncio.Task[Secret] | None = None

    @property
    def is_renewable(self) -> bool:
        """Whether there may be another token than the one that is known."""
        return not isinstance(self._source, Secret)

    def update(self, source: TokenSource) -> None:
        """Take over a source of the same kind: the one that was given last is asked.

        Raises:
            ConfigError: It is another one, so it may belong to another organization.
        """
        checked = checked_source(source)
        if _what_it_is(checked) != _what_it_is(self._source):
            raise ConfigError(
                "This name stands for another source of tokens already: one name, one organization."
            )
        self._source, self._context = checked, contextvars.copy_context()

    async def current(self) -> Secret:
        """Return the token, asking the source the first time.

        Raises:
            ConfigError: The source has none, or not one that could be a token.
        """
        return self.known or await self._asked()

    async def renew(self, refused: Secret) -> Secret | None:
        """Return another token after the server refused `refused`, None when there is none.

        However many calls ask at once, the source is asked once.
        """
        if self.known is None or self.known == refused:
            await self._asked()
        return None if self.known == refused else self.known

    def close(self) -> Iterable[asyncio.Task[Secret]]:
        """Stop asking; return the task that is still to be awaited."""
        if self._asking is None:
            return ()
        self._asking.cancel()
        return (self._asking,)

    async def _asked(self) -> Secret:
        """Ask the source, once for all who ask now; who is cancelled does not end it."""
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(
                self._ask(), context=self._context.copy()
            )
            self._asking.add_done_callback(self._asked_for, context=contextvars.Context())
        return await asyncio.shield(self._asking)

    def _asked_for(self, asking: asyncio.Task[Secret]) -> None:
        self._asking = None
        if not asking.cancelled() and asking.exception() is None:
            self.known = asking.result()

    async def _ask(self) -> Secret:
        source = self._source
        if isinstance(source, Secret):
            return source
        if isinstance(source, Path):
            return await asyncio.to_thread(read_token_file, source)
        failure = None
        text = None
        try:
            answer: object = source()  # a lambda may return anything
            text = await answer if isinstance(answer, Awaitable) else None
        except BestDefenseError:
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something that the callable waits for was cancelled; the calls that wait were not.
            failure = "CancelledError"
        except Exception as error:  # noqa: BLE001  # the caller's code may raise anything
            failure = type(error).__name__
        if failure is not None:
            # Its message may quote what it fetched, so only the kind is passed on.
            raise ConfigError(f"The token could not be fetched: the callable raised {failure}.")
        if not isinstance(text, str):
            raise ConfigError("The callable that fetches the token must return text.")
        return Secret(text)


def checked_source(source: object) -> Secret | Path | Callable[[], Awaitable[str]]:
    """Return where a token comes from, a text as the secret it is.

    Raises:
        ConfigError: It is none of what `TokenSource` names.
    """
    if isinstance(source, str):
        return Secret(source)
    if isinstance(source, Secret | Path):
        return source
    if callable(source):
        function = _innermost(source)
        is_lambda = getattr(function, "__name__", "") == "<lambda>"
        if inspect.iscoroutinefunction(function) or is_lambda or not inspect.isroutine(function):
            return source
    raise ConfigError(
        "The token must be text, a pathlib.Path to a file, or an async function that returns it."
    )


def _innermost(source: object) -> object:
    """Return the function behind partials, bound methods and objects that can be called."""
    while isinstance(source, functools.partial):
        source = source.func
    if not inspect.isroutine(source):
        source = type(source).__call__  # only what can be called is asked
    return getattr(source, "__func__", source)


def _what_it_is(source: object) -> object:
    """Return what two sources of one organization have in common.

    A service makes a new closure for each of its requests: the code is the same.
    """
    if isinstance(source, Secret | Path):
        return source
    function = _innermost(source)
    return getattr(function, "__code__", function)
