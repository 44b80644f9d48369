"""An answer that is handed out as it comes, for files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from bestdefense_async.core.request import Reply, lower_headers
from bestdefense_async.errors import (
    AttemptTimeout,
    BestDefenseError,
    DecodeError,
    ProtocolError,
    clean_text,
)
from bestdefense_async.transport.http.body import check_end, is_close_delimited, read_excerpt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from bestdefense_async.transport.http.connection import Attempt

Run = Callable[[Awaitable[None], "Attempt", float], Awaitable["BaseException | None"]]
"""`Wire.run`: awaits under a deadline and returns the error to raise, if any."""
CHUNK: Final = 1 << 20
"""Bytes that are received ahead of whoever takes the chunks."""
LEAST: Final = 1 << 16
"""Bytes that must come within the timeout: a server that drips keeps nobody for ever."""
_LARGEST_REFUSAL: Final = 64 * 1024


class Stream:
    """An answer of which the headers are there. It gives its body once."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        attempt: Attempt,
        run: Run,
        *,
        timeout: float,
        deadline: float | None,
    ) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = lower_headers(response.headers)
        """As `lower_headers` returns them."""
        self.length: int | None = response.content_length
        """Bytes of the body as announced, or None."""
        self._response = response
        self._attempt = attempt
        self._run = run
        self._timeout = timeout
        self._deadline = deadline
        self._parts: list[bytes] = []

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in chunks of 64 KiB to 2 MiB, each under the deadline of its own.

        The last chunk may be shorter. What came before an error is yielded before it is raised.

        Raises:
            DecodeError: The body is in a coding; none was asked for.
            ProtocolError: Only the end of the connection would tell the end of a success.
            Truncated: The body stops before its end.
            TransportError, ClientClosed: As for `Wire.exchange`.
        """
        coding = self.headers.get("content-encoding", "identity").lower()
        if coding not in {"identity", ""}:
            raise DecodeError(f"The file comes in {clean_text(coding, longest=60)!r}, unasked.")
        if self.status < 300 and is_close_delimited(self._response):  # noqa: PLR2004  # successes
            raise ProtocolError("The answer does not say how long the file is.")
        while True:
            allowed = self._allowed()
            if allowed <= 0:
                raise AttemptTimeout("The body is not complete within the time of the call.")
            problem = await self._run(self._gather(), self._attempt, allowed)
            if isinstance(problem, BestDefenseError):
                self._pick_up_rest()
            parts, self._parts = self._parts, []
            if parts and not isinstance(problem, asyncio.CancelledError):
                yield parts[0] if len(parts) == 1 else b"".join(parts)
            if problem is not None:
                raise problem
            if not parts:
                break
        check_end(self._response, self._attempt)
        self._attempt.finish()

    async def refusal(self) -> Reply:
        """Return the answer with the beginning of its body, as far as it can be read."""
        body, is_cut = await read_excerpt(self._response, _LARGEST_REFUSAL)
        return Reply(status=self.status, headers=self.headers, body=body, is_cut=is_cut)

    async def _gather(self) -> None:
        """Receive one chunk."""
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
