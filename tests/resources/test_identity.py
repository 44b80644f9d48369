"""Which answers belong to which question."""

import pytest

from bestdefense_async.errors import IntegrityError
from bestdefense_async.resources.identity import MOST_IDS, CreatedIds


def test_an_id_is_made_once_per_operation() -> None:
    """Two operations count for themselves, and letter case makes another id."""
    ids = CreatedIds()
    ids.add("reports.create", "a")
    ids.add("network.start", "a")
    ids.add("reports.create", "A")
    for refuse in (ids.add, ids.refuse):
        with pytest.raises(IntegrityError, match=r"reports\.create"):
            refuse("reports.create", "a")


def test_the_memory_of_ids_is_bounded() -> None:
    """The oldest are forgotten: a doubled answer comes at once, or never."""
    ids = CreatedIds()
    for number in range(MOST_IDS + 1):
        ids.add("reports.create", str(number))
    ids.refuse("reports.create", "0")
    with pytest.raises(IntegrityError):
        ids.refuse("reports.create", "1")
