"""Scans as tasks of Celery, which has no event loop: a background client for each pool process.

    pip install bestdefense-async celery
    celery -A tasks worker --concurrency 4

`start_scan` returns an id at once, and `outcome` waits for the result. A worker that is killed
loses no scan that has an id: another one finds it in the store and goes on. `start_scan` is not
delivered twice (no `acks_late`), for a scan costs money and touches a site; `outcome` may be.
"""

import os
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.signals import worker_process_shutdown

from bestdefense_async import (
    AuthError,
    BackgroundClient,
    BestDefense,
    DeadlineExceeded,
    QuotaExceeded,
)
from bestdefense_async.errors import RunStopped

app = Celery(
    "tasks",
    broker=os.environ.get("BROKER", "amqp://localhost"),
    backend=os.environ.get("RESULTS", "rpc://"),
)
app.conf.update(
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "data_folder_in": os.environ.get("BROKER_FOLDER", ""),
        "data_folder_out": os.environ.get("BROKER_FOLDER", ""),
    },
)


def client() -> BestDefense:
    """Make the client, with the token that the platform puts into a file."""
    token_file = os.environ.get("BD_API_TOKEN_FILE")
    return BestDefense(None if token_file is None else Path(token_file))


background = BackgroundClient(client, store=os.environ.get("SCANS_STORE", "scans.db"))


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def close(**_: object) -> None:
    """Drain the client: processes of the pool end without the interpreter's end."""
    background.close()


@app.task(  # type: ignore[untyped-decorator]
    autoretry_for=(AuthError, QuotaExceeded), retry_backoff=30, max_retries=20
)
def start_scan(site: str, asked_by: str | None = None) -> str:
    """Start a scan and return its id; while the token or the quota is refused, try again later."""
    return background.start(site, asked_by=asked_by)


@app.task(bind=True, max_retries=None, acks_late=True)  # type: ignore[untyped-decorator]
def outcome(self: Task, scan_id: str) -> dict[str, Any]:
    """Wait for a scan and return its outcome; hand the place back every ten minutes."""
    try:
        return background.wait(scan_id, timeout=600.0).as_dict()
    except (DeadlineExceeded, RunStopped) as error:
        raise self.retry(exc=error, countdown=5) from None
