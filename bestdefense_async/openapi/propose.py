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
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.core.binding import Binding, bind, last
from bestdefense_async.core.route import ROUTES, Body, Grade, Route
from bestdefense_async.errors import ConfigError
from bestdefense_async.openapi.compare import (
    Pairing,
    Standing,
    compare_operations,
    fit_of,
    pair_fields,
)
from bestdefense_async.openapi.specification import WITHOUT_BODY, Operation, Specification
from bestdefense_async.openapi.words import ENDS, NEUTRAL, OWNERS, PARTS, PLACES, split_words

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST: Final = 4
"""Candidates that are shown for one operation."""
_MOST_CONSIDERED: Final = 30
"""Pairing costs: of very many, those with the fewest foreign words are looked at."""
_VERSION: Final = re.compile(r"v?\d+(\.\d+)*")
_PART: Final = re.compile(r"{([^{}/]+)}")


@frozen(kw_only=True)
class Candidate:
    """One operation of the host that may be one of ours."""

    route: Route
    operation: Operation
    binding: Binding | None
    """None when ours cannot be expressed there (yet); then the first doubt says why."""
    doubts: tuple[str, ...] = ()
    """What a person should check first, one sentence each."""
    reasons: tuple[str, ...] = ()
    """What speaks for it."""
    notes: tuple[str, ...] = ()
    """What will be missing, one sentence each."""
    fields: int = 0
    """How many of our fields were found."""


@frozen(kw_only=True)
class Proposal:
    """What is proposed for one of our operations."""

    route: Route
    candidates: tuple[Candidate, ...] = ()
    """Best first; empty when the host has nothing of the kind."""

    @property
    def sure(self) -> Candidate | None:
        """The candidate that may be taken without asking, or None."""
        plain = [each for each in self.candidates if not each.doubts]
        is_one = self.route.method == "GET" and len(plain) == 1
        return plain[0] if is_one and plain[0].binding is not None else None


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
            likely.sort(key=partial(_foreign, route))
            found = [
                consider(route, each, source=source, constants=constants)
                for each in likely[:_MOST_CONSIDERED]
            ]
            found.sort(key=_order)
            proposals.append(Proposal(route=route, candidates=tuple(found[:_MOST])))
    return tuple(proposals)


def _foreign(route: Route, operation: Operation) -> tuple[int, str]:
    return len(_path_doubts(route, operation)), operation.name


def _order(each: Candidate) -> tuple[int, int, int, str]:
    """Return what sorts the better before the worse."""
    return len(each.doubts), -each.fields, each.operation.path.count("/"), each.operation.name


def _path_words(operation: Operation) -> list[str]:
    """Return the words of a path outside its parts; what stands before an owner's part is left."""
    segments = operation.path.strip("/").split("/")
    words: list[str] = []
    for segment, following in pairwise([*segments, ""]):
        found = split_words(segment)
        is_owner = {*found} <= OWNERS and "{" in following
        if not segment.startswith("{") and not is_owner and not _VERSION.fullmatch(segment):
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
    if is_post or place.ends_in_part is None:
        return bool(operation.parts or operation.sent or not route.parts)
    return operation.path.rstrip("/").endswith("}") is place.ends_in_part


def consider(
    route: Route, operation: Operation, *, source: str, constants: Mapping[str, str] | None = None
) -> Candidate:
    """Return how `operation` would serve as our `route`."""
    own = PLACES[route.name].own
    # The names in a template of ours are words; `--set` says them as the host or as we do.
    same = {_plain(name): value for name, value in (constants or {}).items()}
    template, placed, unknown = _template(route, operation, same)
    ours = [*route.request_fields, *route.parts, *route.arguments]
    request = pair_fields([path for path in ours if path not in placed], operation.sent, own=own)
    arguments = {each: each for each in route.arguments if each in request.found}
    payload, envelope = operation.payload
    answer = pair_fields(route.answer_fields, payload, own=own)
    binding = Binding(
        method=operation.method,
        template=template,
        constants={name: same[name] for name in map(_plain, operation.parts) if name in same},
        request={**arguments, **request.pairs},
        answer=answer.pairs,
        values={**answer.values, **request.values},
        unsent=_left_out(route, operation, request, placed),
        envelope=_envelope(route, operation, envelope),
        pages=_pages(operation, request, answer),
        source=source,
    )
    fit = fit_of(route, binding, operation)
    problems = [
        f"Its path has {{{name}}}: say what it is with --set {name}=VALUE." for name in unknown
    ]
    try:
        if not problems:
            bind(route.name, binding)
    except ConfigError as error:
        problems = [str(error)]
    doubts = [
        *problems,
        *_path_doubts(route, operation),
        *fit.problems,
        *fit.unsaid,
        *_answer_doubts(route, answer),
        *(["It is deprecated there."] if operation.is_deprecated else []),
    ]
    return Candidate(
        route=route,
        operation=operation,
        binding=None if problems else binding,
        doubts=tuple(doubts),
        reasons=tuple(_reasons(own, operation, request, answer)),
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
    unknown = [each for each in operation.parts if _plain(each) not in constants]
    before = {
        part: words for words, segment in pairwise(segments) for part in _PART.findall(segment)
    }
    for part in list(unknown):
        ours = _argument(
            (part, before[part]), [one for one in fillable if one not in names.values()]
        )
        if ours is not None:
            names[part] = ours
    for ours in route.parts:
        # Our id is what is left at the end, unless it is an owner's.
        rest = [each for each in unknown if each not in names]
        rest = [each for each in rest if not {*split_words(before[each])} & OWNERS]
        if ours not in names.values() and rest:
            names[rest[-1]] = ours
    template = _PART.sub(lambda part: f"{{{names.get(part[1], _plain(part[1]))}}}", operation.path)
    return template, {*names.values()}, [each for each in unknown if each not in names]


def _plain(part: str) -> str:
    """Return the name of a part as a template of ours can have it: `org-id` is `org_id`."""
    return re.sub(r"\W", "_", part)


def _argument(names: tuple[str, str], fillable: list[str]) -> str | None:
    """Return what of ours belongs into a part of a path: by its name, or by the noun before it."""
    for name in names:
        words = {*split_words(name)}
        for ours in fillable:
            if words & PARTS.get(ours, frozenset()):
                return ours
    return None


def _path_doubts(route: Route, operation: Operation) -> list[str]:
    place, words = PLACES[route.name], _path_words(operation)
    known = place.own | place.may | place.says | NEUTRAL
    doubts = [f"Its path says {word!r}." for word in dict.fromkeys(words) if word not in known]
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
    if "cron" in request.found:
        # It says the same.
        when = ("cadence", "dayOfWeek", "dayOfMonth", "time")
        left += [each for each in when if each not in request.found]
    if "filename" in route.parts and placed & {*route.arguments} and "filename" not in placed:
        left.append("filename")  # version and platform name the file
    is_described = bool(operation.body) or operation.method in WITHOUT_BODY
    tops = {path.partition(".")[0] for path in route.request_fields if "." in path}
    there = {each.path for each in operation.body}
    return (*left, *(top for top in sorted(tops) if is_described and top not in there))


def _answer_doubts(route: Route, answer: Pairing) -> list[str]:
    """Return that an answer has an id and nothing else of ours, as anything has."""
    above = {
        path.removesuffix(".id") for path in PLACES[route.name].answers if path.endswith(".id")
    }
    beside = [path for path in answer.found if path.rpartition(".")[0] in above]
    is_bare = len(beside) == 1 and len(route.answer_fields) > 1
    return ["Its answer has nothing of ours but the id."] if is_bare else []


def _reasons(
    own: frozenset[str], operation: Operation, request: Pairing, answer: Pairing
) -> list[str]:
    nouns = [word for word in dict.fromkeys(_path_words(operation)) if word in own]
    reasons = [f"Its path says {' and '.join(nouns)}."]
    for verb, found in (("takes", request.found), ("answers", answer.found)):
        if found:
            reasons.append(f"It {verb} {', '.join(dict.fromkeys(map(last, sorted(found))))}.")
    return reasons


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
