"""Every operation of a host is used through the client, on a server that does what it specifies.

What is proposed first is taken, as a person would, with the few words that only a person knows.
The server refuses unknown members and unknown values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from bestdefense_async import BestDefense, Binding, ScanOptions
from bestdefense_async.models import AgentFile, NetworkScan, Registration
from bestdefense_async.openapi.propose import propose
from bestdefense_async.openapi.specification import read_specification
from tests.support.behaving_host import FILE_BYTES, BehavingHost, behaving_host
from tests.support.written_hosts import API_PLATFORM, ID, NELMIO, Host
from tests.support.written_hosts_2 import BY_HAND, FASTAPI, LARAVEL, NEST
from tests.support.written_hosts_3 import GO, SPRING
from tests.support.written_hosts_4 import ASP, HUMA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

BY_A_PERSON: dict[str, dict[str, dict[str, Any]]] = {
    NEST.name: {
        "schedules.create": {
            "constants": {"dayOfWeek": 1, "time": "03:00"},
            "unsent": ("cadence", "scanIntensity", "testUsers"),
        },
        "schedules.list": {"answer": {"schedules": "schedules"}},
    },
    FASTAPI.name: {
        "network.start": {"answer": {"scan": "", "scan.id": "scan_id", "scan.jumpBox": "jump_box"}}
    },
}
"""What a person adds to the proposals: by host and operation, keys of a binding."""
TOO_LITTLE = {
    NEST.name: {"schedules.list"},
}
"""Of what the specification says nothing to behave by."""

REGISTRATION = Registration(
    installation_id="1",
    report_id=ID + "1",
    repository="acme/shop",
    pull_request=7,
    commit="a" * 40,
    check_run_id=5,
    target_url="https://shop.example.com",
    scan_types=("security",),
    fail_on="high",
    callback_secret="0" * 64,
)


def bindings_of(host: Host) -> dict[str, Binding]:
    """Return the first proposal for each operation, with what a person adds."""
    found = {}
    specification = read_specification(host.document())
    for each in propose(specification, constants={"organization": "42", "org": "42"}):
        name = each.route.name
        if host.places[name] is None or name in TOO_LITTLE.get(host.name, ()):
            continue
        binding = each.candidates[0].binding
        assert binding is not None, (name, each.candidates[0].doubts)
        found[name] = evolve(binding, **BY_A_PERSON.get(host.name, {}).get(name, {}))
    return found


QUICK = ScanOptions(types=["security"], intensity="quick")
CALLS: dict[str, Callable[[BestDefense], Awaitable[Any]]] = {
    "sites.list": lambda bd: bd.sites.list(),
    "reports.create": lambda bd: bd.reports.create(ID + "2", QUICK),
    "reports.progress": lambda bd: bd.reports.progress(ID + "1"),
    "reports.overview": lambda bd: bd.reports.overview(ID + "1"),
    "vortex.alerts": lambda bd: bd.vortex.alerts(9),
    "registrations.create": lambda bd: bd.registrations.create(REGISTRATION),
    "reports.list": lambda bd: bd.reports.list(),
    "reports.get": lambda bd: bd.reports.get(ID + "1"),
    "schedules.list": lambda bd: bd.schedules.list(),
    "schedules.create": lambda bd: bd.schedules.create(ID + "2", cadence="daily"),
    "schedules.delete": lambda bd: bd.schedules.delete(ID + "3"),
    "remediation.trigger": lambda bd: bd.remediation.trigger(ID + "1", finding="a-1"),
    "remediation.list": lambda bd: bd.remediation.list(),
    "network.start": lambda bd: bd.network.start(["10.0.0.0/24"], jump_box="jb"),
    "network.progress": lambda bd: bd.network.progress(NetworkScan(id=ID + "5", jump_box="jb")),
    "network.findings": lambda bd: bd.network.findings(NetworkScan(id=ID + "5", jump_box="jb")),
    "agents.manifest": lambda bd: bd.agents.manifest(),
}


@pytest.mark.parametrize(
    "host",
    [NELMIO, API_PLATFORM, LARAVEL, BY_HAND, FASTAPI, NEST, SPRING, GO, HUMA, ASP],
    ids=lambda host: host.name,
)
async def test_every_operation_of_a_host_works(host: Host, tmp_path: Path) -> None:
    """Nothing is refused by the host, and what it says is read."""
    bindings = bindings_of(host)
    skipped = TOO_LITTLE.get(host.name, set())
    async with (
        behaving_host(host) as served,
        BestDefense("t" * 20, served.url, bindings=bindings, allow_provisional=True) as bd,
    ):
        answers = {
            name: await call(bd)
            for name, call in CALLS.items()
            if host.places[name] and name not in skipped
        }
        if host.places["remediation.get"]:
            listed = answers["remediation.list"].remediations[0]
            answers["remediation.get"] = await bd.remediation.get(listed)
        if host.places["agents.download"]:
            listed = answers.get("agents.manifest")
            await _download(bd, listed.files[0] if listed else _NAMED, tmp_path)

    assert served.refused == []
    wanted = {place for name, place in host.places.items() if place and name not in skipped}
    assert {*served.arrived} == wanted
    _check(host, answers, served)


_NAMED = AgentFile(filename="agent-linux-amd64")
"""A file that a person knows by its name, where a host lists none."""


async def _download(bd: BestDefense, file: AgentFile, folder: Path) -> None:
    there = evolve(file, sha256=None, size=None)
    stored = await bd.agents.download(there, folder, allow_unverified=True)
    assert stored.read_bytes() == FILE_BYTES


def _check(host: Host, answers: dict[str, Any], served: BehavingHost) -> None:
    """Check what came, where the host has it."""
    sites = answers["sites.list"]
    assert (sites[0].id, sites[0].hostname) == (ID + "2", "shop.example.com")
    assert answers["reports.create"].id == ID + "1"
    assert answers["reports.list"][0].id == ID + "1"
    assert answers["reports.progress"].is_completed is True
    for name in ("vortex.alerts", "network.findings"):
        if name in answers:
            assert answers[name].risk.high == 1
            assert answers[name].findings[0].title
    if "network.start" in answers:
        assert answers["network.start"].targets == ("10.0.0.0/24",)
    if host is NELMIO:
        wanted = {"siteId": ID + "2", "reportTypes": ["security"], "frequency": "DAILY"}
        assert served.bodies[str(host.places["schedules.create"])] == wanted


@pytest.mark.parametrize(
    "host",
    [NELMIO, LARAVEL, FASTAPI, NEST, BY_HAND, SPRING, GO, HUMA, ASP],
    ids=lambda host: host.name,
)
async def test_pages_are_followed_to_their_end(host: Host) -> None:
    """By number, by offset, by cursor; one after the other, and each member once."""
    async with (
        behaving_host(host) as served,
        BestDefense("t" * 20, served.url, bindings=bindings_of(host)) as bd,
    ):
        listed = await bd.reports.list()
        one_by_one = [report async for report in bd.reports.iterate()]
        first = await bd.reports.list(limit=1)
        if host.places["remediation.list"]:
            fixes = (await bd.remediation.list()).remediations
            assert [fix async for fix in bd.remediation.iterate()] == [*fixes]
    pages = 1 if host is BY_HAND else 2  # a cursor that no answer gives leads nowhere
    assert [each.id for each in listed] == [ID + "1", ID + "1-2"][:pages]
    assert one_by_one == [*listed]
    assert first == listed[:1]
