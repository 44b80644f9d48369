"""OpenTelemetry, with the SDK's exporters in memory: held against the conventions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bestdefense_async import BestDefense, NotFound, PollPolicy, RetryPolicy
from bestdefense_async.errors import AuthError
from bestdefense_async.telemetry import OpenTelemetry
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bestdefense_async.sandbox import Sandbox

REQUIRED = {"http.request.method", "server.address", "server.port", "url.full"}
"""Of an HTTP client span, whatever becomes of it."""
ABSENT = "0d4f7f3a-0000-4b62-9c2f-7b1d8c1f2a3b"

pytestmark = pytest.mark.bd_sandbox(sites=3, speed=3600.0)


class Told:
    """What was exported."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.observer = OpenTelemetry(
            tracer_provider=self.tracers, meter_provider=self.meters, **options
        )

    def spans(self, kind: SpanKind) -> list[ReadableSpan]:
        """Return the spans of a kind that have ended, in their order."""
        return [span for span in self.exporter.get_finished_spans() if span.kind is kind]

    def points(self, name: str) -> list[Any]:
        """Return the points of a metric."""
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def told() -> Told:
    """Return what is exported by default."""
    return Told()


@pytest.fixture
async def client(bd_sandbox: Sandbox, told: Told) -> AsyncIterator[BestDefense]:
    """A client that is observed."""
    async with BestDefense(
        bd_sandbox.token,
        bd_sandbox.url,
        observer=told.observer,
        polling=PollPolicy(speed=3600.0),
        retry=RetryPolicy(base=0.01),
    ) as client:
        yield client


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return what a span says."""
    return dict(span.attributes or {})


async def test_a_call_is_a_span_and_each_request_one_below(
    client: BestDefense, bd_sandbox: Sandbox, told: Told
) -> None:
    """By the stable conventions: names, kinds, parents, what a resend and a failure say."""
    bd_sandbox.fault("sites.list", status=503, times=1)
    with told.tracers.get_tracer("host").start_as_current_span("request") as outer:
        await client.sites.list()

    (call,) = [each for each in told.spans(SpanKind.INTERNAL) if each.name != "request"]
    first, second = told.spans(SpanKind.CLIENT)
    assert call.name == "bestdefense sites.list"
    assert call.parent is not None
    assert call.parent.span_id == outer.get_span_context().span_id
    for span in (first, second):
        assert span.name == "GET /api/sites"
        assert span.parent is not None
        assert span.parent.span_id == call.context.span_id
        assert attributes(span).keys() >= REQUIRED
    port = int(bd_sandbox.url.rpartition(":")[2])
    assert attributes(first) == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": port,
        "url.full": f"{bd_sandbox.url}/api/sites",
        "url.template": "/api/sites",
        "network.protocol.version": "1.1",
        "http.response.status_code": 503,
        "error.type": "503",
    }
    assert (first.status.status_code, first.status.description) == (StatusCode.ERROR, None)
    assert attributes(second)["http.request.resend_count"] == 1
    assert attributes(second)["http.response.status_code"] == 200
    assert "error.type" not in attributes(second)
    assert second.status.status_code is call.status.status_code is StatusCode.UNSET
    assert attributes(call)["bestdefense.attempts"] == 2
    assert attributes(call)["bestdefense.wait.backoff"] > 0


async def test_a_refusal_is_an_error_of_its_status(client: BestDefense, told: Told) -> None:
    """4xx too; the name of the span has the template, never the id."""
    with pytest.raises(NotFound):
        await client.reports.overview(ABSENT)

    (span,) = told.spans(SpanKind.CLIENT)
    assert span.name == "GET /api/report/{report_id}/overview"
    assert attributes(span)["error.type"] == "404"
    assert attributes(span)["url.full"].endswith(f"/api/report/{ABSENT}/overview")
    (call,) = told.spans(SpanKind.INTERNAL)
    assert attributes(call)["error.type"] == "NotFound"
    assert call.status.status_code is StatusCode.ERROR


async def test_a_request_without_an_answer_says_what_happened(
    client: BestDefense, bd_sandbox: Sandbox, told: Told
) -> None:
    """There is no status then, and the kind of error in its place; so it is when cancelled."""
    bd_sandbox.fault("sites.list", delay=30.0)
    task = asyncio.create_task(client.sites.list())
    await until(lambda: bd_sandbox.count("sites.list") == 1)
    task.cancel()
    await asyncio.wait([task])

    (span,) = told.spans(SpanKind.CLIENT)
    assert attributes(span)["error.type"] == "Cancelled"
    assert "http.response.status_code" not in attributes(span)


async def test_the_trace_goes_on_at_the_server(
    client: BestDefense, bd_sandbox: Sandbox, told: Told
) -> None:
    """Each request carries the context of its own span."""
    await client.sites.list()

    (span,) = told.spans(SpanKind.CLIENT)
    (arrival,) = bd_sandbox.requests("sites.list")
    version, *ids, _ = arrival.headers["traceparent"].split("-")
    assert version == "00"
    assert ids == [
        trace.format_trace_id(span.context.trace_id),
        trace.format_span_id(span.context.span_id),
    ]


async def test_the_durations_of_requests_are_a_metric_of_the_conventions(
    client: BestDefense, bd_sandbox: Sandbox, told: Told
) -> None:
    """With their boundaries, in seconds, and without anything that has many values."""
    await client.sites.list()
    await client.sites.list()

    (point,) = told.points("http.client.request.duration")
    assert dict(point.attributes) == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": int(bd_sandbox.url.rpartition(":")[2]),
        "http.response.status_code": 200,
        "url.template": "/api/sites",
    }
    assert point.count == 2
    assert 0 < point.sum < 60
    assert point.explicit_bounds == (
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    )  # fmt: skip


async def test_scans_and_waits_are_counted_and_polls_have_no_spans(
    client: BestDefense, bd_sandbox: Sandbox, told: Told
) -> None:
    """Of a run, with a 429: one span for each creation, and none for its polls."""
    bd_sandbox.fault("reports.create", status=429, headers={"Retry-After": "0"}, times=1)
    async with client.scan_many(bd_sandbox.hostnames) as run:
        outcomes = [outcome async for outcome in run]

    assert len(outcomes) == 3
    names = [span.name for span in told.spans(SpanKind.CLIENT)]
    assert not any("progress" in name for name in names)
    assert names.count("POST /api/report/create/for-target/{site_id}") == 4
    assert [point.value for point in told.points("bestdefense.scans.active")] == [0]
    (ended,) = told.points("bestdefense.scans.ended")
    assert (ended.value, dict(ended.attributes)) == (3, {"bestdefense.scan.status": "done"})
    assert told.points("bestdefense.scan.duration")[0].count == 3
    assert told.points("bestdefense.client.limit.pauses")[0].value == 1
    reasons = {
        point.attributes["bestdefense.wait.reason"]
        for point in told.points("bestdefense.client.wait.duration")
    }
    assert reasons <= {"limit", "pause", "unknown history", "slot", "pace", "backoff"}
    assert reasons


@pytest.mark.parametrize("is_asked", [True, False])
async def test_tenants_and_polls_are_told_only_when_asked_for(
    bd_sandbox: Sandbox, *, is_asked: bool
) -> None:
    """And no token stands anywhere, whatever became of the call."""
    told = Told(polls=is_asked, tenant=is_asked)
    revoked = bd_sandbox.add_token(revoked=True)
    async with BestDefense(bd_sandbox.token, bd_sandbox.url, observer=told.observer) as client:
        report = await client.with_token(bd_sandbox.token, name="org-a").reports.create(
            bd_sandbox.site_ids[0]
        )
        await client.with_token(bd_sandbox.token, name="org-a").reports.progress(report)
        with pytest.raises(AuthError):
            await client.with_token(revoked, name="org-b").sites.list()

    spans = told.spans(SpanKind.CLIENT) + told.spans(SpanKind.INTERNAL)
    assert any("progress" in span.name for span in spans) is is_asked
    names = {attributes(span).get("bestdefense.tenant") for span in spans}
    assert names == ({"org-a", "org-b"} if is_asked else {None})
    text = "".join(span.to_json() for span in spans) + str(told.reader.get_metrics_data())
    assert bd_sandbox.token not in text
    assert revoked not in text


async def test_what_the_client_does_now_is_recorded_while_it_is_watched(
    client: BestDefense, bd_sandbox: Sandbox, told: Told
) -> None:
    """In flight, waiting by reason, and how late the polls are."""
    bd_sandbox.fault("sites.list", delay=30.0)
    call = asyncio.create_task(client.sites.list())
    await until(lambda: bd_sandbox.count("sites.list") == 1)
    watching = asyncio.create_task(told.observer.watch(client, every=0.01))

    await until(lambda: bool(told.points("bestdefense.client.in_flight")))

    assert told.points("bestdefense.client.in_flight")[0].value == 1
    assert told.points("bestdefense.polls.lag")[0].value == 0.0
    for task in (call, watching):
        task.cancel()
    await asyncio.wait([call, watching])


async def test_without_an_sdk_nothing_is_recorded_and_calls_go_on(bd_sandbox: Sandbox) -> None:
    """The API's own tracers and meters do nothing."""
    async with BestDefense(bd_sandbox.token, bd_sandbox.url, observer=OpenTelemetry()) as client:
        assert len(await client.sites.list()) == 3
