"""The call that fetches a file: one request, and where it is pointed elsewhere, a few more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.core.envelope import read_envelope
from bestdefense_async.core.host import redirect_target
from bestdefense_async.errors import BestDefenseError, ProtocolError, ServerError
from bestdefense_async.transport.call import Call
from bestdefense_async.transport.http.exchange import refusal_to_follow
from bestdefense_async.transport.http.stream import open_stream

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine

    from bestdefense_async.core.request import Reply, Request
    from bestdefense_async.transport.download.download import Download
    from bestdefense_async.transport.host import Host
    from bestdefense_async.transport.tenants import Tenant

MOST_REDIRECTS: Final = 3
"""How often one download may be pointed elsewhere."""


class DownloadCall(Call[None]):
    """A call whose answer is a file."""

    def __init__(self, tenant: Tenant, request: Request[None], download: Download) -> None:
        super().__init__(tenant, request)
        self._download = download

    def work(self, host: Host, timeout: float) -> Coroutine[Any, Any, None]:
        """Return what to await until the file, or the rest of it, has come."""
        return self._fetch(host, timeout)

    async def _fetch(self, host: Host, timeout: float) -> None:
        download, secret = self._download, self.secret
        try:
            headers = await download.prepare()
            url: str | None = None
            for _ in range(1 + MOST_REDIRECTS):
                async with open_stream(
                    host.wire,
                    self,
                    timeout=timeout,
                    deadline=self.deadline,
                    url=url,
                    headers=headers,
                ) as stream:
                    if url is None:
                        self.headers_seen(stream.status, stream.headers)
                    if await download.take(stream):
                        return
                    reply = await stream.refusal()
                url = self._next_place(reply, host.download_hosts, is_elsewhere=url is not None)
                self.use(None)  # the token goes to the API only
            raise ProtocolError("The download is redirected again and again.")
        except BestDefenseError as error:
            self.count_tries(download.tries_after(error, self.tries))
            raise
        finally:
            self.use(secret)

    def _next_place(self, reply: Reply, hosts: Collection[str], *, is_elsewhere: bool) -> str:
        """Return where a download goes on that was not answered with the file.

        Raises:
            RedirectRefused: It is pointed to a place that it may not go to.
            BestDefenseError: It is not pointed anywhere.
        """
        status = reply.status
        if 300 <= status < 400:  # noqa: PLR2004  # HTTP's redirects
            url = redirect_target(reply.headers.get("location", ""), hosts)
            if url is None:
                raise refusal_to_follow(status, reply.headers)
            return url
        if not is_elsewhere and self.secret is not None:
            read_envelope(reply, self.request, self.secret)
        elif status >= 500:  # noqa: PLR2004  # HTTP's server errors
            raise ServerError(f"The file's own server failed (status {status}).", status=status)
        raise ProtocolError(f"The answer (status {status}) is not the file.")
