"""run.py, the newcomer's path: it starts anywhere, finds its way, and says what is wrong."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("run.py", "pyproject.toml", "uv.lock", "requirements", "README.md", "LICENSE")

# Syntax and calls that some Python this file must start under cannot read.
TOO_NEW = (
    *(ast.JoinedStr, ast.NamedExpr, ast.AnnAssign, ast.Match, ast.AsyncFunctionDef, ast.Nonlocal),
    *(ast.YieldFrom, ast.Starred, ast.TryStar),
)

NO_INDEX = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_NO_CACHE_DIR": "1",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with everything run.py reads, and no .venv."""
    for part in PARTS:
        origin = ROOT / part
        copy = shutil.copytree if origin.is_dir() else shutil.copy
        copy(origin, tmp_path / part)
    return tmp_path


@pytest.fixture
def run_py(checkout: Path) -> ModuleType:
    """run.py of a checkout of its own, imported and not started."""
    spec = importlib.util.spec_from_file_location("run_py", checkout / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(
    checkout: Path, *arguments: str, python: str = sys.executable, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Start run.py as a person would, with a bare environment and what a test adds to it."""
    bare = {"PATH": os.defpath, "HOME": str(checkout), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [python, str(checkout / "run.py"), *arguments],
        env=bare | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def script(path: Path, text: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def old_pythons() -> list[str]:
    """Return the Pythons below 3.11 that this machine happens to have."""
    names = ["python2", "python2.7", *(f"python3.{minor}" for minor in range(4, 11))]
    found = [path for path in map(shutil.which, names) if path]
    found += map(str, Path.home().glob(".pyenv/versions/[23].*/bin/python"))
    usable = []
    for path in found:
        code = "import sys; print(sys.version_info < (3, 11))"
        done = subprocess.run([path, "-c", code], capture_output=True, check=False)
        if done.stdout.strip() == b"True":
            usable.append(path)
    return usable


def test_it_is_kept_to_syntax_that_old_pythons_read() -> None:
    """No f-string, annotation, unpacking or other newer syntax stands in run.py."""
    text = (ROOT / "run.py").read_text("ascii")
    newer = [node for node in ast.walk(ast.parse(text)) if isinstance(node, TOO_NEW)]
    annotated = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
        and (node.returns or node.args.kwonlyargs or any(arg.annotation for arg in node.args.args))
    ]

    assert newer == []
    assert annotated == []


def test_every_old_python_here_gives_one_sentence(checkout: Path) -> None:
    """An old Python that finds no newer one says so in one sentence; it never shows a trace."""
    for python in old_pythons():
        done = run(checkout, "demo", python=python, PATH="/nowhere", PYENV_ROOT="/nowhere")

        assert done.returncode == 69, python
        assert done.stdout == ""
        assert re.fullmatch(r"run\.py: Python 3\.11 or newer is needed .*\.\n", done.stderr), python


def test_a_python_is_found_behind_dead_and_old_ones(run_py: ModuleType, tmp_path: Path) -> None:
    """Shims that fail, programs that are no Python and folders of that name are passed over."""
    script(tmp_path / "bin/python3.14", "echo 'pyenv: python3.14: command not found'; exit 127")
    script(tmp_path / "bin/python3.13", "echo 3.9")
    script(tmp_path / "bin/python3.12", "echo /nowhere/python; exit 1")
    (tmp_path / "bin/python3.11").mkdir()
    script(tmp_path / "bin/python3", f'exec {sys.executable} "$@"')

    found = run_py.find_python({"PATH": f"/nowhere::{tmp_path / 'bin'}", "PYENV_ROOT": "/nowhere"})

    assert found is not None
    assert Path(found).samefile(sys.executable)


def test_a_python_that_only_pyenv_knows_is_found(run_py: ModuleType, tmp_path: Path) -> None:
    """A version that pyenv has, but has not selected, is good enough."""
    script(tmp_path / "versions/3.12.0/bin/python", f'exec {sys.executable} "$@"')

    assert run_py.find_python({"PATH": "", "PYENV_ROOT": str(tmp_path)}) is not None


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["--version"]])
def test_an_unknown_word_shows_the_commands(checkout: Path, arguments: list[str]) -> None:
    """What run.py does not know ends with its usage and exit code 2, and installs nothing."""
    done = run(checkout, *arguments)

    assert done.returncode == 2
    assert done.stderr.startswith("usage: python3 run.py COMMAND")
    assert not (checkout / ".venv").exists()


def test_help_names_every_command(checkout: Path, run_py: ModuleType) -> None:
    """Every command has its line in the help, which goes to standard output."""
    done = run(checkout, "--help")

    assert done.returncode == 0
    assert {*run_py.STEPS, "lock"} == set(re.findall(r"^  (\w+) ", done.stdout, re.MULTILINE))


def test_no_index_is_one_clear_sentence(checkout: Path) -> None:
    """Without an index run.py says so, leaves no half-made .venv and ends with code 69."""
    done = run(checkout, "demo", **NO_INDEX)

    assert done.returncode == 69
    assert re.search(
        r"^run\.py: .*(reached no package index|was found).*\.$", done.stderr, re.MULTILINE
    )
    assert "Traceback" not in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_broken_environment_is_not_trusted(checkout: Path) -> None:
    """A .venv that an interrupted start left behind is made anew instead of used."""
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to("/nowhere/python")
    (checkout / ".venv/run-py.json").write_text("{")

    done = run(checkout, "demo", **NO_INDEX)

    assert "making .venv" in done.stderr
    assert done.returncode == 69
    assert not (checkout / ".venv").exists()


def test_a_stamped_environment_is_used_at_once(run_py: ModuleType, checkout: Path) -> None:
    """With the right stamp nothing is asked of any installer, and the arguments arrive."""
    script(checkout / ".venv/bin/python", 'echo "$@"')
    run_py.write_stamp({"cli": run_py.fingerprint("cli")})

    done = run(checkout, "demo", "--sites", "3", "a b")

    assert done.stdout == "-m bestdefense_async demo --sites 3 a b\n"
    assert done.stderr == ""


@pytest.mark.parametrize("part", ["uv.lock", "requirements/cli.txt"])
def test_a_new_lock_changes_the_fingerprint(run_py: ModuleType, checkout: Path, part: str) -> None:
    """What was installed for another lock is not taken for the current one."""
    before = run_py.fingerprint("cli")
    (checkout / part).write_text((checkout / part).read_text() + "\n# changed\n")

    assert run_py.fingerprint("cli") != before


@pytest.mark.parametrize(
    ("text", "other", "counts"),
    [
        pytest.param('"aiohttp>=', '"aiohttp>', True, id="a dependency counts"),
        pytest.param("line-length = 100", "line-length = 99", False, id="a linter does not"),
    ],
)
def test_of_pyproject_only_what_is_installed_counts(
    run_py: ModuleType, checkout: Path, text: str, other: str, *, counts: bool
) -> None:
    """Editing the settings of a tool costs nobody a new installation."""
    project = checkout / "pyproject.toml"
    before = run_py.fingerprint("cli")
    assert text in project.read_text()
    project.write_text(project.read_text().replace(text, other))

    assert (run_py.fingerprint("cli") != before) is counts


def test_an_environment_made_by_hand_is_kept(run_py: ModuleType, checkout: Path) -> None:
    """A working .venv without our stamp is somebody's own: added to, never deleted."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True, timeout=60
    )
    (checkout / ".venv/mine").touch()

    assert run_py.works_and_is_not_ours()
    done = run(checkout, "demo", **NO_INDEX)

    assert "adding to .venv" in done.stderr
    assert (checkout / ".venv/mine").exists()


def test_the_arguments_go_to_the_first_step_that_takes_any(run_py: ModuleType) -> None:
    """Each command hands its arguments to one tool and leaves the other steps alone."""
    steps = [step[1:] for step in run_py.steps_of("lint", ["--fix"])]

    assert steps == [["-m", "ruff", "check", "--fix"], ["-m", "ruff", "format", "--check"]]
