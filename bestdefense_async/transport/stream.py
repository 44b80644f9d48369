"""An answer that is handed out as it comes, for files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import DecodeError, ProtocolError, clean_text
from bestdefense_async.transport.body import check_end, is_close_delimited

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from bestdefense_async.transport.attempt import Attempt

Run = Callable[[Awaitable[bytes], "Attempt", float], Awaitable["bytes | BaseException"]]
"""`Wire.run`: awaits under a deadline and returns the result or the error to raise."""
CHUNK: Final = 1 << 20
"""Most bytes of one chunk."""


class Stream:
    """An answer of which the headers are there. It gives its body once."""

    def __init__(
        self, response: aiohttp.ClientResponse, attempt: Attempt, run: Run, timeout: float
    ) -> None:
        self.status: int = response.status
        headers: dict[str, str] = {}
        for name, value in response.headers.items():
            headers.setdefault(name.lower(), value)
        self.headers = headers
        """Names in lower case; of several values the first."""
        self.length: int | None = response.content_length
        """Bytes of the body as announced, or None."""
        self._response = response
        self._attempt = attempt
        self._run = run
        self._timeout = timeout

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in chunks of at most 1 MiB, each under the deadline of its own.

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
            chunk = await self._run(
                self._response.content.read(CHUNK), self._attempt, self._timeout
            )
            if isinstance(chunk, BaseException):
                raise chunk
            if not chunk:
                break
            yield chunk
        check_end(self._response, self._attempt)
        self._attempt.finish()
