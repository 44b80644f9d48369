"""Control of a sandbox that runs in another process: its own methods, by their names.

Served only by a sandbox made with `control=True`, on loopback, to whoever has its control token.
"""

from __future__ import annotations

import base64
import hmac
import json
from typing import TYPE_CHECKING, Any

import attrs

from bestdefense_async.sandbox.replies import Reply, not_found, refuse, wrapped

if TYPE_CHECKING:
    from bestdefense_async.sandbox.world.world import Call, World


def control(world: World, call: Call) -> Reply:
    """Call the method that the path names with the arguments of the body; answer its result."""
    shown = call.headers.get("Authorization", "").removeprefix("Bearer ")
    if world.control_token is None or not hmac.compare_digest(
        shown.encode(errors="surrogateescape"), world.control_token.encode()
    ):
        refuse(401, "The control token is missing or wrong.")
    method = world.methods.get(call.key)
    if method is None:
        not_found("Method")
    try:
        result = method(**json.loads(call.body or b"{}"))
    except (LookupError, TypeError, ValueError) as error:
        # The caller owns this sandbox, so it may read what was wrong.
        refuse(400, str(error))
    return Reply(200, wrapped(json.dumps(result, default=_plain).encode()))


def _plain(value: Any) -> Any:  # noqa: ANN401 -- whatever methods return
    """Return what JSON has no form for in one that `SandboxProcess` reads."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, frozenset):
        return sorted(value)
    return {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
