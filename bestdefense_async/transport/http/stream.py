"""An answer that is handed out as it comes, for files."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.core.request import Reply, lower_headers
from bestdefense_async.errors import (
    AttemptTimeout,
    BestDefenseError,
    ProtocolError,
)
from bestdefense_async.transport.http.body import (
    check_end,
    is_close_delimited,
    read_excerpt,
    unasked_coding,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from bestdefense_async.transport.http.connection import Exchange
    from bestdefense_async.transport.http.exchange import Wire

CHUNK: Final = 1 << 20
"""Bytes that are received ahead of whoever takes the chunks."""
LEAST: Final = 1 << 16
"""Bytes that must come within the timeout: a server that drips keeps nobody for ever."""
_LARGEST_REFUSAL: Final = 64 * 1024
_AS_IT_IS: Final = {"Accept-Encoding": "identity", "Accept": "*/*"}


class Stream:
    """An answer of which the headers are there. It gives its body once."""

    def __init__(
        self,
        wire: Wire,
        exchange: Exchange,
        response: aiohttp.ClientResponse,
        *,
        timeout: float,
        deadline: float | None,
    ) -> None:
        self.status: int = response.status
        self.headers: dict[str, str] = lower_headers(response.headers)
        """Names in lower case."""
        self.length: int | None = response.content_length
        """Bytes of the body as announced, or None."""
        self._wire = wire
        self._exchange = exchange
        self._response = response
        self._timeout = timeout
        self._deadline = deadline
        self._parts: list[bytes] = []

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in chunks of 64 KiB to some 2 MiB, each under the deadline of its own.

        The last chunk may be shorter. What came before an error is yielded before it is raised.

        Raises:
            DecodeError: The body is in a coding; none was asked for.
            ProtocolError: Only the end of the connection would tell the end of a success.
            Truncated: The body stops before its end.
            TransportError, ClientClosed: As for `Wire.exchange`.
        """
        coding = self.headers.get("content-encoding", "identity").lower()
        if coding not in {"identity", ""}:
            raise unasked_coding("file", coding)
        is_success = self.status < 300  # noqa: PLR2004  # HTTP's successes
        if is_success and is_close_delimited(self._response.headers):
            raise ProtocolError("The answer does not say how long the file is.")
        while True:
            problem = await self._next()
            parts, self._parts = self._parts, []
            if parts:
                yield parts[0] if len(parts) == 1 else b"".join(parts)
            if problem is not None:
                raise problem
            if not parts:
                break
        check_end(self._response, self._exchange)
        self._wire.finish(self._exchange)

    async def refusal(self) -> Reply:
        """Return the answer with the beginning of its body, as far as it can be read."""
        body, is_cut = await read_excerpt(self._response, _LARGEST_REFUSAL)
        return Reply(status=self.status, headers=self.headers, body=body, is_cut=is_cut)

    async def _next(self) -> BestDefenseError | None:
        """Receive one chunk; return what cut it off, so that what came is handed out first."""
        allowed = self._allowed()
        if allowed <= 0:
            return AttemptTimeout("The body is not complete within the time of the call.")
        try:
            await self._wire.within(self._exchange, allowed, self._gather())
        except BestDefenseError as error:
            self._pick_up_rest()
            return error.with_traceback(None)
        return None

    async def _gather(self) -> None:
        size = 0
        while size < LEAST and (part := await self._response.content.readany()):
            self._parts.append(part)
            size += len(part)

    def _pick_up_rest(self) -> None:
        """Take what had come before the connection broke.

        aiohttp has it and only raises from then on. Private, and guarded by the tests of downloads
        that are cut.
        """
        content = self._response.content
        rest = b"" if content.exception() is None else content._read_nowait(-1)  # noqa: SLF001
        if rest:
            self._parts.append(rest)

    def _allowed(self) -> float:
        """Return the seconds the next chunk may take."""
        if self._deadline is None:
            return self._timeout
        return min(self._timeout, self._deadline - asyncio.get_running_loop().time())


@asynccontextmanager
async def open_stream(
    wire: Wire,
    exchange: Exchange,
    *,
    timeout: float,
    deadline: float | None = None,
    url: str | None = None,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Stream]:
    """Send one request and hand out the answer as it comes, undecoded, redirects too.

    Args:
        wire: Where to.
        exchange: A scope that has been entered.
        timeout: Seconds until the headers are there, and then for each chunk.
        deadline: Loop time at which the body must be complete, None for no bound.
        url: Another place than the API's, such as a redirect's target; without credentials.
        headers: For example `Range`.

    Raises:
        ConfigError: The token would travel to another place.
        TransportError, ClientClosed, WrongLoop: As for `Wire.exchange`.
    """
    exchange.headers = {**exchange.headers, **_AS_IT_IS, **(headers or {})}
    answer: Any = wire.open_answer(exchange, url=url, buffer=CHUNK)
    response = await wire.within(exchange, timeout, answer)
    try:
        yield Stream(wire, exchange, response, timeout=timeout, deadline=deadline)
    finally:
        response.close()
