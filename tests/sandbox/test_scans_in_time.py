"""Scans take their seeded, scaled time on the running loop's clock."""

import asyncio
import math
import statistics
from collections.abc import Callable, Coroutine
from typing import Any

import looptime
import pytest

from bestdefense_async.sandbox import Sandbox
from bestdefense_async.sandbox.world.fleet import Site
from bestdefense_async.sandbox.world.scans import MEDIANS, Scans
from tests.support.sandbox_api import Api, api_on


def options(intensity: str) -> dict[str, Any]:
    """Return the body that starts a scan of this intensity."""
    nested = {"enabled": True, "options": {"scanIntensity": intensity}}
    return {"options": {"security": nested}}


def virtually(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on a loop whose time passes only when nothing is left to do."""
    loop = looptime.new_event_loop(start=0)
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


@pytest.mark.parametrize("intensity", MEDIANS)
def test_a_virtual_scan_takes_its_time_and_nobody_waits(intensity: str) -> None:
    """Under virtual time hours of scanning take no time, server and client on one loop."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with Sandbox(sites=1, speed=1.0) as sandbox, api_on(sandbox) as api:
            sandbox.script(sandbox.site_ids[0], duration=MEDIANS[intensity])
            begun = loop.time()
            report = await api.create(body=options(intensity))
            path = f"/api/report/{report}/progress"
            while not (await api.get(path)).data["isCompleted"]:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(MEDIANS[intensity] / 20)
            took = loop.time() - begun
        assert MEDIANS[intensity] <= took <= MEDIANS[intensity] * 1.1

    virtually(main)


def test_speed_divides_the_time() -> None:
    """At speed 60 a minute of scanning takes a second."""

    async def main() -> None:
        async with Sandbox(sites=1, speed=60.0) as sandbox, api_on(sandbox) as api:
            sandbox.script(sandbox.hostnames[0], duration=600.0)
            report = await api.create()
            path = f"/api/report/{report}/progress"
            await asyncio.sleep(5.0)
            half = (await api.get(path)).data
            await asyncio.sleep(4.97)
            almost = (await api.get(path)).data
            await asyncio.sleep(0.03)
            done = (await api.get(path)).data
        assert half == {"isCompleted": False, "percentage": 50}
        assert almost == {"isCompleted": False, "percentage": 99}
        assert done == {"isCompleted": True, "percentage": 100}

    virtually(main)


def test_two_sandboxes_on_one_loop_keep_their_own_clocks() -> None:
    """Speed and origin belong to each."""

    async def main() -> None:
        async with Sandbox(sites=1, speed=1.0) as slow, api_on(slow) as slow_api:
            await asyncio.sleep(100.0)
            async with Sandbox(sites=1, speed=10.0) as fast, api_on(fast) as fast_api:
                for sandbox in (slow, fast):
                    sandbox.script(sandbox.site_ids[0], duration=1000.0)
                reports = [await api.create() for api in (slow_api, fast_api)]
                shown = (await fast_api.get(f"/api/report/{reports[1]}")).data["report"]
                await asyncio.sleep(50.0)
                seen = [
                    (await api.get(f"/api/report/{report}/progress")).data["percentage"]
                    for api, report in zip((slow_api, fast_api), reports, strict=True)
                ]
        assert seen == [5, 50]
        assert shown["createdAt"] == "2026-01-05T08:00:00Z"

    virtually(main)


def test_a_scan_can_be_made_to_never_end() -> None:
    """A failed scan may never become complete: progress creeps and does not arrive."""

    async def main() -> None:
        async with Sandbox(sites=1, speed=1.0) as sandbox, api_on(sandbox) as api:
            sandbox.script(sandbox.site_ids[0], duration=math.inf)
            report = await api.create()
            seen = []
            for _ in range(20):
                seen.append((await api.get(f"/api/report/{report}/progress")).data)
                await asyncio.sleep(86_400)
        assert not any(each["isCompleted"] for each in seen)
        assert max(each["percentage"] for each in seen) < 100

    virtually(main)


def test_progress_can_be_made_to_go_backwards() -> None:
    """Completion is told, taken back once, and told again."""

    async def main() -> None:
        async with Sandbox(sites=1, speed=1.0) as sandbox, api_on(sandbox) as api:
            sandbox.script(sandbox.site_ids[0], duration=100.0, backwards=True)
            report = await api.create()
            seen = []
            for _ in range(15):
                await asyncio.sleep(10.0)
                seen.append((await api.get(f"/api/report/{report}/progress")).data)
        percentages = [each["percentage"] for each in seen]
        assert percentages != sorted(percentages)
        completed = [each["isCompleted"] for each in seen]
        assert completed[9:] == [True, False, False, True, True, True]

    virtually(main)


def test_a_report_can_stay_invisible_after_its_creation() -> None:
    """For a while after the creation its report answers 404, as under eventual consistency."""

    async def main() -> None:
        settings = {"sites": 2, "speed": 60.0, "visible_after": 2.0}
        async with Sandbox(**settings) as sandbox, api_on(sandbox) as api:  # type: ignore[arg-type]
            sandbox.script(sandbox.site_ids[1], visible_after=0.0)
            late, early = [await api.create(site) for site in sandbox.site_ids]
            listed = (await api.get("/api/reports")).data["reports"]
            at_once = [
                (await api.get(f"/api/report/{report}/progress")).status for report in (late, early)
            ]
            await asyncio.sleep(1.9)
            before = (await api.get(f"/api/report/{late}/progress")).status
            await asyncio.sleep(0.2)
            after = (await api.get(f"/api/report/{late}/progress")).status
        assert [report["id"] for report in listed] == [early]
        assert at_once == [404, 200]
        assert (before, after) == (404, 200)

    virtually(main)


@pytest.mark.bd_sandbox(sites=2)
async def test_a_script_must_make_sense(bd_sandbox: Sandbox) -> None:
    """An unknown site or a negative time is refused at once."""
    with pytest.raises(LookupError):
        bd_sandbox.script("nowhere.example", duration=1.0)
    with pytest.raises(ValueError, match="zero or more"):
        bd_sandbox.script(bd_sandbox.site_ids[0], duration=-1.0)
    with pytest.raises(ValueError, match="zero or more"):
        bd_sandbox.script(bd_sandbox.site_ids[0], visible_after=math.nan)


@pytest.mark.parametrize(("intensity", "median"), MEDIANS.items())
def test_durations_scatter_around_the_median_of_the_intensity(
    intensity: str, median: float
) -> None:
    """Log-normal between a third and eight thirds of the median, the same for the same seed."""
    sites = [Site(str(index), f"host-{index}.example", "main") for index in range(2_000)]
    durations = [Scans(1).duration(site, intensity) for site in sites]

    assert durations == [Scans(1).duration(site, intensity) for site in sites]
    assert durations != [Scans(2).duration(site, intensity) for site in sites]
    assert statistics.median(durations) == pytest.approx(median, rel=0.05)
    assert min(durations) >= median / 3
    assert max(durations) <= median * 8 / 3
    assert len(set(durations)) > 1_900


@pytest.mark.bd_sandbox(sites=3)
async def test_report_ids_and_security_ids_are_two_series(api: Api) -> None:
    """A report is never found by a number, a security report never by a UUID."""
    sandbox = api.sandbox
    for site in sandbox.site_ids:
        sandbox.script(site, duration=0.0)
    pairs = []
    for site in sandbox.site_ids:
        report = await api.create(site)
        pairs.append((report, await api.finish(report)))

    for report, security_id in pairs:
        assert (await api.get(f"/api/report/{security_id}/progress")).status == 404
        assert (await api.get(f"/api/report/vortex/{report}/alerts")).status == 404
    assert len({security_id for _, security_id in pairs}) == 3
