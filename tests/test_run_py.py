"""run.py, the newcomer's path: it starts anywhere, finds its way, and says what is wrong."""

import ast
import contextlib
import importlib.util
import io
import os
import pty
import re
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
import trustme

ROOT = Path(__file__).parent.parent
PARTS = (
    "run.py",
    "pyproject.toml",
    "hatch_build.py",
    "uv.lock",
    "requirements",
    "README.md",
    "LICENSE",
)

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


def load(path: Path) -> ModuleType:
    """Import a run.py without starting it."""
    spec = importlib.util.spec_from_file_location("run_py", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run_py(checkout: Path) -> ModuleType:
    """run.py of a checkout of its own, imported and not started."""
    return load(checkout / "run.py")


def run(
    checkout: Path, *arguments: str, python: str = sys.executable, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Start run.py as a person would, with a bare environment and what a test adds to it."""
    bare = {"PATH": "/nowhere", "HOME": str(checkout), "PYTHONWARNINGS": "ignore"}
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


class Index(BaseHTTPRequestHandler):
    """A package index that has nothing and answers everything with one status."""

    status = 200

    def do_GET(self) -> None:
        """Answer with a page without links."""
        self.send_response(self.status)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html></html>")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own
        """Say nothing."""


@contextlib.contextmanager
def index(status: int, *, is_trusted: bool) -> Iterator[str]:
    """Serve such an index and yield its address; an untrusted one has a certificate of nobody."""
    handler = type("Handler", (Index,), {"status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if not is_trusted:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trustme.CA().issue_cert("localhost").configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http{'' if is_trusted else 's'}://localhost:{server.server_port}/simple"
        server.shutdown()
        thread.join()


def test_no_index_is_one_clear_sentence(checkout: Path) -> None:
    """Without an index run.py says so, leaves no half-made .venv and ends with code 69."""
    done = run(checkout, "demo", **NO_INDEX)

    assert done.returncode == 69
    assert re.search(
        r"^run\.py: .*(reached no package index|there is no uv).*\.$", done.stderr, re.MULTILINE
    )
    assert "Traceback" not in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("status", "is_trusted", "said"),
    [
        pytest.param(403, True, "Could not fetch URL .*: 403 .*Forbidden", id="it refuses"),
        pytest.param(200, False, "Could not fetch URL .*certificate", id="nobody knows it"),
        pytest.param(200, True, "ERROR: No matching distribution found for", id="it is empty"),
    ],
)
def test_the_installer_says_what_is_wrong_with_the_index(
    checkout: Path, status: int, said: str, *, is_trusted: bool
) -> None:
    """In its own words, one line before ours."""
    with index(status, is_trusted=is_trusted) as url:
        done = run(checkout, "demo", **{**NO_INDEX, "PIP_INDEX_URL": url})

    if "there is no uv" in done.stderr:
        pytest.skip("this Python has no pip")
    *_, theirs, ours = done.stderr.splitlines()
    assert re.match(f"run.py: pip: {said}", theirs)
    assert "reached no package index" in ours
    assert "Traceback" not in done.stderr


UV = {
    "hint: An index (http://x/simple) returned a 403 Forbidden error. Check the URL.": (
        "error: No solution found when resolving dependencies\n  cause: Because a was not found\n\n"
        "hint: An index (http://x/simple) returned a 403 Forbidden error. Check the URL.\n"
    ),
    "cause: invalid peer certificate: UnknownIssuer": (
        "error: Failed to fetch: https://x/simple/a/\n  cause: client error (Connect)\n"
        "  cause: invalid peer certificate: UnknownIssuer\n"
    ),
    "cause: Because there is no version of a==1 and you require a==1, it cannot be.": (
        "error: No solution found when resolving dependencies\n"
        "  cause: Because there is no version of a==1 and you require a==1, it cannot be.\n"
    ),
}


@pytest.mark.parametrize(("line", "output"), UV.items())
def test_uv_says_it_in_its_last_line(run_py: ModuleType, line: str, output: str) -> None:
    """As it does, and each is told as an index that did not give what was asked for."""
    assert run_py.reason(output) == line
    assert "reached no package index" in str(run_py.why([("uv", output)]))


def test_another_failure_is_told_with_the_end_of_the_output(
    run_py: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk is no fault of the network."""
    output = "Connection pool is full\nERROR: [Errno 28] No space left on device\nRemoved it\n"

    stop = run_py.why([("pip", output)])

    assert "could not install the requirements" in str(stop)
    assert capsys.readouterr().err.startswith("run.py: pip: ERROR: [Errno 28] No space left")


def test_without_an_installer_it_says_which_to_install(
    run_py: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Debian leaves pip and ensurepip out of its Python, and brings both back in one package."""
    monkeypatch.setattr(run_py, "base_python", lambda: str(script(tmp_path / "bare", "exit 1")))
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(run_py.Stop, match=r"neither pip nor ensurepip.*apt install python3-venv"):
        run_py.install("cli", None)


def test_off_a_terminal_an_installation_says_a_line_now_and_then(run_py: ModuleType) -> None:
    """A pipeline shows that something goes on, and no control characters."""
    stream = io.StringIO()
    often, seldom = run_py.Progress(stream, pause=0.0), run_py.Progress(stream)

    often.show("Collecting a")
    seldom.show("Collecting b")
    often.clear()

    assert stream.getvalue() == "run.py: still installing: Collecting a\n"


def test_on_a_terminal_an_installation_shows_a_line_that_moves(
    run_py: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the installer says replaces what it said before, and goes in the end."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen, os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "30")
        run_py.attempt(
            [sys.executable, "-c", "print('Collecting a'); print('Collecting ' + 99*'b')"]
        )
        terminal.close()
        shown = b""
        with contextlib.suppress(OSError):  # how the end of a pseudo-terminal is told
            while part := screen.read(10_000):
                shown += part

    first, second, end = ["run.py: Collecting a", "run.py: Collecting bbbbbbbbbb", ""]
    assert shown.decode().split("\r\x1b[K") == ["", first, second, end]


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_the_environment_works_in_any_locale_where_the_path_has_an_umlaut(
    checkout: Path, locale: str
) -> None:
    """Python reads the path of an editable installation in the encoding of the locale."""
    here = checkout / "M\u00fcller"
    here.mkdir()
    shutil.copy(checkout / "run.py", here)
    (here / "bestdefense_async.py").write_text("print('found')")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", here / ".venv"], check=True)
    (site,) = here.glob(".venv/lib/*/site-packages")
    (site / "_bestdefense_async.pth").write_text(str(here), encoding="utf-8")

    load(here / "run.py").find_checkout_in_any_locale()
    done = subprocess.run(
        [here / ".venv/bin/python", "-c", "import bestdefense_async"],
        env={"LC_ALL": locale},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.stdout, done.stderr) == ("found\n", "")


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
