"""What a specification says, in one form for all versions of OpenAPI."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

from attrs import evolve, field, frozen

_BRACES: Final = re.compile(r"{([^{}/]+)}")


@frozen(kw_only=True)
class Field:
    """One member of a body, or one parameter."""

    path: str
    """Dots go down, `[]` stands for each member of a list: `data.sites[].id`."""
    kinds: frozenset[str] = frozenset()
    """JSON types it may have, null left out; empty when the specification does not say."""
    format: str | None = None
    pattern: str | None = None
    values: tuple[str, ...] = ()
    """The values it may have, where they are listed."""
    is_required: bool = False
    """Whether it and all above it must be there."""

    @property
    def name(self) -> str:
        """Its own name, without what it stands in."""
        return self.path.removesuffix("[]").rpartition(".")[2].removesuffix("[]")


@frozen(kw_only=True)
class Operation:
    """One operation of a host, as its specification has it."""

    method: str
    path: str
    """From the root of the API, with `{parts}` under the host's names."""
    operation_id: str = ""
    tags: tuple[str, ...] = ()
    summary: str = ""
    parameters: tuple[Field, ...] = ()
    """Of the path."""
    query: tuple[Field, ...] = ()
    headers: tuple[str, ...] = ()
    """Names of the headers it demands, but for authentication."""
    request: tuple[Field, ...] = ()
    """Members of the body that is sent; empty without one."""
    answer: tuple[Field, ...] = ()
    """Members of the whole answer to a success; empty when it is not JSON, or not specified."""
    is_file: bool = False
    """Whether a success is a file."""
    is_deprecated: bool = False

    @property
    def name(self) -> str:
        """How a person names it."""
        return f"{self.method} {self.path}"

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the path's variable parts, in order."""
        return tuple(_BRACES.findall(self.path))


@frozen(kw_only=True, slots=False)
class Specification:
    """A whole specification."""

    version: str
    """Of OpenAPI, like `3.1.0`."""
    title: str = ""
    release: str = ""
    """The API's own version."""
    servers: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = ()
    remarks: tuple[str, ...] = field(default=())
    """What could not be followed or read, one sentence each."""

    @cached_property
    def _by_path(self) -> dict[tuple[str, str], Operation]:
        return {(each.method, shape_of(each.path)): each for each in self.operations}

    def find(self, method: str, template: str) -> Operation | None:
        """Return the operation at a path, whatever its parts are called."""
        return self._by_path.get((method, shape_of(template)))

    def methods_of(self, template: str) -> tuple[str, ...]:
        """Return the methods that a path has."""
        wanted = shape_of(template)
        return tuple(method for method, shape in self._by_path if shape == wanted)


def shape_of(template: str) -> str:
    """Return a path without the names of its parts."""
    return _BRACES.sub("{}", template.rstrip("/"))


_BELOW: Final = re.compile(r"data(?:\.|\[\])")


def payload_of(operation: Operation) -> tuple[tuple[Field, ...], str | None]:
    """Return the members of the payload, and how it is wrapped: `data`, `top`, `none`.

    None where the answer is not described. Without `success` there is no envelope of ours, also
    where a member is called `data`.
    """
    names = {each.path for each in operation.answer}
    if {"success", "data"} <= names:
        below = (each for each in operation.answer if _BELOW.match(each.path))
        return tuple(
            evolve(each, path=each.path.removeprefix("data").removeprefix(".")) for each in below
        ), "data"
    if not names:
        return (), None
    if "success" in names:
        bare = (each for each in operation.answer if each.path not in {"success", "error"})
        return tuple(bare), "top"
    return operation.answer, "none"
