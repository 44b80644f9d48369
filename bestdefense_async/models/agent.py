"""The device agent's files."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from bestdefense_async.models.plain import PlainData


@frozen(kw_only=True)
class AgentFile(PlainData):
    """One file of the agent.

    Only the names of the files are published; everything else is inferred.
    """

    filename: str
    platform: str | None = None
    version: str | None = None
    size: int | None = None
    """Bytes, or None when the manifest does not say."""
    sha256: str | None = None
    """Hexadecimal digest, or None when the manifest does not say."""
    url: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""


@frozen(kw_only=True)
class AgentManifest(PlainData):
    """What can be downloaded.

    That there is a manifest is described; what it contains is inferred.
    """

    files: tuple[AgentFile, ...]
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""
