"""The bulk job as a process against the sandbox as a process."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command import LONGEST, Command, wait_for

if TYPE_CHECKING:
    from bestdefense_async.testing.process import SandboxProcess

ENDING = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):
    ENDING.append(signal.SIGHUP)


@pytest.fixture
def hosts(command: Command, bd_sandbox_process: SandboxProcess) -> list[str]:
    """Write every site of the sandbox into hosts.txt and return their names."""
    ended = command("sites", "list", "--format", "jsonl", env=bd_sandbox_process.env)
    names = [line["hostname"] for line in ended.events]
    (command.directory / "hosts.txt").write_text("\n".join(names) + "\n")
    return names


@pytest.mark.slow(timeout=300)
@pytest.mark.bd_sandbox(speed=6000.0, sites=1000)
def test_a_thousand_sites_are_each_scanned_exactly_once(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: list[str]
) -> None:
    """With 100 in flight, over real sockets, every site has one creation and one outcome."""
    ended = command(
        *("scan", "-l", "hosts.txt", "--max-active", "100", "--format", "jsonl"),
        env=bd_sandbox_process.env,
    )

    assert ended.code == 0, ended.err
    finished = [line for line in ended.events if line["event"] == "scan.finished"]
    assert sorted(line["target"] for line in finished) == sorted(hosts)
    assert {line["status"] for line in finished} == {"done"}
    assert ended.events[0]["event"] == "run.started"
    assert ended.events[-1]["event"] == "run.summary"
    assert ended.events[-1]["targets"] == 1000
    assert sorted(bd_sandbox_process.scans_per_site().values()) == [1] * 1000
    bd_sandbox_process.assert_no_duplicates()


@pytest.mark.bd_sandbox(speed=1.0, sites=60)
def test_a_server_that_dies_leaves_an_outcome_for_every_target(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: list[str]
) -> None:
    """What cannot be followed any more has failed, what was not started is not; exit 3."""
    arguments = ["scan", "-l", "hosts.txt", "--max-active", "20", "--format", "jsonl"]
    with command.start(*arguments, env=bd_sandbox_process.env) as process:
        wait_for(lambda: bd_sandbox_process.count("reports.create") >= 20)
        bd_sandbox_process.kill()
        out, err = process.communicate(timeout=LONGEST)

    assert process.returncode == 3, err
    events = [json.loads(line) for line in out.splitlines()]
    finished = [line for line in events if line["event"] == "scan.finished"]
    assert sorted(line["target"] for line in finished) == sorted(hosts)
    assert all(line["error"] for line in finished)
    assert events[-1]["gate"] == "incomplete"
    assert "60 of 60 sites have no verdict" in err
    [resumed] = [event for event in events if event["event"] == "starting.resumed"]
    assert resumed["is_back"] is False
    assert err.count("the host takes no scans") == err.count("the host took no scans for") == 1
    assert "the host is back" not in err
    assert "Nothing is started while" not in err  # the log's words for what was said already


@pytest.mark.parametrize("number", ENDING, ids=[number.name for number in ENDING])
@pytest.mark.bd_sandbox(speed=1.0, sites=30)
def test_an_interrupted_scan_says_what_became_of_every_target(
    command: Command,
    bd_sandbox_process: SandboxProcess,
    hosts: list[str],
    number: signal.Signals,
) -> None:
    """Started scans are named with their reports, the others are not started; exit 130."""
    arguments = ["scan", "-l", "hosts.txt", "--max-active", "10", "--format", "jsonl"]
    with command.start(*arguments, env=bd_sandbox_process.env) as process:
        assert process.stdout is not None
        events: list[dict[str, Any]] = []
        while sum(event["event"] == "scan.started" for event in events) < 10:
            events.append(json.loads(process.stdout.readline()))
        process.send_signal(number)
        events += map(json.loads, process.stdout)
        _, err = process.communicate(timeout=LONGEST)

    assert process.returncode == 130, err
    finished = [event for event in events if event["event"] == "scan.finished"]
    assert sorted(line["target"] for line in finished) == sorted(hosts)
    outcomes = [line["status"] for line in finished]
    assert outcomes.count("not_started") == 20
    assert outcomes.count("running") == 10
    assert all(line["report_id"] for line in finished if line["status"] == "running")
    assert "interrupted: 0 done, 10 running at the server, 20 not started" in err
    assert "Traceback" not in err
    assert bd_sandbox_process.count("reports.create") == 10


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_hangup_that_is_ignored_stays_ignored(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: list[str]
) -> None:
    """As under nohup: the terminal goes, the run does not."""

    def as_under_nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    arguments = ["scan", "-l", "hosts.txt", "--format", "jsonl", "--fail-on", "none"]
    with command.start(
        *arguments, env=bd_sandbox_process.env, preexec_fn=as_under_nohup
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        *_, last = process.stdout
        _, err = process.communicate(timeout=LONGEST)

    assert process.returncode == 0, err
    assert json.loads(last)["counts"]["done"] == len(hosts)


@pytest.mark.bd_sandbox(sites=2000)
def test_a_second_signal_ends_at_once(command: Command, bd_sandbox_process: SandboxProcess) -> None:
    """Also when the reader of stdout does not read, so that nothing can end in order."""
    with command.start("sites", "list", env=bd_sandbox_process.env) as process:
        assert process.stdout is not None
        select.select([process.stdout], [], [], LONGEST)  # it has begun to write
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST) == 130
        process.stdout.read()


@pytest.mark.bd_sandbox(speed=1.0, sites=30)
def test_a_run_that_takes_too_long_is_cut_off(
    command: Command, bd_sandbox_process: SandboxProcess, hosts: list[str]
) -> None:
    """`--run-timeout` bounds the whole, and every target still has its outcome."""
    ended = command(
        *("scan", "-l", "hosts.txt", "--max-active", "10", "--run-timeout", "0.6s", "-q"),
        *("--format", "json"),
        env=bd_sandbox_process.env,
    )
    assert ended.code == 3
    assert json.loads(ended.out)["counts"] == {
        "done": 0,
        "running": 10,
        "failed": 0,
        "unknown": 0,
        "not_started": 20,
    }


def test_a_gate_that_fails_is_1_and_says_what_is_missing_too(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """Failing wins over incomplete, and both are said."""
    served.fault("reports.create", status=403, nth=3, times=1)
    ended = command(
        *("scan", *names[:40], "--fail-on", "high", "--format", "json", "-q"),
        env=served.env,
    )
    assert ended.code == 1, ended.err
    last = ended.err.splitlines()[-1]
    assert last.startswith("gate: FAILED, ")
    assert "1 of 40 sites has no verdict" in last
    document = json.loads(ended.out)
    assert document["gate"]["status"] == "failed"
    assert document["counts"]["failed"] == 1


def test_the_default_threshold_is_high_in_ci_and_none_elsewhere(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """A person looks; a pipeline judges."""
    arguments = ["scan", *names[:40], "-q", "--format", "json"]
    assert command(*arguments, env=served.env).code == 0
    in_ci = {**served.env, "CI": "true"}
    assert command(*arguments, env=in_ci).code == 1
    assert command(*arguments, "--exit-zero", env=in_ci).code == 0


def test_a_run_without_all_verdicts_is_3_unless_that_is_allowed(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """An unscanned site is not a clean site."""
    arguments = ["scan", *names[:9], "typo.example", "-q", "--format", "jsonl"]
    ended = command(*arguments, env=served.env)
    assert ended.code == 3
    rejected = [line for line in ended.events if line["event"] == "target.rejected"]
    assert [line["target"] for line in rejected] == ["typo.example"]
    allowed = command(*arguments, "--allow-incomplete", "10%", env=served.env)
    assert allowed.code == 0


def test_repeated_targets_are_scanned_once(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """However they are written: name, URL, other case, site id."""
    before = served.count("reports.create")
    site_id = command("sites", "show", names[0], "--format", "jsonl", env=served.env)
    text = f"\ufeff{names[0]}\r\n# same\r\nhttps://{names[0].upper()}:8443/x  # too\r\n\r\n"
    ended = command(
        *("scan", "-l", "-", "--format", "json", "--", site_id.events[0]["id"]),
        env=served.env,
        text=text,
    )
    assert ended.code == 0, ended.err
    assert "1 repeated target is scanned once" in ended.err
    assert len(json.loads(ended.out)["outcomes"]) == 1
    assert served.count("reports.create") == before + 1


def test_files_are_written_in_the_format_of_their_suffix(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """Beside what stdout shows."""
    ended = command(
        *("scan", *names[:5], "-o", "a.html", "-o", "b.jsonl", "-o", "c.json"),
        env=served.env,
    )
    assert ended.code == 0, ended.err
    assert names[0] in ended.out
    assert "<!doctype html>" in (command.directory / "a.html").read_text()[:40].lower()
    lines = (command.directory / "b.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "run.summary"
    assert json.loads((command.directory / "c.json").read_text())["targets"] == 5


def test_a_dry_run_sends_no_creation(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """It asks which sites there are, and nothing else."""
    before = served.count("reports.create")
    again = (names[0].upper(), f"https://{names[0]}/")
    ended = command("scan", *names[:3], *again, "typo.example", "--dry-run", env=served.env)
    assert ended.code == 3
    assert "3 scans to start, about " in ended.err
    assert "; 2 repeated targets left out; 1 target cannot be scanned; nothing was" in ended.err
    assert ended.out.count("\n") == 4
    assert served.count("reports.create") == before


def test_finished_reports_are_judged_without_a_new_scan(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """`gate` reads what is there; an unfinished report has no verdict."""
    before = served.count("reports.create")
    scanned = command(*("scan", *names[:40], "--format", "jsonl", "-q"), env=served.env)
    finished = [line for line in scanned.events if line["event"] == "scan.finished"]
    bad = next(line for line in finished if line["risk"]["critical"] + line["risk"]["high"])
    good = next(line for line in finished if not line["risk"]["critical"] + line["risk"]["high"])
    run = [*("gate", "--format", "json")]

    assert command(*run, good["report_id"], env=served.env).code == 0
    failed = command(*run, good["report_id"], bad["report_id"], env=served.env)
    assert failed.code == 1
    assert "on 1 of 2 sites" in failed.err
    absent = command(*run, "00000000-0000-4000-8000-000000000000", env=served.env)
    assert absent.code == 3
    assert served.count("reports.create") == before + 40


def test_a_report_is_waited_for_shown_and_listed(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """What `scan` does in bulk can be done by hand for one report."""
    env = served.env
    scanned = command("scan", names[0], "--format", "jsonl", "-q", env=env)
    report = next(line for line in scanned.events if line["event"] == "scan.finished")

    shown = command("reports", "show", report["report_id"], "--format", "json", env=env)
    alerts = command("reports", "alerts", report["report_id"], "--format", "jsonl", env=env)

    assert json.loads(shown.out)["reports"][0]["is_completed"] is True
    assert len(alerts.events) == sum(report["risk"].values())
    severities = [line["severity"] for line in alerts.events]
    order = ["critical", "high", "medium", "low", "informational"]
    assert severities == sorted(severities, key=order.index)


def test_the_settings_of_a_project_are_used(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """File below environment below flag, and a host from a file is never used silently."""
    (command.directory / "bestdefense.toml").write_text(
        f'base_url = "{served.url}"\nfail_on = "informational"\n'
    )
    env = {"BD_API_TOKEN": served.token}
    assert "fail_on must be one of" in command("scan", names[0], env=env).err
    (command.directory / "bestdefense.toml").write_text(
        f'base_url = "{served.url}"\nfail_on = "low"\n'
    )
    ended = command("scan", *names[:9], "-q", env=env)
    assert ended.code == 1
    assert "as bestdefense.toml says" in ended.err
    assert command("scan", *names[:9], "-q", "--fail-on", "none", env=env).code == 0


def test_a_token_file_that_others_can_read_is_told_once(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """However often a scan needs the token."""
    file = command.directory / "token"
    file.write_text(served.token)
    file.chmod(0o644)

    ended = command(
        *("scan", names[0], "-q", "--token-file", str(file)), env={"BD_BASE_URL": served.url}
    )

    assert ended.code == 0, ended.err
    assert ended.err.count("chmod 600") == 1


@pytest.mark.slow(timeout=300)
def test_the_demo_leaves_a_report(command: Command) -> None:
    """Its planted failures are no failure of the demo."""
    ended = command("demo", "--sites", "60")
    assert ended.code == 0, ended.err
    assert ended.out == ""
    assert "gate: FAILED" in ended.err
    assert "3 of 60 sites have no verdict" in ended.err
    folder = command.directory / "bestdefense-demo"
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "run.jsonl"]


def test_what_the_demo_says_to_type_next_can_be_typed(command: Command) -> None:
    """Also when `run.py` has put the program on the path of the demo alone."""
    path = command.environment["PATH"] = "/usr/bin:/bin"
    folder = Path(sys.executable).parent

    ended = command("demo", "--sites", "1", env={"PATH": f"{folder}:{path}"})
    last = ended.err.rstrip().splitlines()[-1]
    typed = subprocess.run(
        ["sh", "-c", last],
        cwd=command.directory,
        env=command.environment,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )

    assert typed.returncode == 0, (last, typed.stderr)
    assert typed.stdout.startswith("TARGET")
