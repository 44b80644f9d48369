"""A file to download, and a server that answers it in bytes."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bestdefense_async import BestDefense, RetryPolicy
from bestdefense_async.models import AgentFile
from tests.support.byte_server import FIN, ByteServer, Step, reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

QUICK = RetryPolicy(base=0.001, longest_backoff=0.002, attempts=3)
TAG = '"the-first-version"'
CONTENT = bytes(range(256)) * 1024
"""256 KiB."""
FILE = AgentFile(
    filename="agent.bin", size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest()
)
OTHER = CONTENT[::-1]
ALL = {FILE.filename: CONTENT}
"""What stands in the directory after a download that went well."""
HALF = len(CONTENT) // 2


def whole(content: bytes = CONTENT, *, etag: str = TAG, cut: int | None = None) -> list[Step]:
    """Return the answer with the whole file; `cut` ends the connection after so many bytes."""
    answer = reply(content[:cut], length=len(content), headers=[f"ETag: {etag}"])
    return [answer] if cut is None else [answer, FIN]


def rest(
    first: int,
    *,
    content: bytes = CONTENT,
    says: str | None = None,
    etag: str = TAG,
    cut: int | None = None,
) -> list[Step]:
    """Return a 206 with everything from `first` on; `says` is its Content-Range, "" for none."""
    total = len(content)
    says = f"bytes {first}-{total - 1}/{total}" if says is None else says
    headers = [f"ETag: {etag}", *([f"Content-Range: {says}"] if says else [])]
    part = content[first:]
    answer = reply(part[:cut], status=206, length=len(part), headers=headers)
    return [answer] if cut is None else [answer, FIN]


@contextlib.asynccontextmanager
async def serving(
    *answers: Sequence[Step], **options: Any
) -> AsyncIterator[tuple[BestDefense, ByteServer]]:
    """Serve these answers in turn; give a client of the server, and the server."""
    options.setdefault("retry", QUICK)
    async with (
        ByteServer(answers) as server,
        BestDefense("bd_sandbox_of-the-test", server.url, **options) as client,
    ):
        yield client, server


def asked(server: ByteServer) -> list[str | None]:
    """Return the Range of each request, None where the whole file was asked for."""
    return [request.headers.get("range") for request in server.requests]


def left_in(directory: Path) -> dict[str, bytes]:
    """Return every file of a directory with its content."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def unknown(**without: Any) -> AgentFile:
    """Return the row of the manifest without its size, or as `without` says."""
    return evolve(FILE, **{"size": None, **without})
