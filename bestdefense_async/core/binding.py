"""Where an operation really stands on a host, and the translation there and back.

What is not published stands in the table of routes as a guess. A binding replaces the guess by
what the host's own specification says, or the caller: method, path and names. Resources go on
in our names; a request is translated on its way out, its answer on the way back.

A field is a path: names joined by dots, and `[]` for each member of a list, as in
`reports[].siteId`. The empty path is the whole value. A pair of paths moves what stands at one
to the other. First everything is taken out, the deepest first, then everything is put in, the
shallowest first: so names can be swapped, and a member can leave an object that moves itself.
What no pair names stays where it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import Attribute, evolve, field, frozen

from bestdefense_async.core.check import check_flag, check_text, validated
from bestdefense_async.core.request import METHODS, Request, build_request
from bestdefense_async.core.route import ROUTES, Body, Grade, Route
from bestdefense_async.errors import ConfigError, clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

_NAME: Final = r"[^.\[\]{}\s]+"
_FIELD: Final = re.compile(rf"|(?:\[\]|{_NAME}(?:\[\])?)(?:\.{_NAME}(?:\[\])?)*")
_TEMPLATE: Final = re.compile(r"(?:/(?:[A-Za-z0-9_~.-]|{\w+})+)+/?")
_WITHOUT_BODY: Final = frozenset({"GET", "DELETE"})
_NOTHING: Final = object()


def _check_names(_: object, attribute: Attribute[Any], value: object) -> None:
    pairs = value.items() if isinstance(value, Mapping) else [(value, None)]
    if not all(isinstance(each, str) for pair in pairs for each in pair):
        raise ConfigError(f"{attribute.name} of a binding must be a mapping from text to text.")


@frozen(kw_only=True)
class Binding:
    """Where one operation stands on a host, in place of our guess.

    Examples:
        Schedules are created below their site there, and the interval has another name:

            Binding(
                method="POST",
                template="/api/schedule/create/for-target/{siteId}",
                request={"cadence": "interval"},
                answer={"schedule": "scheduledReport"},
            )

    Raises:
        ConfigError: A value is of another type.
    """

    method: str = field(validator=validated(check_text))
    template: str = field(validator=validated(check_text))
    """Path with our names in braces: a part of our path, or a member of our request (which then
    leaves the body). A part that is not in it must stand in `request`."""
    request: Mapping[str, str] = field(factory=dict, validator=_check_names)
    """From our field to theirs, where they differ; `Route.request_fields` lists ours."""
    answer: Mapping[str, str] = field(factory=dict, validator=_check_names)
    """From our field to theirs, where they differ; `Route.answer_fields` lists ours. Paths begin
    below `data`, or at the top where there is no envelope."""
    has_envelope: bool | None = field(default=None)
    """Whether the payload stands under `data`; None: as for our route."""
    source: str = ""
    """Where this was read, for people: a specification's address, a settings file."""

    @has_envelope.validator
    def _check_envelope(self, _: object, value: object) -> None:
        if value is not None:
            check_flag("has_envelope", value)


@frozen(kw_only=True)
class _Move:
    source: tuple[str, ...]
    target: tuple[str, ...]
    within: tuple[_Move, ...] = ()
    """What moves in each member, when a list stands there."""


@frozen(kw_only=True)
class Bound:
    """An operation with its binding, ready for use."""

    route: Route
    """Its row, as the host has it."""
    _in_path: tuple[str, ...]
    _outward: tuple[_Move, ...]
    _inward: tuple[_Move, ...]

    def request_there(self, request: Request[T]) -> Request[T]:
        """Return a request of our operation in the form the host wants.

        Raises:
            ConfigError: A value that belongs into the path may not stand there.
        """
        json = request.json if isinstance(request.json, dict) else {}
        ours = {**request.parts, **request.query, **json}
        parts = {name: _as_part(name, ours.pop(name, None)) for name in self._in_path}
        theirs = _moved(ours, self._outward)
        has_body = self.route.method not in _WITHOUT_BODY
        body = theirs if has_body and (theirs or request.json is not None) else None
        return build_request(
            self.route,
            parts,
            body,
            query=None if has_body else theirs,
            subject=request.subject,
            # What has other names is translated first, as JSON.
            items=None if self._inward else request.items,
            claim=request.claim,
            read=self._reading(request.read) if self._inward else request.read,
        )

    def answer_here(self, payload: Any) -> Any:  # noqa: ANN401  # any JSON value
        """Return a payload of the host under our names; what is missing stays missing."""
        return _moved(payload, self._inward)

    def _reading(self, read: Callable[[Any], T] | None) -> Callable[[Any], T]:
        """Return what reads a payload of the host as `read` does ours."""
        here = self.answer_here
        return here if read is None else lambda payload: read(here(payload))


def bind(name: str, binding: Binding) -> Bound:
    """Return an operation of the table with its binding, checked.

    Raises:
        ConfigError: There is no such operation, or the binding cannot belong to it.
    """
    if name not in ROUTES:
        raise ConfigError(f"There is no operation {clean_text(name, longest=80)!r} to bind.")
    if not isinstance(binding, Binding):
        raise ConfigError(f"The binding of {name} must be a Binding.")
    route = ROUTES[name]
    in_path = _check_template(route, binding)
    _check_fields(name, "request", binding.request, {*route.parts, *route.request_fields})
    _check_fields(name, "answer", binding.answer, set(route.answer_fields))
    lost = [part for part in route.parts if part not in in_path and part not in binding.request]
    if lost:
        raise ConfigError(
            f"The binding of {name} leaves {lost[0]} out: it must stand in the template as "
            f"{{{lost[0]}}} or in the request."
        )
    moves = [(ours, theirs) for ours, theirs in binding.request.items() if ours not in in_path]
    if binding.method in _WITHOUT_BODY and any(re.search(r"[.\[]|^$", to) for _, to in moves):
        raise ConfigError(f"The binding of {name} needs plain names: {binding.method} has no body.")
    body = route.body
    if binding.has_envelope is not None:
        body = Body.ENVELOPE if binding.has_envelope else Body.TOP_LEVEL
    return Bound(
        route=evolve(
            route, method=binding.method, template=binding.template, grade=Grade.BOUND, body=body
        ),
        in_path=in_path,
        outward=_plan(name, moves),
        inward=_plan(name, [(theirs, ours) for ours, theirs in binding.answer.items()]),
    )


def _check_template(route: Route, binding: Binding) -> tuple[str, ...]:
    """Return the names in the template of a binding that can belong to `route`."""
    if binding.method not in METHODS:
        shown = clean_text(binding.method, longest=40)
        raise ConfigError(f"The binding of {route.name} has no method of the API: {shown!r}.")
    if (binding.method in _WITHOUT_BODY) > (route.method in _WITHOUT_BODY):
        raise ConfigError(
            f"The binding of {route.name} says {binding.method}, but {route.name} sends a body."
        )
    if not _TEMPLATE.fullmatch(binding.template) or {".", ".."} & set(binding.template.split("/")):
        shown = clean_text(binding.template, longest=120)
        raise ConfigError(f"The binding of {route.name} has no plain path as template: {shown!r}.")
    names = tuple(re.findall(r"{(\w+)}", binding.template))
    known = {*route.parts, *route.request_fields}
    for name in names:
        if name not in known or names.count(name) > 1:
            shown = clean_text(name, longest=80)
            fitting = ", ".join(sorted(one for one in known if one.isidentifier())) or "nothing"
            raise ConfigError(
                f"The template of {route.name} has {{{shown}}}; it may have, each once: {fitting}."
            )
    return names


def _check_fields(name: str, side: str, pairs: Mapping[str, str], known: set[str]) -> None:
    """Check that each field of ours is one, or a parent of one, and that theirs are paths."""
    parents = {field[: end.start()] for field in known for end in re.finditer(r"\.|\[\]|$", field)}
    for ours, theirs in pairs.items():
        if ours not in known | parents | {f"{parent}[]" for parent in parents if parent}:
            shown = clean_text(ours, longest=80)
            raise ConfigError(f"The {side} of {name} has no field {shown!r}.")
        if not _FIELD.fullmatch(theirs) or ours.count("[]") != theirs.count("[]"):
            shown = clean_text(theirs, longest=120)
            raise ConfigError(f"The binding of {name} cannot move {ours} to {shown!r}.")


def _plan(name: str, pairs: Iterable[tuple[str, str]]) -> tuple[_Move, ...]:
    """Return pairs of paths as moves, those through the same list together."""
    grouped: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for source, target in pairs:
        head, _, rest = source.partition("[]")
        there, _, rest_there = target.partition("[]")
        within = grouped.setdefault((head, there), [])
        if rest or rest_there:
            within.append((rest.removeprefix("."), rest_there.removeprefix(".")))
    for heads in zip(*grouped, strict=True):
        twice = next((head for head in heads if heads.count(head) > 1), None)
        if twice is not None:
            shown = clean_text(twice, longest=80)
            raise ConfigError(f"The binding of {name} moves {shown!r} twice.")
    return tuple(
        _Move(source=_keys(head), target=_keys(there), within=_plan(name, within))
        for (head, there), within in grouped.items()
    )


def _keys(path: str) -> tuple[str, ...]:
    return tuple(path.split(".")) if path else ()


def _as_part(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name} belongs into the path on this host, and must be given as text.")
    return value


def _moved(tree: Any, moves: tuple[_Move, ...]) -> Any:  # noqa: ANN401  # any JSON value
    taken: list[tuple[_Move, Any]] = []
    for move in sorted(moves, key=lambda each: -len(each.source)):
        tree, value = _take(tree, move.source)
        if value is not _NOTHING:
            taken.append((move, value))
    for move, value in sorted(taken, key=lambda each: len(each[0].target)):
        is_list = isinstance(value, list) and move.within
        put = [_moved(member, move.within) for member in value] if is_list else value
        tree = _put(tree, move.target, put)
    return {} if tree is _NOTHING else tree


def _take(tree: Any, keys: tuple[str, ...]) -> tuple[Any, Any]:  # noqa: ANN401  # any JSON value
    """Return `tree` without what stands at `keys`, and that; an object left empty goes, too."""
    if not keys:
        return _NOTHING, tree
    if not isinstance(tree, dict) or keys[0] not in tree:
        return tree, _NOTHING
    inner, value = _take(tree[keys[0]], keys[1:])
    if value is _NOTHING:
        return tree, _NOTHING
    rest = {name: member for name, member in tree.items() if name != keys[0]}
    if inner is not _NOTHING and inner != {}:
        rest[keys[0]] = inner
    return rest, value


def _put(tree: Any, keys: tuple[str, ...], value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return `tree` with `value` at `keys`, beside what stands there already."""
    members = tree if isinstance(tree, dict) else {}
    if not keys:
        return {**members, **value} if isinstance(value, dict) else value
    return {**members, keys[0]: _put(members.get(keys[0]), keys[1:], value)}
