"""A plain client on the sandbox of the test."""

from collections.abc import AsyncIterator

import pytest

from bestdefense_async.sandbox import Sandbox
from tests.support.sandbox_api import Api, api_on


@pytest.fixture
async def api(bd_sandbox: Sandbox) -> AsyncIterator[Api]:
    """A client that hides nothing."""
    async with api_on(bd_sandbox) as client:
        yield client
