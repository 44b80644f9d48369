"""What holds for every sandbox of this run."""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def bd_sandbox_settings() -> dict[str, Any]:
    """Our fleet; and a request that the API does not have fails the test."""
    return {"scenario": "tests/fleet.toml", "strict": True}
