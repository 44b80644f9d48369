"""The device agent's files. Paths are our guess: see `ProvisionalRoute`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bestdefense_async.core.check import check_flag, check_id, check_text
from bestdefense_async.core.codec import structure
from bestdefense_async.core.expected_file import LARGEST_FILE, ExpectedFile, checked_digest
from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError, EnvelopeError
from bestdefense_async.models import AgentFile, AgentManifest
from bestdefense_async.resources.arguments import instance, optional_seconds
from bestdefense_async.resources.protocol import Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from bestdefense_async.core.request import Request

_OURS: Final = re.compile(r".*\.part(\.json)?", re.IGNORECASE)
"""What an unfinished file is called."""
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|.*\.", re.IGNORECASE)
"""What is no file, or another one, on Windows."""


class Agents(Resource):
    """Read the manifest of agent files, and download them."""

    async def manifest(self, *, timeout: float | None = None) -> AgentManifest:
        """Return which files there are.

        Limited to 60 calls a minute per token (documented).

        Args:
            timeout: Seconds the whole call may take, waiting for the limit included.

        Raises:
            ConfigError: The timeout is no time. Nothing was sent.
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            LimitWaitTooLong: The limit allows the call only after `timeout`.
            EnvelopeError: A name cannot be the name of a file or stands there twice, or a size is
                no size of an agent.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "agent manifest" and "Rate limits". (the limit documented; the manifest
            described, its members inferred)
        """
        return await self._send("agents.manifest", read=_manifest, timeout=timeout)

    async def download(
        self,
        file: AgentFile,
        directory: Path | str,
        *,
        allow_unverified: bool = False,
        keep_part: bool = False,
        on_progress: Callable[[int, int | None], object] | None = None,
        timeout: float | None = None,
    ) -> Path:
        """Store a file of the manifest in a directory, checked by its SHA-256.

        The file appears complete or not at all, is never executable, and has the name the
        manifest gives, never one that the download's own headers suggest. The manifest's URL is
        not looked at. A download that is cut goes on where it stopped. Limited to 20 requests an
        hour per token (documented), and going on takes a request of its own.

        Args:
            file: A row of the manifest.
            directory: An existing directory.
            allow_unverified: Store also a file for which the manifest gives no SHA-256.
            keep_part: When the download ends early, leave what came as `NAME.part` with
                `NAME.part.json` for the next call, which checks it anew.
            on_progress: Called on the loop with the bytes that are there and the bytes in all
                (None while unknown), about once a MiB and when a request is about to leave.
            timeout: Seconds the whole call may take, waiting for the limit included.

        Returns:
            Where the file stands.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            ConfigError: The manifest's name cannot be the name of a file, or an argument cannot be
                meant. Nothing was sent.
            IntegrityError: The manifest has no digest, or what came is not the file.
            DownloadError: The disk does not take it, or it is being downloaded already.
            LimitWaitTooLong: The limit allows the call only after `timeout`.
            BestDefenseError: Anything else that `errors` names.

        Source: api-facts, "agent download" and "Rate limits". (the limit documented; the download
            described)
        """
        wanted = instance("file", file, AgentFile)
        if isinstance(directory, str):
            directory = Path(check_text("directory", directory))
        folder = instance("directory", directory, Path)
        request: Request[None] = build_request(
            ROUTES["agents.download"], {"filename": wanted.filename}, given=_besides(wanted)
        )
        _check_name(wanted.filename)
        is_required = not check_flag("allow_unverified", allow_unverified)
        digest = checked_digest(wanted.sha256, is_required=is_required)
        if on_progress is not None and not callable(on_progress):
            raise ConfigError("on_progress must be a function of two numbers.")
        final = folder / wanted.filename
        await self._transport.download(
            request,
            final,
            wanted=ExpectedFile(sha256=digest, size=wanted.size),
            keep_part=check_flag("keep_part", keep_part),
            on_progress=on_progress,
            timeout=optional_seconds("timeout", timeout),
        )
        return final


def _besides(file: AgentFile) -> dict[str, str | None]:
    """Return what names a file besides its name: its platform is `linux-amd64`, or parted."""
    system, _, machine = (file.platform or "").partition("-")
    arch = file.extra.get("arch")
    return {
        "version": file.version,
        "platform": file.platform,
        "os": system,
        "arch": arch if isinstance(arch, str) else machine,
    }


def _check_name(name: str) -> None:
    """Check a name beyond what a path of the API needs.

    Raises:
        ConfigError: It would hide, be taken for an option, or be something else than a file.
    """
    check_id("filename", name)
    if name.startswith(("-", ".")):
        raise ConfigError("The name of an agent file must not begin with a dot or a dash.")
    if _OURS.fullmatch(name):
        raise ConfigError("The name of an agent file must not be that of an unfinished one.")
    if _DEVICE.fullmatch(name):
        raise ConfigError("The name of an agent file must not be that of a device.")


def _manifest(payload: object) -> AgentManifest:
    """Return a manifest, and what its types do not say checked; a digest when it is needed.

    Raises:
        EnvelopeError: This is no manifest to download from. Names a path, never a value.
    """
    manifest = structure(payload, AgentManifest)
    seen: set[str] = set()
    for index, file in enumerate(manifest.files):
        where = f"data.files[{index}]"
        problem = None
        try:
            _check_name(file.filename)
        except ConfigError:
            problem = f"{where}.filename cannot be the name of a file"
        if problem is None and file.filename.lower() in seen:
            problem = f"{where}.filename stands there twice"
        if problem is None and file.size is not None and not 0 < file.size <= LARGEST_FILE:
            problem = f"{where}.size is no size of an agent"
        if problem is not None:
            raise EnvelopeError(f"The manifest cannot be used: {problem}.")
        seen.add(file.filename.lower())
    return manifest
