"""Everything a fresh clone needs, with nothing but a Python: `python3 run.py demo`.

Two stages in one file. Stage one runs under whatever Python was typed, even Python 2: it finds a
Python 3.11 or newer and starts this file again with it, so the whole file is kept to syntax that
old Pythons can read. Stage two makes `.venv`, installs the locked and hashed requirements and the
checkout itself into it, and hands over to the command.

`python3 -m venv` needs ensurepip, which Debian leaves out, and `pip install` outside an environment
is refused there. So the environment is made without pip, and is filled by uv or, without uv, by
the base interpreter's pip run by the environment's own interpreter, as `pip --python` does; that
option came with pip 22.3 only.
"""

from __future__ import print_function

import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
BIN = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin")
PYTHON = os.path.join(BIN, "python.exe" if os.name == "nt" else "python")
STAMP = os.path.join(VENV, "run-py.json")

EXIT_USAGE = 2
EXIT_NO_ENVIRONMENT = 69

USAGE = """usage: python3 run.py COMMAND [ARGUMENT ...]

  demo     bulk-scan 200 sites of the built-in sandbox and write a report
  test     run the tests, as many at once as there are cores; arguments go to pytest
  lint     ruff check and ruff format --check; arguments go to ruff check
  format   ruff check --fix-only and ruff format
  types    mypy --strict and pyright --verifytypes; arguments go to mypy
  layout   the architecture and public-names tests
  docs     build the site into build/docs; a warning or a dead link fails
  wheel    build the archives and try them away from the checkout; --into DIR keeps them
  check    lint, types, test, docs and wheel, stopping at the first that fails
  setup    only make .venv; then use .venv/bin/bestdefense
  lock     write uv.lock and requirements/ anew (needs uv)
"""

# The sets of requirements, each holding the ones before it, and what a command needs if it is not
# everything: a newcomer who types `demo` waits for no test tools.
SETS = ("cli", "test", "dev")
NEEDS = {"demo": "cli", "test": "test", "layout": "test", "wheel": "test"}

# The steps of each command; `...` stands for the arguments that were passed on.
STEPS = {
    "demo": [["-m", "bestdefense_async", "demo", "..."]],
    "test": [["-m", "pytest", "-n", "logical", "--dist", "worksteal", "..."]],
    "lint": [["-m", "ruff", "check", "..."], ["-m", "ruff", "format", "--check"]],
    "format": [["-m", "ruff", "check", "--fix-only", "..."], ["-m", "ruff", "format"]],
    "types": [
        ["-m", "mypy", "..."],
        ["-m", "pyright", "--ignoreexternal", "--verifytypes", "bestdefense_async"],
    ],
    "layout": [["-m", "pytest", "-q", "tests/test_layout.py", "tests/test_public_names.py", "..."]],
    "docs": [["-m", "sphinx", "-W", "--keep-going", "-q", "docs", "build/docs", "..."]],
    "wheel": [["tests/wheel_smoke.py", "..."]],
    "setup": [],
}
STEPS["check"] = STEPS["lint"] + STEPS["types"] + STEPS["test"] + STEPS["docs"] + STEPS["wheel"]

EXPORT = ["uv", "export", "--quiet", "--frozen", "--no-emit-project", "--format=requirements-txt"]
LOCK = [
    ["uv", "lock"],
    EXPORT + ["--no-default-groups", "--extra=cli", "--group=build", "-o", "requirements/cli.txt"],
    EXPORT
    + ["--no-default-groups", "--all-extras", "--group=library", "-o", "requirements/library.txt"],
    EXPORT + ["--no-default-groups", "--all-extras", "--group=test", "-o", "requirements/test.txt"],
    EXPORT + ["--no-default-groups", "--all-extras", "--group=dev", "-o", "requirements/dev.txt"],
    # The oldest versions that pyproject.toml admits, for a run of the tests in CI.
    ["uv", "pip", "compile", "--quiet", "--resolution=lowest-direct", "--generate-hashes"]
    + ["--no-header", "--no-emit-index-url", "--no-annotate", "--python-version=3.11"]
    + ["--all-extras", "--group=library", "pyproject.toml", "-o", ".ci/oldest.txt"],
]

# Runs another interpreter's pip under this one: the import system learns about pip and nothing
# else of that interpreter, so its other packages do not look installed.
BORROWED_PIP = """
import importlib.util, os, runpy, sys
home = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location(
    "pip", os.path.join(home, "__init__.py"), submodule_search_locations=[home])
sys.modules["pip"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.argv[0] = "pip"
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""

# Lines of pip and uv that tell more than the last one does, the best first.
TELLING = ("Could not fetch URL", "ERROR: ")

# How that line says that no index gave what is needed.
UNREACHABLE = re.compile(
    "Could not fetch URL|No matching distribution|Could not find a version|certificate"
    "|no version of|was not found in the package|An index .* returned|Failed to fetch"
    "|error sending request|[Cc]onnection|timed out|ProxyError|name resolution|dns error"
    "|Network is|--no-index|offline"
)


class Stop(Exception):
    """Ends run.py with one sentence and an exit code."""

    def __init__(self, sentence, code=EXIT_NO_ENVIRONMENT):
        Exception.__init__(self, sentence)
        self.code = code


class Failed(Exception):
    """A tool ended with an error; its argument is what the tool printed."""


def say(sentence):
    """Tell the person at the terminal what is going on."""
    print("run.py: " + sentence, file=sys.stderr)
    sys.stderr.flush()


class Progress:
    """What an installer said last: a line that moves on a terminal, a line now and then off one."""

    def __init__(self, stream, pause=10.0):
        self.stream = stream
        self.pause = pause
        self.last = time.time()
        self.moves = stream.isatty() and os.environ.get("TERM") != "dumb"

    def show(self, line):
        """Show a line, if it is time for one."""
        if self.moves:
            width = shutil.get_terminal_size().columns
            self._write("\r\033[K" + ("run.py: " + line)[: width - 1])
        elif time.time() - self.last >= self.pause:
            self.last = time.time()
            self._write("run.py: still installing: " + line[:100] + "\n")

    def clear(self):
        """Leave no half line behind."""
        if self.moves:
            self._write("\r\033[K")

    def _write(self, text):
        self.stream.write(text)
        self.stream.flush()


# Stage one: find an interpreter ------------------------------------------------------------------


def candidates(environ):
    """Yield paths that may be a new enough Python, the likeliest first."""
    folders = [f for f in environ.get("PATH", "").split(os.pathsep) if f]
    names = ["python3.%d" % minor for minor in (14, 13, 12, 11)] + ["python3", "python"]
    for name in names:
        for folder in folders:
            path = os.path.join(folder, name + (".exe" if os.name == "nt" else ""))
            if os.access(path, os.X_OK) and not os.path.isdir(path):
                yield path
    # pyenv's shim of a version that is not selected fails, but that version is there.
    pyenv = environ.get("PYENV_ROOT") or os.path.join(os.path.expanduser("~"), ".pyenv")
    for path in sorted(glob.glob(os.path.join(pyenv, "versions", "*", "bin", "python"))):
        yield path


def real_path(path):
    """Return the full path of the interpreter behind `path`, or None if it will not do.

    A dead shim, a Python that is too old and one without ssl all answer None.
    """
    code = "import sys, ssl, venv; assert sys.version_info >= %r; print(sys.executable)" % (OLDEST,)
    try:
        process = subprocess.Popen(
            [path, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        found = process.communicate()[0].decode().strip()
    except (OSError, UnicodeError):
        return None
    return found if process.returncode == 0 and os.path.isfile(found) else None


def new_enough():
    """Return whether the running Python can do what stage two needs."""
    if sys.version_info[:2] < OLDEST:
        return False
    import importlib.util

    return all(importlib.util.find_spec(each) for each in ("_ssl", "venv"))


def find_python(environ):
    """Return the path of a Python that is new enough, or None."""
    for path in candidates(environ):
        found = real_path(path)
        if found is not None:
            return found
    return None


def start_again(arguments):
    """Run this file under a new enough Python and return its exit code."""
    found = find_python(os.environ)
    if found is None:
        raise Stop(
            "Python %d.%d or newer is needed and none was found (this is %d.%d);"
            " install one and run the same command again." % (OLDEST + tuple(sys.version_info[:2]))
        )
    return hand_over([found, os.path.abspath(__file__)] + arguments)


def hand_over(command, environ=None):
    """Become `command`, so that signals and exit codes are its own; return only on Windows."""
    environ = os.environ if environ is None else environ
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execve(command[0], command, environ)
    return subprocess.call(command, env=environ)


# Stage two: make the environment ----------------------------------------------------------------


def base_python():
    """Return the interpreter to make `.venv` from, also when started by `.venv` itself."""
    return getattr(sys, "_base_executable", None) or sys.executable


def requirements(name):
    """Return the file with the locked and hashed requirements of the set `name`."""
    return os.path.join("requirements", name + ".txt")


def fingerprint(name):
    """Return a hash of everything that decides what the set `name` installs, and where.

    Of pyproject.toml only the parts that say what is installed count: whoever edits the settings
    of a linter should not wait for an installation.
    """
    import tomllib

    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)
    hatch = project.pop("tool", {}).get("hatch")
    facts = [sys.version, base_python(), ROOT, project, hatch]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for part in ("uv.lock", requirements(name)):
        with open(os.path.join(ROOT, part), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def read_stamp():
    """Return which sets `.venv` holds and their fingerprints; None when it cannot be used."""
    if not os.path.exists(PYTHON):
        return None
    try:
        with open(STAMP) as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_stamp(stamp):
    """Write down which sets `.venv` holds; this also marks it as made by run.py."""
    with open(STAMP, "w") as file:
        json.dump(stamp, file)


@contextlib.contextmanager
def one_at_a_time():
    """Hold the checkout's installation lock, where the system has such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(VENV + ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure(name):
    """Make `.venv` hold the requirements set `name` and the checkout; do nothing if it does."""
    wanted = fingerprint(name)
    if (read_stamp() or {}).get(name) == wanted:
        return
    with one_at_a_time():
        stamp = read_stamp()
        if (stamp or {}).get(name) != wanted:
            install(name, stamp)


def install(name, stamp):
    """Fill `.venv` with the first installer that manages to, and stamp it."""
    # An environment that somebody made by hand is added to, never deleted. Our own is made anew
    # unless it holds exactly a smaller set, so that nothing old or half done stays in it.
    adopted = stamp.get("adopted", False) if stamp else works_and_is_not_ours()
    keep = adopted or any((stamp or {}).get(each) == fingerprint(each) for each in SETS)
    failures = []
    for tool, prepare, command in installers(PYTHON):
        if failures:
            say("%s could not install; trying %s" % (failures[-1][0], tool))
        try:
            fill(name, tool, prepare, command, keep)
        except Failed as error:
            failures.append((tool, str(error)))
            continue
        held = SETS[: SETS.index(name) + 1]
        write_stamp(dict({each: fingerprint(each) for each in held}, adopted=adopted))
        return
    if keep and stamp:
        write_stamp(stamp)  # installers fetch everything before they change anything
    elif not keep:
        clear()
    raise why(failures)


def works_and_is_not_ours():
    """Return whether `.venv` is a working environment that run.py did not make."""
    made_elsewhere = os.path.exists(os.path.join(VENV, "pyvenv.cfg")) and not os.path.exists(STAMP)
    return made_elsewhere and os.path.exists(PYTHON) and real_path(PYTHON) is not None


def fill(name, tool, prepare, command, keep):
    """Install the set `name` and the checkout with one tool; raise Failed if it cannot."""
    with open(os.path.join(ROOT, requirements(name))) as file:
        packages = len(re.findall("^[A-Za-z0-9]", file.read(), re.MULTILINE))
    say(
        "%s .venv: installing %d packages for Python %d.%d with %s (later starts skip this)"
        % (("adding to" if keep else "making", packages) + sys.version_info[:2] + (tool,))
    )
    if not keep:
        clear()
        attempt([base_python(), "-m", "venv", "--without-pip", VENV])
    write_stamp({})  # ours from here on, and holding nothing until the end is reached
    if prepare:
        attempt(prepare)
    packages = command + ["--require-hashes", "-r", requirements(name)]
    try:
        attempt(packages)
    except Failed as error:
        if "ERROR: No matching distribution" not in str(error):
            raise
        attempt(packages + ["-vv"])  # only then does pip tell what the index has answered
    attempt(command + ["--no-deps", "--no-build-isolation", "-e", "."])
    find_checkout_in_any_locale()


def find_checkout_in_any_locale():
    """Lead `.venv` to the checkout in ASCII: Python reads such a file in the locale's encoding.

    With LC_ALL=C it would not start when the path of the checkout holds an umlaut. A relative path
    is the other way to say it, and none of ours holds any.
    """
    try:
        ROOT.encode("ascii")
    except UnicodeError:
        pattern = os.path.join(glob.escape(VENV), "[Ll]ib", "**", "_bestdefense_async.pth")
        for path in glob.glob(pattern, recursive=True):
            with open(path, "w") as file:
                file.write(os.path.relpath(ROOT, os.path.dirname(path)) + "\n")


def clear():
    """Remove `.venv`, whatever it is."""
    if os.path.islink(VENV) or os.path.isfile(VENV):
        os.remove(VENV)
    elif os.path.isdir(VENV):
        shutil.rmtree(VENV)


def installers(python):
    """Yield what can fill the environment of `python`: its name, how to prepare it, its command."""
    uv = shutil.which("uv")
    if uv and answers([uv, "--version"]):
        yield "uv", None, [uv, "pip", "install", "--python", python]
    options = ["install", "--progress-bar=off", "--no-input", "--retries=2", "--timeout=20"]
    home = answers([base_python(), "-c", "import os, pip; print(os.path.dirname(pip.__file__))"])
    if home:
        yield "pip", None, [python, "-c", BORROWED_PIP, home] + options
    elif answers([base_python(), "-c", "import ensurepip; print(ensurepip.version())"]):
        yield "pip", [python, "-m", "ensurepip"], [python, "-m", "pip"] + options


def clean_environment():
    """Return the environment without what would lead an installation or a start elsewhere."""
    # Without bytecode, each start would compile everything that it imports.
    astray = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "VIRTUAL_ENV")
    astray += ("PYTHONDONTWRITEBYTECODE",)
    environ = {key: value for key, value in os.environ.items() if key not in astray}
    return dict(environ, PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1")


def answers(command):
    """Return what `command` prints, or the empty string when it does not work."""
    try:
        done = subprocess.run(
            command, check=False, env=clean_environment(), capture_output=True, text=True
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def attempt(command):
    """Run one step of an installation; raise Failed with its output when it fails."""
    progress = Progress(sys.stderr)
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = []
    try:
        with process:
            for line in process.stdout:
                lines.append(line.rstrip())
                progress.show(lines[-1].strip())
    finally:
        progress.clear()
    if process.returncode != 0:
        raise Failed("\n".join(lines))


def reason(output):
    """Return the line of an installer's output that says best why it failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for words in TELLING:
        for line in reversed(lines):
            if words in line:
                return line[line.index(words) :]
    return lines[-1] if lines else "nothing"


def why(failures):
    """Return the Stop that says why no installer managed."""
    if not failures:
        return Stop(
            "%s has neither pip nor ensurepip, and there is no uv; install one of them"
            " (on Debian: apt install python3-venv) and run the same command again." % base_python()
        )
    names = " and ".join(tool for tool, _ in failures)
    for tool, output in failures:
        say("%s: %s" % (tool, reason(output)))
    if all(UNREACHABLE.search(reason(output)) for _, output in failures):
        return Stop(
            "%s reached no package index that has the requirements, so nothing was installed;"
            " check the network and the index settings and run the same command again." % names
        )
    for _, output in failures:
        print("\n".join(output.strip().splitlines()[-12:]), file=sys.stderr)
    return Stop("%s could not install the requirements, for the reason above." % names)


# The commands -----------------------------------------------------------------------------------


def steps_of(command, arguments):
    """Return the commands to run; the arguments go to the first step that takes any."""
    steps = []
    for step in STEPS[command]:
        if "..." in step:
            steps.append([PYTHON] + step[:-1] + arguments)
            arguments = []
        else:
            steps.append([PYTHON] + step)
    return steps


def run_steps(steps, name):
    """Run the steps in order up to the first that fails; become the last one."""
    environ = clean_environment()
    environ["PATH"] = BIN + os.pathsep + environ.get("PATH", "")
    if name != "cli":
        os.chdir(ROOT)  # the demo leaves its report where it was started
    for step in steps[:-1]:
        code = subprocess.call(step, env=environ)
        if code != 0:
            return code
    return hand_over(steps[-1], environ) if steps else 0


def lock():
    """Write uv.lock and the requirements files anew, from the public index alone."""
    if not answers(["uv", "--version"]):
        raise Stop("`lock` needs uv, which was not found.")
    here = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX", "UV_FIND_LINKS")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(here)}
    environ["UV_NO_CONFIG"] = "1"
    for step in LOCK:
        code = subprocess.call(step, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
        if code != 0:
            return code
    return 0


def main(arguments):
    """Do what the arguments say and return the exit code."""
    if arguments[:1] in (["-h"], ["--help"], ["help"]):
        print(USAGE, end="")
        return 0
    command = arguments[0] if arguments else None
    if command not in STEPS and command != "lock":
        print(USAGE, end="", file=sys.stderr)
        if command is not None:
            say("there is no command %r." % command)
        return EXIT_USAGE
    if not new_enough():
        return start_again(arguments)
    if command == "lock":
        return lock()
    name = NEEDS.get(command, "dev")
    ensure(name)
    return run_steps(steps_of(command, arguments[1:]), name)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as stop:
        say(str(stop))
        sys.exit(stop.code)
    except (IOError, OSError) as error:
        say("%s; that has to be put right first." % error)
        sys.exit(EXIT_NO_ENVIRONMENT)
    except KeyboardInterrupt:
        say("interrupted; the next start begins again where it has to.")
        sys.exit(130)
