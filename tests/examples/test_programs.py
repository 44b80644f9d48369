"""The examples that are no web servers: Celery, many customers, a notebook, Kubernetes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.services import EXAMPLES, LONGEST, ROOT, SPEED, Program, hostnames

if TYPE_CHECKING:
    from pathlib import Path

    from bestdefense_async.testing.process import SandboxProcess

DRIVE_CELERY = """
import sys, tasks
ids = [tasks.start_scan.delay(site) for site in sys.argv[1:]]
ends = [tasks.outcome.delay(each.get(timeout=60)) for each in ids]
print(*(end.get(timeout=60)["status"] for end in ends))
"""


def environment(sandbox: SandboxProcess, **more: str) -> dict[str, str]:
    """Return what a program needs to find the sandbox and the package."""
    return {
        **os.environ,
        **sandbox.env,
        "PYTHONPATH": str(ROOT),
        "POLL_SPEED": str(SPEED),
        **more,
    }


@pytest.mark.bd_sandbox(sites=6, speed=SPEED)
@pytest.mark.skipif(os.name != "posix", reason="Celery's pool forks")
def test_celery_scans_in_the_processes_of_its_pool(
    bd_sandbox_process: SandboxProcess, tmp_path: Path
) -> None:
    """Two of them: a scan that one has started is waited for in the other."""
    sandbox = bd_sandbox_process
    for name in ("queue", "results"):
        (tmp_path / name).mkdir()
    env = {
        **sandbox.env,
        "BROKER": "filesystem://",
        "BROKER_FOLDER": str(tmp_path / "queue"),
        "RESULTS": f"file://{tmp_path / 'results'}",
        "SCANS_STORE": str(tmp_path / "scans.db"),
        "LOG": str(tmp_path / "log"),
    }
    folder = EXAMPLES / "celery"
    with Program(
        *("-m", "celery", "-A", "tasks", "worker", "--concurrency", "2", "--without-mingle"),
        *("--without-gossip", "--without-heartbeat", "--loglevel", "INFO"),
        cwd=folder,
        env=env,
    ) as worker:
        done = subprocess.run(
            [sys.executable, "-c", DRIVE_CELERY, *hostnames(sandbox)],
            cwd=folder,
            env=environment(
                sandbox, **{**env, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
            ),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert done.stdout.split() == ["done"] * 6, done.stderr
        assert worker.end() == 0
    sandbox.assert_no_duplicates()


@pytest.mark.bd_sandbox(sites=1, speed=SPEED)
def test_two_hundred_customers_are_scanned_each_with_its_own_token(
    bd_sandbox_process: SandboxProcess, tmp_path: Path
) -> None:
    """One dead token and one site outside of its list are told, and nobody else notices."""
    sandbox, vault = bd_sandbox_process, tmp_path / "vault"
    vault.mkdir()
    customers = {}
    for number in range(200):
        name = f"customer-{number:03}"
        site = f"www.{name}.example"
        token = sandbox.add_organization(name, sites=[site])
        (vault / name).write_text(token)
        customers[name] = [f"*.{name}.example"]
    sandbox.revoke((vault / "customer-007").read_text())
    customers["customer-008"] = ["elsewhere.example"]
    (tmp_path / "customers.json").write_text(json.dumps(customers))

    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/support/fast_program.py"), "nightly.py"],
        cwd=EXAMPLES / "mssp",
        env=environment(
            sandbox,
            VAULT=str(vault),
            CUSTOMERS=str(tmp_path / "customers.json"),
            REPORTS=str(tmp_path),
        ),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert re.search(r"200 customers, \d+ with findings, 2 incomplete", done.stderr), done.stderr
    assert "customer-007 was not scanned" in done.stderr
    assert "www.customer-008.example is outside of what customer-008 may scan" in done.stderr
    assert len(sandbox.scans_per_site()) == 198
    sandbox.assert_no_duplicates()
    assert len(list(tmp_path.glob("customer-*.html"))) == 199
    assert not any((vault / name).read_text() in done.stderr for name in customers)


EXECUTE = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], as_version=4)
notebook.cells.insert(0, nbformat.v4.new_code_cell("import tests.support.fast_program"))
nbclient.NotebookClient(notebook, timeout=100, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.mark.bd_sandbox(sites=6, speed=SPEED)
def test_the_notebook_runs_and_shows_tables(
    bd_sandbox_process: SandboxProcess, tmp_path: Path
) -> None:
    """From its first cell to the last, as somebody would run it; it is kept without outputs."""
    kept, executed = EXAMPLES / "notebook" / "scan.ipynb", tmp_path / "executed.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(kept), str(executed)],
        env=environment(bd_sandbox_process),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    def outputs(path: Path) -> list[dict[str, Any]]:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        return [output for cell in cells for output in cell.get("outputs", ())]

    shown = [each["data"] for each in outputs(executed) if "data" in each]
    tables = ["".join(data["text/html"]) for data in shown if "text/html" in data]
    assert len(tables) == 2
    assert all(table.startswith("<table>") for table in tables)
    assert outputs(kept) == []


def manifests(name: str) -> list[dict[str, Any]]:
    """Return the objects of a manifest."""
    text = (EXAMPLES / "kubernetes" / name).read_text("utf-8")
    return list(yaml.safe_load_all(text))


def test_the_deployment_fits_the_service() -> None:
    """Its probes are routes of the service, its variables are read, its grace time is enough."""
    deployment, service = manifests("deployment.yaml")
    source = (EXAMPLES / "fastapi" / "app.py").read_text("utf-8")
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}

    for probe in ("livenessProbe", "readinessProbe"):
        assert f'@app.get("{container[probe]["httpGet"]["path"]}")' in source
    assert all(f'"{name}"' in source for name in variables)
    assert "timeout_graceful_shutdown=2" in source
    assert spec["terminationGracePeriodSeconds"] >= 2 + float(variables["SCANS_DRAIN"]) + 10
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    mounts = [each["mountPath"] for each in container["volumeMounts"]]
    assert any(variables["SCANS_STORE"].startswith(f"{mount}/") for mount in mounts)


@pytest.mark.bd_sandbox(sites=3, speed=3600.0)
def test_the_job_runs_as_it_is_written(bd_sandbox_process: SandboxProcess, tmp_path: Path) -> None:
    """Its arguments are those of the command, and its files come where the volumes are."""
    (job,) = manifests("job.yaml")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    for folder in ("targets", "state"):
        (tmp_path / folder).mkdir()
    sites = hostnames(bd_sandbox_process)
    (tmp_path / "targets" / "hosts.txt").write_text("\n".join(sites))

    def here(text: str) -> str:
        return re.sub("/(targets|state)", str(tmp_path / r"\1"), text)

    variables = {each["name"]: here(each["value"]) for each in container["env"] if "value" in each}
    done = subprocess.run(
        [sys.executable, "-m", "bestdefense_async", *map(here, container["args"])],
        cwd=tmp_path,
        env=environment(bd_sandbox_process, **variables),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )

    assert container["command"] == ["bestdefense"]
    assert done.returncode in {0, 1}, done.stderr
    assert {path.name for path in (tmp_path / "state").glob("report.*")} == {
        "report.html",
        "report.sarif",
    }
    assert len(list((tmp_path / "state").glob("*.db"))) == 1
