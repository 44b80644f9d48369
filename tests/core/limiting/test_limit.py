"""A limit is a value that cannot be nonsense."""

from typing import Any

import pytest

from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.errors import ConfigError


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"calls": 60, "per": 60.0}, id="a window"),
        pytest.param({"calls": 60, "per": 60}, id="a period that is a whole number"),
        pytest.param({"calls": 1, "per": 0.001}, id="a short period"),
        pytest.param({"calls": 60, "per": 60.0, "policy": "paced"}, id="paced"),
        pytest.param({"calls": 60, "per": 60.0, "policy": "paced", "burst": 60}, id="with a burst"),
    ],
)
def test_a_sensible_limit_is_accepted(arguments: dict[str, Any]) -> None:
    """Equal limits are equal values and can be keys."""
    assert len({Limit(**arguments), Limit(**arguments)}) == 1


def test_a_refused_policy_is_quoted_in_forty_characters() -> None:
    """Whatever a settings file holds, the message stays readable."""
    with pytest.raises(ConfigError, match=f"not {'x' * 39}…"):
        Limit(60, per=60.0, policy="x" * 41)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"calls": 0, "per": 60.0}, id="no calls"),
        pytest.param({"calls": -1, "per": 60.0}, id="negative calls"),
        pytest.param({"calls": 1.5, "per": 60.0}, id="a fraction of a call"),
        pytest.param({"calls": float("nan"), "per": 60.0}, id="calls that are no number"),
        pytest.param({"calls": True, "per": 60.0}, id="a truth value as calls"),
        pytest.param({"calls": "60", "per": 60.0}, id="calls as text"),
        pytest.param({"calls": 60, "per": 0.0}, id="no period"),
        pytest.param({"calls": 60, "per": -1.0}, id="a negative period"),
        pytest.param({"calls": 60, "per": float("nan")}, id="a period that is no number"),
        pytest.param({"calls": 60, "per": float("inf")}, id="an endless period"),
        pytest.param({"calls": 60, "per": 10**400}, id="a period beyond all floats"),
        pytest.param({"calls": 60, "per": "60"}, id="a period as text"),
        pytest.param({"calls": 60, "per": 60.0, "policy": "leaky"}, id="an unknown policy"),
        pytest.param({"calls": 60, "per": 60.0, "burst": 5}, id="a burst of a window"),
        pytest.param({"calls": 6, "per": 1.0, "policy": "paced", "burst": 0}, id="a burst of zero"),
        pytest.param({"calls": 6, "per": 1.0, "policy": "paced", "burst": 7}, id="a burst above N"),
    ],
)
def test_nonsense_is_refused_before_anything_is_sent(arguments: dict[str, Any]) -> None:
    """A wrong limit is a wrong setting, said at once and not by a limiter that fails later."""
    with pytest.raises(ConfigError):
        Limit(**arguments)
