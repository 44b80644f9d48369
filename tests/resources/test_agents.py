"""Agent files, whole and checked or not at all."""

import hashlib
from pathlib import Path

import pytest
from attrs import evolve

from bestdefense_async import (
    AgentFile,
    BestDefense,
    ConfigError,
    DownloadError,
    IntegrityError,
    LimitWaitTooLong,
    NotFound,
    RetryPolicy,
    Truncated,
)
from bestdefense_async.sandbox import Sandbox

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
