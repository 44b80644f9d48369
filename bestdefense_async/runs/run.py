"""The door: one bulk run, from its targets to its verdict and its files.

A run is a `ScanGroup`, what it is recorded in, and the outcomes it has had. `BestDefense.scan_many`
begins one and `BestDefense.resume` goes on with one.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, cast

from bestdefense_async.core.polling import DEFAULT_POLICY, PollPolicy, learn
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError, JournalError, LifecycleError
from bestdefense_async.models import (
    Outcome,
    OutcomeStatus,
    ScanEvent,
    ScanFinished,
    ScanOptions,
    ScanStarted,
    StartingPaused,
    StartingResumed,
    TargetRejected,
)
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.gate.waivers import Waivers, read_waivers
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.writer import check_outputs, write_run
from bestdefense_async.runs.drain_signals import DrainSignals
from bestdefense_async.runs.group import ScanGroup
from bestdefense_async.runs.plan import Plan, make_plan
from bestdefense_async.runs.run_settings import MOST_ACTIVE, RunSettings, RunStats, take_over
from bestdefense_async.runs.source import indexed, listed, planned_counts, unknown_of
from bestdefense_async.runs.store.doors import load_older

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Unpack

    from bestdefense_async.models import Severity
    from bestdefense_async.report.gate.policy import Allowance
    from bestdefense_async.report.gate.verdict import Verdict
    from bestdefense_async.runs.inputs import Items
    from bestdefense_async.runs.run_settings import GroupSettings, RunClient
    from bestdefense_async.runs.source import Source
    from bestdefense_async.runs.store.protocol import HeldRun, Journal, RunInfo, Store

_SETTLED: Final = {OutcomeStatus.DONE, OutcomeStatus.UNKNOWN}
"""What a resumed run does not go on with."""


class Run:
    """Many scans as one thing: iterate it, then judge it and write it.

        async with bd.scan_many("hosts.txt", store="runs.db") as run:
            async for outcome in run:
                ...
        verdict = run.judge(fail_on="high", baseline="last")
        run.write("report.html", verdict)

    It yields each outcome as it comes; of a resumed run, those of this part of it. Leaving the loop
    early starts nothing more: what exists is followed to its end, or left with `drain()` first. The
    block's other ends are those of `ScanGroup`.

    Its outcomes stay in memory, some 15 kB for a scan with ten findings. A `ScanGroup` is for feeds
    without an end.
    """

    def __init__(
        self,
        client: RunClient,
        source: Source,
        options: ScanOptions | None = None,
        *,
        store: Store | None = None,
        resumes: str | None = None,
        **settings: Unpack[RunSettings],
    ) -> None:
        unknown = settings.keys() - RunSettings.__annotations__.keys()
        if unknown:
            raise TypeError(f"A run has no setting {min(unknown)!r}.")
        self._client = client
        self._source = source
        self._scan_options = ScanOptions() if options is None else options
        self._store = store
        self._resumes = resumes
        self._inputs: list[object] = [source, getattr(store, "path", None)]
        """What the run has read: files among it are not written over."""
        self._drain_on = tuple(settings.pop("drain_on", ()))
        policy = settings.pop("policy", None)
        self._policy: Mapping[str, Any] | None = None if policy is None else policy.as_dict()
        self._on_event = settings.get("on_event")
        self._settings = cast("GroupSettings", settings | {"on_event": self._record})
        self._group: ScanGroup | None = None
        self._held: HeldRun | None = None
        self._info: RunInfo | None = None
        self._signals = DrainSignals(self.drain)
        self._outcomes: dict[int, Outcome] = {}
        self._duplicates: set[int] = set()
        self._active: set[int] = set()
        self._outages: list[tuple[float, float]] = []
        self._throttled: list[tuple[float, float]] = []
        self._started_at: float | None = None
        self._finished_at: float | None = None

    async def __aenter__(self) -> Self:
        """Begin the run.

        Raises:
            ConfigError: The targets cannot be read.
            JournalError: The store cannot be written, holds no such run, or another process has it.
        """
        if self._group is not None:
            raise LifecycleError("A Run is used once: make another.")
        self._make_group(None)  # what is wrong with the settings is said before there is a record
        self._signals.install(self._drain_on)
        try:
            items = await self._begin()
            self._settings["polling"] = self._polling(await self._samples())
            self._group = self._make_group(None if self._held is None else self._held.journal)
            await self._group.__aenter__()
        except BaseException:
            await self._left()
            raise
        self._client.pauses.add(self._paused)
        self._started_at = time.time() if self._info is None else self._info.created_at
        for each in items:
            self._group.feed(each)
        self._signals.ready()
        return self

    def _make_group(self, journal: Journal | None) -> ScanGroup:
        return ScanGroup(
            self._client, options=self._scan_options, journal=journal, **self._settings
        )

    async def _samples(self) -> Sequence[tuple[float, bool]]:
        """Return how long earlier scans of the kind took, as the store knows it."""
        if self._store is None:
            return ()
        return await self._store.samples(self._scan_options.kind, base_url=self._client.base_url)

    def _polling(self, samples: Sequence[tuple[float, bool]]) -> PollPolicy:
        """Return how often scans are asked for: as somebody has said, else as was learned."""
        policy = self._settings.get("polling") or self._client.polls.policy
        return PollPolicy(learned=learn(samples)) if policy == DEFAULT_POLICY else policy

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._opened.__aexit__(kind, error, traceback)
        finally:
            self._finished_at = time.time()
            await self._left()

    async def _left(self) -> None:
        """Give back the signals and the run."""
        self._client.pauses.discard(self._paused)
        try:
            await self._signals.aclose()
        finally:
            if self._held is not None:
                await self._held.journal.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        """Return the next outcome; duplicates have none."""
        while True:
            outcome = await anext(self._opened)
            if outcome.index not in self._duplicates:
                return outcome

    async def drain(self, timeout: float | None = 60.0) -> None:
        """Start nothing more, let what was sent be answered and recorded, then stop.

        Scans that run are not waited for: they are `running`, and the run can be resumed.

        Args:
            timeout: Seconds after which calls under way are cancelled too, None for no end.
        """
        await self._opened.drain(timeout)

    @property
    def name(self) -> str:
        """The name of the run in its store; `scan` without one."""
        return "scan" if self._held is None else self._held.name

    def _repr_html_(self) -> str:
        """Return the run as far as it is as a table, for notebooks."""
        return self.result._repr_html_()

    @property
    def result(self) -> RunResult:
        """The run as far as it is: a value to judge, compare and render."""
        return RunResult(
            outcomes=tuple(self._outcomes[index] for index in sorted(self._outcomes)),
            name=self.name,
            started_at=self._started_at,
            finished_at=self._finished_at,
            base_url=self._client.base_url,
            options=self._scan_options,
            policy=self._policy,
            outages=tuple(self._outages),
            throttled=tuple(self._throttled),
        )

    @property
    def throttled(self) -> Sequence[tuple[float, float]]:
        """Spans in which a rate limit held requests back, so far; seconds since the epoch."""
        return self._throttled

    @property
    def stats(self) -> RunStats:
        """Where the run stands."""
        seen = Counter(str(outcome.status) for outcome in self._outcomes.values())
        return RunStats(active=len(self._active), by_status=seen)

    async def plan(self) -> Plan:
        """Return what the run will take: scans, requests, time. Nothing is started or recorded.

        Before the run begins, and of a list or a collection.

        Raises:
            ConfigError: The targets cannot be read, or nobody knows how many there are.
            JournalError: The store cannot be read, or holds no such run.
        """
        if self._resumes is not None:
            record = await self._stored().record(self._resumes)
            self._scan_options = (await record.info()).known_options()
            planned: Sequence[object] = [each.item for each in await record.remaining()]
        else:
            found = await listed(self._source)
            if found is None:
                raise ConfigError("Nobody knows how many targets an iterable has: give a list.")
            self._source = planned = found
        samples = await self._samples()
        return make_plan(
            **planned_counts(planned),
            options=self._scan_options,
            max_active=self._settings.get("max_active", MOST_ACTIVE),
            polling=self._polling(samples),
            limits={name: route.limits for name, route in ROUTES.items()},
            samples=samples,
        )

    def judge(
        self,
        *,
        fail_on: Severity | str | None = "high",
        max_counts: Mapping[Any, int] | None = None,
        allow_incomplete: Allowance | int | str = 0,
        baseline: RunResult | os.PathLike[str] | str | None = None,
        waivers: Waivers | os.PathLike[str] | str | None = None,
    ) -> Verdict:
        """Return what the gate says about the run as far as it is.

        Reads files where some are named: in a service, call it in a thread.

        Args:
            fail_on: The severity from which a finding fails the run; None for no such rule.
            max_counts: How many findings of a severity may be there, by severity.
            allow_incomplete: Targets without a verdict that do not matter, like 3 or `5%`.
            baseline: An earlier run, whose findings fail nothing: the run, the path of a saved one,
                or its name in the store. `last` is the one that was the newest when this run began.
            waivers: Findings that were accepted, or the path of their file.

        Raises:
            ConfigError: The rules make no sense, a file cannot be read, or the baseline is this run
                itself.
            JournalError: The store cannot be read, or holds no such run.
        """
        policy = GatePolicy(
            fail_on=fail_on, max_counts=max_counts or {}, allow_incomplete=allow_incomplete
        )
        self._inputs += (baseline, waivers)
        known = None
        if baseline is not None:
            known = load_older(baseline, self.result, store=self._store).outcomes
        if waivers is not None and not isinstance(waivers, Waivers):
            waivers = read_waivers(Path(waivers), today=datetime.now(UTC).date())
        return judge(self.result.outcomes, policy, baseline=known, waivers=waivers)

    def write(
        self,
        path: os.PathLike[str] | str,
        verdict: Verdict,
        *,
        compared: RunResult | os.PathLike[str] | str | None = None,
    ) -> None:
        """Write the run to a file, in the format of its suffix, whole or not at all.

        Takes a moment for thousands of sites: in a service, call it in a thread.

        Args:
            path: The file.
            verdict: What `judge` has said.
            compared: An earlier run, as `judge` takes it; the file says what is new and fixed.

        Raises:
            ConfigError: No format has this suffix, or the file is one that the run was made from:
                its list, its store, a baseline, the waivers.
            OSError: The file cannot be written.
        """
        files = [each for each in (*self._inputs, compared) if isinstance(each, str | os.PathLike)]
        check_outputs([path], files)
        run, older = self.result, None
        if compared is not None:
            older = load_older(compared, run, store=self._store)
        write_run(Path(path), run, verdict, older=older)

    @property
    def _opened(self) -> ScanGroup:
        if self._group is None:
            raise LifecycleError("Use a Run as `async with bd.scan_many(...) as run`.")
        return self._group

    def _record(self, event: ScanEvent) -> None:
        """Keep what came, and pass the event on."""
        if isinstance(event, ScanStarted):
            self._active.add(event.index)
        elif isinstance(event, TargetRejected) and event.reason == "duplicate":
            self._duplicates.add(event.index)
        elif isinstance(event, StartingPaused):
            self._outages.append((event.since, time.time()))
        elif isinstance(event, StartingResumed):
            begin, _ = self._outages[-1]
            self._outages[-1] = (begin, begin + event.paused_for)
        elif isinstance(event, ScanFinished):
            self._active.discard(event.outcome.index)
            if event.outcome.index not in self._duplicates:
                self._outcomes[event.outcome.index] = event.outcome
        if self._on_event is not None:
            self._on_event(event)

    def _paused(self, seconds: float) -> None:
        """Keep the pause of a limit; pauses that overlap are one."""
        begin = time.time()
        end = begin + seconds
        if self._throttled and begin <= self._throttled[-1][1]:
            begin, before = self._throttled.pop()
            end = max(before, end)
        self._throttled.append((begin, end))
        if self._held is not None:
            with contextlib.suppress(JournalError):  # the next write says it, too
                self._held.journal.span("throttled", begin, end)

    async def _begin(self) -> Sequence[Items]:
        """Begin or take over the run, and return what to feed."""
        if self._resumes is not None:
            return await self._continued(self._stored(), self._resumes)
        found = await listed(self._source)
        if self._store is not None:
            self._held = await self._store.create(
                base_url=self._client.base_url,
                token_key=await self._client.token_key(),
                options=self._scan_options,
                plan=found or (),
                policy=self._policy,
            )
            self._info = await self._held.record.info()
        return [cast("Items", self._source) if found is None else indexed(found)]

    async def _continued(self, store: Store, name: str) -> Sequence[Items]:
        self._held = held = await take_over(self._client, store, name)
        self._info = await held.record.info()
        self._scan_options = self._info.known_options()
        self._policy = self._info.policy
        earlier = await held.record.result()
        self._outages += earlier.outages
        self._throttled += earlier.throttled
        for outcome in earlier.outcomes:
            if outcome.status in _SETTLED:
                self._outcomes[outcome.index] = outcome
        items: list[Items] = [await held.record.remaining()]
        if self._source != ():
            more = await listed(self._source)
            known = await held.record.known_targets()
            items.append(unknown_of(cast("Items", self._source) if more is None else more, known))
        return items

    def _stored(self) -> Store:
        if self._store is None:
            raise ConfigError("To go on with a run, name the store it is in.")
        return self._store
