"""A small server that behaves as a written specification says, and refuses what it does not take.

It answers each operation with its example. A request must have the demanded members and no unknown
ones, and a listed value must be one of the list; lists go on for a second page.
"""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import field, frozen

from tests.support.written_hosts import FILE, Host, Op, Words, example_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

FILE_BYTES = b"text"
LISTS = ("hydra:member", "items", "data")


@frozen(kw_only=True)
class BehavingHost:
    """The running server."""

    url: str
    arrived: list[str] = field(factory=list)
    """Operations that were answered, in the specification's words."""
    bodies: dict[str, Any] = field(factory=dict)
    """The last body of each."""
    refused: list[str] = field(factory=list)
    """What was wrong with a request."""


@asynccontextmanager
async def behaving_host(host: Host) -> AsyncIterator[BehavingHost]:
    """Serve what a specification says."""
    app = web.Application()
    runner = web.AppRunner(app)
    arrived: list[str] = []
    bodies: dict[str, Any] = {}
    refused: list[str] = []

    def handler(key: str, op: Op) -> Any:
        async def handle(request: web.Request) -> web.Response:
            body = await request.json() if request.can_read_body else None
            problem = _problem(body, op.body, "body") or _problem_of_query(request, op)
            if problem:
                refused.append(f"{key}: {problem}")
                return web.json_response({"message": problem}, status=400)
            arrived.append(key)
            bodies[key] = body
            if op.answer == FILE:
                return web.Response(body=FILE_BYTES)
            if op.answer is None:
                return web.Response(status=204)
            answer = example_of(host.wrapped(_page_of(request, op)))
            return web.Response(body=json.dumps(answer), content_type="application/json")

        return handle

    # Without variable parts first: what is more exact counts more.
    for key, op in sorted(host.operations.items(), key=lambda row: row[0].count("{")):
        method, path = key.split()
        # aiohttp takes no hyphen in the name of a part.
        plain = re.sub(r"{([^}]+)}", lambda part: f"{{{part[1].replace('-', '_')}}}", path)
        app.router.add_route(method, plain, handler(key, op))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield BehavingHost(
            url=f"http://127.0.0.1:{runner.addresses[0][1]}",
            arrived=arrived,
            bodies=bodies,
            refused=refused,
        )
    finally:
        await runner.cleanup()


def _problem_of_query(request: web.Request, op: Op) -> str:
    unknown = set(request.query) - set(op.query)
    missing = set(op.needed) - set(request.query)
    if missing:
        return f"no query {sorted(missing)}"
    return f"unknown query {sorted(unknown)}" if unknown else ""


def _problem(given: Any, wanted: Any, where: str) -> str:
    """Return what is wrong with a value, empty for nothing."""
    if isinstance(wanted, Words):
        listed = (wanted.first, *wanted.others)
        return "" if given in listed else f"{where} is {given!r}, none of {listed}"
    problems: Iterable[str] = ()
    if isinstance(wanted, dict) and isinstance(given, dict):
        unknown = set(given) - set(wanted)
        if unknown:
            return f"{where} has unknown {sorted(unknown)}"
        problems = (_problem(given[key], wanted[key], f"{where}.{key}") for key in given)
    elif isinstance(wanted, list) and isinstance(given, list):
        problems = (_problem(each, wanted[0], f"{where}[]") for each in given if wanted)
    elif wanted is None:
        return f"{where} is not taken" if given else ""
    elif type(given) is not type(wanted):
        return f"{where} is {given!r}"
    return next((each for each in problems if each), "")


def _page_of(request: web.Request, op: Op) -> Any:
    """Return the answer, or its second page, which has one member more."""
    paged = {"page", "cursor", "offset"} & op.query.keys()
    if not paged:
        return op.answer
    (name,) = paged
    first = "" if name == "cursor" else str(op.query[name])
    following = "c2" if name == "cursor" else str(int(first) + 1)
    at = request.query.get(name, first)
    is_first = at == first
    answer = {**op.answer} if isinstance(op.answer, dict) else [*op.answer]
    rows = (
        answer
        if isinstance(answer, list)
        else next(value for value in answer.values() if isinstance(value, list))
    )
    second = [_renamed(row) for row in rows]
    shown = rows if is_first else second if at == following else []
    if isinstance(answer, list):
        return shown
    key = next(key for key, value in answer.items() if isinstance(value, list))
    answer[key] = shown
    if "nextCursor" in answer:
        answer["nextCursor"] = "c2" if is_first else None
    if "next_cursor" in answer:
        answer["next_cursor"] = "c2" if is_first else ""
    answer.update({key: 2 for key in ("total", "totalElements") if key in answer})
    return answer


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: f"{value}-2" if "id" in key.lower() and isinstance(value, str) else value
        for key, value in row.items()
    }
