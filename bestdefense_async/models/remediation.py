"""An AI remediation: a repair of a finding or of a weakness, as a pull request under review."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Self

from attrs import field, frozen

from bestdefense_async import vendor
from bestdefense_async.models.plain import PlainData

_WORDS: Final = {stage.lower(): stage for stage in vendor.STAGES}


class Stage(str):
    """Where a remediation stands, in the words of the app.

    The enumeration is open: a word we do not know is kept as it came.

    Source: api-facts, "Remediation". (stages documented; that the API uses these words inferred)
    """

    __slots__ = ()

    REVIEW: ClassVar[Stage]
    APPROVED: ClassVar[Stage]
    BLOCKED: ClassVar[Stage]
    REJECTED: ClassVar[Stage]

    def __new__(cls, text: str) -> Self:
        """Return the stage for `text`; the four known words in any letter case."""
        stripped = text.strip()
        return super().__new__(cls, _WORDS.get(stripped.lower(), stripped))

    @property
    def is_known(self) -> bool:
        """Whether this is one of the four words the vendor documents."""
        return str(self) in _WORDS.values()

    def __repr__(self) -> str:
        return f"Stage({str(self)!r})"


Stage.REVIEW = Stage("Review")
Stage.APPROVED = Stage("Approved")
Stage.BLOCKED = Stage("Blocked")
Stage.REJECTED = Stage("Rejected")


@frozen(kw_only=True)
class Remediation(PlainData):
    """The repair of one finding, or of all findings of a weakness in a report.

    That there are remediations is described; the members are inferred, so all but the id may be
    missing.
    """

    id: str
    report_id: str | None = None
    finding_id: str | None = None
    """None for the repair of a whole weakness."""
    weakness: str | None = None
    """Name of the weakness type."""
    stage: Stage | None = None
    created_at: datetime | None = None
    """With its time zone."""
    pull_request_url: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""


@frozen(kw_only=True)
class Triggered(PlainData):
    """The answer to a trigger: the repair has been started, and a credit is spent."""

    remediation: Remediation
    credits_remaining: int | None = None
    """Credits left for further ones, None when the answer does not say."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""


@frozen(kw_only=True)
class RemediationList(PlainData):
    """All remediations of the organization, and what is left to pay for more."""

    remediations: tuple[Remediation, ...]
    """In the order of the answer."""
    credits_remaining: int | None = None
    """Credits left for further ones, None when the answer does not say."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""
