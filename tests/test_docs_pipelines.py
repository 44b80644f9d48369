"""The pipelines of the documentation: the shell steps of each are run as its CI system would."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bestdefense_async.testing.process import SandboxProcess
from tests.support.documentation import ROOT, blocks

NOTHING = "#!/bin/sh\nexit 0\n"
VENV = """#!/bin/sh
mkdir -p .venv/bin
ln -s "$(command -v pip)" "$(command -v bestdefense)" .venv/bin/
"""
"""What stands in for `python3 -m venv`: the package is there, and nothing is fetched."""


def github(text: str) -> list[str]:
    """Return the commands of a workflow."""
    jobs: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


def gitlab(text: str) -> list[str]:
    """Return the script of the job."""
    script: list[str] = yaml.safe_load(text)["scan"]["script"]
    return script


def azure(text: str) -> list[str]:
    """Return the scripts, with what Azure puts in the place of its variables."""
    steps: list[dict[str, str]] = yaml.safe_load(text)["jobs"][0]["steps"]
    return [re.sub(r"\$\(.*?\)", "here", step["script"]) for step in steps if "script" in step]


def jenkins(text: str) -> list[str]:
    """Return what is given to `sh`."""
    return re.findall(r"sh '([^']*)'", text)


PIPELINES = {
    "gate-in-github": github,
    "gate-in-gitlab": gitlab,
    "gate-in-azure-devops": azure,
    "gate-in-jenkins": jenkins,
}


def pipeline_of(name: str) -> str:
    """Return the first file of a page that is a pipeline."""
    page = blocks(ROOT / "docs" / "how-to" / f"{name}.md")
    return next(block.source for block in page if block.caption and block.language != "text")


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The environment of a runner: the package is installed, and its sandbox is the host."""
    tools = tmp_path_factory.mktemp("tools")
    for tool, script in {"pip": NOTHING, "git": NOTHING, "python3": VENV}.items():
        (tools / tool).write_text(script)
        (tools / tool).chmod(0o755)
    with SandboxProcess(sites=12, speed=600) as sandbox:
        path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
        yield {"PATH": path, "HOME": str(tools), "CI": "true", **sandbox.env}


@pytest.mark.parametrize(("name", "steps"), PIPELINES.items())
def test_the_last_step_of_a_pipeline_fails_and_leaves_its_files(
    name: str, steps: Callable[[str], list[str]], environ: dict[str, str], tmp_path: Path
) -> None:
    """A serious finding fails the job, after every step before it went well."""
    (tmp_path / "hosts.txt").write_text("shop.northgate-clinic.example\n")
    pipeline = pipeline_of(name)

    *before, last = [
        subprocess.run(
            ["bash", "-e", "-c", step],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        for step in steps(pipeline)
    ]

    assert [done.returncode for done in before] == [0] * len(before)
    assert last.returncode == 1, last.stderr
    assert "gate: FAILED, 3 high >= high on 1 of 1 site" in last.stderr
    wanted = re.findall(r"-o (\S+?)'?\s", pipeline)
    assert wanted
    assert all((tmp_path / file).stat().st_size for file in wanted)
