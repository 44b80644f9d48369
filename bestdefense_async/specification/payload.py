"""What of an answer is the payload, and whether it stands in the API's envelope."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import evolve

if TYPE_CHECKING:
    from bestdefense_async.specification.model import Field, Operation

_BELOW: Final = re.compile(r"data(?:\.|\[\])")
_ENVELOPE: Final = frozenset({"success", "error"})


def payload_of(operation: Operation) -> tuple[tuple[Field, ...], bool | None]:
    """Return the members of the payload, and whether it stands under `data`; None: not said."""
    names = {each.path for each in operation.answer}
    if "data" in names:
        below = (each for each in operation.answer if _BELOW.match(each.path))
        return tuple(
            evolve(each, path=each.path.removeprefix("data").removeprefix(".")) for each in below
        ), True
    bare = tuple(each for each in operation.answer if each.path not in _ENVELOPE)
    return bare, False if "success" in names else None
