"""`bestdefense worker`: carry out runs that several machines share, until it is stopped."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import click

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, connected
from bestdefense_async.cli.options.runs import DATABASE
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async

if TYPE_CHECKING:
    from pathlib import Path

    from bestdefense_async.cli.options.connection import Connection
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.distributed.worker import Worker


@click.command("worker", cls=ApiCommand)
@DATABASE
@click.option(
    "--concurrency",
    type=params.count(1, 1000),
    default=10,
    show_default=True,
    help="Shards of 200 scans at the same time; more of them where they are smaller.",
)
@click.option(
    "--drain",
    type=params.SECONDS,
    default="20",
    show_default=True,
    help="How long a stop waits for answers to what was sent.",
)
@click.option("--health", metavar="HOST:PORT", help="Answer /health and /ready here.")
@click.option(
    "--credential",
    "credentials",
    multiple=True,
    metavar="NAME=env:VAR|file:PATH",
    help="The token of runs that name this credential; without it, that of the command is the "
    "one called default.",
)
@connected
def command(
    database: str,
    concurrency: int,
    drain: float,
    health: str | None,
    credentials: tuple[str, ...],
    *,
    connection: Connection,
) -> int:
    """Carry out runs from a database, on as many machines as you like.

    A run is started with `scan --distributed`. Tokens never enter the database: a run names a
    credential, and runs whose credential is not given here are left to other workers. SIGTERM or
    Ctrl-C stops in order; what is not done then, another worker does.

    \b
      bestdefense worker --database postgresql://bestdefense@db.internal/runs
      bestdefense worker --credential org-a=env:ORG_A_TOKEN --credential org-b=file:/run/org-b
    """  # noqa: D301  # \b is click's mark for text it must not fill
    from bestdefense_async.core.secret import Secret
    from bestdefense_async.distributed.credentials import DEFAULT, read_credentials
    from bestdefense_async.distributed.health import health_checks, read_place
    from bestdefense_async.distributed.limits import PostgresLimits
    from bestdefense_async.distributed.worker import Worker
    from bestdefense_async.report.text import counted

    place = None if health is None else read_place(health)
    tokens: dict[str, str | Path | Secret] = {**read_credentials(credentials, os.environ)}
    if not tokens:
        tokens[DEFAULT] = connection.token.secret
    secrets = [Secret(each) if isinstance(each, str) else each for each in tokens.values()]
    known = [each for each in secrets if isinstance(each, Secret)]

    async def work(interruption: Interruption) -> int:
        import asyncio

        async with contextlib.AsyncExitStack() as stack:
            limits = await stack.enter_async_context(PostgresLimits(database))
            client = connection.client(needs_token=False, shared_limits=limits)
            bd = await stack.enter_async_context(client)
            worker = Worker(
                bd,
                database,
                credentials=tokens,
                concurrency=concurrency,
                drain=drain,
                polling=connection.polling(*known) if known else None,
            )
            if place is not None:
                port = await stack.enter_async_context(health_checks(worker, place))
                streams.say(f"bestdefense: health checks at http://{place[0]}:{port}/ready")
            await worker.store.database.writer()  # what is wrong is said before a promise
            interruption.is_handled = True
            stop = asyncio.ensure_future(_stop(interruption, worker))
            stack.callback(stop.cancel)
            streams.say(
                f"bestdefense: taking runs of {', '.join(sorted(tokens))} at {bd.base_url} from "
                f"{worker.store.database.shown}"
            )
            await worker.run()
            ended = counted(worker.ended, "shard")
        streams.say(f"bestdefense: stopped; {ended} ended here")
        return Exit.OK

    _say_warnings()
    return run_async(work)


async def _stop(interruption: Interruption, worker: Worker) -> None:
    await interruption.requested.wait()
    streams.say("bestdefense: stopping: what was sent is answered, the rest is left to others")
    worker.stop()


def _say_warnings() -> None:
    """Write what a worker has to say to stderr; the engine's own complaints are said by us."""
    import logging
    import sys

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("bestdefense: %(message)s"))
    handler.addFilter(logging.Filter("bestdefense_async.distributed"))
    logging.getLogger("bestdefense_async").addHandler(handler)
    for name in ("procrastinate", "psycopg"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
