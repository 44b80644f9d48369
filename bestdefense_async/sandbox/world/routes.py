"""Operations as rows, and what finds the row for a path.

Paths are matched as they came, undecoded: a segment for an id must consist of unreserved
characters, so an encoded slash or dot never becomes part of an id.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from bestdefense_async.sandbox.world.tokens import (
    AI_REMEDIATION,
    CREATE_REPORTS,
    MANAGE_SCHEDULED_REPORTS,
    RUN_NETWORK_SCANS,
    VIEW_REPORTS,
    VIEW_SITES,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

_SEGMENT = re.compile(r"[A-Za-z0-9_~.-]{1,128}")


@frozen
class Operation:
    """One row: what is called, how, and who may."""

    name: str
    method: str
    template: str
    """Path with at most one `{parameter}` segment."""

    permission: str | None = None
    """What the token's organization needs, or None for any token."""

    grade: str = "documented"
    """How well the API fact is known: documented, described (path chosen by us) or sandbox."""

    needs_token: bool = True
    """Whether a bearer token of the API is asked for."""

    @property
    def parameter(self) -> str | None:
        """The name of the path's parameter, or None."""
        start = self.template.find("{")
        return None if start < 0 else self.template[start + 1 : self.template.index("}")]


def _described(name: str, method: str, template: str, permission: str | None) -> Operation:
    return Operation(name, method, template, permission, "described")


def _own(name: str, method: str, template: str) -> Operation:
    return Operation(name, method, template, grade="sandbox", needs_token=False)


OPERATIONS = (
    Operation("sites.list", "GET", "/api/sites", VIEW_SITES),
    Operation("reports.create", "POST", "/api/report/create/for-target/{site_id}", CREATE_REPORTS),
    Operation("reports.progress", "GET", "/api/report/{report_id}/progress", VIEW_REPORTS),
    Operation("reports.overview", "GET", "/api/report/{report_id}/overview", VIEW_REPORTS),
    Operation("vortex.alerts", "GET", "/api/report/vortex/{security_id}/alerts", VIEW_REPORTS),
    Operation("registrations.create", "POST", "/vortex-action/scans/register"),
    # A person's browser sends no bearer token; how the real page knows its reader is unknown.
    Operation("reports.page", "GET", "/report/{report_id}", needs_token=False),
    _described("reports.list", "GET", "/api/reports", VIEW_REPORTS),
    _described("reports.get", "GET", "/api/report/{report_id}", VIEW_REPORTS),
    _described("schedules.list", "GET", "/api/schedules", MANAGE_SCHEDULED_REPORTS),
    _described("schedules.create", "POST", "/api/schedules", MANAGE_SCHEDULED_REPORTS),
    _described(
        "schedules.delete", "DELETE", "/api/schedules/{schedule_id}", MANAGE_SCHEDULED_REPORTS
    ),
    _described("remediation.trigger", "POST", "/api/remediations", AI_REMEDIATION),
    _described("remediation.list", "GET", "/api/remediations", VIEW_REPORTS),
    _described("remediation.get", "GET", "/api/remediations/{remediation_id}", VIEW_REPORTS),
    _described("network.start", "POST", "/api/network-scans", RUN_NETWORK_SCANS),
    _described("network.progress", "GET", "/api/network-scans/{scan_id}/progress", VIEW_REPORTS),
    _described("network.findings", "GET", "/api/network-scans/{scan_id}/findings", VIEW_REPORTS),
    _described("agents.manifest", "GET", "/api/agents/manifest", None),
    _described("agents.download", "GET", "/api/agents/download/{filename}", None),
)
"""Every operation of the API the sandbox plays; permissions to view are inferred."""

DOCS = (_own("docs.page", "GET", "/api/docs"), _own("docs.document", "GET", "/api/docs.json"))

CONTROL = (_own("control.call", "POST", "/_sandbox/{method}"),)
"""Only on a sandbox made with `control=True`; it asks for the control token."""

NAMES = frozenset(operation.name for operation in OPERATIONS)


_ANY = "\n"
"""In place of the parameter; no path that arrives has one."""


class Routes:
    """Finds the operations at a path."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._by_shape: dict[str, dict[str, Operation]] = {}
        self._places: dict[int, set[int]] = {}
        """Where a parameter stands, by the number of segments."""
        self._fixed: set[str] = set()
        """Every address and every beginning of one, up to its parameter."""
        for operation in operations:
            segments = operation.template.split("/")
            at = next((at for at, each in enumerate(segments) if each[:1] == "{"), len(segments))
            self._fixed.update("/".join(segments[:end]) for end in range(1, at + 1))
            if at < len(segments):
                self._places.setdefault(len(segments), set()).add(at)
                segments[at] = _ANY
            self._by_shape.setdefault("/".join(segments), {})[operation.method] = operation

    def find(self, path: str) -> tuple[dict[str, Operation], str]:
        """Return the operations at `path` by method, and the parameter's text.

        Empty when there are none, and when the parameter's text is not a possible id.
        """
        methods = self._by_shape.get(path)
        if methods is not None:
            return methods, ""
        segments = path.split("/")
        for at in self._places.get(len(segments), ()):
            shape = "/".join((*segments[:at], _ANY, *segments[at + 1 :]))
            methods = self._by_shape.get(shape)
            # The beginning of another address is no id: there is no report `create`.
            if methods is not None and "/".join(segments[: at + 1]) not in self._fixed:
                return (methods, segments[at]) if is_id(segments[at]) else ({}, "")
        return {}, ""


def is_id(text: str) -> bool:
    """Return whether `text` can be an id or a file name of the API."""
    return _SEGMENT.fullmatch(text) is not None and text not in {".", ".."}


_METHOD = re.compile(r"[A-Z]+|\*")


@frozen
class Address:
    """Which requests are meant: those of an operation, or those of a method at a path."""

    operation: str | None
    method: str = "*"
    path: re.Pattern[str] | None = None

    @classmethod
    def of(cls, text: str, known: Container[str]) -> Address:
        """Return the address that `text` spells.

        Args:
            text: `reports.create`, `GET /api/report/*/progress` or `*`. In a path, `*` and
                `{name}` stand for one segment and `**` for any rest; `*` is every method too.
            known: The operations there are.

        Raises:
            ValueError: There is no such operation, or it is no method with a path.
        """
        method, blank, path = text.partition(" ")
        if not blank:
            if text != "*" and text not in known:
                message = f"there is no operation {text!r}"
                raise ValueError(message)
            return cls(None if text == "*" else text)
        if _METHOD.fullmatch(method) is None or not path.startswith("/"):
            message = f"an address is an operation, or like 'GET /api/sites', not {text!r}"
            raise ValueError(message)
        segments = re.split(r"(\*\*|\*|\{\w+\})", path)
        wild = {"**": ".*", "*": "[^/]*"}
        pattern = "".join(
            wild.get(each, "[^/]*" if each.startswith("{") else re.escape(each))
            for each in segments
        )
        return cls(None, method, re.compile(pattern))

    def means(self, operation: str, method: str, path: str) -> bool:
        """Return whether a request is meant."""
        if self.path is None:
            return self.operation in (None, operation)
        return self.method in ("*", method) and self.path.fullmatch(path) is not None
