"""Where an operation really stands on a host, and the translation there and back.

What is not published stands in the table of routes as a guess. A binding replaces the guess by
what the host's own specification says, or the caller: method, path, names and values. Resources go
on in our names; a request is translated on its way out, its answer on the way back. How paths of
fields are written and moved: `core.moves`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import Attribute, evolve, field, frozen

from bestdefense_async.core.check import check_text, validated
from bestdefense_async.core.moves import FIELD, Move, changed, moved, plan_moves, put_at, take_from
from bestdefense_async.core.request import METHODS, Request, build_request
from bestdefense_async.core.route import ROUTES, Body, Grade, Route
from bestdefense_async.errors import ConfigError, clean_text

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_TEMPLATE: Final = re.compile(r"(?:/(?:[A-Za-z0-9_~.-]|{\w+})+)+/?")
_WITHOUT_BODY: Final = frozenset({"GET", "DELETE"})
ENVELOPES: Final = {"data": Body.ENVELOPE, "top": Body.TOP_LEVEL, "none": Body.BARE}
"""What `Binding.envelope` may say."""
_FIRST: Final = {"page": 1, "page0": 0, "offset": 0}
PAGES: Final = (*_FIRST, "next")
"""What `Binding.pages` may say."""
_TRUTHS: Final[Mapping[str, object]] = {"true": True, "false": False}


def _check_names(_: object, attribute: Attribute[Any], value: object) -> None:
    pairs = value.items() if isinstance(value, Mapping) else [(value, None)]
    if not all(isinstance(each, str) for pair in pairs for each in pair):
        raise ConfigError(f"{attribute.name} of a binding must be a mapping from text to text.")


def _check_constants(_: object, __: object, value: object) -> None:
    pairs = value.items() if isinstance(value, Mapping) else [(value, None)]
    for name, constant in pairs:
        if not isinstance(name, str) or type(constant) not in {str, int, bool}:
            raise ConfigError(
                "constants of a binding must be a mapping from text to text, numbers or truths."
            )


def _check_values(_: object, __: object, value: object) -> None:
    tables = value.items() if isinstance(value, Mapping) else [(value, None)]
    for name, table in tables:
        words = [name, *(table if isinstance(table, Mapping) else [None])]
        for theirs in table.values() if isinstance(table, Mapping) else []:
            words += theirs if isinstance(theirs, list | tuple) and theirs else [theirs]
        if not all(isinstance(each, str) for each in words):
            raise ConfigError(
                "values of a binding must say for a field which of our words is which of theirs: "
                '{"cadence": {"daily": "DAY"}}.'
            )


def _fields_of(value: object) -> tuple[str, ...]:
    """Return what need not be sent, as it stands in a settings file."""
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ConfigError("unsent of a binding must be a list of our fields.")
    return tuple(value)


def _check_source(_: object, __: object, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigError("source of a binding must be a text.")


def _one_of(*words: str) -> Callable[[object, Attribute[Any], object], None]:
    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if value is not None and value not in words:
            raise ConfigError(f"{attribute.name} of a binding must be one of {', '.join(words)}.")

    return check


@frozen(kw_only=True)
class Binding:
    """Where one operation stands on a host, in place of our guess.

    Examples:
        Schedules are created below their site there, and the interval has another name:

            Binding(
                method="POST",
                template="/api/organizations/{org}/sites/{siteId}/schedules",
                constants={"org": "42"},
                request={"cadence": "cron"},
                values={"cadence": {"daily": "0 3 * * *", "weekly": "0 3 * * 1"}},
                answer={"schedule": "scheduledReport"},
            )

    Raises:
        ConfigError: A value is of another type.
    """

    method: str = field(validator=validated(check_text))
    template: str = field(validator=validated(check_text))
    """Path with names in braces: a part of our path, a member of our request (which then leaves the
    body), an argument of the call that is not sent otherwise (`Route.arguments`), or a constant. A
    part of ours that is not in it must stand in `request`."""
    request: Mapping[str, str] = field(factory=dict, validator=_check_names)
    """From our field to theirs, where they differ; `Route.request_fields` lists ours. What is in
    `Route.arguments` is sent only where it stands here."""
    answer: Mapping[str, str] = field(factory=dict, validator=_check_names)
    """From our field to theirs, where they differ; `Route.answer_fields` lists ours. Paths begin
    below `data`, or at the top where there is no envelope."""
    constants: Mapping[str, str | int | bool] = field(factory=dict, validator=_check_constants)
    """What is the same in every call: a name of the template, or a path of theirs in the body (in
    the query of a GET or DELETE)."""
    values: Mapping[str, Mapping[str, str | list[str]]] = field(
        factory=dict, validator=_check_values
    )
    """By the last name of our field: which of our words is which of theirs, on both ways. Of
    several of theirs the first is sent. `true` and `false` are truths; without `false`, everything
    that is not `true` is false, and the field of theirs stays readable under its own name."""
    unsent: tuple[str, ...] = field(default=(), converter=_fields_of)
    """Our fields that this host does not take: they are left away, whatever the call says."""
    envelope: str | None = field(default=None, validator=_one_of(*ENVELOPES))
    """`data`: the payload stands below `data`, beside `success`; `top`: beside `success`; `none`:
    the answer is the payload, a list or an object; None: as for our route."""
    pages: str | None = field(default=None, validator=_one_of(*PAGES))
    """How a list goes on: `after` of the request counts pages (`page`: from 1, `page0`: from 0) or
    members (`offset`), or takes what the last answer had at `next`: a cursor, or an address."""
    source: str = field(default="", validator=_check_source)
    """Where this was read, for people: a specification's address, a settings file."""


@frozen(kw_only=True)
class Bound:
    """An operation with its binding, ready for use."""

    route: Route
    """Its row, as the host has it."""
    _binding: Binding
    _in_path: tuple[str, ...]
    _in_body: Mapping[str, str | int | bool]
    """The constants that do not stand in the path."""
    _outward: tuple[Move, ...]
    _inward: tuple[Move, ...]

    def request_there(self, request: Request[T]) -> Request[T]:
        """Return a request of our operation in the form the host wants.

        Raises:
            ConfigError: A value that belongs into the path may not stand there, or the host counts
                pages and was asked for what comes after something else.
        """
        json = request.json if isinstance(request.json, dict) else {}
        ours: dict[str, Any] = {
            **self._arguments(request),
            **request.parts,
            **request.query,
            **json,
        }
        known = {**request.given, **self._binding.constants, **ours}
        parts = {name: self._as_part(name, known.get(name)) for name in self._in_path}
        ours = {name: value for name, value in ours.items() if name not in parts}
        if self._binding.pages in _FIRST:
            ours["after"] = self._position(ours.get("after"))
        for path, table in self._tables(self.route.request_fields):
            ours = changed(ours, path, partial(_sent, table))
        theirs: dict[str, Any] = moved(ours, self._outward)
        for path, constant in self._in_body.items():
            # What the call says itself counts more.
            if take_from(theirs, keys := tuple(path.split(".")))[0] is theirs:
                theirs = put_at(theirs, keys, constant)
        has_body = self.route.method not in _WITHOUT_BODY
        body = theirs if has_body and (theirs or request.json is not None) else None
        is_translated = bool(self._inward or self._binding.values or self._binding.pages)
        return build_request(
            self.route,
            parts,
            body,
            query=None if has_body else theirs,
            subject=request.subject,
            # What has other names is translated first, as JSON.
            items=None if is_translated else request.items,
            claim=request.claim,
            read=self._reading(request, ours.get("after")) if is_translated else request.read,
        )

    def answer_here(self, payload: Any) -> Any:  # noqa: ANN401  # any JSON value
        """Return a payload of the host under our names; what is missing stays missing."""
        here = moved(payload, self._inward)
        for path, table in self._tables(self.route.answer_fields):
            here = changed(here, path, partial(_read, table))
        return here

    def _reading(self, request: Request[T], after: object) -> Callable[[Any], T]:
        """Return what reads a payload of the host as the request does ours."""

        def read(payload: Any) -> Any:  # noqa: ANN401  # any JSON value, or the model
            here = self._with_next(self.answer_here(payload), after)
            return here if request.read is None else request.read(here)

        return read

    def _tables(self, fields: tuple[str, ...]) -> list[tuple[str, Mapping[str, str | list[str]]]]:
        """Return the fields whose words differ, each with its table."""
        values = self._binding.values
        return [(path, values[last(path)]) for path in fields if last(path) in values]

    def _arguments(self, request: Request[Any]) -> dict[str, str]:
        """Return what the call knows besides and the binding sends.

        Raises:
            ConfigError: The call does not know it.
        """
        wanted = [name for name in self.route.arguments if name in self._binding.request]
        for name in wanted:
            if name not in request.given:
                raise ConfigError(f"{self.route.name} must say {name} on this host, and does not.")
        return {name: request.given[name] for name in wanted}

    def _as_part(self, name: str, value: object) -> str:
        if name in self._binding.constants:
            return str(value)
        if not isinstance(value, str):
            raise ConfigError(
                f"{name} belongs into the path on this host, and must be given as text."
            )
        table = self._binding.values.get(name)
        return value if table is None else str(_sent(table, value))

    def _position(self, after: object) -> int:
        if after is None:
            return _FIRST[str(self._binding.pages)]
        if isinstance(after, int) or (isinstance(after, str) and after.isdecimal()):
            return int(after)
        raise ConfigError(
            f"{self.route.name} goes page by page on this host: what comes after one member cannot "
            "be asked for."
        )

    def _with_next(self, here: Any, after: object) -> Any:  # noqa: ANN401  # any JSON value
        """Return a payload of ours with the query of the next page, None at the end."""
        pages = self._binding.pages
        if pages is None or not isinstance(here, dict):
            return here
        value = here.get("next")
        if pages == "next":
            is_address = isinstance(value, str) and "?" in value
            following = value if is_address else {"after": value} if value else None
            return {**here, "next": following}
        rows = here.get(self.route.answer_fields[0].partition("[]")[0])
        count = len(rows) if isinstance(rows, list) else 0
        at = int(str(_FIRST[pages] if after is None else after))
        at += count if pages == "offset" else 1
        total = here.get("total")
        is_over = pages == "offset" and isinstance(total, int) and at >= total
        return {**here, "next": {"after": at} if count and not is_over else None}


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
    known = {*route.parts, *route.request_fields}
    _check_fields(name, "request", binding.request, known | {*route.arguments})
    _check_fields(name, "answer", binding.answer, set(route.answer_fields))
    _check_fields(name, "request", {each: each for each in binding.unsent}, known)
    _check_complete(route, binding, in_path)
    _check_values_and_pages(route, binding)
    moves = [(ours, theirs) for ours, theirs in binding.request.items() if ours not in in_path]
    has_body = binding.method not in _WITHOUT_BODY
    in_body = {
        # A query is text: there, a truth is written like JSON's.
        key: str(each).lower() if isinstance(each, bool) and not has_body else each
        for key, each in binding.constants.items()
        if key not in in_path
    }
    plain = [*(to for _, to in moves), *in_body]
    if binding.method in _WITHOUT_BODY and any(re.search(r"[.\[]|^$", to) for to in plain):
        raise ConfigError(f"The binding of {name} needs plain names: {binding.method} has no body.")
    body = route.body if binding.envelope is None else ENVELOPES[binding.envelope]
    what = f"The binding of {name}"
    kept = frozenset(key for key, table in binding.values.items() if "true" in table)
    return Bound(
        route=evolve(
            route, method=binding.method, template=binding.template, grade=Grade.BOUND, body=body
        ),
        binding=binding,
        in_path=in_path,
        in_body=in_body,
        outward=plan_moves(what, moves, dropped=binding.unsent),
        inward=plan_moves(
            what, [(theirs, ours) for ours, theirs in binding.answer.items()], copied=kept
        ),
    )


def last(path: str) -> str:
    """Return the last name of a path."""
    return path.removesuffix("[]").rpartition(".")[2].removesuffix("[]")


def _sent(table: Mapping[str, str | list[str]], value: object) -> object:
    """Return the word of theirs for one of ours; what is not listed goes as it is."""
    word = str(value).lower() if isinstance(value, bool) else value
    theirs = table.get(word, value) if isinstance(word, str) else value
    return theirs[0] if isinstance(theirs, list | tuple) and theirs else theirs


def _read(table: Mapping[str, str | list[str]], value: object) -> object:
    """Return the word of ours for one of theirs; what is not listed stays as it came."""
    for ours, theirs in table.items():
        if value == theirs or (isinstance(theirs, list | tuple) and value in theirs):
            return _TRUTHS.get(ours, ours)
    return False if "true" in table and "false" not in table else value


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
    known = {*route.parts, *route.request_fields, *route.arguments}
    for name in names:
        if name not in {*known, *binding.constants} or names.count(name) > 1:
            shown = clean_text(name, longest=80)
            fitting = ", ".join(sorted(one for one in known if one.isidentifier())) or "nothing"
            raise ConfigError(
                f"The template of {route.name} has {{{shown}}}; it may have, each once: {fitting}, "
                f"and constants (--set {shown}=VALUE)."
            )
    return names


def _check_complete(route: Route, binding: Binding, in_path: tuple[str, ...]) -> None:
    """Check that every part of our path is sent, and every constant can be."""
    for part in route.parts:
        # A file may be named by its version and platform; nothing else goes without its id.
        is_named = part in binding.unsent and {*in_path, *binding.request} & {*route.arguments}
        if part not in in_path and part not in binding.request and not is_named:
            raise ConfigError(
                f"The binding of {route.name} leaves {part} out: it must stand in the template as "
                f"{{{part}}} or in the request."
            )
    for name, constant in binding.constants.items():
        if not FIELD.fullmatch(name) or "[" in name or not name:
            shown = clean_text(name, longest=80)
            raise ConfigError(f"The binding of {route.name} has no place for constant {shown!r}.")
        if name in in_path and name in {*route.parts}:
            raise ConfigError(
                f"The binding of {route.name} has {name} as a constant, which every call says anew."
            )
        if name in in_path and not re.fullmatch(r"[\w~.-]+", str(constant)):
            raise ConfigError(f"Constant {name} of {route.name} cannot stand in a path.")


def _check_values_and_pages(route: Route, binding: Binding) -> None:
    fields = (*route.parts, *route.arguments, *route.request_fields, *route.answer_fields)
    names = {last(path) for path in fields}
    for name in binding.values:
        if name not in names:
            shown = clean_text(name, longest=80)
            raise ConfigError(f"{route.name} has no field {shown!r} to translate values of.")
    if binding.pages is not None and "after" not in route.request_fields:
        raise ConfigError(f"{route.name} is no list that has pages.")


def _check_fields(name: str, side: str, pairs: Mapping[str, str], known: set[str]) -> None:
    """Check that each field of ours is one, or a parent of one, and that theirs are paths."""
    parents = {field[: end.start()] for field in known for end in re.finditer(r"\.|\[\]|$", field)}
    for ours, theirs in pairs.items():
        if ours not in known | parents | {f"{parent}[]" for parent in parents if parent}:
            shown = clean_text(ours, longest=80)
            raise ConfigError(f"The {side} of {name} has no field {shown!r}.")
        if not FIELD.fullmatch(theirs) or ours.count("[]") != theirs.count("[]"):
            shown = clean_text(theirs, longest=120)
            raise ConfigError(f"The binding of {name} cannot move {ours} to {shown!r}.")
