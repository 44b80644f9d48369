"""What a command makes of a run: how it is judged, shown and written; and saved runs by name."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from attrs import field, frozen

from bestdefense_async.cli.options.database import runs_name, runs_store
from bestdefense_async.cli.terminal import streams
from bestdefense_async.models import SEVERITIES, Severity
from bestdefense_async.report.gate.identity import refuse_same_scans
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.waivers import Waivers, read_waivers
from bestdefense_async.report.result import RunResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bestdefense_async.cli.options.verdict import GateOptions, OutputOptions


def load_run(name: str) -> RunResult:
    """Return a run: of a file (`.json`, `.jsonl`, a store) or stdin, else of this user's runs.

    Args:
        name: A path, `-` for stdin, the name of a run or the beginning of it, or `last`.

    Raises:
        ConfigError: A file cannot be read.
        JournalError: There is none, or it cannot be read.
    """
    from bestdefense_async.runs.store.doors import load

    return load(name, store=runs_store())


@frozen(kw_only=True)
class ReportOptions:
    """What is to be made of a run."""

    policy: GatePolicy
    format_: str | None
    """What stdout holds: one of `verdict.FORMATS`; None for nothing."""
    files: tuple[str, ...]
    """Where else to write; the suffix says in which format."""
    min_severity: str
    """Least severity to show; no matter for the gate."""
    is_exit_zero: bool
    """Return 0 also when the gate fails or the run is incomplete."""
    baseline: RunResult | None = field(default=None, repr=False)
    """An earlier run whose findings fail nothing."""
    waivers: Waivers | None = None
    older: RunResult | None = field(default=None, repr=False)
    """An earlier run to compare with: outputs say what is new and what is fixed."""
    step_summary: str | None = None
    """The file of GitHub Actions that takes Markdown for the page of the job."""
    inputs: tuple[str, ...] = ()
    """What is read besides: no file may be written over it."""
    is_annotated: bool = False
    """Whether stderr is read by a runner of GitHub Actions."""

    @classmethod
    def of(
        cls,
        gate: GateOptions,
        output: OutputOptions,
        *,
        usual: str = "high",
        is_exit_zero: bool = False,
        older: str | None = None,
        run: RunResult | None = None,
        inputs: Iterable[str | None] = (),
    ) -> Self:
        """Return what the options of a command say.

        Args:
            gate: What to judge by.
            output: What to show and write.
            usual: The threshold without `--fail-on`; in CI it is `high` for every command.
            is_exit_zero: Return 0 whatever the verdict says.
            older: A run to compare with, by name; None takes the baseline.
            run: The run itself, where it has begun.
            inputs: Other files that the command reads: a list, a saved run.

        Raises:
            ConfigError: A suffix of a file names no format, the baseline or the waivers cannot
                be read or is the run itself, or the policy makes no sense.
            JournalError: There is no such baseline.
        """
        baseline = None if gate.baseline is None else _older(gate.baseline, run)
        if run is not None and baseline is not None:  # said before anything is sent
            refuse_same_scans(run.outcomes, baseline.outcomes)
        return cls(
            policy=_policy(gate, usual="high" if streams.is_ci() else usual),
            format_=output.format_,
            files=output.files,
            inputs=tuple(
                filter(None, (gate.baseline, gate.waivers, older, str(runs_name()), *inputs))
            ),
            min_severity=output.min_severity,
            is_exit_zero=is_exit_zero,
            baseline=baseline,
            waivers=_waivers(gate.waivers),
            older=baseline if older is None else _older(older, run),
            step_summary=os.environ.get("GITHUB_STEP_SUMMARY") or None,
            is_annotated=os.environ.get("GITHUB_ACTIONS") == "true",
        )


def _policy(gate: GateOptions, *, usual: str) -> GatePolicy:
    """Return the rules. A limit somebody gave replaces the usual threshold for its severity."""
    fail_on, limits = gate.fail_on or usual, gate.max_counts
    if gate.fail_on is None and usual != "none":
        least = Severity(usual).rank
        above = {str(severity): 0 for severity in SEVERITIES if severity.rank >= least}
        if above.keys() & limits.keys():
            fail_on, limits = "none", above | limits
    return GatePolicy(
        fail_on=Severity(fail_on), max_counts=limits, allow_incomplete=gate.allow_incomplete
    )


def _waivers(name: str | None) -> Waivers | None:
    if name is None:
        return None
    return read_waivers(name, today=datetime.now(UTC).date())


def _older(name: str, run: RunResult | None) -> RunResult:
    from bestdefense_async.runs.store.doors import load_older

    return load_run(name) if run is None else load_older(name, run, store=runs_store())
