"""What becomes of a run: table or data on stdout, files, verdict on stderr, and the exit code."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TextIO, cast

from attrs import field, frozen

from bestdefense_async.cli.exits import Exit, Unwritable, told_as
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.outcomes import SHOWN, findings_text, run_table
from bestdefense_async.cli.terminal.words import in_days, is_soon, status_text
from bestdefense_async.errors import ConfigError
from bestdefense_async.files import followed
from bestdefense_async.models import Severity
from bestdefense_async.report.formats.github import annotation_lines, append_summary
from bestdefense_async.report.formats.json import EventLog
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import exit_code, judge
from bestdefense_async.report.gate.waivers import Waivers
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.text import counted, visible
from bestdefense_async.report.writer import check_outputs, missing_from, renderer, write_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from bestdefense_async.models import Outcome, ScanEvent
    from bestdefense_async.report.gate.verdict import Verdict


_TARGET_ERRORS: Final = frozenset({"TargetError", "UnknownSite"})
"""What is wrong with a target itself: no run over it can go on."""
_FINAL: Final = frozenset(
    {"InvalidRequest", "PermissionDenied", "NotFound", "Conflict", "ClientError"}
)
"""Refusals that are the same tomorrow, unless somebody does something."""


@frozen(kw_only=True)
class ReportOptions:
    """What is to be made of a run: read, checked, and the same for every command."""

    policy: GatePolicy
    format_: str | None
    """What stdout holds: the table, or what a file with that suffix would; None for nothing."""
    files: tuple[str, ...]
    """Where else to write; the suffix says in which format."""
    min_severity: str = "informational"
    """Least severity to show; no matter for the gate."""
    is_exit_zero: bool = False
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
    waive_with: str | None = ""
    """The options by which `waive` finds the run; None where only a whole fingerprint will do."""
    named: str = "{}"
    """How another command is told the run, from its name."""


class _Stdout:
    """stdout as a stream that says clearly why it takes no more."""

    def write(self, text: str) -> int:
        """Write at once."""
        streams.put(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` has flushed."""


class Results:
    """Writes a run as it happens and when it has ended. Use it as a context manager."""

    def __init__(self, report_options: ReportOptions, *, is_live: bool = True) -> None:
        """Write nothing yet; with `is_live`, events are written before the run has ended."""
        self._options = report_options
        self._is_live = is_live
        self._logs: list[EventLog] = []
        self._stdout: EventLog | None = None
        """Events on stdout; None when they do not go there, or nobody reads them any more."""
        self._is_unread = False
        """The reader of stdout went away: the run goes on, its files are written."""
        self._files = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Check that every output can be written, before anything is sent.

        Raises:
            ConfigError: A file cannot be written, would be written over what is read, or its
                suffix names no format.
        """
        paths = [Path(name) for name in self._options.files]
        check_outputs(paths, self._options.inputs)
        for path in paths:
            _require_writable(path)
        if not self._is_live:
            return self
        if self._options.format_ == "jsonl":
            self._stdout = _log(cast("TextIO", _Stdout()))
        for path in paths:
            if _is_log(path):
                self._logs.append(_log(self._files.enter_context(_opened(path))))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._files.close()

    def begin(self, run: RunResult) -> None:
        """Write the first event of the logs."""
        self._write_events(lambda log: log.run_started(run))

    def record(self, event: ScanEvent) -> None:
        """Write an event to every log.

        Raises:
            Unwritable: It cannot be written.
        """
        self._write_events(lambda log: log.write(event))

    def _write_events(self, write: Callable[[EventLog], None]) -> None:
        for log in self._logs:
            with told_as("The results could not be written", Unwritable):
                write(log)
        if self._stdout is not None:
            with told_as("The results could not be written", Unwritable):
                try:
                    write(self._stdout)
                except streams.ReaderGone:
                    self._is_unread, self._stdout = True, None

    def conclude(
        self, run: RunResult, *, is_interrupted: bool = False, resume: str | None = None
    ) -> int:
        """Judge a run that is whole, write it everywhere, say the verdict; return the exit code.

        Args:
            run: The whole run.
            is_interrupted: A signal ended it.
            resume: The name by which it can be resumed; None when it has no journal.
        """
        options = self._options
        verdict = judge(
            run.outcomes,
            options.policy,
            baseline=None if options.baseline is None else options.baseline.outcomes,
            waivers=options.waivers,
        )
        # stdout comes last: when its reader has gone, the files are there all the same.
        unwritten = [
            *self._write_files(run, verdict),
            *self._write_step_summary(run, verdict),
            *self._write_stdout(run, verdict),
        ]
        for problem in (*unwritten, *self._gaps(verdict)):
            streams.say(f"bestdefense: {problem}")
        self._say_findings(verdict)
        _say_missing(run.outcomes)
        _say_waivers(verdict)
        for line in annotation_lines(verdict) if options.is_annotated else ():
            streams.say(line)
        resume = None if resume is None else options.named.format(resume)
        following = [] if resume is None else _next_lines(run.outcomes, resume)
        if unwritten and resume is not None:
            following.append(f"to write what is missing: bestdefense report {resume} -o FILE")
        if is_interrupted:
            following = [verdict.sentence, _interrupted_line(run), *following]
        else:
            following.append(verdict.sentence)
        for line in following:
            streams.say(line)
        if is_interrupted:
            return Exit.INTERRUPTED
        if self._is_unread:
            return Exit.NO_READER
        code = Exit.OK if options.is_exit_zero else _code(run, verdict)
        return Exit.INCOMPLETE if unwritten and code == Exit.OK else code

    def _gaps(self, verdict: Verdict) -> list[str]:
        """Return which findings a format has no room for."""
        shown = self._options.format_
        names = [*self._options.files, *([] if shown in {None, "table"} else [f"run.{shown}"])]
        return list(dict.fromkeys(filter(None, (missing_from(name, verdict) for name in names))))

    def _say_findings(self, verdict: Verdict) -> None:
        """Say what fails the gate, unless it stands on stdout, for people, already."""
        if self._options.format_ in {"table", None} and not self._is_unread:
            return
        streams.say_block(self._findings_text(verdict, least=None, is_coloured=False))

    def _write_stdout(self, run: RunResult, verdict: Verdict) -> list[str]:
        """Write the run to stdout; return what went wrong, to be said before the verdict."""
        try:
            if self._options.format_ == "table":
                streams.put(self._for_people(run, verdict))
            elif self._options.format_ == "jsonl" and self._is_live:
                if self._stdout is not None:
                    self._stdout.run_summary(run, verdict, older=self._options.older)
            elif self._options.format_ is not None:
                name = f"run.{self._options.format_}"
                streams.put(renderer(name)(run, verdict, older=self._options.older))
        except streams.ReaderGone:
            self._is_unread = True
        except Unwritable as error:
            return [str(error)]
        return []

    def _for_people(self, run: RunResult, verdict: Verdict) -> str:
        """Return the table of the targets, and the findings that matter below it."""
        least = self._options.min_severity
        table = run_table(run, verdict, min_severity=least, older=self._options.older)
        findings = self._findings_text(
            verdict, least=Severity(least), is_coloured=streams.is_coloured()
        )
        return f"{table}\n{findings}" if findings else table

    def _findings_text(self, verdict: Verdict, *, least: Severity | None, is_coloured: bool) -> str:
        return findings_text(
            verdict,
            least=least,
            is_coloured=is_coloured,
            width=streams.width(),
            waive_with=self._options.waive_with,
        )

    def _write_files(self, run: RunResult, verdict: Verdict) -> list[str]:
        problems = []
        for log in self._logs:
            try:
                log.run_summary(run, verdict, older=self._options.older)
            except OSError as error:
                problems.append(f"A log could not be finished: {error.strerror}.")
        for name in self._options.files:
            if self._is_live and _is_log(Path(name)):
                continue
            try:
                write_run(name, run, verdict, older=self._options.older)
            except OSError as error:
                problems.append(f"{name!r} could not be written: {error.strerror}.")
        return problems

    def _write_step_summary(self, run: RunResult, verdict: Verdict) -> list[str]:
        if self._options.step_summary is None:
            return []
        try:
            append_summary(self._options.step_summary, run, verdict, older=self._options.older)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            return [f"The summary of the step could not be written: {reason}."]
        return []


def judge_and_write(run: RunResult, options: ReportOptions) -> int:
    """Judge a saved run, write it everywhere, say the verdict and return the exit code.

    Raises:
        ConfigError: A file cannot be written, or its suffix names no format.
    """
    with Results(options, is_live=False) as results:
        return results.conclude(run)


def _require_writable(path: Path) -> None:
    """Check that a file can be written there, and in which format.

    Raises:
        ConfigError: It cannot.
    """
    renderer(path)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path  # it is written through
    problem = ""
    if not target.parent.is_dir():
        problem = f"no directory {target.parent}"
    elif target.is_dir():
        problem = "it is a directory"
    elif not os.access(target.parent, os.W_OK):
        problem = f"nothing can be written in '{target.parent}'"
    if problem:
        raise ConfigError(f"{str(path)!r} cannot be written: {problem}.")


def _log(stream: TextIO) -> EventLog:
    return EventLog(stream, now=time.time)


def _is_log(path: Path) -> bool:
    return path.suffix.lower() == ".jsonl"


def _opened(path: Path) -> TextIO:
    """Open a log for writing; a link of ours is written through, somebody else's is refused."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    with told_as(f"{str(path)!r} cannot be written"):
        return open(os.open(followed(path), flags, 0o666), "w", encoding="utf-8")  # noqa: PTH123


def _code(run: RunResult, verdict: Verdict) -> Exit:
    """Return the exit code; a run in which every target was wrong is a matter of usage."""
    code = Exit(exit_code(verdict))
    kinds = {outcome.error.kind for outcome in run.outcomes if outcome.error is not None}
    is_all_wrong = (
        bool(run.outcomes) and verdict.missing == verdict.total and kinds <= _TARGET_ERRORS
    )
    return Exit.USAGE if code is Exit.INCOMPLETE and kinds and is_all_wrong else code


def _say_missing(outcomes: Sequence[Outcome]) -> None:
    """Name the first targets without a verdict, and why they have none."""
    missing = [outcome for outcome in outcomes if not outcome.has_verdict]
    for outcome in missing[:SHOWN]:
        why = "it has no security result" if outcome.error is None else str(outcome.error)
        is_named = outcome.report_id is None or outcome.report_id in why
        report = "" if is_named else f" (report {outcome.report_id})"
        status = status_text(outcome.status)
        streams.say(f"{status}: {visible(outcome.target)}{report}: {visible(why, longest=400)}")
    if len(missing) > SHOWN:
        streams.say(f"and {counted(len(missing) - SHOWN, 'more target')} without a verdict")


def _say_waivers(verdict: Verdict) -> None:
    """Name the waivers that need attention, and those that end within a week."""
    lines = verdict.waiver_lines
    lines += [
        f"the waiver of line {use.waiver.line} ends {in_days(use.waiver.expires)} "
        f"({use.waiver.expires}): {use.waiver}"
        for use in verdict.uses
        if use.state == "used" and is_soon(use.waiver.expires)
    ]
    for line in lines[:SHOWN]:
        streams.say(line)
    if len(lines) > SHOWN:
        streams.say(f"and {counted(len(lines) - SHOWN, 'more waiver')} that need attention")


def _interrupted_line(run: RunResult) -> str:
    """Return what became of the targets of a run that a signal ended."""
    counts = run.by_status()
    parts = [
        f"{counts['done']} done",
        f"{counts['running']} running at the server",
    ]
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    if counts["unknown"]:
        parts.append(f"{counts['unknown']} perhaps started")
    return f"bestdefense: interrupted: {', '.join(parts)}, {counts['not_started']} not started"


def _next_lines(outcomes: Sequence[Outcome], name: str) -> list[str]:
    """Return what to do about targets without a result; nothing when all have one.

    What was refused for good is not to be resumed: it would be refused again.
    """
    kinds = Counter(
        "unknown" if outcome.status == "unknown" else _what_helps(outcome)
        for outcome in outcomes
        if outcome.status != "done"
    )
    resume = f"bestdefense scan --resume {name}"
    lines = []
    if kinds["refused"]:
        lines += [
            f"{counted(kinds['refused'], 'target')} refused: do first what is asked for above",
            f"then: {resume}",
        ]
    if kinds["left"]:
        lines.append(f"to resume: {resume}")
    if kinds["unknown"]:
        lines.append(f"to look for perhaps started scans: bestdefense runs reconcile {name}")
    return lines


def _what_helps(outcome: Outcome) -> str:
    kind = None if outcome.error is None else outcome.error.kind
    if kind in _TARGET_ERRORS:
        return "nothing"
    return "refused" if outcome.status == "failed" and kind in _FINAL else "left"
