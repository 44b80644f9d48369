"""The files of the agent, listed and downloaded by the real command."""

from __future__ import annotations

import hashlib
import json
import signal
import stat
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async.testing.process import SandboxProcess
from tests.support.command import LONGEST, Command, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.inside import Inside

BIG = 4 << 20
SIZES = {"big.bin": BIG, "small.bin": 1000}


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxProcess]:
    """Serve two files beside the published ones, without the limits that other tests are about."""
    with SandboxProcess(sites=1, agent_sizes=SIZES, limits={"agents.download": None}) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: SandboxProcess) -> Iterator[SandboxProcess]:
    """Serve them to one test, which may let anything go wrong."""
    yield shared
    shared.clear_faults()


def env_of(sandbox: SandboxProcess, tmp_path: Path) -> dict[str, str]:
    """Return where the command finds the sandbox, and a state of its own."""
    return {**sandbox.env, "BD_STATE_DIR": str(tmp_path / "state")}


def rows(inside: Inside, env: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the manifest by file name."""
    ended = inside("agent", "manifest", "--format", "jsonl", env=env)
    return {row["filename"]: row for row in ended.events}


def served_rows(sandbox: SandboxProcess, rows: list[dict[str, Any]]) -> None:
    """Let the sandbox answer a manifest of these rows."""
    body = json.dumps({"success": True, "message": "", "data": {"files": rows}, "error": None})
    sandbox.fault("agents.manifest", status=200, body=body)


def hang_half_way(sandbox: SandboxProcess) -> None:
    """Cut the next download in the middle, and never answer the one after it."""
    sandbox.fault("agents.download", kind="truncated", cut=0.5, nth=1)
    sandbox.fault("agents.download", kind="hang", nth=2)


def test_the_manifest_is_listed(inside: Inside, sandbox: SandboxProcess, tmp_path: Path) -> None:
    """As columns for people, and as JSON for programs."""
    env = env_of(sandbox, tmp_path)
    table = inside("agent", "manifest", env=env)
    document = inside("agent", "manifest", "--format", "json", env=env)

    assert table.code == document.code == 0
    assert table.out.splitlines()[0].split() == [
        "FILENAME",
        "PLATFORM",
        "VERSION",
        "SIZE",
        "SHA256",
    ]
    files = json.loads(document.out)["files"]
    assert {"bestdefense-device-monitor-linux-arm64", "big.bin"} <= {
        row["filename"] for row in files
    }
    assert all(len(row["sha256"]) == 64 for row in files)


def test_a_file_is_stored_and_told(inside: Inside, sandbox: SandboxProcess, tmp_path: Path) -> None:
    """In the directory asked for, with the manifest's digest, not executable."""
    env = env_of(sandbox, tmp_path)
    ended = inside("agent", "download", "big.bin", "-d", "a/b", "--format", "jsonl", env=env)

    assert ended.code == 0, ended.err
    stored = tmp_path / "a/b/big.bin"
    assert ended.events == [
        {
            "schema_version": 1,
            "filename": "big.bin",
            "path": "a/b/big.bin",
            "size": BIG,
            "sha256": hashlib.sha256(stored.read_bytes()).hexdigest(),
            "verified": True,
            "status": "stored",
        }
    ]
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert [path.name for path in stored.parent.iterdir()] == ["big.bin"]


def test_a_file_that_is_there_is_not_fetched_again(
    inside: Inside, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """Requests are few; a file that was changed is another file."""
    env = env_of(sandbox, tmp_path)
    arguments = ("agent", "download", "small.bin", "--format", "jsonl")
    inside(*arguments, env=env)
    before = sandbox.count("agents.download")

    assert [row["status"] for row in inside(*arguments, env=env).events] == ["present"]
    assert sandbox.count("agents.download") == before

    (tmp_path / "small.bin").write_bytes(bytes(1000))
    assert [row["status"] for row in inside(*arguments, env=env).events] == ["stored"]
    assert sandbox.count("agents.download") == before + 1


def test_a_platform_is_all_its_files(
    inside: Inside, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """The program and its packages."""
    ended = inside(
        *("agent", "download", "--platform", "linux-arm64", "--format", "jsonl"),
        env=env_of(sandbox, tmp_path),
    )

    name = "bestdefense-device-monitor-linux-arm64"
    assert [row["filename"] for row in ended.events] == [name, f"{name}.deb", f"{name}.rpm"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name files, or a --platform, or --all"),
        (("big.bin", "--all"), "Name files, or a --platform, or --all"),
        (("nope\x1b[31m",), r"no agent file 'nope\x1b[31m'"),
        (("--platform", "amiga"), "linux-amd64, linux-arm64"),
        (("big.bin", "-d", "file"), "is a file"),
        (("big.bin", "--redirect-host", "https://cdn.invalid"), "is no host like"),
        (("big.bin", "-d", "file/below"), "cannot be made"),
    ],
)
def test_what_cannot_be_meant_is_said_before_a_download(
    inside: Inside,
    sandbox: SandboxProcess,
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """Exit 2, and none of the hour's requests is spent."""
    (tmp_path / "file").touch()
    before = sandbox.count("agents.download")
    ended = inside("agent", "download", *arguments, env=env_of(sandbox, tmp_path))

    assert ended.code == 2
    assert message in ended.err
    assert ended.out == ""
    assert sandbox.count("agents.download") == before


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"status": 404}, "status 404"),
        ({"status": 200, "body": "<html>please log in</html>"}, "web page"),
        ({"kind": "corrupt", "times": 2}, "SHA-256"),
        ({"status": 302, "headers": {"Location": "https://cdn.invalid/x"}}, "--redirect-host"),
    ],
)
def test_a_file_that_fails_does_not_keep_the_others(
    inside: Inside,
    sandbox: SandboxProcess,
    tmp_path: Path,
    fault: dict[str, Any],
    message: str,
) -> None:
    """Exit 3; it is named with its reason, and nothing stands at its place."""
    sandbox.fault("agents.download", **{"nth": 1, **fault})
    ended = inside(
        *("agent", "download", "big.bin", "small.bin", "--format", "jsonl"),
        env=env_of(sandbox, tmp_path),
    )

    assert ended.code == 3
    assert [row["filename"] for row in ended.events] == ["small.bin"]
    assert message in ended.err
    assert "bestdefense: big.bin: " in ended.err
    assert "1 file is missing, 1 stored" in ended.err
    assert not list(tmp_path.glob("big.bin*"))


def test_a_token_that_is_refused_ends_it_and_what_is_there_is_told(
    inside: Inside, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """The next file would meet the same; exit 4."""
    before = sandbox.count("agents.download")
    sandbox.fault("agents.download", status=401, nth=2)
    ended = inside("agent", "download", "--all", "--format", "jsonl", env=env_of(sandbox, tmp_path))

    assert ended.code == 4
    assert len(ended.events) == 1
    assert sandbox.count("agents.download") == before + 2


def test_a_file_without_checksum_is_stored_only_when_asked_for(
    inside: Inside, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """And it is told that nobody checked it."""
    served_rows(sandbox, [{"filename": "small.bin"}])
    env = env_of(sandbox, tmp_path)
    arguments = ("agent", "download", "small.bin", "--format", "jsonl")
    refused = inside(*arguments, env=env)
    ended = inside(*arguments, "--allow-unverified", env=env)

    assert refused.code == 3
    assert "cannot be checked" in refused.err
    assert "--allow-unverified" in refused.err
    assert ended.code == 0
    assert [(row["verified"], row["sha256"]) for row in ended.events] == [(False, None)]


@pytest.mark.parametrize("name", ["../evil", "a/b", ".bashrc", "big.bin.part", "CON", "a\x1b[31m"])
def test_a_manifest_with_a_bad_name_is_refused(
    inside: Inside, sandbox: SandboxProcess, tmp_path: Path, name: str
) -> None:
    """The whole of it: whoever wrote this is not to be trusted with the rest."""
    served_rows(sandbox, [{"filename": "small.bin"}, {"filename": name}])
    ended = inside("agent", "manifest", env=env_of(sandbox, tmp_path))

    assert ended.code == 3
    assert "data.files[1].filename cannot be the name of a file" in ended.err
    assert ended.out == ""


def test_the_path_is_not_sent_to_a_host_that_may_not_have_it(
    inside: Inside, sandbox: SandboxProcess
) -> None:
    """It is our guess; the error says how to find out."""
    env = {"BD_API_TOKEN": "a-token-of-the-vendor", "BD_BASE_URL": "https://vendor.invalid"}
    ended = inside("agent", "download", "--all", env=env)

    assert ended.code == 2
    assert "spec adopt" in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupted_download_is_gone_on_with_by_the_next_run(
    command: Command, sandbox: SandboxProcess, tmp_path: Path, number: signal.Signals
) -> None:
    """It says what it keeps and where; exit 130. The next run asks for the rest alone."""
    env = env_of(sandbox, tmp_path)
    arguments = ("agent", "download", "small.bin", "big.bin", "--format", "jsonl")
    command("agent", "download", "small.bin", env=env)
    before = sandbox.count("agents.download")
    hang_half_way(sandbox)
    with command.start(*arguments, env=env) as process:
        wait_for(lambda: sandbox.count("agents.download") == before + 2)
        process.send_signal(number)
        out, err = process.communicate(timeout=LONGEST)

    assert process.returncode == 130
    assert [json.loads(line)["filename"] for line in out.splitlines()] == ["small.bin"]
    assert "2.0 MiB are kept in big.bin.part" in err
    assert (tmp_path / "big.bin.part").stat().st_size == BIG // 2
    assert not (tmp_path / "big.bin").exists()

    sandbox.clear_faults()
    hang_half_way(sandbox)
    with command.start(*arguments, env=env) as process:
        wait_for(lambda: sandbox.count("agents.download") == before + 4)
        process.send_signal(number)
        process.communicate(timeout=LONGEST)
    assert (tmp_path / "big.bin.part").stat().st_size == BIG * 3 // 4  # half of the rest

    sandbox.clear_faults()
    ended = command(*arguments, env=env)
    assert [row["status"] for row in ended.events] == ["present", "stored"]
    assert [path.name for path in tmp_path.glob("big.bin*")] == ["big.bin"]


def test_a_killed_download_is_gone_on_with_by_the_next_run(
    command: Command, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """Also by a signal that nobody can catch: the old file stands, and nobody holds its lock."""
    env = env_of(sandbox, tmp_path)
    (tmp_path / "big.bin").write_text("old")
    before = sandbox.count("agents.download")
    hang_half_way(sandbox)
    with command.start("agent", "download", "big.bin", env=env) as process:
        wait_for(lambda: sandbox.count("agents.download") == before + 2)
        process.kill()
        process.communicate(timeout=LONGEST)
    assert (tmp_path / "big.bin").read_text() == "old"
    assert (tmp_path / "big.bin.part").stat().st_size == BIG // 2

    sandbox.clear_faults()
    ended = command("agent", "download", "big.bin", "--format", "jsonl", env=env)
    assert [row["status"] for row in ended.events] == ["stored"]
    assert [path.name for path in tmp_path.glob("big.bin*")] == ["big.bin"]


def test_two_processes_do_not_write_one_file(
    command: Command, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    """The second is told at once, sends nothing, and leaves the first alone."""
    env = env_of(sandbox, tmp_path)
    before = sandbox.count("agents.download")
    hang_half_way(sandbox)
    with command.start("agent", "download", "big.bin", env=env) as first:
        wait_for(lambda: sandbox.count("agents.download") == before + 2)
        second = command("agent", "download", "big.bin", env=env)
        assert second.code == 3
        assert "somebody else is downloading this file" in second.err
        assert sandbox.count("agents.download") == before + 2
        assert (tmp_path / "big.bin.part").stat().st_size == BIG // 2
        first.kill()
        first.communicate(timeout=LONGEST)


@pytest.mark.bd_sandbox(sites=1, agent_sizes={f"{n}.bin": 100 for n in range(20)})
def test_the_hours_requests_are_shared_by_all_runs(
    command: Command, bd_sandbox_process: SandboxProcess, tmp_path: Path
) -> None:
    """Two at once make twenty; a third is told when, or waits for its turn and says so."""
    env = env_of(bd_sandbox_process, tmp_path)
    names = [f"{n}.bin" for n in range(20)]
    usual = ("--timeout", "20s", "--format", "jsonl")
    running = [
        command.start("agent", "download", *names, "-d", place, *usual, env=env)
        for place in ("one", "two")
    ]
    ended = [process.communicate(timeout=LONGEST) for process in running]
    later = command("agent", "download", names[0], "-d", "three", *usual, env=env)

    assert [process.returncode for process in running] == [3, 3]
    assert sum(len(out.splitlines()) for out, _ in ended) == 20
    assert later.code == 3
    assert "allows this call in" in later.err
    assert bd_sandbox_process.count("agents.download") == 20

    with command.start("agent", "download", names[0], "-d", "four", env=env) as waiting:
        assert waiting.stderr is not None
        said = waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        waiting.communicate(timeout=LONGEST)
    assert "waits for the limit of 20 an hour" in said
    assert waiting.returncode == 130
