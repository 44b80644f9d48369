"""Triggers what was asked for, and tells what became of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from attrs import define, field

from bestdefense_async.cli import streams
from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.records import emit
from bestdefense_async.cli.repairs import Asked, cost_of, record_of
from bestdefense_async.errors import AuthError, PermissionDenied, RunStopped
from bestdefense_async.orchestration.repairs import (
    Repair,
    Repaired,
    RepairRun,
    Word,
    without_existing,
)
from bestdefense_async.output.text import counted, joined

if TYPE_CHECKING:
    from bestdefense_async.cli.running import Interruption
    from bestdefense_async.client import BestDefense

_COLUMNS: Final = ("outcome", "severity", "target", "weakness", "finding_id", "pull_request_url")
_SAID: Final = {
    Word.TRIGGERED: "triggered",
    Word.EXISTS: "triggered before",
    Word.REFUSED: "refused",
    Word.UNKNOWN: "unknown",
    Word.NOT_TRIGGERED: "not triggered",
}


@define
class Triggering:
    """One use of the command: look, perhaps ask, trigger, tell."""

    asked: Asked
    form: str
    missing: tuple[Repair, ...] = ()
    """What is still to be triggered, known once `look` has looked."""
    credits_remaining: int | None = None
    _results: list[Repaired] = field(factory=list)

    async def look(self, bd: BestDefense) -> None:
        """Find out what has a remediation already, and how many credits are left."""
        listed = await bd.remediation.list()
        self.credits_remaining = listed.credits_remaining
        self.missing, before = without_existing(self.asked.repairs, listed.remediations)
        self._results.extend(before)

    def tell_plan(self) -> None:
        """Write what would be triggered, and what it would cost."""
        new = (Repaired(repair=each, word=Word.NOT_TRIGGERED) for each in self.missing)
        records = [record_of(each) for each in self._results]
        records += [record_of(each, "would_trigger") for each in new]
        emit("remediations", records, self.form, columns=_COLUMNS)
        streams.say(cost_of(len(self.missing), self.credits_remaining))
        _say_unnamed(self.asked.unnamed)

    async def trigger(self, bd: BestDefense, interruption: Interruption) -> int:
        """Trigger what is missing, tell how each ended, and return the exit code.

        A signal lets those under way end, and sends no further one.
        """
        run = RepairRun(bd.remediation, credits_remaining=self.credits_remaining)
        if self.missing:
            streams.say(f"triggering {counted(len(self.missing), 'remediation')}")
        interruption.is_handled = True
        watch = asyncio.ensure_future(_stop_when_asked(run, interruption))
        try:
            await run.run(self.missing, self._results.append)
        finally:
            watch.cancel()
        records = [record_of(each) for each in self._results]
        emit("remediations", records, self.form, columns=_COLUMNS)
        _say_ends(self._results, run.credits_remaining)
        _say_unnamed(self.asked.unnamed)
        if interruption.count:
            return Exit.INTERRUPTED
        return _code(self._results, self.asked.unnamed)


async def _stop_when_asked(run: RepairRun, interruption: Interruption) -> None:
    await interruption.requested.wait()
    streams.say("stopping: what was sent is waited for, Ctrl-C again leaves at once")
    run.stop(RunStopped("Interrupted before it was sent."))


def _code(results: list[Repaired], unnamed: int) -> Exit:
    if any(isinstance(each.error, AuthError | PermissionDenied) for each in results):
        return Exit.TOKEN
    is_complete = not unnamed and all(
        each.word in {Word.TRIGGERED, Word.EXISTS} for each in results
    )
    return Exit.OK if is_complete else Exit.INCOMPLETE


def _say_ends(results: list[Repaired], credits_remaining: int | None) -> None:
    counts = Counter(each.word for each in results)
    said = joined([f"{counts[word]} {_SAID[word]}" for word in Word if counts[word]])
    left = "" if credits_remaining is None else f"; credits left: {credits_remaining}"
    streams.say(f"remediations: {said or 'nothing to trigger'}{left}")
    reasons = Counter(str(each.error) for each in results if each.error is not None)
    for reason, count in reasons.most_common(5):
        streams.say(f"{count} x {reason}")


def _say_unnamed(unnamed: int) -> None:
    if unnamed:
        verb = "has" if unnamed == 1 else "have"
        streams.say(
            f"{counted(unnamed, 'finding')} {verb} no name in the run and cannot be triggered"
        )
