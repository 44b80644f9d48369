"""Runs that are interrupted, killed, refused or cut off, and gone on with."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async.core.admission import MOST_STARTING
from tests.support.command import LONGEST, Command, Ended, wait_for

if TYPE_CHECKING:
    from bestdefense_async.testing.process import SandboxProcess

KILLS = 30


@pytest.fixture
def hosts(command: Command, bd_sandbox_process: SandboxProcess) -> dict[str, str]:
    """Write every site of the sandbox into hosts.txt; return the ids by name."""
    ended = command("sites", "list", "--format", "jsonl", env=bd_sandbox_process.env)
    ids = {line["hostname"]: line["id"] for line in ended.events}
    (command.directory / "hosts.txt").write_text("\n".join(ids) + "\n")
    return ids


def listed(command: Command) -> list[dict[str, Any]]:
    """Return the runs on this machine."""
    runs: list[dict[str, Any]] = json.loads(command("runs", "list", "--format", "json").out)["runs"]
    return runs


def shown(command: Command, run: str = "last") -> list[dict[str, Any]]:
    """Return the targets of a run."""
    ended = command("runs", "show", run, "--format", "json")
    targets: list[dict[str, Any]] = json.loads(ended.out)["targets"]
    return targets


def resumed(command: Command, sandbox: SandboxProcess, *more: str) -> Ended:
    """Go on with the last run."""
    return command("scan", "--resume", "last", "--format", "json", *more, env=sandbox.env)


@pytest.mark.slow(timeout=600)
@pytest.mark.bd_sandbox(speed=1200.0, sites=2000)
def test_a_run_killed_thirty_times_starts_nothing_twice_and_loses_nothing(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """After each `kill -9` it is resumed; what stays unknown is told truly.

    2,000 targets. Ten kills come within the first 100 ms in which a process has the store, the
    others at random moments, most of them during commits. In the end the server's own ledger is
    asked: no site was scanned twice, everything that is not done is unknown, and of these
    `reconcile` finds exactly those that exist.
    """
    chance = random.Random(7)
    sandbox = bd_sandbox_process
    first = ("scan", "-l", "hosts.txt", "--max-active", "100", "-q")
    again = ("scan", "--resume", "last", "--max-active", "100", "-q")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    owners = command.directory / "home" / ".local" / "state" / "bestdefense" / "runs.db.owners"
    kills = 0
    while kills < KILLS:
        is_recorded = bool(listed(command)) if kills < 2 else True
        before = sandbox.count("reports.create")
        is_early = kills % 3 == 0
        enough = before + chance.randrange(60) if chance.random() < 0.8 else -1
        known = set(owners.glob("*"))
        with command.start(*(again if is_recorded else first), env=sandbox.env, **quiet) as process:
            while process.poll() is None and (
                not set(owners.glob("*")) - known
                if is_early
                else sandbox.count("reports.create") <= enough
            ):
                time.sleep(0.001 if is_early else 0.01)
            time.sleep(chance.uniform(0.0, 0.1 if is_early else 0.3))
            process.kill()
            kills += process.wait() < 0
        assert len(hosts) > before, "the run ended before it was killed often enough"
    ended = resumed(command, sandbox)

    sandbox.assert_no_duplicates()
    targets = {each["target"]: each for each in shown(command)}
    assert targets.keys() == hosts.keys()
    statuses = Counter(each["status"] for each in targets.values())
    assert statuses.keys() <= {"done", "unknown"}, ended.err
    assert ended.code == (3 if statuses["unknown"] else 0), ended.err
    scans = sandbox.scans_per_site()
    assert all(
        scans.get(hosts[name]) == 1 for name, each in targets.items() if each["status"] == "done"
    )
    assert statuses["unknown"] <= MOST_STARTING * KILLS

    command("runs", "reconcile", "last", env=sandbox.env)
    still_unknown = {
        name for name, each in _by_target(shown(command)).items() if each["status"] == "unknown"
    }
    lost = {name for name, each in targets.items() if each["status"] == "unknown"}
    assert still_unknown == {name for name in lost if hosts[name] not in scans}
    resumed(command, sandbox)
    assert Counter(each["status"] for each in shown(command)) == {
        "done": 2000 - len(still_unknown),
        **({"unknown": len(still_unknown)} if still_unknown else {}),
    }
    sandbox.assert_no_duplicates()


@pytest.mark.slow(timeout=300)
@pytest.mark.bd_sandbox(speed=600.0, sites=20)
def test_a_run_killed_in_its_last_moments_is_whole(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """While results are recorded and files written: a file is whole or absent, nothing is lost."""
    sandbox, file = bd_sandbox_process, command.directory / "run.json"
    for number in range(10):
        file.unlink(missing_ok=True)
        results = sandbox.count("vortex.alerts")
        arguments = ("scan", "-l", "hosts.txt", "-q", "-o", "run.json")
        with command.start(*arguments, env=sandbox.env, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and sandbox.count("vortex.alerts") < results + len(hosts):
                time.sleep(0.002)
            time.sleep(0.02 * number)
            process.kill()
            process.communicate()
        assert not file.exists() or len(json.loads(file.read_text())["outcomes"]) == len(hosts)

        ended = resumed(command, sandbox)

        assert ended.code in {0, 1}, ended.err  # the gate may fail
        assert json.loads(ended.out)["counts"]["done"] == len(hosts)
        assert set(sandbox.scans_per_site().values()) == {number + 1}


@pytest.mark.bd_sandbox(speed=60.0, sites=20)
def test_of_two_resumptions_at_once_one_has_the_run(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """The other one says so and sends nothing, and no site is scanned twice."""
    sandbox = bd_sandbox_process
    with command.start("scan", "-l", "hosts.txt", "-q", env=sandbox.env) as process:
        wait_for(lambda: sandbox.count("reports.create") >= 10)
        process.kill()
        process.communicate()

    arguments = ("scan", "--resume", "last", "-q")
    both = [command.start(*arguments, env=sandbox.env) for _ in range(2)]
    told = [process.communicate(timeout=LONGEST)[1] for process in both]

    busy = [err for err in told if "Another process holds run" in err]
    assert len(busy) == 1, told
    sandbox.assert_no_duplicates()
    statuses = Counter(each["status"] for each in shown(command))
    assert statuses.keys() <= {"done", "unknown"}
    assert statuses["unknown"] <= MOST_STARTING


def _by_target(targets: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["target"]: each for each in targets}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.bd_sandbox(speed=1.0, sites=30)
def test_a_signal_leaves_a_run_that_can_be_resumed_by_the_command_it_prints(
    command: Command,
    bd_sandbox_process: SandboxProcess,
    hosts: dict[str, str],
    number: signal.Signals,
) -> None:
    """What was started is followed, what was not is started, and nothing is started twice."""
    sandbox = bd_sandbox_process
    for site_id in hosts.values():
        sandbox.script(site_id, duration=1.5)
    arguments = ["scan", "-l", "hosts.txt", "--max-active", "10"]
    with command.start(*arguments, env=sandbox.env) as process:
        wait_for(lambda: sandbox.count("reports.create") >= 10)
        process.send_signal(number)
        _, err = process.communicate(timeout=LONGEST)

    assert process.returncode == 130, err
    resume = err.splitlines()[-1]
    assert resume.startswith("to resume: bestdefense scan --resume 2")
    assert [run["state"] for run in listed(command)] == ["can be resumed"]
    ended = command(*resume.split()[3:], "--format", "json", env=sandbox.env)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["targets"] == 30
    assert set(sandbox.scans_per_site().values()) == {1}
    assert sandbox.count("reports.create") == 30
    assert [run["state"] for run in listed(command)] == ["complete"]


@pytest.mark.bd_sandbox(speed=1.0, sites=8)
def test_a_second_signal_ends_a_scan_at_once_and_the_record_stays_consistent(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """Creations that are not answered by then are unknown, and are not sent again."""
    sandbox = bd_sandbox_process
    sandbox.fault("reports.create", kind="delay", delay=30.0, after_effect=True)
    with command.start("scan", "-l", "hosts.txt", env=sandbox.env) as process:
        wait_for(lambda: sandbox.count("reports.create") == 8)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)  # a second SIGINT could become one with the first
        assert process.wait(LONGEST) == 130
    sandbox.clear_faults()

    ended = resumed(command, sandbox)

    assert ended.code == 3
    assert json.loads(ended.out)["counts"]["unknown"] == 8
    assert sandbox.count("reports.create") == 8


@pytest.mark.bd_sandbox(speed=600.0, sites=12)
def test_lost_creations_are_found_where_the_host_lists_reports(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """A scan whose answer was cut off is found and followed; one that never was stays unknown."""
    sandbox = bd_sandbox_process
    started, lost = list(hosts.values())[:3], list(hosts.values())[3:5]
    for site_id in started:
        sandbox.fault("reports.create", kind="reset", after_effect=True, site=site_id, times=1)
    for site_id in lost:
        sandbox.fault("reports.create", kind="reset", site=site_id, times=1)
    ended = command("scan", "-l", "hosts.txt", env=sandbox.env)
    assert ended.code == 3
    assert "to look for perhaps started scans: bestdefense runs reconcile 2" in ended.err

    settled = command("runs", "reconcile", "last", "--format", "json", env=sandbox.env)
    assert settled.code == 3
    assert "3 found, 2 still unknown" in settled.err
    results = Counter(each["result"] for each in json.loads(settled.out)["targets"])
    assert results == {"found": 3, "no report of that site and time is listed": 2}

    names = [name for name, site_id in hosts.items() if site_id in lost]
    options = [each for name in names for each in ("--start-again", name)]
    settled = command("runs", "reconcile", "last", *options, env=sandbox.env)
    assert settled.code == 0, settled.err
    assert resumed(command, sandbox).code == 0
    assert sandbox.scans_per_site() == dict.fromkeys(hosts.values(), 1)


@pytest.mark.bd_sandbox(speed=600.0, sites=3)
def test_a_word_about_a_target_that_is_not_unknown_changes_nothing(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """Only a creation whose answer is lost may be started again by a person's word."""
    name = next(iter(hosts))
    command("scan", name, env=bd_sandbox_process.env)
    ended = command("runs", "reconcile", "last", "--start-again", name, env=bd_sandbox_process.env)
    assert ended.code == 2
    assert "is not unknown in this run: nothing was changed" in ended.err


@pytest.mark.bd_sandbox(speed=600.0, sites=30)
def test_a_run_that_is_complete_is_judged_again_without_a_scan(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """Resuming it writes the same results, the event log included."""
    sandbox = bd_sandbox_process
    one = command("scan", "-l", "hosts.txt", "--format", "jsonl", env=sandbox.env)
    again = resumed(command, sandbox, "-o", "log.jsonl")

    assert (one.code, again.code) == (0, 0)
    summary = one.events[-1]
    document = json.loads(again.out)
    assert {name: document[name] for name in ("targets", "counts", "risk")} == {
        name: summary[name] for name in ("targets", "counts", "risk")
    }
    log = (command.directory / "log.jsonl").read_text().splitlines()
    finished = [each for each in map(json.loads, log) if each["event"] == "scan.finished"]
    assert sorted(each["target"] for each in finished) == sorted(hosts)
    assert sandbox.count("reports.create") == 30


@pytest.mark.bd_sandbox(speed=6000.0, sites=4)
def test_last_beside_a_run_is_never_the_run_itself(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """A gate that knew what it judges would approve of it; said before anything is sent."""
    sandbox = bd_sandbox_process
    for names in (list(hosts)[:2], list(hosts)):
        command("scan", *names, "-q", env=sandbox.env)
    newest, oldest = (each["run"] for each in listed(command))
    before = sandbox.ledger()["counts"]

    for arguments in (
        ("gate", "--run", "last", "--baseline", "last"),
        ("scan", "--resume", newest, "--baseline", "last"),
    ):
        ended = command(*arguments, "--format", "json", "--fail-on", "high", env=sandbox.env)
        assert "2 sites not in the baseline" in ended.err
    for arguments, said in (
        (("gate", "--run", oldest, "--baseline", "last"), f"There is no run before {oldest}"),
        (("gate", "--run", newest, "--baseline", newest), "cannot be compared with itself"),
        (("scan", "--resume", newest, "--baseline", newest), "cannot be compared with itself"),
    ):
        ended = command(*arguments, env=sandbox.env)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err
        assert ended.err.count("\n") == 1
    assert sandbox.ledger()["counts"] == before


@pytest.mark.bd_sandbox(speed=1.0, sites=20)
def test_a_revoked_token_ends_the_run_and_a_new_one_goes_on_with_it(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """Exit 4, everything accounted for; a token of the same organization resumes the run."""
    sandbox = bd_sandbox_process
    for site_id in hosts.values():
        sandbox.script(site_id, duration=3.0)
    token = sandbox.add_token()
    env = {**sandbox.env, "BD_API_TOKEN": token}
    with command.start("scan", "-l", "hosts.txt", "--max-active", "8", env=env) as process:
        wait_for(lambda: sandbox.count("reports.create") >= 8)
        sandbox.revoke(token)
        _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 4, err

    other = {**sandbox.env, "BD_API_TOKEN": sandbox.add_token(organization="other")}
    refused = command("scan", "--resume", "last", env=other)
    assert refused.code == 2
    assert "another organization" in refused.err

    assert resumed(command, sandbox).code == 0
    assert sandbox.scans_per_site() == dict.fromkeys(hosts.values(), 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--resume", "last", "a.example"), "leave out targets"),
        (("--resume", "last", "-l", "hosts.txt"), "leave out --list"),
        (("--resume", "last", "--type", "dns"), "leave out --type"),
        (("--resume", "last", "--intensity", "quick", "--mode", "ai"), "--intensity and --mode"),
        (("--resume", "20200101"), "no run"),
        (("--resume", "hosts.txt"), "There is no run 'hosts.txt'"),
    ],
    ids=["targets", "a list", "types", "intensity and mode", "unknown run", "no journal"],
)
def test_what_a_run_has_decided_cannot_be_decided_again(
    command: Command,
    served: SandboxProcess,
    names: list[str],
    options: tuple[str, ...],
    said: str,
) -> None:
    """Contradictory options, a run that does not exist and a file that is none: exit 2."""
    (command.directory / "hosts.txt").write_text("a.example\n")
    assert command("scan", names[0], "-q", env=served.env).code == 0
    before = served.count("reports.create")

    ended = command("scan", *options, env=served.env)

    assert ended.code == 2, ended.err
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert served.count("reports.create") == before


def test_a_place_for_runs_that_cannot_be_written_ends_before_anything_is_sent(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """Without a record nothing is started: exit 2 and one sentence."""
    (command.directory / "file").write_text("")
    before = served.count("reports.create")
    ended = command("scan", names[0], "-q", env={**served.env, "BD_STATE_DIR": "file"})
    assert ended.code == 2, ended.err
    assert ended.err.count("\n") == 1
    assert served.count("reports.create") == before


@pytest.mark.bd_sandbox(speed=1.0, sites=5)
def test_two_processes_cannot_go_on_with_one_run(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """The second is refused, the first goes on, and the run can still be looked at."""
    sandbox = bd_sandbox_process
    with command.start("scan", "-l", "hosts.txt", "-q", env=sandbox.env) as process:
        wait_for(lambda: sandbox.count("reports.create") == 5)
        second = resumed(command, sandbox)
        assert [run["state"] for run in listed(command)] == ["in progress"]
        assert {each["status"] for each in shown(command)} == {"running"}
        kept = command("runs", "prune", "--keep", "0", "--incomplete")
        assert len(listed(command)) == 1
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LONGEST)
    assert second.code == 2, second.err
    assert "holds" in second.err
    assert kept.code == 0
    assert sandbox.count("reports.create") == 5


@pytest.mark.bd_sandbox(speed=6000.0, sites=3)
def test_runs_are_listed_and_the_old_ones_are_deleted(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """The newest come first; complete ones are deleted, and one that can be resumed is not."""
    sandbox = bd_sandbox_process
    *quick, endless = hosts
    sandbox.script(hosts[endless], duration=float("inf"))
    for name in quick:
        command("scan", name, "-q", env=sandbox.env)
    command("scan", endless, "-q", "--timeout", "0.1", env=sandbox.env)
    runs = listed(command)
    assert [run["state"] for run in runs] == ["can be resumed", "complete", "complete"]

    neither = command("runs", "prune")
    assert (neither.code, neither.out) == (2, "")
    deleted = command("runs", "prune", "--keep", "0", "--format", "json")

    assert [run["run"] for run in json.loads(deleted.out)["runs"]] == [
        run["run"] for run in runs[1:]
    ]
    assert [run["run"] for run in listed(command)] == [runs[0]["run"]]


@pytest.mark.bd_sandbox(speed=6000.0, sites=2)
def test_a_dry_run_of_a_resumed_run_sends_nothing(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: dict[str, str]
) -> None:
    """It tells what is left: what to follow and what to start."""
    sandbox = bd_sandbox_process
    for site_id in hosts.values():
        sandbox.script(site_id, duration=float("inf"))
    command("scan", *hosts, "-q", "--timeout", "0.1", env=sandbox.env)
    before = sandbox.ledger()["counts"]
    ended = command("scan", "--resume", "last", "--dry-run", "--format", "json", env=sandbox.env)
    assert ended.code == 0, ended.err
    assert "0 scans to start, 2 to follow" in ended.err
    assert len(json.loads(ended.out)["targets"]) == 2
    assert sandbox.ledger()["counts"] == before
