"""The device agent's files. Paths are our guess: see `ProvisionalRoute`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.core.codec import structure
from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError
from bestdefense_async.models import AgentManifest

if TYPE_CHECKING:
    from pathlib import Path

    from bestdefense_async.models import AgentFile
    from bestdefense_async.resources.protocol import Sender


class Agents:
    """Read the manifest of agent files, and download them."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def manifest(self, *, timeout: float | None = None) -> AgentManifest:
        """Return which files there are.

        Limited to 60 calls a minute per token (documented).

        Args:
            timeout: Seconds the call may take, waiting for the limit included.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            LimitWaitTooLong: The limit allows the call only after `timeout`.
            BestDefenseError: Anything else that `errors` names.
        """
        payload = await self._sender.send(build_request(ROUTES["agents.manifest"]), timeout=timeout)
        return structure(payload, AgentManifest)

    async def download(
        self, file: AgentFile, directory: Path, *, timeout: float | None = None
    ) -> Path:
        """Store a file of the manifest in a directory, checked by its SHA-256.

        Limited to 20 calls an hour per token (documented). The file appears complete or not at
        all, is never executable, and has the name the manifest gives, never one that the
        download's own headers suggest.

        Args:
            file: A row of the manifest.
            directory: An existing directory.
            timeout: Seconds the call may take, waiting for the limit included.

        Returns:
            Where the file stands.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
            ConfigError: The manifest's name cannot be the name of a file.
            IntegrityError: The manifest has no digest, or the file another one.
            DownloadError: The disk does not take it.
            LimitWaitTooLong: The limit allows the call only after `timeout`.
            BestDefenseError: Anything else that `errors` names.
        """
        request = build_request(ROUTES["agents.download"], {"filename": file.filename})
        if file.filename.startswith(("-", ".")):
            raise ConfigError("The name of an agent file must not begin with a dot or a dash.")
        final = directory / file.filename
        await self._sender.download(
            request, final, sha256=file.sha256, size=file.size, timeout=timeout
        )
        return final
