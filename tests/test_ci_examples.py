"""The GitHub action and the GitLab include: their shell steps run, against the sandbox."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bestdefense_async.sandbox import SiteSpec
from bestdefense_async.testing.process import SandboxProcess

ROOT = Path(__file__).parent.parent
SITES = [
    SiteSpec("shop.example.com", findings=["high"]),
    SiteSpec("blog.example.com", findings=[]),
    SiteSpec("partner.example.com", permitted=False),
]
FINDING = ("shop.example.com\nblog.example.com", "high", 1)
BELOW = ("shop.example.com", "critical", 0)
UNKNOWN = ("blog.example.com\npartner.example.com", "high", 3)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the steps are bash")


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    """A sandbox with a finding, a clean site and one that may not be scanned."""
    with SandboxProcess(sites=SITES, speed=6_000) as process:
        yield process


@pytest.fixture
def environ(server: SandboxProcess, tmp_path: Path) -> dict[str, str]:
    """The environment of a job: a `pip` that only writes down what it is asked for, and ours."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "pip").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/installed\n')
    (tools / "pip").chmod(0o755)
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("BD_", "CI"))}
    return {
        **kept,
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        **server.env,
    }


def shell(script: str, environ: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one step as the runners do: bash that stops at the first error, of a pipe too."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env=environ,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize(("targets", "fail_on", "code"), [FINDING, UNKNOWN])
def test_the_github_action_scans_and_judges(
    environ: dict[str, str], tmp_path: Path, targets: str, fail_on: str, code: int
) -> None:
    """Its inputs reach the command, its exit code is the job's, its files are there."""
    action: Any = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    inputs = {name: each.get("default", "") for name, each in action["inputs"].items()}
    inputs |= {"token": environ.pop("BD_API_TOKEN"), "base-url": environ.pop("BD_BASE_URL")}
    inputs |= {"targets": targets, "fail-on": fail_on, "arguments": "--intensity quick"}
    install, scan = (step for step in action["runs"]["steps"] if "run" in step)
    given = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], text)
        for name, text in scan["env"].items()
    }

    assert shell(install["run"], environ, tmp_path).returncode == 0
    done = shell(scan["run"], environ | given, tmp_path)

    assert done.returncode == code, done.stderr
    assert f"{ROOT}[cli]" in (tmp_path / "installed").read_text()
    assert (tmp_path / "output").read_text() == f"exit-code={code}\n"
    findings = json.loads((tmp_path / "bestdefense/findings.sarif").read_text("utf-8"))
    assert len(findings["runs"][0]["results"]) == targets.count("shop")
    assert (tmp_path / "bestdefense/report.html").exists()
    assert "${{ inputs" not in scan["run"]  # an input is never spliced into a script


@pytest.mark.parametrize(("targets", "fail_on", "code"), [FINDING, BELOW])
def test_the_gitlab_include_scans_and_judges(
    environ: dict[str, str], tmp_path: Path, targets: str, fail_on: str, code: int
) -> None:
    """With the values that a pipeline gives to its inputs."""
    text = (ROOT / "examples/ci/gitlab.yml").read_text("utf-8")
    declared: Any = next(yaml.safe_load_all(text))["spec"]["inputs"]
    inputs = {name: (each or {}).get("default") for name, each in declared.items()}
    inputs |= {"requirement": f"{ROOT}[cli]", "targets": targets.replace("\n", " ")}
    inputs |= {"fail-on": fail_on}
    filled = re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda found: str(inputs[found[1]]), text)
    _, jobs = yaml.safe_load_all(filled)
    job = jobs["bestdefense"]

    done = shell(
        "\n".join(job["before_script"] + job["script"]), environ | job["variables"], tmp_path
    )

    assert done.returncode == code, done.stderr
    assert f"{ROOT}[cli]" in (tmp_path / "installed").read_text()
    for path in [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]]:
        assert (tmp_path / path).exists()
    assert fail_on in declared["fail-on"]["options"]
