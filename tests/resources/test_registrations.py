"""Scans registered for a pull request, against the sandbox."""

from typing import Any

import pytest
from attrs import evolve

from bestdefense_async import (
    BestDefense,
    ConfigError,
    NotFound,
    OutcomeUnknown,
    Registration,
    ScanOptions,
)
from bestdefense_async.sandbox import Sandbox

SECRET = "c0ffee" + "0" * 58
WHOLE = Registration(
    installation_id="42",
    report_id="r-1",
    repository="acme/shop",
    commit="ab" * 20,
    target_url="https://shop.example",
    callback_secret=SECRET,
)


@pytest.mark.bd_sandbox(sites=1)
async def test_a_scan_is_registered_once(bd_sandbox: Sandbox, bd_client: BestDefense) -> None:
    """Also when the answer is lost; a report nobody knows is a 404."""
    report = await bd_client.reports.create(
        bd_sandbox.site_ids[0], ScanOptions(callback_secret=SECRET)
    )
    registration = evolve(WHOLE, report_id=report.id, pull_request=7, check_run_id=99)
    await bd_client.registrations.create(registration)
    with pytest.raises(NotFound):
        await bd_client.registrations.create(WHOLE)
    bd_sandbox.fault("registrations.create", kind="drop", after_effect=True)
    with pytest.raises(OutcomeUnknown):
        await bd_client.registrations.create(registration)
    assert bd_sandbox.count("registrations.create") == 3


@pytest.mark.parametrize(
    "change",
    [
        {"repository": "shop"},
        {"repository": "a/b/c"},
        {"callback_secret": "abc"},
        {"commit": ""},
        {"commit": 7},
        {"commit": "ab\ud800"},
        {"repository": None},
        {"callback_secret": b"ab"},
        {"scan_types": ()},
        {"scan_types": 7},
        {"scan_types": [None]},
        {"check_run_id": "99"},
        {"pull_request": None},
        {"pull_request": True},
        {"pull_request": -1},
    ],
)
def test_a_registration_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    """Before it is sent, and without the secret in the message."""
    with pytest.raises(ConfigError) as caught:
        evolve(WHOLE, **change)
    assert SECRET not in str(caught.value) + repr(WHOLE)
