"""A download that is cut three times: its memory, its speed and its requests.

    python benchmarks/download.py [--mib 1024] [--rounds 3] [--dir DIRECTORY]

A sandbox in another process serves the file. Every download runs in a process of its own. The bare
loop writes what comes to the disk (`iter_chunked(64 KiB)`), without limits, hash or check; "bare +
sha256" is the same with the digest that our download always takes. Ours ends with fsync, so give
`--dir` a memory disk to compare the programs and not the disk. Goals: wall time at most 1.0 of
"bare + sha256"; memory growth below 32 MiB; one request more than there are cuts.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from bestdefense_async import BestDefense
from bestdefense_async.testing.process import SandboxProcess

NAME = "big.bin"
CUTS = 3
MIB = 1 << 20


def _memory(name: str) -> int:
    """Return a figure of this process's memory in KiB, 0 where /proc is not."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


async def _late(worst: list[float]) -> None:
    """Note by how much the loop is late at most, in seconds."""
    loop = asyncio.get_running_loop()
    while True:
        asked = loop.time()
        await asyncio.sleep(0.005)
        worst.append(loop.time() - asked - 0.005)


async def _ours(url: str, token: str, directory: Path) -> str:
    async with BestDefense(token, url) as bd:
        row = next(one for one in (await bd.agents.manifest()).files if one.filename == NAME)
        _begin()
        await bd.agents.download(row, directory)
    return str(row.sha256)


async def _bare(url: str, token: str, directory: Path, *, with_hash: bool) -> str:
    digest = hashlib.sha256()
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        _begin()
        async with session.get(f"{url}/api/agents/download/{NAME}") as answer:
            with (directory / NAME).open("wb", buffering=0) as file:
                async for chunk in answer.content.iter_chunked(64 * 1024):
                    file.write(chunk)
                    if with_hash:
                        digest.update(chunk)
    return digest.hexdigest()


_started: dict[str, float] = {}


def _begin() -> None:
    """Start to measure: imports, connections and manifest are not part of it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    _started.update(memory=_memory("VmRSS"), cpu=time.process_time(), wall=time.perf_counter())


async def _one(kind: str, url: str, token: str, directory: Path) -> None:
    worst = [0.0]
    watch = asyncio.create_task(_late(worst))
    if kind == "ours":
        await _ours(url, token, directory)
    else:
        await _bare(url, token, directory, with_hash=kind == "bare + sha256")
    wall, cpu = time.perf_counter() - _started["wall"], time.process_time() - _started["cpu"]
    growth = _memory("VmHWM") - _started["memory"]
    watch.cancel()
    print(json.dumps({"wall": wall, "cpu": cpu, "growth": growth / 1024, "late": max(worst)}))


def _child(kind: str, sandbox: SandboxProcess, directory: Path) -> dict[str, float]:
    """Download once in a process of its own and return what it measured."""
    command = [sys.executable, __file__, "--one", kind, "--dir", str(directory)]
    where = json.dumps([sandbox.url, sandbox.token])
    done = subprocess.run([*command, "--where", where], check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _curl(sandbox: SandboxProcess, directory: Path) -> dict[str, float]:
    """Do what a person would: curl, then the digest."""
    file = directory / NAME
    address = f"{sandbox.url}/api/agents/download/{NAME}"
    started = time.perf_counter()
    subprocess.run(
        ["curl", "-s", "-o", file, "-H", f"Authorization: Bearer {sandbox.token}", address],
        check=True,
    )
    subprocess.run(["openssl", "dgst", "-sha256", file], check=True, capture_output=True)
    return {"wall": time.perf_counter() - started, "cpu": 0.0, "growth": 0.0, "late": 0.0}


def _report(rows: dict[str, list[dict[str, float]]], mib: int) -> None:
    print(f"{mib} MiB, the best of {len(rows['ours'])} rounds; memory and lateness at their worst")
    print(f"  {'':22} {'wall s':>7} {'MiB/s':>7} {'CPU s':>7} {'memory +MiB':>12} {'late ms':>13}")
    found = {
        name: {
            "wall": min(one["wall"] for one in many),
            "cpu": min(one["cpu"] for one in many),
            "growth": max(one["growth"] for one in many),
            "late": max(one["late"] for one in many),
        }
        for name, many in rows.items()
    }
    for name, one in found.items():
        print(
            f"  {name:22} {one['wall']:7.2f} {mib / one['wall']:7.0f} {one['cpu']:7.2f}"
            f" {one['growth']:12.1f} {one['late'] * 1e3:13.1f}"
        )
    for name in ("bare", "bare + sha256", "curl, then openssl"):
        if name in found:
            ratio = found["ours"]["wall"] / found[name]["wall"]
            print(f"  wall time of ours against {name}: {ratio:.2f}")


def main() -> None:
    """Measure, each kind in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--where", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        asyncio.run(_one(arguments.one, *arguments.where, arguments.dir))
        return
    limits = {"agents.download": None, "agents.manifest": None}
    with (
        tempfile.TemporaryDirectory(dir=arguments.dir) as directory,
        SandboxProcess(sites=1, agent_sizes={NAME: arguments.mib * MIB}, limits=limits) as sandbox,
    ):
        rows: dict[str, list[dict[str, float]]] = {}
        requests = 0
        _child("ours", sandbox, Path(directory))  # the server makes the checksum once
        for _ in range(arguments.rounds):
            for kind in ("bare", "bare + sha256", "ours", f"ours, cut {CUTS} times"):
                before = sandbox.count("agents.download")
                if "cut" in kind:
                    sandbox.fault("agents.download", kind="truncated", cut=0.3, times=CUTS)
                one = _child(kind.partition(",")[0], sandbox, Path(directory))
                rows.setdefault(kind, []).append(one)
                requests = sandbox.count("agents.download") - before
                sandbox.clear_faults()
            if shutil.which("curl") and shutil.which("openssl"):
                rows.setdefault("curl, then openssl", []).append(_curl(sandbox, Path(directory)))
        _report(rows, arguments.mib)
        print(f"  requests of a download that was cut {CUTS} times: {requests}")


if __name__ == "__main__":
    main()
