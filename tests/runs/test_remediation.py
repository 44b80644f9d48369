"""Many remediations at once, against the sandbox: each once, and never more than is paid for."""

import asyncio
from collections import Counter

import pytest

from bestdefense_async import (
    BestDefense,
    ConfigError,
    PermissionDenied,
    ProvisionalRoute,
    QuotaExceeded,
    Remediation,
)
from bestdefense_async.errors import RunStopped
from bestdefense_async.runs.remediation import (
    AT_ONCE,
    RemediationBatch,
    RemediationOutcome,
    RemediationRequest,
    RemediationStatus,
    without_existing,
)
from bestdefense_async.sandbox import Sandbox
from bestdefense_async.view import View

pytestmark = pytest.mark.bd_sandbox(sites=12, speed=60_000, credits=1000)


async def wanted_of(bd: BestDefense) -> list[RemediationRequest]:
    """Return a remediation for every finding of the fleet."""
    requests = []
    for site in await bd.sites.list():
        report = await bd.reports.create(site)
        while not (await bd.reports.progress(report.id)).is_completed:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        requests += [
            RemediationRequest(
                report_id=report.id, finding_id=finding.id, weakness=finding.weakness
            )
            for finding in (await bd.reports.findings(report.id)).findings
        ]
    assert len(requests) > 3 * AT_ONCE
    return requests


async def ends_of(
    bd: View, requests: list[RemediationRequest], *, credits_remaining: int | None = None
) -> list[RemediationOutcome]:
    """Trigger the remediations and return how each ended, having checked that none is missing."""
    ends: list[RemediationOutcome] = []
    await RemediationBatch(bd.remediation, credits_remaining=credits_remaining).run(
        requests, ends.append
    )
    assert Counter(each.request for each in ends) == Counter(requests)
    return ends


def statuses(ends: list[RemediationOutcome]) -> Counter[str]:
    """Return how often each status occurs."""
    return Counter(each.status for each in ends)


async def test_every_finding_is_triggered_once(bd_sandbox: Sandbox, bd_client: BestDefense) -> None:
    """The server has one remediation for each."""
    requests = await wanted_of(bd_client)
    ends = await ends_of(bd_client, requests)
    assert statuses(ends) == {RemediationStatus.TRIGGERED: len(requests)}
    listed = (await bd_client.remediation.list()).remediations
    assert Counter((one.report_id, one.finding_id) for one in listed) == Counter(
        (each.report_id, each.finding_id) for each in requests
    )
    assert {each.remediation.id for each in ends if each.remediation} == {one.id for one in listed}
    assert bd_sandbox.credits() == 1000 - len(requests)


@pytest.mark.bd_sandbox(credits=5)
async def test_when_the_credits_are_spent_the_rest_is_not_triggered(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """The first in order have them; only those under way are refused, the rest is not sent."""
    requests = await wanted_of(bd_client)
    ends = await ends_of(bd_client, requests)
    assert statuses(ends) == {
        RemediationStatus.TRIGGERED: 5,
        RemediationStatus.NOT_TRIGGERED: len(requests) - 5,
    }
    assert bd_sandbox.count("remediation.trigger") <= 5 + AT_ONCE
    assert {
        type(each.error) for each in ends if each.status is RemediationStatus.NOT_TRIGGERED
    } <= {
        QuotaExceeded,
        RunStopped,
    }
    places = [
        index
        for index, one in enumerate(requests)
        for each in ends
        if each.request is one and each.status is RemediationStatus.TRIGGERED
    ]
    assert max(places) < 5 + AT_ONCE


@pytest.mark.bd_sandbox(credits=0)
async def test_without_credits_nothing_is_sent(bd_sandbox: Sandbox, bd_client: BestDefense) -> None:
    """Where it is known before; where it is not, the first refusal ends it."""
    requests = await wanted_of(bd_client)
    known = await ends_of(bd_client, requests, credits_remaining=0)
    assert bd_sandbox.count("remediation.trigger") == 0
    unknown = await ends_of(bd_client, requests)
    assert bd_sandbox.count("remediation.trigger") <= AT_ONCE
    assert statuses(known) == statuses(unknown) == {RemediationStatus.NOT_TRIGGERED: len(requests)}


@pytest.mark.parametrize("kind", ["drop", "reset"])
async def test_a_trigger_whose_answer_is_lost_is_unknown_and_not_sent_again(
    bd_sandbox: Sandbox, bd_client: BestDefense, kind: str
) -> None:
    """The others go on."""
    requests = await wanted_of(bd_client)
    bd_sandbox.fault("remediation.trigger", kind=kind, after_effect=True, nth=3, times=2)
    ends = await ends_of(bd_client, requests)
    assert statuses(ends) == {
        RemediationStatus.TRIGGERED: len(requests) - 2,
        RemediationStatus.UNKNOWN: 2,
    }
    assert bd_sandbox.count("remediation.trigger") == len(requests)
    assert bd_sandbox.credits() == 1000 - len(requests)


async def test_a_permission_that_the_organization_lacks_ends_it(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """The answer says that it would be the same for all."""
    requests = await wanted_of(bd_client)
    reader = bd_client.with_token(bd_sandbox.add_token(permissions={"view reports"}))
    ends = await ends_of(reader, requests)
    assert bd_sandbox.count("remediation.trigger") <= AT_ONCE
    assert all(isinstance(each.error, PermissionDenied) for each in ends)
    assert statuses(ends)[RemediationStatus.REFUSED] <= AT_ONCE


async def test_a_refusal_of_one_does_not_end_the_others(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """A finding that is gone, and one whose repository is not connected."""
    requests = await wanted_of(bd_client)
    gone = RemediationRequest(report_id=requests[0].report_id, finding_id="gone")
    bd_sandbox.fault(
        "remediation.trigger",
        status=403,
        body='{"success":false,"message":"Connect a repository first."}',
        nth=5,
        times=1,
    )
    ends = await ends_of(bd_client, [gone, *requests])
    assert statuses(ends) == {
        RemediationStatus.TRIGGERED: len(requests) - 1,
        RemediationStatus.REFUSED: 2,
    }
    assert {each.error.kind for each in ends if each.error} == {"NotFound", "PermissionDenied"}


async def test_stopping_lets_those_under_way_end(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """What was sent has its true end, what was not has the reason."""
    requests = await wanted_of(bd_client)
    bd_sandbox.fault("remediation.trigger", delay=0.2)
    ends: list[RemediationOutcome] = []
    run = RemediationBatch(bd_client.remediation)
    task = asyncio.ensure_future(run.run(requests, ends.append))
    while bd_sandbox.count("remediation.trigger") < AT_ONCE:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    run.stop(RunStopped("Enough."))
    await task
    assert statuses(ends) == {
        RemediationStatus.TRIGGERED: AT_ONCE,
        RemediationStatus.NOT_TRIGGERED: len(requests) - AT_ONCE,
    }
    assert {str(each.error) for each in ends if each.error} == {"Enough."}
    assert bd_sandbox.credits() == 1000 - AT_ONCE


async def test_a_host_on_which_the_path_is_a_guess_is_one_error(bd_sandbox: Sandbox) -> None:
    """Not one for each finding."""
    async with BestDefense("real-token", bd_sandbox.url) as bd:
        with pytest.raises(ProvisionalRoute):
            await RemediationBatch(bd.remediation).run(
                [RemediationRequest(report_id="r", finding_id="f")], print
            )


def test_an_id_that_cannot_be_sent_fails_that_one_only() -> None:
    """A host may want it in the path, where not everything may stand."""

    class Desk:
        async def trigger(self, report_id: str, **options: object) -> object:
            raise ConfigError("no")

    ends: list[RemediationOutcome] = []
    asyncio.run(
        RemediationBatch(Desk()).run(  # type: ignore[arg-type]
            [RemediationRequest(report_id=name, finding_id="f") for name in "ab"], ends.append
        )
    )
    assert statuses(ends) == {RemediationStatus.NOT_TRIGGERED: 2}


ALONE = Remediation(id="1", report_id="r", finding_id="f", weakness="w")
OTHER = Remediation(id="2", report_id="r", finding_id="g", weakness="w")
GROUP = Remediation(id="3", report_id="r", weakness="w")
FINDING = RemediationRequest(report_id="r", finding_id="f", weakness="w")
WEAKNESS = RemediationRequest(report_id="r", weakness="w", covers=("f", "g"))


@pytest.mark.parametrize(
    ("wanted", "existing", "by"),
    [
        pytest.param(FINDING, [ALONE], "1", id="a finding by its own"),
        pytest.param(FINDING, [GROUP], "3", id="a finding by its weakness"),
        pytest.param(FINDING, [OTHER], None, id="not by its neighbour"),
        pytest.param(WEAKNESS, [GROUP], "3", id="a weakness by its own"),
        pytest.param(WEAKNESS, [ALONE, OTHER], "2", id="a weakness by all its findings"),
        pytest.param(WEAKNESS, [ALONE], None, id="not by some of them"),
        pytest.param(
            RemediationRequest(report_id="q", finding_id="f"), [ALONE], None, id="another report"
        ),
        pytest.param(
            RemediationRequest(report_id="r", finding_id="h"), [GROUP], None, id="no known weakness"
        ),
        pytest.param(
            RemediationRequest(report_id="r", finding_id="h"),
            [Remediation(id="4", report_id="r", finding_id=None, weakness=None)],
            None,
            id="a card that says nothing",
        ),
    ],
)
def test_what_exists_is_not_triggered_again(
    wanted: RemediationRequest, existing: list[Remediation], by: str | None
) -> None:
    """And what is wanted twice is triggered once."""
    missing, covered = without_existing([wanted, wanted], existing)
    assert missing == (() if by else (wanted,))
    assert [each.remediation.id for each in covered if each.remediation] == ([by] if by else [])
