"""OpenTelemetry, behind the extra `otel`: spans and metrics of calls and scans.

    async with BestDefense(observer=OpenTelemetry()) as bd: ...

A call is one INTERNAL span, and each request of it one CLIENT span below, by the stable HTTP
conventions, which want a span for each resend and none around them. Only the API of OpenTelemetry
is used: what becomes of it is the business of the SDK that the host program sets up, and without
one nothing is recorded. 47 of 50 requests of a scan are polls: they are in the metrics, and have
spans only when that is asked for.

Source: https://opentelemetry.io/docs/specs/semconv/http/ (stable since 1.23)
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

from bestdefense_async._version import __version__
from bestdefense_async.core.check import check_seconds
from bestdefense_async.models import ScanFinished, ScanStarted
from bestdefense_async.transport.observe import Observer

try:
    from opentelemetry import metrics, propagate, trace
except ImportError as _error:
    raise ImportError(
        "Telemetry needs OpenTelemetry: pip install 'bestdefense-async[otel]'."
    ) from _error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from bestdefense_async.client import BestDefense
    from bestdefense_async.transport.observe import (
        AttemptInfo,
        CallInfo,
        CallResult,
        WaitInfo,
    )

Attributes: TypeAlias = dict[str, str | int | float]

_NAME: Final = "bestdefense_async"
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.27.0"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The boundaries that the conventions ask for."""
_LONG: Final = (0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600)
"""For waits and scans, which take up to hours."""
_FAILED_FROM: Final = 400


class OpenTelemetry(Observer):
    """Tells OpenTelemetry of every call.

    Args:
        tracer_provider: Where spans go; None for the global one.
        meter_provider: Where metrics go; None for the global one.
        spans: Whether there are spans at all.
        polls: Whether polls have spans, too.
        tenant: Whether spans and metrics carry the tenant's name as `bestdefense.tenant`.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        spans: bool = True,
        polls: bool = False,
        tenant: bool = False,
    ) -> None:
        self._tracer = trace.get_tracer(
            _NAME, __version__, tracer_provider=tracer_provider, schema_url=_SCHEMA
        )
        self._has_spans = spans
        self._has_polls = polls
        self._has_tenant = tenant
        self._calls: dict[int, tuple[Span, Context]] = {}
        self._attempts: dict[int, Span] = {}
        self._followed: set[str | None] = set()
        """The scans that run, by their reports."""
        meter = metrics.get_meter(_NAME, __version__, meter_provider, schema_url=_SCHEMA)
        self._requests = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._waits = meter.create_histogram(
            "bestdefense.client.wait.duration",
            "s",
            "How long calls waited before they were sent, by reason.",
            explicit_bucket_boundaries_advisory=_LONG,
        )
        self._pauses = meter.create_counter(
            "bestdefense.client.limit.pauses", "{pause}", "Limits that a 429 has paused."
        )
        self._active = meter.create_up_down_counter(
            "bestdefense.scans.active", "{scan}", "Scans that exist and are followed."
        )
        self._ended = meter.create_counter(
            "bestdefense.scans.ended", "{scan}", "Targets that have an outcome, by its status."
        )
        self._durations = meter.create_histogram(
            "bestdefense.scan.duration",
            "s",
            "How long scans took that were followed to their end.",
            explicit_bucket_boundaries_advisory=_LONG,
        )
        self._in_flight = meter.create_gauge(
            "bestdefense.client.in_flight", "{request}", "Requests under way."
        )
        self._waiting = meter.create_gauge(
            "bestdefense.client.waiting", "{call}", "Calls that wait, by reason."
        )
        self._lag = meter.create_gauge(
            "bestdefense.polls.lag", "s", "How long the poll whose turn it is next is overdue."
        )

    # -- calls

    def call_began(self, call: CallInfo) -> None:
        """Begin the span of a call, below the one that is current where it was made."""
        if self._is_traced(call):
            span = self._tracer.start_span(
                f"bestdefense {call.operation}",
                attributes={"bestdefense.operation": call.operation, **self._tenant(call.tenant)},
            )
            self._calls[call.id] = span, trace.set_span_in_context(span)

    def attempt_began(self, call: CallInfo, attempt: int) -> Mapping[str, str] | None:
        """Begin the span of a request; return the headers that carry its context."""
        if call.id not in self._calls:
            return None
        attributes: Attributes = {
            **_of_server(call),
            "url.full": f"{call.scheme}://{_authority(call)}{call.path}",
            "url.template": call.template,
            "network.protocol.version": "1.1",
            **self._tenant(call.tenant),
        }
        if attempt > 1:
            attributes["http.request.resend_count"] = attempt - 1
        _, context = self._calls[call.id]
        span = self._tracer.start_span(
            f"{call.method} {call.template}",
            context,
            trace.SpanKind.CLIENT,
            attributes=attributes,
        )
        self._attempts[call.id] = span
        headers: dict[str, str] = {}
        propagate.inject(headers, trace.set_span_in_context(span, context))
        return headers

    def attempt_ended(self, call: CallInfo, attempt: AttemptInfo) -> None:
        """End the span of a request, and record its duration."""
        result: Attributes = {}
        if attempt.status is not None:
            result["http.response.status_code"] = attempt.status
        if attempt.status is not None and attempt.status >= _FAILED_FROM:
            result["error.type"] = str(attempt.status)
        elif attempt.error is not None:
            result["error.type"] = attempt.error
        attributes = {**_of_server(call), **result, "url.template": call.template}
        self._requests.record(attempt.duration, {**attributes, **self._tenant(call.tenant)})
        span = self._attempts.pop(call.id, None)
        if span is not None:
            _end(span, result)

    def wait_ended(self, call: CallInfo, wait: WaitInfo) -> None:
        """Record a wait, and note it in the span of the call."""
        attributes: Attributes = {
            "bestdefense.operation": call.operation,
            "bestdefense.wait.reason": str(wait.reason),
        }
        self._waits.record(wait.seconds or 0.0, {**attributes, **self._tenant(call.tenant)})

    def paused(self, call: CallInfo, attempt: int, seconds: float) -> None:  # noqa: ARG002 - the observer's names
        """Count a pause, and note it in the span of the call."""
        attributes: Attributes = {"bestdefense.operation": call.operation}
        self._pauses.add(1, {**attributes, **self._tenant(call.tenant)})
        if call.id in self._calls:
            self._calls[call.id][0].add_event("limit paused", {"bestdefense.pause": seconds})

    def call_ended(self, call: CallInfo, result: CallResult) -> None:
        """End the span of a call, with the seconds it waited for each reason."""
        span, _ = self._calls.pop(call.id, (None, None))
        if span is None:
            return
        attributes: Attributes = {
            f"bestdefense.wait.{reason.name.lower()}": seconds
            for reason, seconds in result.waits.items()
        }
        attributes["bestdefense.attempts"] = result.attempts
        if result.error is not None:
            attributes["error.type"] = result.error
        _end(span, attributes)

    # -- scans

    def scan_event(self, tenant: str | None, event: object) -> None:
        """Count the scans that run, and those that have ended."""
        attributes = self._tenant(tenant)
        if isinstance(event, ScanStarted):
            if event.report_id not in self._followed:
                self._followed.add(event.report_id)
                self._active.add(1, attributes)
        elif isinstance(event, ScanFinished):
            outcome = event.outcome
            self._ended.add(1, {"bestdefense.scan.status": str(outcome.status), **attributes})
            if outcome.report_id not in self._followed:
                return
            self._followed.discard(outcome.report_id)
            self._active.add(-1, attributes)
            if outcome.started_at is not None and outcome.finished_at is not None:
                self._durations.record(outcome.finished_at - outcome.started_at, attributes)

    async def watch(self, client: BestDefense, *, every: float = 15.0) -> None:
        """Record what the client does now, again and again, until it is cancelled.

        Run it as a task beside the client: how much is in flight, who waits for what, and how late
        the polls are.
        """
        check_seconds("every", every)
        while True:
            self._look(client)
            await asyncio.sleep(every)

    def _look(self, client: BestDefense) -> None:
        stats = client.stats()
        self._in_flight.set(stats.in_flight)
        waiting = {"slot": stats.waiting_for_slot, "connection": stats.connecting}
        for queue in (each for tenant in stats.tenants for each in tenant.limits.values()):
            waiting[str(queue.reason)] = waiting.get(str(queue.reason), 0) + queue.waiting
        for reason, count in waiting.items():
            self._waiting.set(count, {"bestdefense.wait.reason": reason})
        polls = [each for tenant in stats.tenants for each in tenant.polls.values()]
        self._lag.set(max((each.unasked for each in polls if each.due), default=0.0))

    def _is_traced(self, call: CallInfo) -> bool:
        return self._has_spans and (self._has_polls or not call.operation.endswith(".progress"))

    def _tenant(self, name: str | None) -> Attributes:
        return {"bestdefense.tenant": name} if self._has_tenant and name is not None else {}


def _of_server(call: CallInfo) -> Attributes:
    return {
        "http.request.method": call.method,
        "server.address": call.host,
        "server.port": call.port,
    }


def _authority(call: CallInfo) -> str:
    host = f"[{call.host}]" if ":" in call.host else call.host
    is_usual = call.port == (443 if call.scheme == "https" else 80)
    return host if is_usual else f"{host}:{call.port}"


def _end(span: Span, attributes: Attributes) -> None:
    span.set_attributes(attributes)
    if "error.type" in attributes:
        span.set_status(trace.StatusCode.ERROR)
    span.end()
