"""Agent files, whole and checked or not at all."""

import asyncio
import base64
import hashlib
import json
import tracemalloc
from pathlib import Path

import pytest
from attrs import evolve

from bestdefense_async import (
    BestDefense,
    ConfigError,
    DownloadError,
    EnvelopeError,
    LimitWaitTooLong,
    NotFound,
    RetryPolicy,
)
from bestdefense_async.errors import IntegrityError, Truncated
from bestdefense_async.models import AgentFile
from bestdefense_async.sandbox import Sandbox
from bestdefense_async.testing.process import SandboxProcess

QUICK = RetryPolicy(base=0.01, longest_backoff=0.02, attempts=2)


async def first_file(bd: BestDefense) -> AgentFile:
    """Return the first row of the manifest."""
    return (await bd.agents.manifest()).files[0]


async def test_a_file_is_stored_and_checked(tmp_path: Path) -> None:
    """Under the manifest's name, not executable, with the right digest, and nothing beside it."""
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        file = await first_file(bd)
        stored = await bd.agents.download(file, tmp_path)
    assert stored == tmp_path / file.filename
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == file.sha256
    assert stored.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [stored]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "corrupt"}, IntegrityError),
        ({"kind": "truncated"}, Truncated),
        ({"status": 404}, NotFound),
        ({"status": 200, "body": "<html>please log in</html>"}, IntegrityError),
        ({"status": 200, "body": ""}, IntegrityError),
    ],
)
async def test_a_bad_download_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, fault: dict[str, object], kind: type[Exception]
) -> None:
    """Whatever came, the final place is untouched."""
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, retry=QUICK) as bd,
    ):
        file = await first_file(bd)
        (tmp_path / file.filename).write_text("old")
        sandbox.fault("agents.download", **fault)
        with pytest.raises(kind):
            await bd.agents.download(file, tmp_path)
        assert (tmp_path / file.filename).read_text() == "old"
        assert len(list(tmp_path.iterdir())) == 1


async def test_a_corrupt_download_is_tried_once_more(tmp_path: Path) -> None:
    """One bit may flip on the way."""
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, retry=QUICK) as bd,
    ):
        sandbox.fault("agents.download", kind="corrupt", times=1)
        await bd.agents.download(await first_file(bd), tmp_path)
        assert sandbox.count("agents.download") == 2


async def test_a_link_at_the_final_place_is_replaced_not_followed(tmp_path: Path) -> None:
    """Somebody may have planted it."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        file = await first_file(bd)
        (tmp_path / file.filename).symlink_to(victim)
        stored = await bd.agents.download(file, tmp_path)
    assert victim.read_text() == "precious"
    assert not stored.is_symlink()


@pytest.mark.parametrize("digest", [None, "", "abc", "Z" * 64])
async def test_what_cannot_be_checked_is_not_stored(tmp_path: Path, digest: str | None) -> None:
    """A manifest without a digest is refused before anything is sent."""
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        file = evolve(await first_file(bd), sha256=digest)
        with pytest.raises(IntegrityError):
            await bd.agents.download(file, tmp_path)
        assert sandbox.count("agents.download") == 0


@pytest.mark.parametrize("name", ["../../etc/passwd", ".bashrc", "-rf", "a/b", "a\\b", "", "a\0b"])
async def test_a_name_that_leaves_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    """A manifest is not to be trusted with paths."""
    async with BestDefense("bd_sandbox_x", "http://127.0.0.1:9") as bd:
        with pytest.raises(ConfigError):
            await bd.agents.download(AgentFile(filename=name, sha256="0" * 64), tmp_path)


async def test_a_directory_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """Not a traceback of the file system."""
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        with pytest.raises(DownloadError, match="No such file"):
            await bd.agents.download(await first_file(bd), tmp_path / "nowhere")


async def test_the_hourly_limit_is_kept_across_clients(tmp_path: Path) -> None:
    """Twenty an hour, and the twenty-first is refused at once, also by a new client."""
    state = tmp_path / "state"
    state.mkdir()
    async with Sandbox(sites=1) as sandbox:
        async with BestDefense(sandbox.token, sandbox.url, state_dir=state) as bd:
            file = await first_file(bd)
            for _ in range(20):
                await bd.agents.download(file, tmp_path)
        async with BestDefense(sandbox.token, sandbox.url, state_dir=state) as again:
            with pytest.raises(LimitWaitTooLong) as caught:
                await again.agents.download(file, tmp_path, timeout=5.0)
        assert caught.value.wait > 1000
        assert {arrival.status for arrival in sandbox.ledger} == {200}


async def test_the_minutes_limit_is_kept_across_clients(tmp_path: Path) -> None:
    """Sixty manifests a minute, and the next is refused at once, also by a new client."""
    async with Sandbox(sites=1) as sandbox:
        for count in (40, 20):
            async with BestDefense(sandbox.token, sandbox.url, state_dir=tmp_path) as bd:
                for _ in range(count):
                    await bd.agents.manifest()
        async with BestDefense(sandbox.token, sandbox.url, state_dir=tmp_path) as bd:
            with pytest.raises(LimitWaitTooLong):
                await bd.agents.manifest(timeout=5.0)
        assert {arrival.status for arrival in sandbox.ledger} == {200}


def files_of(*rows: dict[str, object]) -> str:
    """Return a manifest of these rows, each with a name of its own unless it says one."""
    files = [{"filename": f"agent-{index}", **row} for index, row in enumerate(rows)]
    return json.dumps({"success": True, "message": "", "data": {"files": files}, "error": None})


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"filename": "../agent"}, "filename cannot be the name of a file"),
        ({"filename": "agent\x1b[0m"}, "filename cannot be the name of a file"),
        ({"filename": "agent\n"}, "filename cannot be the name of a file"),
        ({"filename": "agent.part"}, "filename cannot be the name of a file"),
        ({"filename": "agent.PART.json"}, "filename cannot be the name of a file"),
        ({"filename": "Con.exe"}, "filename cannot be the name of a file"),
        ({"filename": "agent."}, "filename cannot be the name of a file"),
        ({"filename": "a" * 129}, "filename cannot be the name of a file"),
        ({"filename": "agent-0"}, "filename stands there twice"),
        ({"filename": "AGENT-0"}, "filename stands there twice"),
        ({"size": -1}, "size is no size of an agent"),
        ({"size": 0}, "size is no size of an agent"),
        ({"size": 2**31 + 1}, "size is no size of an agent"),
        ({"size": 10**30}, "size"),
        ({"size": True}, "size"),
        ({"size": "12"}, "size"),
        ({"sha256": 5}, "sha256"),
    ],
)
async def test_a_manifest_with_a_row_that_cannot_be_is_refused(
    row: dict[str, object], words: str
) -> None:
    """The whole of it, naming the place and never the value."""
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        sandbox.fault("agents.manifest", status=200, body=files_of({}, row))
        with pytest.raises(EnvelopeError, match=words) as caught:
            await bd.agents.manifest()
        assert "data.files[1]." in str(caught.value)


@pytest.mark.parametrize(
    ("digest", "is_usable"),
    [("upper", True), (" padded ", True), ("base64", False), ("short", False), ("sha1", False)],
)
async def test_a_digest_is_normalised_or_refused(
    tmp_path: Path, digest: str, *, is_usable: bool
) -> None:
    """One that is malformed is not taken for none, also when none would do."""
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        file = await first_file(bd)
        assert file.sha256 is not None
        raw = bytes.fromhex(file.sha256)
        forms = {
            "upper": file.sha256.upper(),
            " padded ": f" {file.sha256}\n",
            "base64": base64.b64encode(raw).decode(),
            "short": file.sha256[:-1],
            "sha1": file.sha256[:40],
        }
        file = evolve(file, sha256=forms[digest])
        if is_usable:
            await bd.agents.download(file, tmp_path)
        else:
            with pytest.raises(IntegrityError):
                await bd.agents.download(file, tmp_path, allow_unverified=True)
        assert sandbox.count("agents.download") == is_usable


@pytest.mark.slow(timeout=300)
def test_a_large_download_that_is_cut_three_times_takes_little_memory(tmp_path: Path) -> None:
    """64 MiB come in four requests, whole and checked, through less than 16 MiB."""
    size = 64 << 20

    async def main() -> AgentFile:
        async with BestDefense(process.token, process.url) as bd:
            file = next(row for row in (await bd.agents.manifest()).files if row.size == size)
            tracemalloc.start()
            await bd.agents.download(file, tmp_path)
        return file

    with SandboxProcess(sites=1, agent_sizes={"big.bin": size}) as process:
        process.fault("agents.download", kind="truncated", cut=0.3, times=3)
        try:
            file = asyncio.run(main())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert process.count("agents.download") == 4
    with (tmp_path / "big.bin").open("rb") as stored:
        assert hashlib.file_digest(stored, "sha256").hexdigest() == file.sha256
    assert peak < 16 << 20
