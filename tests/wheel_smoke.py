"""Build both archives and use them as a user would: installed, far from any checkout.

A script, not a test, because it installs things: `python3 run.py wheel` starts it.
"""

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from packaging.metadata import Metadata

ROOT = Path(__file__).parent.parent
PACKAGE = "bestdefense_async"

PROJECT = "examples/testing-your-code"
"""A project of its own, whose tests use the pytest plugin as a user's do."""


def run(*command: str | Path, cwd: Path, expect: str = "") -> None:
    """Run a command away from the checkout; end everything when it fails."""
    astray = {"PYTHONPATH", "PYTHONHOME", "PYTEST_ADDOPTS", "VIRTUAL_ENV"}
    environ = {key: value for key, value in os.environ.items() if key not in astray}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    shown = " ".join(Path(str(part)).name for part in command)
    if done.returncode != 0 or expect not in done.stdout:
        sys.exit(f"{done.stdout}\nwheel: FAILED with exit code {done.returncode}: {shown}")
    print(f"wheel: ok: {shown}", flush=True)


def build(folder: Path) -> tuple[Path, Path]:
    """Build the source archive, and from it the wheel; return both."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    run(sys.executable, "-m", "tarfile", "-e", archive, folder, cwd=folder)
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=unpacked)
    (wheel,) = folder.glob("*.whl")
    return archive, wheel


def check_metadata(archive: Path, wheel: Path) -> None:
    """Read the metadata as an index does when something is uploaded: what it refuses, fails."""
    with tarfile.open(archive) as source, zipfile.ZipFile(wheel) as built:
        (info,) = (
            name for name in source.getnames() if name.count("/") == 1 and "PKG-INFO" in name
        )
        (meta,) = (name for name in built.namelist() if name.endswith(".dist-info/METADATA"))
        packed = source.extractfile(info)
        texts = [packed.read() if packed else b"", built.read(meta)]
    ours, theirs = (Metadata.from_email(text, validate=True) for text in texts)
    told = [(each.version, each.project_urls, each.description) for each in (ours, theirs)]
    if told[0] != told[1] or not ours.project_urls or not ours.description:
        sys.exit(f"wheel: FAILED, the metadata of the archives differ: {told}")
    print(f"wheel: ok: the metadata of {ours.name} {ours.version} is valid", flush=True)


def check_contents(wheel: Path) -> None:
    """Compare the wheel with the package's folder: the same files, and nothing beside them."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        meta = [name for name in archive.namelist() if ".dist-info/" in name]
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    if packed != there:
        sys.exit(f"wheel: FAILED, it differs from the checkout in {sorted(packed ^ there)}")
    if not any(name.endswith("/LICENSE") for name in meta):
        sys.exit("wheel: FAILED, it holds no licence")
    print(f"wheel: ok: {wheel.name} holds the {len(there)} files of the package", flush=True)


def install(python: Path, *what: str | Path) -> None:
    """Install into an environment in the way run.py does, with the first tool that can."""
    sys.path.insert(0, str(ROOT))
    output = ""
    for _tool, prepare, command in importlib.import_module("run").installers(str(python)):
        for step in [*([prepare] if prepare else []), [*command, *what]]:
            done = subprocess.run(step, check=False, cwd=ROOT, capture_output=True, text=True)
            output += done.stdout + done.stderr
            if done.returncode != 0:
                break
        else:
            return
    sys.exit(f"{output}\nwheel: FAILED to install {' '.join(map(str, what))}")


def main() -> None:
    """Build, install and use both; say each thing that worked, and keep them `--into` a folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", type=Path, help="keep the archives here when all is well")
    into: Path | None = parser.parse_args().into
    with tempfile.TemporaryDirectory(prefix="wheel-") as name:
        folder = Path(name).resolve()
        archive, wheel = build(folder)
        check_metadata(archive, wheel)
        check_contents(wheel)

        venv, away = folder / "venv", folder / "away"
        away.mkdir()
        base = getattr(sys, "_base_executable", sys.executable)
        run(base, "-m", "venv", "--without-pip", venv, cwd=away)
        python, command = venv / "bin/python", venv / "bin/bestdefense"
        version = wheel.name.split("-")[1]

        install(python, "--require-hashes", "-r", "requirements/cli.txt")
        install(python, "--no-deps", wheel)
        origin = f"import {PACKAGE}; print({PACKAGE}.__file__)"
        run(python, "-c", origin, cwd=away, expect=str(venv))
        run(command, "--version", cwd=away, expect=version)
        run(python, "-m", PACKAGE, "--help", cwd=away, expect="Usage")
        run(command, "demo", "--sites", "5", cwd=away)
        if not (away / "bestdefense-demo/report.html").is_file():
            sys.exit("wheel: FAILED, the demo left no report")

        install(python, "--no-deps", "--no-build-isolation", "--force-reinstall", archive)
        run(command, "--version", cwd=away, expect=version)

        install(python, "--require-hashes", "-r", "requirements/library.txt")
        project = shutil.copytree(ROOT / PROJECT, folder / "project")
        run(python, "-m", "pytest", "-q", cwd=project, expect="7 passed")

        if into is not None:
            into.mkdir(parents=True, exist_ok=True)
            for built in (archive, wheel):
                shutil.copy(built, into)


if __name__ == "__main__":
    main()
