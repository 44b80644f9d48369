"""What most commands are: one question to the API, and its answer shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bestdefense_async.cli.connection import connection
from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.running import Interruption, run_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bestdefense_async.client import BestDefense
    from bestdefense_async.models import Site

T = TypeVar("T")


def call(ask: Callable[[BestDefense], Awaitable[T]], show: Callable[[T], object]) -> int:
    """Ask with the client of the current command, close it, show the answer, and return 0.

    A signal ends it with 130. Raises what `ask` and `show` raise.
    """
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            answer = await ask(bd)
        show(answer)
        return Exit.OK

    return run_async(work)


async def site_named(bd: BestDefense, text: str) -> Site:
    """Return the site of that id, else of that host name.

    Raises:
        BestDefenseError: There is none, or the sites cannot be listed.
    """
    by_id = [one for one in await bd.sites.list() if one.id == text]
    return by_id[0] if by_id else await bd.sites.find(text)
