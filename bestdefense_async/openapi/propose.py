"""Where our operations may stand on a host: a short list for each, best first, with reasons.

The rule, whole. An operation of theirs is a candidate for one of ours when

1. its path has our noun (`PLACES`), its method is ours, or a POST that says `delete` or `cancel`;
2. it ends in a part where ours does (one thing), and in none where ours does not (a list);
3. it has a place for our id.

A doubt is every other word in its path, a missing word for what it does, everything in which its
description contradicts us (as `check` finds it), and whatever it does not describe. The fewest
doubts come first, then the most fields found, then the shortest path. Reading operations are *sure*
when they are without doubt and no other candidate is; all others are for a person.
"""

from __future__ import annotations

import re
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from bestdefense_async.core.binding import ENVELOPES, Binding, bind, last
from bestdefense_async.core.route import ELSEWHERE, Body, Grade, Route
from bestdefense_async.errors import ConfigError
from bestdefense_async.openapi.check import FORMS, compare, compare_at
from bestdefense_async.openapi.pairing import Pairing, pair_fields
from bestdefense_async.openapi.specification import Operation, Specification
from bestdefense_async.openapi.words import ENDS, NEUTRAL, OWNERS, PARTS, PLACES, split_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST: Final = 4
"""Candidates that are shown for one operation."""
_MOST_CONSIDERED: Final = 12
"""Pairing costs: of very many, those with the fewest foreign words are looked at."""
_VERSION: Final = re.compile(r"v?\d+(\.\d+)*")
_PART: Final = re.compile(r"{([^{}/]+)}")


@frozen(kw_only=True)
class Candidate:
    """One operation of the host that may be one of ours."""

    operation: Operation
    binding: Binding | None
    """None when ours cannot be expressed there (yet); then the first doubt says why."""
    doubts: tuple[str, ...]
    """What a person should check first, one sentence each."""
    reasons: tuple[str, ...]
    """What speaks for it, what its binding does, and what will be missing."""
    fields: int
    """How many of our fields were found."""


@frozen(kw_only=True)
class Proposal:
    """What is proposed for one of our operations."""

    route: Route
    candidates: tuple[Candidate, ...]
    """Best first; empty when the host has nothing of the kind."""

    @property
    def sure(self) -> Candidate | None:
        """The candidate that may be taken without asking, or None."""
        plain = [each for each in self.candidates if not each.doubts]
        return plain[0] if self.route.method == "GET" and len(plain) == 1 else None


def propose(
    specification: Specification,
    constants: Mapping[str, str] | None = None,
    bindings: Mapping[str, Binding] | None = None,
) -> tuple[Proposal, ...]:
    """Return what is proposed for each operation that is neither bound nor at its documented place.

    What a specification contradicts is proposed again, and what somebody agreed to is a doubt.

    Args:
        specification: The host's.
        constants: Parts of paths that are the same in every call, by the host's names.
        bindings: What somebody agreed to.
    """
    rows = compare(specification, bindings or {})
    known = [row for row in rows if row.standing == "agrees" and row.known != Grade.DESCRIBED]
    at_home = [row.operation for row in known if row.known == Grade.DOCUMENTED]
    free = [each for each in specification.operations if each not in at_home]
    proposals = []
    for route, row in ((row.route, row) for row in rows if row not in known):
        likely = [each for each in free if _may_be(route, each)]
        likely.sort(key=lambda each: (len(_path_doubts(route, each)), each.name))
        fitting = (each for each in likely if _may_answer(route, each))
        found = [
            consider(route, each, specification.location, constants)
            for each in islice(fitting, _MOST_CONSIDERED)
        ]
        if row.known == "bound":
            doubt = f"It is bound to {row.location} now. {row.problems[0]}"
            found = [evolve(each, doubts=(doubt, *each.doubts)) for each in found]
        found.sort(key=_order)
        proposals.append(Proposal(route=route, candidates=tuple(found[:_MOST])))
    return tuple(proposals)


def _order(each: Candidate) -> tuple[int, int, int, str]:
    """Return what sorts the better before the worse."""
    return len(each.doubts), -each.fields, each.operation.path.count("/"), each.operation.name


def _path_words(operation: Operation) -> list[str]:
    """Return the words of a path outside its parts; what stands before an owner's part is left."""
    words: list[str] = []
    for segment, following in pairwise([*operation.path.strip("/").split("/"), ""]):
        found = split_words(segment)
        is_owner = {*found} <= OWNERS and "{" in following
        if not segment.startswith("{") and not is_owner and not _VERSION.fullmatch(segment):
            words += found
    return words


def _may_be(route: Route, operation: Operation) -> bool:
    """Return whether nouns, method and form of the path are those of `route`."""
    words = {*_path_words(operation)}
    is_post = route.method == "DELETE" and operation.method == "POST" and bool(words & ENDS)
    is_named = all(words & need for need in PLACES[route.name].needs)
    if not is_named or (operation.method != route.method and not is_post):
        return False
    ours, is_file = route.template.endswith("}"), route.body is Body.BINARY
    if is_post or is_file or route.method == "POST" or (route.parts and not ours):
        return True
    return operation.path.rstrip("/").endswith("}") is ours  # one thing, or a list


def _may_answer(route: Route, operation: Operation) -> bool:
    """Return whether there is a place for our id, and a file is answered only where we want one."""
    is_file = route.body is Body.BINARY
    is_right = operation.form is None or is_file is (operation.form == "file")
    return is_right and bool(operation.parts or operation.sent or not route.parts)


def consider(
    route: Route, operation: Operation, source: str, constants: Mapping[str, str] | None = None
) -> Candidate:
    """Return how `operation` would serve as our `route`.

    Args:
        route: Ours.
        operation: Theirs.
        source: Who says so, kept in the binding.
        constants: As for `propose`.
    """
    own = PLACES[route.name].own
    # The names in a template of ours are words; `--set` says them as the host or as we do.
    same = {_plain(name): value for name, value in (constants or {}).items()}
    names, unknown = _names_of_parts(route, operation, same)
    ours = [*route.request_fields, *route.parts, *route.arguments]
    request = pair_fields([e for e in ours if e not in names.values()], operation.sent, own)
    arguments = {each: each for each in route.arguments if each in request.found}
    answer = pair_fields(route.answer_fields, operation.payload, own)
    needs_nothing = route.body is not Body.BINARY and not PLACES[route.name].answers
    form = operation.form or ("none" if needs_nothing else None)
    binding = Binding(
        method=operation.method,
        template=_PART.sub(
            lambda part: f"{{{names.get(part[1], _plain(part[1]))}}}", operation.path
        ),
        constants={name: same[name] for name in map(_plain, operation.parts) if name in same},
        request={**arguments, **request.pairs},
        answer=answer.pairs,
        values={**answer.values, **request.values},
        unsent=_left_out(route, operation, request, {*names.values()}),
        envelope=form if form in ENVELOPES and form != FORMS[route.body] else None,
        pages=_pages(request, answer),
        source=source,
    )
    problems = [
        f"Its path has {{{each}}}: say what it is with --set {each}=VALUE." for each in unknown
    ]
    try:
        if not problems:
            bind(route.name, binding)
    except ConfigError as error:
        problems = [str(error)]
    fit = compare_at(route, binding, operation)
    useful = {last(path) for path in answer.found if path not in ELSEWHERE}
    doubts = [*problems, *_path_doubts(route, operation), *fit.problems, *fit.unsaid]
    if useful == {"id"} and len(route.answer_fields) > 1:
        doubts.append("Its answer has nothing of ours but the id.")  # as anything has
    if operation.is_deprecated:
        doubts.append("It is deprecated there.")
    return Candidate(
        operation=operation,
        binding=None if problems else binding,
        doubts=tuple(doubts),
        reasons=(*_reasons(own, binding, operation, request, answer), *fit.missing),
        fields=len(request.found) + len(answer.found),
    )


def _names_of_parts(
    route: Route, operation: Operation, constants: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return which of our names each part of a path is, and the parts that only a person knows.

    A part is ours by its name, else by the noun before it. Our id is else what is left at the end,
    unless it is an owner's.
    """
    before = {
        part: {*split_words(noun)}
        for noun, segment in pairwise(operation.path.split("/"))
        for part in _PART.findall(segment)
    }
    names: dict[str, str] = {}
    unknown = [part for part in before if _plain(part) not in constants]
    for part in unknown:
        for words in ({*split_words(part)}, before[part]):
            for ours in (*route.parts, *route.request_fields, *route.arguments):
                if words & PARTS.get(ours, frozenset()) and ours not in names.values():
                    names.setdefault(part, ours)
    for ours in route.parts:
        rest = [each for each in unknown if each not in names and not before[each] & OWNERS]
        if ours not in names.values() and rest:
            names[rest[-1]] = ours
    return names, [part for part in unknown if part not in names]


def _plain(part: str) -> str:
    """Return the name of a part as a template of ours can have it: `org-id` is `org_id`."""
    return re.sub(r"\W", "_", part)


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
    if "cron" in request.found:  # it says the same
        when = ("cadence", "dayOfWeek", "dayOfMonth", "time")
        left += [each for each in when if each not in request.found]
    if "filename" in route.parts and placed & {*route.arguments} and "filename" not in placed:
        left.append("filename")  # version and platform name the file
    tops = {path.partition(".")[0]: None for path in route.request_fields if "." in path}
    there = {each.path for each in operation.body}
    return (*left, *(top for top in tops if there and top not in there))


def _pages(request: Pairing, answer: Pairing) -> str | None:
    """Return how a list goes on: by what `after` is called there."""
    after = request.found.get("after")
    words = {*split_words(after.path)} if after is not None else set()
    if words & {"offset", "skip"}:
        return "offset"
    if after is not None and "page" in words and not words & {"token", "cursor"}:
        return "page0" if after.first == 0 else "page"
    return "next" if after is not None and "next" in answer.found else None


def _reasons(
    own: frozenset[str], binding: Binding, operation: Operation, request: Pairing, answer: Pairing
) -> Iterator[str]:
    nouns = [word for word in dict.fromkeys(_path_words(operation)) if word in own]
    yield f"Its path says {' and '.join(nouns)}."
    for verb, side in (("takes", request), ("answers", answer)):
        said = [
            last(path) + (f" as {there}" if there != last(path) else "")
            for path, each in side.found.items()
            for there in [each.path.rpartition("[].")[2]]
        ]
        if said:
            yield f"It {verb} {', '.join(said)}."
    for name, table in binding.values.items():
        said = [f"{there} for {here}" for here, there in table.items()]
        yield f"It says {', '.join(said)} ({name})."
    if binding.unsent:
        yield f"It is not sent {', '.join(binding.unsent)}."
