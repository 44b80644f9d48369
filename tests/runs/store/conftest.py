"""A store of each kind, for the tests of what all stores do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.stores import BACKENDS, backend_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bestdefense_async.runs.store.protocol import Store


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    """Return what opens stores of one kind."""
    return backend_of(request.param, request)


@pytest.fixture
async def store(backend: Any) -> AsyncIterator[Store]:
    """Return an empty store."""
    store: Store = backend.open()
    yield store
    await store.aclose()
