"""A headless Chromium to look at pages with, over its DevTools protocol.

Commands go through a pipe, so there is no port and no other library. Every request is answered
from here: the page that was opened gets its text, everything else is noted and refused.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

ADDRESS: Final = "http://report.test/"
"""Where every page seems to stand; nobody is asked for it."""

_ICON: Final = f"{ADDRESS}favicon.ico"
"""An errand of the browser's own."""

JENKINS: Final = "sandbox; default-src 'none'; img-src 'self'; style-src 'self';"
"""The policy under which Jenkins shows an archived report, if nobody changed it."""

_PATIENCE: Final = 30.0
"""Seconds that one command may take."""

_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
    "about:blank",
)


def chromium() -> str | None:
    """Return the path of a Chromium, None when there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


@frozen(kw_only=True)
class View:
    """How a page is looked at."""

    width: int = 1280
    """Of the window, in CSS pixels."""
    is_dark: bool = False
    is_printed: bool = False
    policy: str | None = None
    """A content security policy that the server sends with the page."""
    ignores_policies: bool = False
    """Whether no policy holds, the page's own neither: only escaping protects then."""


@define
class Shown:
    """A page in the browser."""

    browser: Browser
    requests: list[str] = field(factory=list)
    """Addresses that were asked for beside the page itself."""
    events: list[str] = field(factory=list)
    """Scripts that were compiled, dialogs, messages on the console, policies that were broken."""

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = self.browser.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, *, is_whole: bool = True) -> bytes:
        """Return the page as PNG; the whole of it, or what fits into the window."""
        answer = self.browser.call("Page.captureScreenshot", captureBeyondViewport=is_whole)
        return base64.b64decode(answer["data"])

    def pdf(self) -> bytes:
        """Return the page as it is printed on A4."""
        answer = self.browser.call(
            "Page.printToPDF",
            printBackground=False,
            preferCSSPageSize=False,
            paperWidth=8.27,
            paperHeight=11.69,
        )
        return base64.b64decode(answer["data"])


class Browser:
    """One Chromium with one tab. Use it as a context manager; pages are shown one after another."""

    def __init__(self, program: str) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4.
        line = f'exec "$@" 3</dev/fd/{commands} 4>/dev/fd/{answers}'
        self._process = subprocess.Popen(
            ["sh", "-c", line, "sh", program, f"--user-data-dir={self._profile.name}", *_FLAGS],
            pass_fds=(commands, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._unread = b""
        self._number = 0
        self._session: str | None = None
        self._page = Shown(self)
        self._text = ""
        self._view = View()
        self._is_loaded = False

    def __enter__(self) -> Self:
        """Attach to the tab."""
        targets = self.call("Target.getTargets")["targetInfos"]
        tab = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log", "Debugger"):
            self.call(f"{domain}.enable")
        self.call("Fetch.enable", patterns=[{"urlPattern": "*"}])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session = None
        with contextlib.suppress(OSError):
            self._send("Browser.close")
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._answers)
        self._profile.cleanup()

    def show(self, text: str, view: View | None = None) -> Shown:
        """Return the page `text`, loaded; the one shown before is gone."""
        self._text, self._view = text, view or View()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=self._view.width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {
            "name": "prefers-color-scheme",
            "value": "dark" if self._view.is_dark else "light",
        }
        medium = "print" if self._view.is_printed else ""
        self.call("Emulation.setEmulatedMedia", media=medium, features=[scheme])
        self.call("Page.setBypassCSP", enabled=self._view.ignores_policies)
        self._page = Shown(self)
        self._is_loaded = False
        self.call("Page.navigate", url=ADDRESS)
        self._read_until(lambda: self._is_loaded)
        return self._page

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Return the answer to a command of the protocol."""
        number = self._send(method, **parameters)
        found: list[dict[str, Any]] = []
        self._read_until(lambda: bool(found), number=number, found=found)
        assert "error" not in found[0], (method, found[0]["error"])
        answer: dict[str, Any] = found[0]["result"]
        return answer

    def _send(self, method: str, **parameters: object) -> int:
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self._commands, rest) :]
        return self._number

    def _read_until(
        self,
        is_done: Callable[[], bool],
        *,
        number: int = 0,
        found: list[dict[str, Any]] | None = None,
    ) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not is_done():
            message = self._read(deadline)
            if "method" in message:
                self._hear(message["method"], message["params"])
            elif found is not None and message.get("id") == number:
                found.append(message)

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select(
                [self._answers], [], [], max(deadline - time.monotonic(), 0)
            )
            assert ready, "the browser does not answer"
            chunk = os.read(self._answers, 1 << 20)
            assert chunk, "the browser has ended"
            self._unread += chunk
        raw, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        return message

    def _hear(self, event: str, parameters: dict[str, Any]) -> None:
        page = self._page
        match event:
            case "Page.loadEventFired":
                self._is_loaded = True
            case "Fetch.requestPaused":
                self._answer(parameters)
            case "Network.requestWillBeSent":
                address = parameters["request"]["url"]
                if address not in {ADDRESS, _ICON}:
                    page.requests.append(address)
            case "Debugger.scriptParsed":
                if parameters["url"]:  # what is evaluated from here has no address
                    page.events.append(f"script {parameters['url']}")
            case "Page.javascriptDialogOpening":
                page.events.append(f"dialog {parameters['message']}")
                self._send("Page.handleJavaScriptDialog", accept=False)
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                page.events.append(event)
            case "Log.entryAdded":
                page.events.append(parameters["entry"]["text"])

    def _answer(self, parameters: dict[str, Any]) -> None:
        number, address = parameters["requestId"], parameters["request"]["url"]
        if address not in {ADDRESS, _ICON}:
            self._send("Fetch.failRequest", requestId=number, errorReason="AccessDenied")
            return
        headers = [{"name": "Content-Type", "value": "text/html"}]
        if self._view.policy is not None:
            headers.append({"name": "Content-Security-Policy", "value": self._view.policy})
        text = self._text if address == ADDRESS else ""
        self._send(
            "Fetch.fulfillRequest",
            requestId=number,
            responseCode=200,
            responseHeaders=headers,
            body=base64.b64encode(text.encode()).decode(),
        )
