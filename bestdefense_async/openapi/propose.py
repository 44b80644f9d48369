"""Where our operations may stand on a host: a short list for each, best first, with reasons.

The rule, whole. An operation of theirs is a candidate for one of ours when

1. its path has our noun (`PLACES`), its method is ours, or a POST that says `delete` or `cancel`;
2. it ends in a part where ours does (one thing), and in none where ours does not (a list);
3. it has a place for our id.

A doubt is every other word in its path, a missing word for what it does, everything in which its
description contradicts us (as `compare` finds it), and whatever it does not describe. The fewest
doubts come first, then the most fields found, then the shortest path. Reading operations are *sure*
when they are without doubt and no other candidate is; all others are for a person.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.core.binding import Binding, bind, last
from bestdefense_async.core.route import ROUTES, Body, Grade, Route
from bestdefense_async.errors import ConfigError
from bestdefense_async.openapi.compare import Standing, compare_operations, fit_of
from bestdefense_async.openapi.pair import Pairing, pair_fields
from bestdefense_async.openapi.specification import WITHOUT_BODY, Operation, Specification
from bestdefense_async.openapi.words import (
    ENDS,
    NEUTRAL,
    OWNERS,
    PARTS,
    PLACES,
    PathRule,
    split_words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST: Final = 4
"""Candidates that are shown for one operation."""
_MOST_CONSIDERED: Final = 30
_VERSION: Final = re.compile(r"v?\d+(\.\d+)*")
_PART: Final = re.compile(r"{([^{}/]+)}")


@frozen(kw_only=True)
class Candidate:
    """One operation of the host that may be one of ours."""

    route: Route
    operation: Operation
    binding: Binding | None
    """None when ours cannot be expressed there (yet); then a doubt says why."""
    doubts: tuple[str, ...] = ()
    """What a person should check first, one sentence each."""
    reasons: tuple[str, ...] = ()
    """What speaks for it."""
    notes: tuple[str, ...] = ()
    """What will be missing, one sentence each."""
    fields: int = 0
    """How many of our fields were found."""

    @property
    def order(self) -> tuple[int, int, int, str]:
        """The better comes first."""
        path = self.operation.path
        return (len(self.doubts), -self.fields, path.count("/"), self.operation.name)


@frozen(kw_only=True)
class Proposal:
    """What is proposed for one of our operations."""

    route: Route
    candidates: tuple[Candidate, ...] = ()
    """Best first; empty when the host has nothing of the kind."""

    @property
    def sure(self) -> Candidate | None:
        """The candidate that may be taken without asking, or None."""
        if self.route.method != "GET":
            return None
        plain = [each for each in self.candidates if not each.doubts]
        return plain[0] if len(plain) == 1 and plain[0].binding is not None else None


def propose(
    specification: Specification, *, source: str, constants: Mapping[str, str] | None = None
) -> tuple[Proposal, ...]:
    """Return what is proposed for each operation that is not where our table has it.

    Args:
        specification: The host's.
        source: Who says so, kept in the bindings.
        constants: Parts of paths that are the same in every call, by the host's names.
    """
    at_home = {
        row.route.name: row.operation
        for row in compare_operations(specification, {})
        if row.route.grade is Grade.DOCUMENTED and row.standing is Standing.AGREES
    }
    free = [each for each in specification.operations if each not in at_home.values()]
    proposals = []
    for route in ROUTES.values():
        if route.name not in at_home:
            likely = [each for each in free if _may_be(route, each)]
            # Pairing costs: of very many, those with the fewest foreign words are looked at.
            likely.sort(key=partial(_foreign, PLACES[route.name]))
            found = [
                consider(route, each, source=source, constants=constants)
                for each in likely[:_MOST_CONSIDERED]
            ]
            found.sort(key=lambda each: each.order)
            proposals.append(Proposal(route=route, candidates=tuple(found[:_MOST])))
    return tuple(proposals)


def _foreign(place: PathRule, operation: Operation) -> tuple[int, str]:
    return len(_path_doubts(operation, place)), operation.name


def _path_words(operation: Operation) -> list[str]:
    """Return the words of a path outside its parts; what stands before an owner's part is left."""
    segments = operation.path.strip("/").split("/")
    words: list[str] = []
    for at, segment in enumerate(segments):
        if segment.startswith("{"):
            continue
        found = split_words(segment)
        is_owner = {*found} <= OWNERS and at + 1 < len(segments) and "{" in segments[at + 1]
        if not is_owner and not _VERSION.fullmatch(segment):
            words += found
    return words


def _may_be(route: Route, operation: Operation) -> bool:
    """Return whether nouns, method and form of the path are those of `route`."""
    place, words = PLACES[route.name], {*_path_words(operation)}
    if any(not words & need for need in place.needs):
        return False
    if (route.body is Body.BINARY) != operation.is_file and operation.answer:
        return False
    is_post = route.method == "DELETE" and operation.method == "POST" and bool(words & ENDS)
    if operation.method != route.method and not is_post:
        return False
    ends = operation.path.rstrip("/").endswith("}")
    if is_post or place.ends_in_part is None:
        return bool(operation.parts or operation.sent or not route.parts)
    return ends is place.ends_in_part


def consider(
    route: Route, operation: Operation, *, source: str, constants: Mapping[str, str] | None = None
) -> Candidate:
    """Return how `operation` would serve as our `route`."""
    place = PLACES[route.name]
    # The names in a template of ours are words; `--set` says them as the host or as we do.
    same = {plain_name(name): value for name, value in (constants or {}).items()}
    template, placed, unknown = _template(route, operation, same)
    ours = [path for path in (*route.request_fields, *route.parts) if path not in placed]
    request = pair_fields(ours, operation.sent, own=place.own)
    payload, envelope = operation.payload
    answer = pair_fields(route.answer_fields, payload, own=place.own)
    binding = Binding(
        method=operation.method,
        template=template,
        constants={name: same[name] for name in map(plain_name, operation.parts) if name in same},
        request=request.pairs,
        answer=answer.pairs,
        values={**answer.values, **request.values},
        unsent=_left_out(route, operation, request, placed),
        envelope=_envelope(route, operation, envelope),
        pages=_pages(operation, request, answer),
        source=source,
    )
    fit = fit_of(route, binding, operation)
    problem = "" if unknown else _problem(route, binding)
    doubts = [
        *([problem] if problem else []),
        *_path_doubts(operation, place),
        *(f"Its path has {{{name}}}: say what it is with --set {name}=VALUE." for name in unknown),
        *fit.problems,
        *fit.unsaid,
        *_answer_doubts(route, operation, answer),
        *(["It is deprecated there."] if operation.is_deprecated else []),
    ]
    return Candidate(
        route=route,
        operation=operation,
        binding=None if problem or unknown else binding,
        doubts=tuple(dict.fromkeys(doubts)),
        reasons=tuple(_reasons(place, operation, request, answer)),
        notes=tuple(fit.notes),
        fields=len(request.found) + len(answer.found),
    )


def _template(
    route: Route, operation: Operation, constants: Mapping[str, str]
) -> tuple[str, set[str], list[str]]:
    """Return a path with our names, those in it, and parts that only a person can fill."""
    fillable = [*route.parts, *route.request_fields, *route.arguments]
    names: dict[str, str] = {}
    segments = operation.path.split("/")
    open_parts = [each for each in operation.parts if plain_name(each) not in constants]
    for at, segment in enumerate(segments):
        for part in (each for each in _PART.findall(segment) if each in open_parts):
            ours = _argument(part, segments[at - 1], fillable, {*names.values()})
            if ours is not None:
                names[part] = ours
    for ours in route.parts:
        rest = [each for each in open_parts if each not in names]
        rest = [each for each in rest if not _is_owner(operation.path, each)]
        if ours not in names.values() and rest:
            names[rest[-1]] = ours
    unknown = [each for each in open_parts if each not in names]
    template = _PART.sub(
        lambda part: f"{{{names.get(part[1], plain_name(part[1]))}}}", operation.path
    )
    return template, {*names.values()}, unknown


def plain_name(part: str) -> str:
    """Return the name of a part as a template of ours can have it: `org-id` is `org_id`."""
    return re.sub(r"\W", "_", part)


def _argument(part: str, before: str, fillable: list[str], taken: set[str]) -> str | None:
    """Return what of ours belongs into a part of a path: by its name, or by the noun before it."""
    for name in (part, before):
        words = {*split_words(name)}
        for ours in fillable:
            if ours not in taken and words & PARTS.get(ours, frozenset()):
                return ours
    return None


def _is_owner(path: str, part: str) -> bool:
    before = path.partition(f"{{{part}}}")[0].rstrip("/").rpartition("/")[2]
    return bool({*split_words(before)} & OWNERS)


def _path_doubts(operation: Operation, place: PathRule) -> list[str]:
    words = _path_words(operation)
    known = place.own | place.may | place.says | NEUTRAL
    doubts = [f"Its path says {word!r}." for word in words if word not in known]
    if place.says and not place.says & {*words}:
        doubts.append(f"Its path does not say {' or '.join(sorted(place.says)[:3])}.")
    return doubts


def _left_out(
    route: Route, operation: Operation, request: Pairing, placed: set[str]
) -> tuple[str, ...]:
    """Return our fields that need not be sent there, because something else says the same."""
    left = []
    if "findingId" in placed and "reportId" not in request.found:
        left.append("reportId")  # a finding belongs to one report
    if "filename" in route.parts and placed & {*route.arguments} and "filename" not in placed:
        left.append("filename")  # version and platform name the file
    is_described = bool(operation.body) or operation.method in WITHOUT_BODY
    tops = {path.partition(".")[0] for path in route.request_fields if "." in path}
    there = {each.path for each in operation.body}
    return (*left, *(top for top in sorted(tops) if is_described and top not in there))


def _answer_doubts(route: Route, operation: Operation, answer: Pairing) -> list[str]:
    """Return what of the answer we need and cannot tell, also where it is left open."""
    needed = PLACES[route.name].answers if operation.answer else ()
    missing = [path for path in needed if path not in answer.found]
    if missing:
        return [f"It answers no {_listed(missing)}."]
    ids = [path for path in needed if last(path) == "id" and "." in path]
    members = [path for path in answer.found if ids and _is_beside(path, ids[0])]
    if ids and len(members) < 2 and len(route.answer_fields) > 1:  # noqa: PLR2004  # anything has an id
        return ["Its answer has nothing of ours but the id."]
    return []


def _is_beside(path: str, other: str) -> bool:
    return path.rpartition(".")[0] == other.rpartition(".")[0]


def _reasons(place: PathRule, operation: Operation, request: Pairing, answer: Pairing) -> list[str]:
    nouns = [word for word in dict.fromkeys(_path_words(operation)) if word in place.own]
    reasons = [f"Its path says {' and '.join(nouns)}."]
    if request.found:
        reasons.append(f"It takes {_listed(sorted(request.found))}.")
    if answer.found:
        reasons.append(f"It answers {_listed(sorted(answer.found))}.")
    return reasons


def _listed(paths: list[str]) -> str:
    return ", ".join(dict.fromkeys(last(path) for path in paths))


def _envelope(route: Route, operation: Operation, said: str | None) -> str | None:
    """Return what a binding says of the envelope, None where it is as ours."""
    if route.body is Body.BINARY or not operation.answer:
        return "none" if route.body is not Body.BINARY and not PLACES[route.name].answers else None
    return None if said == {Body.ENVELOPE: "data", Body.TOP_LEVEL: "top"}[route.body] else said


def _pages(operation: Operation, request: Pairing, answer: Pairing) -> str | None:
    """Return how a list goes on: by what `after` is called there."""
    there = request.pairs.get("after", "after" if "after" in request.found else "")
    words = {*split_words(there)}
    if words & {"offset", "skip"}:
        return "offset"
    if words & {"page"} and not words & {"token", "cursor"}:
        is_from_0 = any(each.path == there and each.first == 0 for each in operation.query)
        return "page0" if is_from_0 else "page"
    return "next" if there and "next" in answer.found else None


def _problem(route: Route, binding: Binding) -> str:
    """Return why a binding cannot be, empty when it can."""
    try:
        bind(route.name, binding)
    except ConfigError as error:
        return str(error)
    return ""
