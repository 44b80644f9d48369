"""What a command was asked to make of a run, read from the options of `verdict_options`.

`load_run`: a saved run, found by what a person calls it.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import field, frozen

from bestdefense_async.errors import ConfigError, JournalError, clean_text
from bestdefense_async.models import SEVERITIES, Severity
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.gate.waivers import Waivers, read_waivers
from bestdefense_async.report.run import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bestdefense_async.report.gate.verdict import Verdict


def load_run(name: str) -> Run:
    """Return a run: of a file (`.json`, `.jsonl`, a journal), else of this user's runs.

    Args:
        name: A path, the name of a run or the beginning of it, or `last`.

    Raises:
        ConfigError: There is none, or it cannot be read.
    """
    from bestdefense_async.cli.options.settings import state_directory
    from bestdefense_async.report.saved import read_run
    from bestdefense_async.runs.store.directory import RunStore

    path, problem = Path(name), ""
    shown = clean_text(os.fsencode(name).decode("utf-8", "backslashreplace"), longest=200)
    try:
        if not path.is_file():
            path = RunStore(state_directory() / "runs").find(name)
        return read_run(path)
    except (JournalError, ConfigError) as error:
        problem = str(error)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        problem = f"The run {shown} cannot be read: {reason}."
    raise ConfigError(problem)


@frozen(kw_only=True)
class ReportOptions:
    """What is to be made of a run."""

    policy: GatePolicy
    format_: str | None
    """What stdout holds: one of `verdict_options.FORMATS`; None for nothing."""
    files: tuple[str, ...]
    """Where else to write; the suffix says in which format."""
    min_severity: str
    """Least severity to show; no matter for the gate."""
    is_exit_zero: bool
    """Return 0 also when the gate fails or the run is incomplete."""
    baseline: Run | None = field(default=None, repr=False)
    """An earlier run whose findings fail nothing."""
    waivers: Waivers | None = None
    older: Run | None = field(default=None, repr=False)
    """An earlier run to compare with: outputs say what is new and what is fixed."""
    step_summary: str | None = None
    """The file of GitHub Actions that takes Markdown for the page of the job."""
    is_annotated: bool = False
    """Whether stderr is read by a runner of GitHub Actions."""

    @classmethod
    def from_words(cls, words: Mapping[str, Any], *, gate: bool = False) -> Self:
        """Return what the options say; without `--fail-on`, gates and CI fail on high.

        Raises:
            ConfigError: A file has a suffix nobody can write, the baseline or the waivers cannot
                be read, or the policy makes no sense.
        """
        usual = "high" if gate or os.environ.get("CI") else "none"
        baseline = None if words["baseline"] is None else load_run(words["baseline"])
        compared = words.get("compare")
        is_report = "exit_zero" not in words
        return cls(
            policy=_policy(words, usual=usual),
            format_=words["format_"],
            files=words["files"],
            min_severity=words["min_severity"],
            is_exit_zero=words.get("exit_zero", True),
            baseline=baseline,
            waivers=_waivers(words["waivers"]),
            older=baseline if compared is None else load_run(compared),
            step_summary=None if is_report else os.environ.get("GITHUB_STEP_SUMMARY") or None,
            is_annotated=not is_report and os.environ.get("GITHUB_ACTIONS") == "true",
        )

    def judge(self, run: Run) -> Verdict:
        """Return what the gate says about a run."""
        baseline = None if self.baseline is None else self.baseline.rows
        return judge(run.rows, self.policy, baseline=baseline, waivers=self.waivers)


def _policy(words: Mapping[str, Any], *, usual: str) -> GatePolicy:
    """Return the rules. A limit somebody gave replaces the usual threshold for its severity."""
    allowed = words["allow_incomplete"]
    limits = {
        str(word): words[f"max_{word}"] for word in SEVERITIES if words[f"max_{word}"] is not None
    }
    fail_on = words["fail_on"] or usual
    if words["fail_on"] is None and usual != "none":
        least = Severity(usual).rank
        above = {str(word): 0 for word in SEVERITIES if word.rank >= least}
        if above.keys() & limits.keys():
            fail_on, limits = "none", above | limits
    return GatePolicy(fail_on=Severity(fail_on), max_counts=limits, allow_incomplete=allowed)


def _waivers(name: str | None) -> Waivers | None:
    if name is None:
        return None
    return read_waivers(name, today=datetime.now(UTC).date())
