"""The token is nowhere: fifty ways to fail, and every surface on which an error shows."""

import asyncio
import json
import logging
import os
import pickle
import sqlite3
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bestdefense_async import (
    BestDefense,
    BestDefenseError,
    RequestEvent,
    RetryPolicy,
    ScanFailed,
    ScanOptions,
)
from bestdefense_async.core.secret import SANDBOX_PREFIX, Secret
from bestdefense_async.runs import SqliteStore
from bestdefense_async.sandbox import Sandbox

NEVER = RetryPolicy(attempts=1)
Call = Callable[[BestDefense, str], Awaitable[object]]

CALLS: dict[str, Call] = {
    "list": lambda bd, _: bd.sites.list(),
    "create": lambda bd, site: bd.reports.create(site, ScanOptions(callback_secret="ab" * 32)),
    "progress": lambda bd, _: bd.reports.progress("r-1"),
    "alerts": lambda bd, _: bd.vortex.alerts(1),
    "manifest": lambda bd, _: bd.agents.manifest(),
}
OPERATIONS = {
    "list": "sites.list",
    "create": "reports.create",
    "progress": "reports.progress",
    "alerts": "vortex.alerts",
    "manifest": "agents.manifest",
}
FAULTS: dict[str, dict[str, Any]] = {
    "echo in an error": {
        "status": 400,
        "body": '{"success":false,"message":"TOKEN","error":"TOKEN"}',
    },
    "echo in a page": {"status": 502, "body": "<html>Authorization: Bearer TOKEN</html>"},
    "echo in a header": {"status": 503, "headers": {"X-Echo": "TOKEN", "Retry-After": "TOKEN"}},
    "echo in a success": {"status": 200, "body": '{"success":true,"data":"TOKEN"}'},
    "echo in cut JSON": {"status": 200, "body": '{"TOKEN":'},
    "echo as a member": {"status": 200, "body": '{"success":true,"data":{"TOKEN":1,"id":[]}}'},
    "echo in a redirect": {"status": 302, "headers": {"Location": "https://TOKEN.invalid/TOKEN"}},
    "echo where a redirect is cut": {
        "status": 302,
        "headers": {"Location": f"https://{'a.' * 28}TOKEN.invalid/"},
    },
    "echo where a long redirect is cut": {
        "status": 302,
        "headers": {"Location": f"https://{'a.' * 265}TOKEN.invalid/"},
    },
    "echo where a coding is cut": {
        "status": 200,
        "headers": {"Content-Encoding": f"{'x' * 36}TOKEN"},
    },
    "echo as a coding": {"status": 200, "headers": {"Content-Encoding": "TOKEN"}},
    "echo where a type is cut": {
        "status": 200,
        "headers": {"Content-Type": f"{'x' * 36}TOKEN"},
        "body": "<html>",
    },
    "echo where a message is cut": {"status": 400, "body": f'{{"message":"{"x" * 375}TOKEN"}}'},
    "unauthorized": {"status": 401, "body": '{"success":false,"error":{"code":"TOKEN"}}'},
    "reset": {"kind": "reset"},
    "no answer": {"kind": "hang"},
}


def surfaces(error: BaseException) -> Iterator[str]:
    """Yield every text in which an error, and what it hangs on to, can show."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        each = queue.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield repr(each)
        yield str(each)
        yield repr(each.args)
        yield repr(vars(each))
        # Frames of the test itself hold the token on purpose: look below them.
        inner = each.__traceback__.tb_next if each.__traceback__ is not None else None
        yield "".join(
            traceback.TracebackException(type(each), each, inner, capture_locals=True).format()
        )
        queue += [each.__cause__, each.__context__]


def planted(plan: dict[str, Any], token: str) -> dict[str, Any]:
    """Return a fault with the token in all the places marked for it."""
    text = {
        key: value.replace("TOKEN", token) for key, value in plan.items() if isinstance(value, str)
    }
    headers = {
        name: value.replace("TOKEN", token) for name, value in plan.get("headers", {}).items()
    }
    return plan | text | ({"headers": headers} if headers else {})


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_failure_shows_the_token(
    call: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors, their chains, tracebacks with locals, and logs at DEBUG of every library."""
    caplog.set_level(logging.DEBUG)
    heard: list[RequestEvent] = []
    async with Sandbox(sites=1) as sandbox:
        token = sandbox.token
        sandbox.fault(OPERATIONS[call], **planted(FAULTS[fault], token))
        async with BestDefense(
            token, sandbox.url, retry=NEVER, timeout=0.3, hooks=[heard.append]
        ) as bd:
            with pytest.raises(BestDefenseError) as caught:
                await CALLS[call](bd, sandbox.site_ids[0])
            assert token not in repr(bd) + repr(vars(bd))
    shown = [*surfaces(caught.value), repr(heard), caplog.text]
    shown += [repr(record.__dict__) for record in caplog.records]
    assert heard
    # Its beginning is the same for all tokens of the sandbox.
    fragments = [token[at : at + 8] for at in range(len(SANDBOX_PREFIX), len(token) - 7)]
    assert not [text for text in shown for part in fragments if part.lower() in text.lower()]
    assert token.encode() not in pickle.dumps(caught.value)


async def test_a_token_has_one_name_everywhere(tmp_path: Path) -> None:
    """The saved limits and a journal call it by the same hash; events by no part of it."""
    heard: list[RequestEvent] = []
    async with Sandbox(sites=1) as sandbox:
        token = sandbox.token
        async with BestDefense(
            token, sandbox.url, hooks=[heard.append], state_dir=tmp_path / "state"
        ) as bd:
            await bd.agents.manifest()
    path = tmp_path / "runs.db"
    async with SqliteStore(path) as store:
        key = Secret(token).token_key
        await store.create(base_url="u", token_key=key, options=ScanOptions())
    with closing(sqlite3.connect(path)) as connection:
        in_journal = connection.execute("SELECT token_key FROM run").fetchone()

    assert {event.tenant for event in heard} == {"tenant-1"}
    names = {file.stem for file in (tmp_path / "state").glob("*.json")} | {*in_journal}
    assert names == {Secret(token).token_key}


async def test_the_words_of_a_failed_scan_do_not_show_the_token(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """They are the server's, and a server may quote what it was sent."""
    token = bd_sandbox.token
    progress = {"isCompleted": False, "status": "failed", "message": f"refused {token}"}
    body = json.dumps({"success": True, "data": progress})
    bd_sandbox.fault("reports.progress", status=200, body=body)

    with pytest.raises(ScanFailed, match="refused") as caught:
        await bd_client.reports.wait("r-1", timeout=5, started_ago=0.0)

    assert not [text for text in surfaces(caught.value) if token in text]
    assert token.encode() not in pickle.dumps(caught.value)


COMMANDS = (
    ["sites", "list", "-vv"],
    ["scan", "HOST", "-vv", "--format", "jsonl"],
    ["reports", "show", "r-1", "--format", "json", "-vv"],
)


@pytest.mark.parametrize("fault", ["echo in an error", "echo in a header", "echo in a redirect"])
async def test_the_command_never_shows_the_token(fault: str, tmp_path: Path) -> None:
    """Neither on stdout nor on stderr, at the highest verbosity."""
    async with Sandbox(sites=1) as sandbox:
        token = sandbox.token
        for operation in (*OPERATIONS.values(), "reports.overview"):
            sandbox.fault(operation, **planted(FAULTS[fault], token))
        ours = {"BD_API_TOKEN": token, "BD_BASE_URL": sandbox.url, "HOME": str(tmp_path)}
        environment = os.environ | ours  # no run of a test stands among a person's own
        for words in COMMANDS:
            arguments = [sandbox.hostnames[0] if word == "HOST" else word for word in words]
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bestdefense_async",
                *arguments,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            shown = b"".join(await process.communicate())
            assert process.returncode
            assert shown
            assert token.encode() not in shown
