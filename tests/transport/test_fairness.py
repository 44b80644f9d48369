"""What one tenant's load costs another one, in virtual time with the real client."""

import pytest

from tests.support.fairness import Work, calls, scan, seconds


@pytest.mark.parametrize(
    ("work", "load", "slots", "rate", "most"),
    [
        pytest.param(calls, "creations and polls", 20, None, 2.0, id="calls, 20 slots"),
        pytest.param(calls, "creations and polls", 100, None, 1.5, id="calls, 100 slots"),
        pytest.param(calls, "creations and polls", 20, 20.0, 2.0, id="calls, paced"),
        pytest.param(scan, "creations", 20, None, 2.0, id="scans, beside creations"),
        pytest.param(scan, "polls that hang", 20, None, 2.0, id="scans, beside polls that hang"),
    ],
)
def test_ten_targets_take_little_longer_beside_five_thousand_calls_of_another_tenant(
    work: Work, load: str, slots: int, rate: float | None, most: float
) -> None:
    """At most twice as long as alone with 20 slots, and half as long again with 100."""
    alone = seconds(work, None, slots=slots, rate=rate)
    assert seconds(work, load, slots=slots, rate=rate) <= most * alone
