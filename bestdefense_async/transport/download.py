"""Put a file in its place whole, checked, or not at all, in as many requests as it takes.

A download that is cut goes on where it stopped: `Range` asks for the rest, and `If-Range` for the
whole if the file has changed. Whatever is answered is checked against what was asked before a byte
of it is kept. While one batch is hashed and written in a thread, the next one is received.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from bestdefense_async.core.envelope import read_envelope
from bestdefense_async.core.expected_file import parse_content_range, size_beyond, strong_etag
from bestdefense_async.core.host import redirect_target
from bestdefense_async.errors import (
    BestDefenseError,
    DownloadError,
    IntegrityError,
    ProtocolError,
    ResponseTooLarge,
    ServerError,
    Truncated,
)
from bestdefense_async.transport.call import Call
from bestdefense_async.transport.http.exchange import refusal_to_follow
from bestdefense_async.transport.http.stream import open_stream
from bestdefense_async.transport.partial_file import PartialFile, on_disk, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine
    from pathlib import Path

    from bestdefense_async.core.expected_file import ExpectedFile
    from bestdefense_async.core.request import Reply, Request
    from bestdefense_async.transport.host import Host
    from bestdefense_async.transport.http.stream import Stream
    from bestdefense_async.transport.tenants import Tenant

    Progress = Callable[[int, int | None], object]

BATCH: Final = 1 << 20
"""Bytes handed to a thread at once: below this the way there costs more than the work."""
LEAST_PROGRESS: Final = 1 << 16
"""Bytes that a cut request must have brought to be no failure: then patience begins anew."""
MOST_REQUESTS: Final = 20
"""Requests of one download: what the limit permits in an hour. (documented)"""
MOST_REDIRECTS: Final = 3
"""How often one download may be pointed elsewhere."""

_PAGES: Final = ("text/html", "application/xhtml+xml")
_JSON: Final = ("application/json", "application/problem+json")


@define
class Download:
    """One file on its way."""

    _part: PartialFile
    _on_progress: Progress | None
    _is_range_asked: bool = False
    _before: int = 0
    """Bytes that were there when the latest request began."""
    _bad: int = 0
    """Answers that were not the file that is wanted."""
    _requests: int = 0

    async def is_there(self) -> bool:
        """Return whether an earlier run left the whole file: then it stands in its place now.

        What an earlier run left is hashed here, before anybody waits for a limit.

        Raises:
            DownloadError: The disk does not take it.
        """
        part = self._part
        await self._rehash()
        if part.wanted.sha256 is None or not part.size or part.size != part.wanted.size:
            return False
        try:
            await on_disk(part.final, part.finish)
        except IntegrityError:
            return False
        return True

    async def _rehash(self) -> None:
        part = self._part
        await on_disk(part.final, part.look)
        while await on_disk(part.final, part.rehash):
            self._tell()

    async def prepare(self) -> dict[str, str]:
        """Return the headers of the next request, which ask for what is missing.

        What is there by then is hashed again, unless this very download wrote it.

        Raises:
            DownloadError: The disk does not take it.
        """
        part = self._part
        await self._rehash()
        self._before = part.size
        self._requests += 1
        self._tell()
        self._is_range_asked = part.size > 0
        if not self._is_range_asked:
            return {}
        headers = {"Range": f"bytes={part.size}-"}
        if part.etag is not None:
            headers["If-Range"] = part.etag
        elif part.wanted.sha256 is None:
            # Nobody could tell whether the rest belongs to what is there.
            await on_disk(part.final, part.restart)
            self._is_range_asked = False
            return {}
        return headers

    async def take(self, stream: Stream) -> bool:
        """Take an answer; False when it is no file but the server's reason for not sending one.

        Returns when the file stands at its final place.

        Raises:
            IntegrityError: This is not the file, or not the part of it that was asked for.
            ResponseTooLarge: There is more than may come.
            DownloadError: The disk does not take it.
            TransportError: The body is cut, too slow, or in a coding; as for `Stream.chunks`.
        """
        if stream.status == 416 and self._is_range_asked:  # noqa: PLR2004  # nothing is there
            await self._beyond(stream)
        elif stream.status == 206:  # noqa: PLR2004  # a part
            await self._check_part(stream)
        elif stream.status in {200, 204} and not self._is_other(stream, _JSON):
            await self._begin(stream)
        else:
            return False
        if stream.status < 300:  # noqa: PLR2004  # HTTP's successes
            await self._receive(stream)
        await on_disk(self._part.final, self._part.finish)
        return True

    def tries_after(self, error: BestDefenseError, used: int) -> int:
        """Return which attempt in a row, 1-based, this failure counts as.

        A wrong file is asked for once more, whatever happened before. A cut that brought something
        starts the count anew, until the requests of an hour are spent: then it ends.
        """
        if isinstance(error, IntegrityError):
            self._bad += 1
            return self._bad
        if self._requests >= MOST_REQUESTS:
            return MOST_REQUESTS
        return 1 if self._part.size - self._before >= LEAST_PROGRESS else used

    async def _begin(self, stream: Stream) -> None:
        """Begin with the first byte of a whole file."""
        part, length = self._part, stream.length
        wanted = part.wanted
        if self._is_other(stream, _PAGES):
            self._bad += 1  # it will be the same page again
            raise IntegrityError(
                "The answer is a web page and not the file: of a proxy, a login or an error."
            )
        if stream.status == 204 or length == 0 != wanted.size:  # noqa: PLR2004  # no content
            raise IntegrityError("The answer is empty.")
        if length is not None and length > wanted.most:
            raise ResponseTooLarge(
                f"The file is announced with {length} bytes, above {wanted.most}."
            )
        if None not in {length, wanted.size} and length != wanted.size:
            raise IntegrityError(
                f"The file is announced with {length} bytes instead of {wanted.size}."
            )
        await on_disk(
            part.final,
            part.restart,
            etag=strong_etag(stream.headers.get("etag")),
            total=wanted.size if length is None else length,
        )
        self._before = 0

    def _is_other(self, stream: Stream, kinds: tuple[str, ...]) -> bool:
        """Whether the answer says it is of such a kind, and does not have the file's size."""
        size = self._part.wanted.size
        kind = stream.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind in kinds and stream.length not in {0, size}

    async def _check_part(self, stream: Stream) -> None:
        """Check that a 206 is the rest that was asked for; if not, begin anew."""
        part = self._part
        total = part.wanted.size if part.total is None else part.total
        held = parse_content_range(stream.headers.get("content-range"))
        etag = strong_etag(stream.headers.get("etag"))
        problem = None
        if not self._is_range_asked:
            problem = "The answer is a part of the file, and the whole was asked for."
        elif held is None:
            problem = "The answer is a part of the file and does not say which."
        elif held.first != part.size or stream.length not in {None, held.last - held.first + 1}:
            problem = "The answer is another part of the file than was asked for."
        elif total not in {None, held.total} or held.total > part.wanted.most:
            problem = f"The file has {held.total} bytes now, and had {total}."
        elif None not in {etag, part.etag} and etag != part.etag:
            problem = "The file has changed since the download began."
        if problem is not None:
            await on_disk(part.final, part.restart)
            raise IntegrityError(problem)
        if held is not None:
            part.total = held.total

    async def _beyond(self, stream: Stream) -> None:
        """Take a 416 for the end when everything is there; else begin anew."""
        part = self._part
        total = part.wanted.size if part.total is None else part.total
        told = size_beyond(stream.headers.get("content-range"))
        if part.size == (told if total is None else total):
            return
        await on_disk(part.final, part.restart)
        raise IntegrityError("The server has no such part of the file: it begins anew.")

    async def _receive(self, stream: Stream) -> None:
        """Write the body; what came before a cut is kept."""
        part = self._part
        problem = await self._pump(stream.chunks())
        if problem is not None:
            raise problem
        if part.total is not None and part.size < part.total:
            raise Truncated(f"{part.size} of {part.total} bytes have come.")

    async def _pump(self, pieces: AsyncIterator[bytes]) -> BestDefenseError | None:
        """Hash and write pieces while the next ones come; return what cut them off, if anything.

        Errors are returned and not raised, so that none drags along the frames of another.
        """
        batch: list[bytes] = []
        size = 0
        writing: asyncio.Future[None] | None = None
        problem: BestDefenseError | None = None
        worse: BestDefenseError | None = None
        try:
            async for piece in pieces:
                batch.append(piece)
                size += len(piece)
                if size >= BATCH:
                    if writing is not None:
                        await settled(writing)
                        self._tell()
                    writing = asyncio.ensure_future(
                        on_disk(self._part.final, self._part.write, batch)
                    )
                    batch, size = [], 0
        except BestDefenseError as error:
            problem = error.with_traceback(None)
        finally:
            worse = await self._flush(writing, batch)
        return worse or problem

    async def _flush(
        self, writing: asyncio.Future[None] | None, batch: list[bytes]
    ) -> BestDefenseError | None:
        """Write what is still in our hands, also after an error or a cancellation."""
        try:
            if writing is not None:
                await settled(writing)
            await on_disk(self._part.final, self._part.write, batch)
        except BestDefenseError as error:
            return error.with_traceback(None)
        self._tell()
        return None

    def _tell(self) -> None:
        if self._on_progress is not None:
            part = self._part
            self._on_progress(part.size, part.wanted.size if part.total is None else part.total)


@contextlib.asynccontextmanager
async def downloading(
    final: Path,
    wanted: ExpectedFile,
    *,
    keep_part: bool = False,
    on_progress: Progress | None = None,
) -> AsyncIterator[Download]:
    """Hold the place of a file while it is downloaded.

    Args:
        final: Where the file is to stand. A link there is replaced, not followed.
        wanted: What it must be.
        keep_part: Leave what came beside the final place when the download ends early, unless the
            disk is full or more came than may.
        on_progress: Called on the loop with the bytes that are there and those of the whole (None
            while unknown), about once a MiB and when a request is about to leave.

    Raises:
        DownloadError: Somebody else downloads it, or the disk does not take it.
    """
    part = PartialFile(final, wanted)
    is_kept = keep_part
    try:
        await on_disk(part.final, part.open)
        yield Download(part, on_progress)
    except (DownloadError, ResponseTooLarge):
        is_kept = False
        raise
    finally:
        await on_disk(part.final, part.close, keep=is_kept)


class DownloadCall(Call[None]):
    """A call whose answer is a file."""

    def __init__(self, tenant: Tenant, request: Request[None], download: Download) -> None:
        super().__init__(tenant, request)
        self._download = download

    def work(self, host: Host, timeout: float) -> Coroutine[Any, Any, None]:
        """Return what to await until the file, or the rest of it, has come."""
        return self._fetch(host, timeout)

    async def _fetch(self, host: Host, timeout: float) -> None:
        download, secret = self._download, self.secret
        try:
            headers = await download.prepare()
            url: str | None = None
            for _ in range(1 + MOST_REDIRECTS):
                async with open_stream(
                    host.wire,
                    self,
                    timeout=timeout,
                    deadline=self.deadline,
                    url=url,
                    headers=headers,
                ) as stream:
                    if url is None:
                        self.headers_seen(stream.status, stream.headers)
                    if await download.take(stream):
                        return
                    reply = await stream.refusal()
                url = self._next_place(reply, host.download_hosts, is_elsewhere=url is not None)
                self.secret = None  # the token goes to the API only
            raise ProtocolError("The download is redirected again and again.")
        except BestDefenseError as error:
            self.tries: int = download.tries_after(error, self.tries)
            raise
        finally:
            self.secret = secret

    def _next_place(self, reply: Reply, hosts: Collection[str], *, is_elsewhere: bool) -> str:
        """Return where a download goes on that was not answered with the file.

        Raises:
            RedirectRefused: It is pointed to a place that it may not go to.
            BestDefenseError: It is not pointed anywhere.
        """
        status = reply.status
        if 300 <= status < 400:  # noqa: PLR2004  # HTTP's redirects
            url = redirect_target(reply.headers.get("location", ""), hosts)
            if url is None:
                raise refusal_to_follow(status, reply.headers)
            return url
        if not is_elsewhere and self.secret is not None:
            read_envelope(reply, self.request, self.secret)
        elif status >= 500:  # noqa: PLR2004  # HTTP's server errors
            raise ServerError(f"The file's own server failed (status {status}).", status=status)
        raise ProtocolError(f"The answer (status {status}) is not the file.")
