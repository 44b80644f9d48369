"""Streams and disks that take nothing: quiet where nobody listens, and never a success."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.writer import write_run
from tests.support.command import LONGEST, Command
from tests.support.mounts import mounted
from tests.support.runs import fleet

if TYPE_CHECKING:
    from bestdefense_async.testing.process import SandboxProcess

FULL = Path("/dev/full")
COMMANDS = (
    "scan {host} -q --fail-on none",
    "gate --run run.json --fail-on none --allow-incomplete 100%",
    "report run.json",
    "sites list",
    "reports list",
)
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


@pytest.fixture(scope="module", autouse=True)
def reported(
    served: SandboxProcess, names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Have a report to list, whichever test comes first."""
    ended = Command(tmp_path_factory.mktemp("reported"))("scan", names[0], "-q", env=served.env)
    assert ended.code == 0, ended.err


@pytest.fixture
def ready(command: Command) -> Command:
    """Return the command in a directory with a run."""
    run = fleet(200)
    write_run(command.directory / "run.json", run, judge(run.outcomes, GatePolicy()))
    return command


@pytest.mark.parametrize("line", COMMANDS)
def test_a_closed_stdout_is_no_success(
    ready: Command, served: SandboxProcess, names: list[str], line: str
) -> None:
    """It is said before anything is sent."""
    before = served.ledger()["counts"]
    arguments = line.format(host=names[0]).split()
    with ready.start(*arguments, env=served.env, preexec_fn=lambda: os.close(1)) as process:
        _, err = process.communicate(timeout=LONGEST)

    assert process.returncode == 3, err
    assert (err.count("\n"), "stdout is closed" in err) == (1, True)
    assert served.ledger()["counts"] == before


@pytest.mark.parametrize("line", COMMANDS)
def test_a_reader_that_has_gone_ends_the_command_without_a_word(
    ready: Command, served: SandboxProcess, names: list[str], line: str
) -> None:
    """As `| head -1` does; what `scan` and `gate` say of the run may stand on stderr."""
    arguments = line.format(host=names[0]).split()
    with ready.start(*arguments, env=served.env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()

    assert process.returncode == 141, err
    assert "Broken" not in err
    assert "Traceback" not in err
    assert "Exception" not in err


def test_files_are_written_although_the_reader_of_stdout_has_gone(
    ready: Command, served: SandboxProcess, names: list[str]
) -> None:
    """`scan ... -o report.html | head -1` leaves the report."""
    arguments = ["scan", names[0], "-q", "-o", "report.html", "-o", "run.jsonl"]
    with ready.start(*arguments, env=served.env) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.wait(LONGEST)

    assert process.returncode == 141
    assert (ready.directory / "report.html").stat().st_size > 10_000
    assert "run.summary" in (ready.directory / "run.jsonl").read_text()


@needs_full
@pytest.mark.parametrize("line", COMMANDS)
def test_a_full_disk_is_no_success(
    ready: Command, served: SandboxProcess, names: list[str], line: str
) -> None:
    """What could not be written is said in one sentence."""
    arguments = line.format(host=names[0]).split()
    with (
        FULL.open("w") as full,
        ready.start(*arguments, env=served.env, stdout=full) as process,
    ):
        _, err = process.communicate(timeout=LONGEST)

    assert process.returncode == 3, err
    assert "could not be written to stdout: No space left on device." in err
    is_recorded = line.startswith("scan")
    assert ("to write what is missing: bestdefense report " in err) == is_recorded
    assert "Traceback" not in err
    assert "Exception" not in err


@pytest.mark.parametrize("name", ["report", "gate"])
def test_a_small_disk_keeps_what_fits_and_no_half_file(ready: Command, name: str) -> None:
    """Each output is written or told as missing; one that fails takes no other with it."""
    place = ready.directory / "place"
    source = ["run.json"] if name == "report" else ["--run", "run.json", "--exit-zero"]
    files = ["a.html", "b.jsonl", "c.md", "d.json"]
    options = [word for file in files for word in ("-o", f"place/{file}")]
    with mounted(place, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        ended = ready(name, *source, *options, "--format", "md")
        left = sorted(path.name for path in place.iterdir())
        summary = (place / "c.md").read_text()

    assert ended.code == 3, ended.err
    assert left == ["c.md"]
    assert summary == ended.out
    for file in ("a.html", "b.jsonl", "d.json"):
        assert f"'place/{file}' could not be written: No space left on device." in ended.err
    assert ended.err.splitlines()[-1].startswith("gate: FAILED")


def test_a_scan_on_a_small_disk_fails_and_keeps_its_other_results(
    ready: Command, served: SandboxProcess, names: list[str]
) -> None:
    """The log that is written as it happens stops the run, which can be gone on with."""
    place = ready.directory / "place"
    with mounted(place, "-t", "tmpfs", "-o", "size=16k", "tmpfs"):
        ended = ready("scan", *names[:60], "-q", "-o", "place/run.jsonl", env=served.env)

    assert ended.code == 3, ended.err
    assert "No space left on device" in ended.err
    assert "Traceback" not in ended.err
    assert "runs" not in ended.out
    told = json.loads(ready("runs", "list", "--format", "json").out)["runs"]
    assert len(told) == 1


@pytest.mark.parametrize("format_", ["jsonl", "table", "html"])
def test_a_reader_that_goes_away_stops_only_stdout(
    ready: Command, served: SandboxProcess, names: list[str], format_: str
) -> None:
    """`| head -1`: the scans were paid for, so they end, are written and judged; 141 at the end."""
    before = served.count("reports.create")
    files = ["-o", "report.html", "-o", "run.jsonl"]
    arguments = ["scan", *names[100:130], "--format", format_, *files, "--fail-on", "low"]
    with ready.start(*arguments, env=served.env) as process:
        assert process.stdout is not None
        if format_ == "jsonl":
            process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()

    assert process.returncode == 141, err
    assert served.count("reports.create") == before + 30
    log = (ready.directory / "run.jsonl").read_text()
    events = [json.loads(line) for line in log.splitlines()]
    assert sum(event["event"] == "scan.finished" for event in events) == 30
    assert events[-1]["counts"]["done"] == 30
    assert (ready.directory / "report.html").stat().st_size > 10_000
    assert "gate: FAILED" in err
