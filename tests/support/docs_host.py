"""A host that shows documents, and remembers who asked with which token."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator


@frozen(kw_only=True)
class Shown:
    """What stands at a path."""

    body: bytes = b""
    kind: str = "application/json"
    status: int = 200
    location: str | None = None
    token: str | None = None
    """Shown to this token only; others are answered 401."""
    repeat: int = 1
    """How often the body is sent; above 1 its length is announced only on request."""
    is_announced: bool = True


@define
class DocsHost:
    """The running host."""

    url: str
    shown: dict[str, Shown] = field(factory=dict)
    """By path, with its query."""
    asked: list[tuple[str, str | None]] = field(factory=list)
    """Path and Authorization of each request, in order."""
    sent_bytes: int = 0
    """Of bodies."""

    @property
    def tokens(self) -> set[str | None]:
        """What came as Authorization."""
        return {token for _, token in self.asked}


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    host: DocsHost


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        host = self.server.host
        token = self.headers.get("Authorization")
        host.asked.append((self.path, token))
        page = host.shown.get(self.path, Shown(status=404, kind="text/html", body=b"<p>no"))
        if page.token is not None and token != f"Bearer {page.token}":
            page = Shown(status=401)
        self._answer(page)

    def _answer(self, page: Shown) -> None:
        self.send_response(page.status)
        self.send_header("Content-Type", page.kind)
        if page.location is not None:
            self.send_header("Location", page.location)
        if page.is_announced:
            self.send_header("Content-Length", str(len(page.body) * page.repeat))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for _ in range(page.repeat):
                self._send(page)
            if not page.is_announced:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True  # nobody listens any more

    def _send(self, page: Shown) -> None:
        start = b"" if page.is_announced else f"{len(page.body):x}\r\n".encode()
        self.wfile.write(start + page.body + (b"" if page.is_announced else b"\r\n"))
        self.server.host.sent_bytes += len(page.body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def docs_host() -> Iterator[DocsHost]:
    """Serve documents; what is shown is set on the result."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.host = DocsHost(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
