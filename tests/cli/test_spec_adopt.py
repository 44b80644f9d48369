"""A host that has everything elsewhere is adopted, and from then on everything works there."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from attrs import evolve

from bestdefense_async import BestDefense, ProvisionalRoute, ScanOptions, read_bindings
from bestdefense_async.core.route import ROUTES, Grade
from tests.support.moved_host import MOVES, TOKEN, MovedHost, moved_host, openapi, swagger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from bestdefense_async.sandbox import Sandbox
    from tests.support.command import Command, Ended

pytestmark = pytest.mark.bd_sandbox(sites=8, speed=100_000)

GUESSED = {name for name, row in ROUTES.items() if row.grade is Grade.DESCRIBED}


def _page(spec: dict[str, Any]) -> bytes:
    """Return the page that NelmioApiDocBundle makes around a document."""
    data = json.dumps({"spec": spec}).replace("/", "\\/")
    return (
        "<!DOCTYPE html><html><head><title>API</title></head><body>"
        f'<script id="swagger-data" type="application/json">{data}</script>'
        '<div id="swagger-ui" class="api-platform"></div></body></html>'
    ).encode()


FORMS: dict[str, Mapping[str, tuple[str, bytes]]] = {
    "OpenAPI as JSON": {
        "/api/docs.json": ("application/json", json.dumps(openapi()).encode()),
    },
    "Swagger 2.0 as YAML, linked from a page": {
        "/api/docs": ("text/html", b'<redoc spec-url="../files/api.yaml?v=2"></redoc>'),
        "/files/api.yaml": ("application/yaml", yaml.safe_dump(swagger()).encode()),
    },
    "embedded in the page": {"/api/docs": ("text/html; charset=UTF-8", _page(openapi()))},
}


@pytest.fixture
async def host(request: pytest.FixtureRequest, bd_sandbox: Sandbox) -> AsyncIterator[MovedHost]:
    """A host with everything elsewhere, and its specification in the form the test asks for."""
    form = getattr(request, "param", "OpenAPI as JSON")
    async with moved_host(bd_sandbox, FORMS[form]) as served:
        yield served


async def run(command: Command, host: MovedHost, *arguments: str, **how: Any) -> Ended:
    """Run the command beside the host, which needs the loop."""
    return await asyncio.to_thread(command, *arguments, env=host.env, **how)


def _file(command: Command) -> Path:
    return Path(command.environment["HOME"]) / ".config" / "bestdefense" / "bindings.toml"


@pytest.mark.parametrize("host", FORMS, indirect=True)
async def test_every_unpublished_operation_works_after_the_adoption(
    command: Command, host: MovedHost, tmp_path: Path
) -> None:
    """Found by the command, kept in the file, used by library and command alike."""
    writers = [
        word
        for name, move in MOVES.items()
        if move.method != "GET"
        for word in ("--bind", f"{name}={move.method} {move.path}")
    ]
    ended = await run(command, host, "spec", "adopt", "-y", *writers, "--format", "json")
    assert ended.code == 0, ended.err
    proposals = {row["operation"]: row for row in json.loads(ended.out)["proposals"]}
    assert {name: row["there"] for name, row in proposals.items()} == {
        name: f"{move.method} {move.path}" for name, move in MOVES.items()
    }
    assert {row["decision"] for row in proposals.values()} == {"sure", "named"}
    assert all(row["why"] for row in proposals.values())

    file = _file(command)
    assert file.stat().st_mode & 0o777 == 0o600
    assert TOKEN not in file.read_text() + ended.err + ended.out
    bindings = read_bindings(file, host.url)
    assert bindings.keys() == GUESSED == MOVES.keys()

    async with BestDefense(TOKEN, host.url, bindings=bindings) as bd:
        await _use_reports(bd, host)
        await _use_schedules(bd, host)
        await _use_remediation(bd, host)
        await _use_network(bd)
        await _use_agents(bd, tmp_path)
    guessed = {
        name
        for name, move in MOVES.items()
        for pattern in [re.sub(r"{\w+}", "[^/]+", f"{move.method} {move.path}")]
        if any(re.fullmatch(pattern, arrival) for arrival in host.arrived)
    }
    assert guessed == GUESSED

    checked = await run(command, host, "spec", "check", "--format", "json")
    assert checked.code == 0, checked.out
    rows = {row["operation"]: row for row in json.loads(checked.out)["operations"]}
    assert {rows[name]["known"] for name in GUESSED} == {"bound"}


async def _use_reports(bd: BestDefense, host: MovedHost) -> None:
    sites = await bd.sites.list()
    options = ScanOptions(types=["security", "dns"], intensity="quick")
    made = [await bd.reports.create(site, options) for site in sites[:3]]
    await _complete(bd, made[0].id)
    listed = await bd.reports.list(limit=2)
    assert [each.id for each in listed] == [made[2].id, made[1].id]
    rest = await bd.reports.list(limit=5, after=listed[-1].id)
    assert [each.id for each in rest] == [made[0].id]
    shown = await bd.reports.get(made[0].id)
    assert (shown.site_id, shown.hostname) == (sites[0].id, sites[0].hostname)
    assert (shown.types, shown.intensity) == (("security", "dns"), "quick")
    assert shown.is_completed is True
    assert shown.created_at is not None
    assert evolve(rest[0], extra=shown.extra) == shown


async def _complete(bd: BestDefense, report_id: str) -> None:
    while not (await bd.reports.progress(report_id)).is_completed:  # noqa: ASYNC110 - over HTTP
        await asyncio.sleep(0.01)


async def _use_schedules(bd: BestDefense, host: MovedHost) -> None:
    site = (await bd.sites.list())[1]
    options = ScanOptions(
        types=["security", "seo"], intensity="thorough", mode="ai", testing_type="api"
    )
    made = await bd.schedules.create(
        site,
        options,
        cadence="weekly",
        day="friday",
        time="03:00",
        timezone="Asia/Tokyo",
        test_users=["anna"],
    )
    assert (made.site_id, made.hostname) == (site.id, site.hostname)
    assert (made.types, made.intensity) == (("security", "seo"), "thorough")
    assert (made.mode, made.testing_type) == ("ai", "api")
    assert made.when == "weekly on friday at 03:00 Asia/Tokyo"
    assert made.test_users == ("anna",)
    assert made.next_run_at is not None
    assert made.created_at is not None
    assert made.next_run_at > made.created_at
    assert [each.id for each in await bd.schedules.list()] == [made.id]
    await bd.schedules.delete(made)
    assert await bd.schedules.list() == ()


async def _use_remediation(bd: BestDefense, host: MovedHost) -> None:
    for site in await bd.sites.list():
        report = await bd.reports.create(site)
        await _complete(bd, report.id)
        found = await bd.reports.findings(report.id)
        if found.findings:
            break
    else:
        raise AssertionError("this fleet has no findings")
    finding = found.findings[0]
    credits_left = host.sandbox.credits()
    triggered = await bd.remediation.trigger(report.id, finding=finding.id)
    assert triggered.credits_remaining == credits_left - 1
    card = triggered.remediation
    assert (card.report_id, card.finding_id) == (report.id, finding.id)
    assert card.weakness == finding.weakness
    listed = await bd.remediation.list()
    assert listed.credits_remaining == credits_left - 1
    assert [each.id for each in listed.remediations] == [card.id]
    shown = await bd.remediation.get(card.id)
    assert shown.id == card.id
    assert shown.stage
    assert shown.created_at is not None
    group = await bd.remediation.trigger(report.id, weakness=finding.weakness)
    assert group.remediation.finding_id is None


async def _use_network(bd: BestDefense) -> None:
    targets = tuple(f"10.0.0.{number}" for number in range(30))
    scan = await bd.network.start(targets, jump_box="edge", intensity="quick")
    assert (scan.targets, scan.jump_box) == (targets, "edge")
    while True:
        progress = await bd.network.progress(scan.id)
        assert progress.percentage is not None
        if progress.is_completed:
            break
        await asyncio.sleep(0.01)
    alerts = await bd.network.findings(scan.id)
    assert alerts.risk.total == len(alerts.findings) > 0
    assert all(each.title and each.url and each.guidance for each in alerts.findings)


async def _use_agents(bd: BestDefense, folder: Path) -> None:
    manifest = await bd.agents.manifest()
    file = min(manifest.files, key=lambda each: each.size or 0)
    assert file.platform is not None or file.version is not None
    assert file.sha256 is not None
    stored = await bd.agents.download(file, folder)
    assert stored.stat().st_size == file.size


async def test_before_the_adoption_nothing_is_sent_there(host: MovedHost) -> None:
    """The guesses are refused, so that the adoption is what makes the difference."""
    async with BestDefense(TOKEN, host.url) as bd:
        with pytest.raises(ProvisionalRoute):
            await bd.schedules.list()
    assert host.arrived == []
