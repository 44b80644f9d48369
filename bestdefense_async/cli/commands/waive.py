"""`bestdefense waive`: write down that a finding is accepted, until a day and for a reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from bestdefense_async.cli.exits import Exit, told_as
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand
from bestdefense_async.cli.options.runs import RUN, SHARED_RUNS, load_run, named_again
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.words import today
from bestdefense_async.errors import ConfigError, JournalError, clean_text

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from bestdefense_async.models import Finding, Outcome

_DIGITS: Final = 32
"""Hexadecimal digits of a whole fingerprint."""
_LEAST: Final = 6
"""Digits that name a finding of a run."""


def _fingerprint(text: str) -> str:
    if not re.fullmatch(rf"[0-9a-f]{{{_LEAST},{_DIGITS}}}", text.lower()):
        raise ValueError(f"a fingerprint as it is shown: {_LEAST} to {_DIGITS} hexadecimal digits")
    return text.lower()


@click.command("waive", cls=ApiCommand)
@click.argument("fingerprint", type=params.Parsed("FINGERPRINT", _fingerprint))
@click.option("--reason", required=True, help="Why it is accepted, and where that was decided.")
@click.option(
    "--until",
    type=params.DAY,
    required=True,
    help="The last day on which it is, like 2027-01-31 or 90d.",
)
@SHARED_RUNS
@click.option(
    "--waivers",
    type=click.Path(),
    metavar="FILE",
    default="waivers.toml",
    show_default=True,
    help="Where to write.",
)
@click.option(
    "--run",
    "run_name",
    type=RUN,
    metavar="RUN",
    default="last",
    show_default=True,
    help="The run that has found it: its severity and its place are written beside.",
)
def command(fingerprint: str, *, reason: str, until: date, waivers: str, run_name: str) -> int:
    """Accept a finding until a day, for a reason.

    It fails no gate any more that is given the file. The end of a scan and of `gate` shows the
    fingerprint of every finding that fails. What becomes worse than it was fails again.

    \b
      bestdefense waive 9f86d081 --reason "Mended in January, SEC-412" --until 2027-01-31
      bestdefense gate --run last --waivers waivers.toml
    """  # noqa: D301  # \b is click's mark for text it must not fill
    from pathlib import Path

    if not reason.strip():
        raise ConfigError("--reason must say something: who reads it later was not there.")
    found = _found(fingerprint, run_name)
    if found is None and len(fingerprint) < _DIGITS:
        raise ConfigError(
            f"No finding of run {clean_text(run_name, longest=80)} has a fingerprint that begins "
            f"with {fingerprint}: name the run with --run, or write all {_DIGITS} digits."
        )
    whole = fingerprint if found is None else found[0]
    path = Path(waivers)
    _append(path, whole, _entry(whole, found, reason, until))
    what = "It" if found is None else _described(*found[1:])
    streams.say(f"{what} is waived until {until.isoformat()}, in {path}.")
    streams.note(f"to judge anew: bestdefense gate --run {named_again(run_name)} --waivers {path}")
    return Exit.OK


def _found(fingerprint: str, run_name: str) -> tuple[str, Outcome, Finding] | None:
    """Return the finding of a run whose fingerprint begins so, None when the run has none.

    Raises:
        ConfigError: Several findings do.
    """
    from bestdefense_async.report.gate.identity import fingerprint as name_of

    try:
        run = load_run(run_name)
    except (ConfigError, JournalError):
        if len(fingerprint) < _DIGITS:
            raise
        return None
    found = {
        name: (name, outcome, finding)
        for outcome in run.outcomes
        for finding in outcome.findings
        if (name := name_of(outcome, finding)).startswith(fingerprint)
    }
    if len(found) > 1:
        raise ConfigError(f"{len(found)} findings begin with {fingerprint}: write more digits.")
    return next(iter(found.values()), None)


def _described(outcome: Outcome, finding: Finding) -> str:
    from bestdefense_async.report.text import visible

    title = visible(finding.title or finding.weakness or "a finding", longest=100)
    return f"{finding.severity} at {visible(outcome.target, longest=100)} ({title})"


def _entry(
    fingerprint: str, found: tuple[str, Outcome, Finding] | None, reason: str, until: date
) -> str:
    """Return the waiver in TOML, with what it is about in a comment."""
    lines = ["[[waiver]]"]
    if found is not None:
        lines.append(f"# {_described(*found[1:])}")
    lines.append(f'fingerprint = "{fingerprint}"')
    if found is not None and found[2].severity.is_known:
        lines.append(f'severity = "{found[2].severity}"')
    lines += [f"reason = {_quoted(reason)}", f"expires = {until.isoformat()}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    import json

    return json.dumps(clean_text(text.strip(), longest=1000), ensure_ascii=False)


def _append(path: Path, fingerprint: str, entry: str) -> None:
    """Add an entry to the file; what stands there stays as it is.

    Raises:
        ConfigError: The file cannot be read or written, holds what is no waiver, or has one for
            this finding that still counts.
    """
    from bestdefense_async.files import is_there, read_text, replace_file, shown
    from bestdefense_async.report.gate.waivers import read_waivers

    text = ""
    if is_there(path):
        waivers = read_waivers(path, today=today())
        for each in waivers.entries:
            if each.fingerprint == fingerprint and waivers.is_active(each):
                raise ConfigError(
                    f"{shown(path)}, line {each.line}: it is waived already, until "
                    f"{each.expires.isoformat()}. Change that entry."
                )
        text = read_text(path, what="The waivers", largest=5 << 20)
        text = text.rstrip("\n") + "\n\n" if text.strip() else ""
    with told_as(f"{shown(path)} cannot be written"):
        replace_file(path, (text + entry).encode())
