"""A page of the documentation, run from its first block to its last as a reader would.

| block | what happens |
|---|---|
| `console` | each line after `$ ` is typed into one shell; what follows is what it prints |
| `python` | runs where `await` may be written; a `text` block after it is what it prints |
| any, with `:caption: NAME` | is stored as the file NAME, and parsed where we can |
| `yaml`, `toml`, `json` and so on without a caption | is parsed |

A comment on the line before a block says more: `<!-- not run: why -->`, or `<!-- keeps running -->`
for a server in a terminal of its own, or `<!-- in any order -->` for lines that come as they come.
`<!-- sandbox: sites=3 -->` sets the sandbox of the page, and
`<!-- given: hosts.txt bd site report -->` names what its blocks find there: a list of the sites,
an open client, one of the sites, a finished report of it.

With `BD_DOCS=write` in the environment, what is really printed is written into the page instead.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import json
import os
import re
import socket
import sys
import tempfile
import tomllib
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import yaml
from sybil.document import Document
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer
from sybil.parsers.myst.lexers import DirectiveLexer

from bestdefense_async import BestDefense
from bestdefense_async.sandbox import Sandbox
from bestdefense_async.testing.process import SandboxProcess
from tests.support.page_terminals import WIDTH, Server, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from sybil import Region

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

PORT, OTHER_PORT = "8400", "8500"
"""The ports of the sandbox and of a program on all pages; free ones take their place."""

DATABASE: Final = "postgresql://bestdefense@db.internal/runs"
"""The database on all pages that say `<!-- database: shared -->`."""

SOON: Final = "2027-03-31"
"""A day in some months, on all pages; one that is still to come takes its place."""

_LANGUAGES: Final = {"console", "python", "text", "yaml", "toml", "json", "ini", "groovy"}
_LANGUAGES_SHOWN: Final = {"dockerfile", "bash", "nginx"}
_WRITES: Final = os.environ.get("BD_DOCS") == "write"
_VARIES: Final = (
    (re.compile(r"^scan: .* scanning.*\n", re.MULTILINE), ""),  # more of them on a slow machine
    (re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{5}\b"), "RUN"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00| UTC)?)?"), "DATE"),
    (re.compile(r"\b\d+(\.\d+)? (s|ms|min|kB|MB)\b"), "AMOUNT"),
    (re.compile(r"about [\d,]+ requests"), "about some requests"),
    (re.compile(r"^bestdefense \d\S*", re.MULTILINE), "bestdefense VERSION"),
    (re.compile(r"process \[\d+\]"), "process [ID]"),
    (re.compile(r"in \d+\.\d+s"), "in AMOUNT"),
    (re.compile(r"duration=[\d.]+"), "duration=AMOUNT"),
    (re.compile(r"[ \t]+"), " "),
)
"""What is different in each run."""


def blocks(path: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    document = Document(path.read_text("utf-8"), str(path))
    for lexer in (FencedCodeBlockLexer(r"[^\n{]*"), DirectiveLexer("code-block")):
        for region in lexer(document):
            document.add(region)
    return [Block(document, example.line, example.region) for example in document.examples()]


class Block:
    """One block of a page."""

    def __init__(self, document: Document, line: int, region: Region) -> None:
        self.line = line
        self.start, self.end = region.start, region.end
        self.language: str = region.lexemes.get("language", region.lexemes.get("arguments")) or ""
        self.source: str = str(region.lexemes["source"])
        self.caption: str = (region.lexemes.get("options") or {}).get("caption", "")
        above = document.text[: region.start].rstrip().rpartition("\n")[2]
        found = re.fullmatch(r"<!-- (.*) -->", above)
        self.remark: str = found[1] if found else ""

    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield each command and what the page says it prints."""
        for part in re.split(r"^\$ ", self.source, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            typed = 1
            while typed < len(lines) and (
                lines[typed - 1].endswith("\\") or lines[typed].startswith("> ")
            ):
                typed += 1
            command = [lines[0], *(line.removeprefix("> ") for line in lines[1:typed])]
            yield "\n".join(command), "\n".join(lines[typed:]).strip("\n")


def same(printed: str, expected: str) -> bool:
    """Return whether a command printed what the page says; `...` stands for any lines."""
    pattern = r"(?:.*\n)*?".join(
        re.escape(part)
        for part in re.split(r"^\.\.\.\n", _comparable(expected), flags=re.MULTILINE)
    )
    return re.fullmatch(pattern, _comparable(printed)) is not None


def _comparable(text: str) -> str:
    for pattern, word in _VARIES:
        text = pattern.sub(word, text)
    return "".join(f"{line.rstrip()}\n" for line in text.strip().splitlines())


class Page:
    """One page while it is run, in a folder of its own, with a sandbox of its own."""

    def __init__(self, path: Path, folder: Path, *, database: str = "") -> None:
        self.path = path
        self.folder = folder
        self.printed: list[tuple[Block, str]] = []
        """Each block that has output, and what it would be with the output of this run."""
        self.blocks = blocks(path)
        self._text = path.read_text("utf-8")
        self._port = _free_port()
        self._swapped = {PORT: self._port, OTHER_PORT: _free_port()}
        self._swapped[SOON] = str(datetime.now(UTC).date() + timedelta(days=90))
        if database:
            self._swapped[DATABASE] = database
        self._scope: dict[str, Any] = {"__name__": "page"}
        self._given: dict[str, Any] = {}
        self._stack = contextlib.AsyncExitStack()
        self._shell: Shell | None = None
        self._last_print: str | None = None
        # A short path: how long lines are broken must not depend on where the tests run.
        home = self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix="home-", ignore_cleanup_errors=True)
        )
        self._environ = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": home,
            "LANG": "C.UTF-8",
            "COLUMNS": str(WIDTH),
            "TERM": "dumb",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def _remark(self, name: str) -> str:
        found = re.search(rf"^<!-- {name}: (.*) -->$", self._text, re.MULTILINE)
        return found[1] if found else ""

    def _settings(self) -> dict[str, Any]:
        pairs = (pair.split("=") for pair in self._remark("sandbox").split())
        return {"sites": 12} | {
            key: int(value) if value.isdigit() else value for key, value in pairs
        }

    async def run(self) -> None:
        """Run every block; raise AssertionError, with the line, where the page is wrong."""
        if self._remark("given"):
            await self._start_client()
        try:
            await self._run_blocks()
        finally:
            if _WRITES:
                self._write()

    async def _run_blocks(self) -> None:
        for block in self.blocks:
            try:
                await self._run_block(block)
            except Exception as error:
                name = self.path.relative_to(ROOT)
                raise AssertionError(f"{name}:{block.line}: {_short(error)}") from error

    async def _run_block(self, block: Block) -> None:
        if block.remark.startswith("not run: ") or block.language in _LANGUAGES_SHOWN:
            if block.caption:
                self._store(block)
            return
        assert block.language in _LANGUAGES, f"there is no block of {block.language or 'nothing'}"
        if block.caption:
            self._store(block)
        elif block.language == "console":
            self._run_console(block)
        elif block.language == "python":
            await self._run_python(block)
        elif block.language == "text" and self._last_print is not None:
            printed = self._last_print
            if block.remark == "in any order" and _sorted(printed) == _sorted(block.source):
                printed = block.source
            self._compare("", printed, block.source)
            if not same(printed, block.source):
                self.printed.append((block, printed))
        else:
            _parse(block.language, block.source)
        self._last_print = self._last_print if block.language == "python" else None

    def _write(self) -> None:
        text = self._text
        for block, printed in reversed(list(dict(self.printed).items())):
            end = text.rindex("\n", block.start, block.end) + 1
            text = text[: end - len(block.source)] + printed + text[end:]
        self.path.write_text(text, "utf-8")

    def _store(self, block: Block) -> None:
        path = self.folder / block.caption
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._here(block.source), "utf-8")
        _parse(block.language, block.source)

    def _here(self, text: str) -> str:
        for shown, real in self._swapped.items():
            text = text.replace(shown, real)
        return text

    def _there(self, text: str) -> str:
        for shown, real in self._swapped.items():
            text = text.replace(real, shown)
        text = text.replace(str(self.folder), "/home/you/scans")
        return text.replace(self._environ["HOME"], "/home/you")

    def _compare(self, command: str, printed: str, expected: str) -> None:
        assert _WRITES or same(printed, expected), (
            f"{command}\n--- the page says\n{expected}\n--- it prints\n{printed}"
        )

    def _start_sandbox(self) -> None:
        """Start the sandbox that the page has not started in sight."""
        if f"--port {PORT}" in self._text:
            return
        settings = {"speed": 600, **self._settings(), "port": int(self._port)}
        process = self._stack.enter_context(SandboxProcess(**settings))
        self._environ |= process.env

    def _run_console(self, block: Block) -> None:
        if self._shell is None:
            self._start_sandbox()
            self._shell = Shell(self.folder, self._environ)
            self._stack.callback(self._shell.close)
        written = []
        for command, expected in block.commands():
            if block.remark == "keeps running":
                server = Server(self._here(command), self.folder, self._environ)
                self._stack.callback(server.close)
                printed = server.wait_for(len(expected.splitlines()))
            else:
                printed = self._shell.run(self._here(command))
                # A reader pastes such a line into each terminal.
                if exported := re.fullmatch(r"export (BD_\w+)=(\S+)", self._here(command)):
                    self._environ[exported[1]] = exported[2]
            printed = self._there(printed)
            written.append("$ " + command.replace("\n", "\n> ").replace("\\\n> ", "\\\n"))
            written.append(expected if same(printed, expected) else printed.strip("\n"))
            self.printed.append((block, "\n".join(filter(None, written)) + "\n"))
            self._compare(command, printed, expected)

    async def _run_python(self, block: Block) -> None:
        if not self._given:
            await self._start_client()
        self._scope |= self._given  # a block that closed its own `bd` leaves the page's to the next
        code = compile(
            "\n" * block.line + block.source.replace("asyncio.run(main())", "await main()"),
            str(self.path),
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.chdir(self.folder):
            running = eval(code, self._scope)  # noqa: S307  # our own pages
            if inspect.iscoroutine(running):
                await running
        self._last_print = self._there(output.getvalue())

    async def _start_client(self) -> None:
        """Give Python blocks a sandbox on their own loop, and what the page says is there."""
        sandbox = await self._stack.enter_async_context(Sandbox(**self._settings()))
        for key, value in (("BD_API_TOKEN", sandbox.token), ("BD_BASE_URL", sandbox.url)):
            os.environ[key] = value
            self._stack.callback(os.environ.pop, key)
        bd = await self._stack.enter_async_context(BestDefense())
        self._given = {"bd": bd, "sandbox": sandbox}
        given = self._remark("given").split()
        if "hosts.txt" in given:
            (self.folder / "hosts.txt").write_text("\n".join(sandbox.hostnames) + "\n", "utf-8")
        if "site" in given:
            self._given["site"] = await bd.sites.find(sandbox.hostnames[0])
        if "report" in given:
            self._given["report"] = await bd.reports.create(self._given["site"])
            await bd.reports.wait(self._given["report"])


def _sorted(text: str) -> list[str]:
    return sorted(text.split("\n"))


def _parse(language: str, text: str) -> None:
    if language == "yaml":
        list(yaml.safe_load_all(text))
    elif language == "toml":
        tomllib.loads(text)
    elif language == "json":
        json.loads(text)
    elif language == "python":
        ast.parse(text)


def _short(error: Exception) -> str:
    if isinstance(error, AssertionError):
        return str(error)
    return "".join(traceback.format_exception(error)[-3:])


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
