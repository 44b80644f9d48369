"""The example of a project that tests its own code works as it stands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "testing-your-code"


def test_its_tests_pass_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """With the settings that stand in it, and nothing of our own suite's."""
    project = shutil.copytree(EXAMPLE, tmp_path / "project")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    plugins = ("-p", "bestdefense_async.testing.plugin", "-p", "pytest_asyncio.plugin")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins],
        cwd=project,
        env={**environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout
