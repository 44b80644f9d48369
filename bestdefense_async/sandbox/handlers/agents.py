"""Agent manifest and download: described, paths and fields chosen by us.

Source: 60 manifests per minute and 20 downloads per hour and token, names of the files, a `.sha256`
beside each (documented); everything else is inferred.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from bestdefense_async.sandbox.replies import Reply, Stream, failure, not_found, success
from bestdefense_async.sandbox.world.agents import VERSION, AgentFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bestdefense_async.sandbox.world.world import Call, World

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_INLINE = 8 << 20
"""Most bytes hashed on the loop; more goes to a thread."""


async def _checksum(world: World, name: str) -> str:
    if world.agents.size_to_hash(name) > _INLINE:
        return await asyncio.to_thread(world.agents.checksum, name)
    return world.agents.checksum(name)


async def manifest(world: World, _: Call) -> Reply:
    """Answer every file with what is needed to check it."""
    rows = [
        {
            "filename": file.name,
            "platform": file.platform,
            "version": VERSION,
            "size": file.size,
            "sha256": await _checksum(world, file.name),
            "url": f"{world.url}/api/agents/download/{file.name}",
        }
        for file in world.agents.files.values()
    ]
    return success({"version": VERSION, "files": rows})


async def download(world: World, call: Call) -> Reply | Stream:
    """Answer a file or a part of it, or the checksum of one as text."""
    file = world.agents.files.get(call.key)
    if file is not None:
        return _content(file, call.headers, etag=f'"{(await _checksum(world, file.name))[:32]}"')
    name = call.key.removesuffix(".sha256")
    if name == call.key or name not in world.agents.files:
        not_found("File")
    line = f"{await _checksum(world, name)}  {name}\n"
    return Reply(200, line.encode(), {"Content-Type": "text/plain; charset=UTF-8"})


def _range_of(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """Return the first and last byte to send, or None for all; the first may lie beyond the end.

    Several ranges, other units and a stale If-Range get the whole file, as RFC 9110 permits.
    """
    match = _RANGE.fullmatch(headers.get("Range", ""))
    if match is None or headers.get("If-Range", etag) != etag:
        return None
    first, last = match.groups()
    if not first:
        # The last N bytes; `-0` asks for none and cannot be satisfied.
        return (max(0, size - int(last)) if int(last) else size, size - 1) if last else None
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < int(first):
        return None
    return int(first), end


def _part(file: AgentFile, first: int, last: int) -> Iterator[memoryview]:
    left = last - first + 1
    for chunk in file.chunks(first):
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


def _content(file: AgentFile, headers: Mapping[str, str], *, etag: str) -> Reply | Stream:
    common = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Accept-Ranges": "bytes",
        "ETag": etag,
    }
    wanted = _range_of(headers, file.size, etag)
    if wanted is None:
        return Stream(200, file.size, file.chunks(), common)
    first, last = wanted
    if first >= file.size:
        beyond = {"Content-Range": f"bytes */{file.size}", "ETag": etag}
        return failure(416, "The range lies beyond the end of the file.", headers=beyond)
    part = {**common, "Content-Range": f"bytes {first}-{last}/{file.size}"}
    return Stream(206, last - first + 1, _part(file, first, last), part)
