"""What holds of an exchange holds on both ways to the server."""

import pytest

from tests.support.wires import OpenWire


@pytest.fixture(autouse=True, params=["lean", "session"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way that wires of this test go."""
    chosen: str = request.param
    monkeypatch.setattr(OpenWire, "is_lean", chosen == "lean")
    return chosen
