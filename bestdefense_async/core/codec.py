"""JSON values into models, by cattrs: strict about types, open about unknown members.

Names on the wire stand here and nowhere else. Each payload is structured by functions that cattrs
compiles when a model is first needed, and that say only whether it fits; when it does not, others
that keep books find out where, and the error names the path, never a value.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from operator import eq
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, get_origin

import cattrs
from attrs import fields, has, resolve_types
from cattrs.gen import make_dict_structure_fn, override

from bestdefense_async.core.spelling import with_our_names
from bestdefense_async.errors import EnvelopeError
from bestdefense_async.models import (
    SEVERITIES,
    Alerts,
    Finding,
    Overview,
    Progress,
    RiskSummary,
    Severity,
    Stage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM: Final = 100_000_000_000
"""A number from here on counts milliseconds: as seconds it would lie in the year 5138."""

Model = TypeVar("Model")

_LOOSE: Final = {
    *("status", "mode", "testing_type"),
    *("day_of_week", "day_of_month", "time", "timezone", "cron"),
}
"""Attributes that are mere guesses: what is of another type stays in `extra` and spoils nothing."""
_RENAMED: Final = {"intensity": "scanIntensity", "mode": "vortexType"}
"""Attributes that the API calls otherwise."""
_IDS: Final = {"id", "site_id", "report_id", "finding_id"}
"""Attributes that hold an id."""
_SUMMARY_KEYS: Final = ("riskSummary", "risk_summary")
_FINDINGS_KEYS: Final = ("alerts", "findings")
ALERTS_ITEMS: Final[Mapping[str, type]] = dict.fromkeys(_FINDINGS_KEYS, Finding)
"""The lists of an answer that becomes `Alerts`, and what their members become."""
_SEVERITIES: Final = {
    form: Severity(word)
    for word in (*SEVERITIES, "info")
    for form in (word.lower(), word.upper(), word.title())
}
"""The documented severities, one object each, as servers write them."""


class Structured(list[Any]):
    """A list whose members are models already: they were made while the answer was read."""

    __slots__ = ("model",)

    def __init__(self, model: type) -> None:
        super().__init__()
        self.model: type = model


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
        return builder(model)(payload, model)  # type: ignore[arg-type, no-any-return]
    except Exception:  # noqa: BLE001, S110  # whatever it is, the detailed converter says where
        pass
    return structure_in_detail(payload, model, root=root)


def structure_in_detail(payload: object, model: type[Model], *, root: str) -> Model:
    """Do what `structure` does, slowly, and know where a payload does not fit.

    Raises:
        EnvelopeError: As for `structure`.
    """
    path, problem = root, "cannot be read"
    try:
        return _converter(is_detailed=True).structure(payload, model)
    except Exception as error:  # noqa: BLE001  # cattrs lets through what hooks raise
        path, problem = _locate(error, root)
    raise EnvelopeError(f"The answer has another shape than the API's: {path} {problem}.")


@cache
def builder(model: Any) -> Callable[[Any, Any], Any]:  # noqa: ANN401  # a class, or tuple[it, ...]
    """Return the function that makes a `model` of a JSON value; the model is its other argument.

    It raises where the value does not fit; what it raises says nothing.
    """
    return _converter(is_detailed=False).get_structure_hook(model)


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
    if name in _RENAMED:
        return _RENAMED[name]
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
        if value.__class__ is not kind:
            raise _ShapeError(problem)
        return value

    return hook


def _optional_text(value: Any, _: Any) -> str | None:  # noqa: ANN401  # a cattrs hook
    if value is None or value.__class__ is str:
        return value
    raise _ShapeError("is not text")


def _number(value: Any, _: Any) -> float:  # noqa: ANN401  # a cattrs hook
    if type(value) not in {int, float}:
        raise _ShapeError("is not a number")
    return float(value)


def _time(value: Any, _: Any) -> datetime:  # noqa: ANN401  # a cattrs hook
    """Return a point in time with its zone.

    ISO 8601 in any of its forms, where one without a zone is UTC, or a number of seconds or
    milliseconds since the epoch. (inferred: no time format is documented)
    """
    try:
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value.strip())
            return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
        if type(value) in {int, float} and math.isfinite(value):
            seconds = value / 1000 if abs(value) >= _MILLISECONDS_FROM else value
            return _EPOCH + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        pass
    raise _ShapeError("is not a time")


def _stage(value: Any, _: Any) -> Stage:  # noqa: ANN401  # a cattrs hook
    if not isinstance(value, str) or not value.strip():
        raise _ShapeError("is not a stage")
    return Stage(value)


def _of_kinds(kinds: tuple[type, ...], value: Any, _: Any) -> Any:  # noqa: ANN401  # a cattrs hook
    return value if type(value) in kinds else None


def _optional_identifier(value: Any, kind: Any) -> str | None:  # noqa: ANN401  # a cattrs hook
    return None if value is None else _identifier(value, kind)


def _identifier(value: Any, _: Any) -> str:  # noqa: ANN401  # a cattrs hook
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
    if value.__class__ is str and (known := _SEVERITIES.get(value)) is not None:
        return known
    if not isinstance(value, str) or not value.strip():
        raise _ShapeError("is not a severity")
    return Severity(value)


def _overview(value: Any, _: Any) -> Overview:  # noqa: ANN401  # a cattrs hook
    payload = _mapping(value)
    extra = {key: member for key, member in payload.items() if key != "security"}
    security = payload.get("security")
    if security is None:
        return Overview(security_id=None, extra=extra)
    number = _mapping(_php_map(security), ".security").get("id")
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


def _php_map(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return `value`, and an empty map for an empty list: PHP writes both as `[]`."""
    return {} if value == [] else value


def _risk_summary(value: Any, _: Any) -> RiskSummary:  # noqa: ANN401  # a cattrs hook
    counts: dict[str, int] = {}
    for word, count in _mapping(_php_map(value)).items():
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


def _model(converter: cattrs.Converter, model: Any) -> Callable[[Any, Any], Any]:  # noqa: ANN401
    """Return a hook for an attrs class that keeps unknown members in its `extra`."""
    resolve_types(model)
    rules = {"extra": override(omit=True)}
    loose: dict[str, tuple[type, ...]] = {}
    for each in fields(model):
        if each.name == "extra":
            continue
        own: Any = _optional_text if each.default is None and each.type == str | None else None
        if each.name in _LOOSE:
            loose[_on_wire(each.name)] = kinds = get_args(each.type)
            own = partial(_of_kinds, kinds)
        if each.name in _IDS:
            own = _optional_identifier if each.default is None else _identifier
        rules[each.name] = override(rename=_on_wire(each.name), struct_hook=own)
    build: Any = make_dict_structure_fn(model, converter, **rules)  # type: ignore[arg-type]
    known = frozenset(_on_wire(each.name) for each in fields(model)) - {"extra", *loose}
    fill = object.__setattr__  # the class is frozen, and nobody has seen this object yet

    def hook(value: Any, kind: Any) -> Any:  # noqa: ANN401  # a cattrs hook
        if value.__class__ is not dict:
            raise _ShapeError("is not an object")
        made = build(value, kind)
        rest = {
            name: member
            for name, member in value.items()
            if name not in known and type(member) not in loose.get(name, ())
        }
        if rest:
            fill(made, "extra", rest)
        return made

    return hook


def _finding(converter: cattrs.Converter, _: Any) -> Callable[[Any, Any], Any]:  # noqa: ANN401
    """Return a hook that also reads the likely names of what a finding lacks under ours."""
    build = _model(converter, Finding)

    return lambda value, kind: build(with_our_names(value), kind)


def _sequence(converter: cattrs.Converter, kind: Any) -> Callable[[Any, Any], Any]:  # noqa: ANN401
    """Return a hook for `tuple[it, ...]`."""
    item = get_args(kind)[0]
    build = converter.get_structure_hook(item)

    def hook(value: Any, _: Any) -> Any:  # noqa: ANN401  # a cattrs hook
        if value.__class__ is Structured and value.model is item:
            return tuple(value)
        if value.__class__ is not list:
            raise _ShapeError("is not a list")
        if not converter.detailed_validation:
            return tuple([build(member, item) for member in value])
        found: list[Any] = []
        for index, member in enumerate(value):
            try:
                found.append(build(member, item))
            except Exception as error:  # noqa: BLE001  # cattrs lets through what hooks raise
                path, problem = _locate(error, f"[{index}]")
                raise _ShapeError(problem, path) from None
        return tuple(found)

    return hook


def _is_sequence(kind: Any) -> bool:  # noqa: ANN401  # any type
    return get_origin(kind) is tuple


@cache
def _converter(*, is_detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=is_detailed)
    # Compiled when first needed: a model that nobody asks for costs nothing.
    converter.register_structure_hook_factory(has, partial(_model, converter))
    converter.register_structure_hook_factory(partial(eq, Finding), partial(_finding, converter))
    converter.register_structure_hook_factory(_is_sequence, partial(_sequence, converter))
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
    return converter
