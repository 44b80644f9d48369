"""JSON values into models, by cattrs: strict about types, open about unknown members.

Names on the wire stand here and nowhere else. Each payload is structured by a fast converter;
only when that fails, a second one that keeps books finds out where, and the error names the
path, never a value.

`parse_time`: points in time as servers write them.
"""

from __future__ import annotations

import math
import operator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import cattrs
from attrs import fields
from cattrs.gen import make_dict_structure_fn, override

from bestdefense_async.errors import EnvelopeError
from bestdefense_async.models import (
    AgentFile,
    AgentManifest,
    Alerts,
    Finding,
    NetworkScan,
    Overview,
    Progress,
    Remediation,
    RemediationList,
    Report,
    ReportSummary,
    RiskSummary,
    Schedule,
    Severity,
    Site,
    Stage,
    Triggered,
)

if TYPE_CHECKING:
    from collections.abc import Callable


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM: Final = 100_000_000_000
"""A number from here on counts milliseconds: as seconds it would lie in the year 5138."""


def parse_time(value: object) -> datetime:
    """Return a point in time with its zone.

    ISO 8601 in any of its forms, where one without a zone is UTC, or a number of seconds or
    milliseconds since the epoch. (inferred: no time format is documented)

    Raises:
        ValueError: It is neither.
        OverflowError: It lies outside the years 1 to 9999.
    """
    if isinstance(value, str):
        parsed = datetime.fromisoformat(value.strip())
        return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
    if type(value) in {int, float}:
        seconds = float(value)  # type: ignore[arg-type]
        if math.isfinite(seconds):
            if abs(seconds) >= _MILLISECONDS_FROM:
                seconds /= 1000
            return _EPOCH + timedelta(seconds=seconds)
    raise ValueError("not a time")


Model = TypeVar("Model")

_EXTRA: Final = "\x01extra"
"""Where unknown members travel to the `extra` attribute; no JSON key of a server is taken away.

Not a NUL: cattrs before 26.2 writes it into source code that Python then cannot compile.
"""

_IDS: Final = {"id", "site_id", "report_id", "finding_id"}
"""Attributes that hold an id."""
_PLAIN: Final[tuple[type, ...]] = (
    *(Site, Report, ReportSummary, Finding, AgentFile, AgentManifest),
    *(Schedule, Remediation, Triggered, RemediationList, NetworkScan),
)
_LISTED: Final[tuple[type, ...]] = (
    *(str, Finding, Site, AgentFile, ReportSummary, Schedule, Remediation),
)
"""What may stand in a list."""

_SUMMARY_KEYS: Final = ("riskSummary", "risk_summary")
_FINDINGS_KEYS: Final = ("alerts", "findings")


class _ShapeError(Exception):
    """A value has another type than the API's; `where` is a path below the value."""

    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where


def structure(payload: object, model: type[Model], *, root: str = "data") -> Model:
    """Return `payload` as a `model`.

    Raises:
        EnvelopeError: A member is missing or has another type. Names its path below `root`.
    """
    try:
        return _FAST.structure(payload, model)
    except Exception:  # noqa: BLE001, S110  # whatever it is, the second converter says where
        pass
    path, problem = root, "cannot be read"
    try:
        return _CAREFUL.structure(payload, model)
    except Exception as error:  # noqa: BLE001  # cattrs lets through what hooks raise
        path, problem = _locate(error, root)
    raise EnvelopeError(f"The answer has another shape than the API's: {path} {problem}.")


def structure_member(payload: object, name: str, model: type[Model]) -> Model:
    """Return one member of the payload as a `model`.

    Raises:
        EnvelopeError: It is missing, or of another shape. Names its path below `data`.
    """
    if not isinstance(payload, dict) or name not in payload:
        raise EnvelopeError(f"The answer has another shape than the API's: data.{name} is missing.")
    return structure(payload[name], model, root=f"data.{name}")


def _on_wire(name: str) -> str:
    """Return the name on the wire of an attribute."""
    if name == "intensity":
        return "scanIntensity"
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _locate(error: BaseException, path: str) -> tuple[str, str]:
    """Return the path of the first thing wrong below `error`, and what is wrong with it."""
    if isinstance(error, cattrs.IterableValidationError | cattrs.ClassValidationError):
        located, others = error.group_exceptions()
        if located:
            inner, note = located[0]
            if isinstance(note, cattrs.IterableValidationNote):
                return _locate(inner, f"{path}[{note.index}]")
            return _locate(inner, f"{path}.{_on_wire(note.name)}")
        return _locate(others[0], path)
    if isinstance(error, _ShapeError):
        return path + error.where, error.problem
    if isinstance(error, KeyError):
        return path, "is missing"
    return path, "cannot be read"


def _strict(kind: type, problem: str) -> Callable[[Any, Any], Any]:
    """Return a hook that takes exactly `kind`: no silent coercion, and True is no number."""

    def hook(value: Any, _: Any) -> Any:  # noqa: ANN401  # a cattrs hook
        if type(value) is not kind:
            raise _ShapeError(problem)
        return value

    return hook


def _number(value: Any, _: Any) -> float:  # noqa: ANN401  # a cattrs hook
    if type(value) not in {int, float}:
        raise _ShapeError("is not a number")
    return float(value)


def _time(value: Any, _: Any) -> datetime:  # noqa: ANN401  # a cattrs hook
    try:
        return parse_time(value)
    except (ValueError, OverflowError):
        pass
    raise _ShapeError("is not a time")


def _stage(value: Any, _: Any) -> Stage:  # noqa: ANN401  # a cattrs hook
    if not isinstance(value, str) or not value.strip():
        raise _ShapeError("is not a stage")
    return Stage(value)


def _optional_identifier(value: Any, _: Any = None) -> str | None:  # noqa: ANN401  # a cattrs hook
    return None if value is None else _identifier(value)


def _identifier(value: Any, _: Any = None) -> str:  # noqa: ANN401  # a cattrs hook
    """Keep an id as text: the API sends UUIDs, the vendor's action types some as numbers."""
    if isinstance(value, str) and value:
        return value
    if type(value) is int:
        return str(value)
    raise _ShapeError("is not an id")


def _mapping(value: Any, where: str = "") -> dict[str, Any]:  # noqa: ANN401  # any JSON value
    if not isinstance(value, dict):
        raise _ShapeError("is not an object", where)
    return value


def _severity(value: Any, _: Any) -> Severity:  # noqa: ANN401  # a cattrs hook
    if not isinstance(value, str) or not value.strip():
        raise _ShapeError("is not a severity")
    return Severity(value)


def _overview(value: Any, _: Any) -> Overview:  # noqa: ANN401  # a cattrs hook
    payload = _mapping(value)
    extra = {key: member for key, member in payload.items() if key != "security"}
    security = payload.get("security")
    if security is None:
        return Overview(security_id=None, extra=extra)
    number = _mapping(security, ".security").get("id")
    if number is not None and type(number) is not int:
        raise _ShapeError("is not a whole number", ".security.id")
    return Overview(security_id=number, extra=extra)


def _progress(value: Any, _: Any) -> Progress:  # noqa: ANN401  # a cattrs hook
    """Status and message are inferred: what is no text stays in `extra` and spoils no answer."""
    extra = dict(_mapping(value))
    if "isCompleted" not in extra:
        raise _ShapeError("is missing", ".isCompleted")
    is_completed, percentage = extra.pop("isCompleted"), extra.pop("percentage", None)
    if type(is_completed) is not bool:
        raise _ShapeError("is not true or false", ".isCompleted")
    if percentage is not None and type(percentage) not in {int, float}:
        raise _ShapeError("is not a number", ".percentage")
    said = {
        name: extra.pop(name) for name in ("status", "message") if isinstance(extra.get(name), str)
    }
    return Progress(
        is_completed=is_completed,
        percentage=None if percentage is None else float(percentage),
        **said,
        extra=extra,
    )


def _risk_summary(value: Any, _: Any) -> RiskSummary:  # noqa: ANN401  # a cattrs hook
    counts: dict[str, int] = {}
    for word, count in _mapping(value).items():
        if type(count) is not int or count < 0:
            raise _ShapeError("is not a count", f".{word[:40]}")
        severity = str(Severity(word))
        counts[severity] = counts.get(severity, 0) + count
    known = {word: counts.pop(word) for word in list(counts) if Severity(word).is_known}
    return RiskSummary(**known, other=counts)


def _below(where: str, converter: cattrs.Converter, value: object, model: Any) -> Any:  # noqa: ANN401
    """Structure a member that a hook took out by hand, keeping its path in the error."""
    try:
        return converter.structure(value, model)
    except Exception as error:  # noqa: BLE001  # cattrs lets through what hooks raise
        path, problem = _locate(error, where)
    raise _ShapeError(problem, path)


def _alerts(converter: cattrs.Converter) -> Callable[[Any, Any], Alerts]:
    def hook(value: Any, _: Any) -> Alerts:  # noqa: ANN401  # a cattrs hook
        payload = dict(_mapping(value))
        summary = next((payload.pop(key) for key in _SUMMARY_KEYS if key in payload), None)
        if summary is None:
            # Zero findings and no summary are different things: a gate must not pass on this.
            raise _ShapeError("is missing, so there is no verdict", f".{_SUMMARY_KEYS[0]}")
        listed = next((payload.pop(key) for key in _FINDINGS_KEYS if key in payload), None)
        if listed is None:
            listed = []
        return Alerts(
            risk=_below(f".{_SUMMARY_KEYS[0]}", converter, summary, RiskSummary),
            findings=_below(f".{_FINDINGS_KEYS[0]}", converter, listed, tuple[Finding, ...]),
            extra=payload,
        )

    return hook


def _with_extra(model: type, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Return a hook for an attrs class that keeps unknown members in its `extra`."""
    names = {each.name: _on_wire(each.name) for each in fields(model)} | {"extra": _EXTRA}
    optional = {each.name for each in fields(model) if each.default is None}
    hooks = {
        name: _optional_identifier if name in optional else _identifier
        for name in names.keys() & _IDS
    }
    rules = {
        name: override(rename=wire, struct_hook=hooks.get(name))
        for name, wire in names.items()
        if wire != name or name in hooks
    }
    build: Any = make_dict_structure_fn(model, converter, **rules)  # type: ignore[arg-type]
    known = frozenset(names.values())

    def hook(value: Any, kind: Any) -> Any:  # noqa: ANN401  # a cattrs hook
        payload = _mapping(value)
        rest = {key: member for key, member in payload.items() if key not in known}
        return build({**payload, _EXTRA: rest}, kind)

    return hook


def _strict_sequence(converter: cattrs.Converter, item: type) -> Callable[[Any, Any], Any]:
    def hook(value: Any, _: Any) -> Any:  # noqa: ANN401  # a cattrs hook
        if not isinstance(value, list):
            raise _ShapeError("is not a list")
        found: list[Any] = []
        for index, member in enumerate(value):
            try:
                found.append(converter.structure(member, item))
            except Exception as error:  # noqa: BLE001  # cattrs lets through what hooks raise
                path, problem = _locate(error, f"[{index}]")
                raise _ShapeError(problem, path) from None
        return tuple(found)

    return hook


def _converter(*, careful: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=careful)
    converter.register_structure_hook(str, _strict(str, "is not text"))
    converter.register_structure_hook(int, _strict(int, "is not a whole number"))
    converter.register_structure_hook(bool, _strict(bool, "is not true or false"))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(datetime, _time)
    converter.register_structure_hook(Severity, _severity)
    converter.register_structure_hook(Stage, _stage)
    converter.register_structure_hook(Overview, _overview)
    converter.register_structure_hook(Progress, _progress)
    converter.register_structure_hook(RiskSummary, _risk_summary)
    converter.register_structure_hook(Alerts, _alerts(converter))
    for item in _LISTED:
        sequence = tuple[item, ...]  # type: ignore[valid-type]
        converter.register_structure_hook_func(
            partial(operator.eq, sequence), _strict_sequence(converter, item)
        )
    for model in _PLAIN:
        converter.register_structure_hook(model, _with_extra(model, converter))
    return converter


_FAST: Final = _converter(careful=False)
_CAREFUL: Final = _converter(careful=True)
