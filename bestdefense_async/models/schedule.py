"""A report that the server makes again and again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from attrs import field, frozen

CADENCES: Final = ("daily", "weekly", "monthly")
"""Words for how often; the enumeration is open. (inferred)"""


@frozen(kw_only=True)
class Schedule:
    """A scheduled report.

    That reports can be scheduled is described; the members are inferred, so all but the id may
    be missing.
    """

    id: str
    site_id: str | None = None
    hostname: str | None = None
    types: tuple[str, ...] = ()
    intensity: str | None = None
    cadence: str | None = None
    """daily, weekly or monthly, or another word of the server's."""
    test_users: tuple[str, ...] = ()
    """The accounts the scan signs in with."""
    created_at: datetime | None = None
    """With its time zone."""
    next_run_at: datetime | None = None
    """With its time zone."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""
