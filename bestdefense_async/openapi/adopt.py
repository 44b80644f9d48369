"""A binding for each operation whose path is not published, proposed and never guessed silently.

Every operation of the host is measured against every one of ours; the best fits are assigned
first, each of theirs once. A proposal is sure only when its score is high, nothing else comes near,
and nothing about it is in doubt; what is not sure is for a person to decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve, field, frozen

from bestdefense_async.core.binding import Binding, bind
from bestdefense_async.core.route import ROUTES, Body, Grade, Route
from bestdefense_async.errors import ConfigError
from bestdefense_async.openapi.likelihood import (
    Likelihood,
    Parts,
    likelihood,
    match_parts,
    method_factor,
    strange_words,
    subject_of,
)
from bestdefense_async.openapi.model import Field, Operation, Specification, payload_of
from bestdefense_async.openapi.pairing import Pairing, binding_pairs, is_optional, pair_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

SURE: Final = 0.7
"""A score from which on a proposal without doubts is taken with `-y`."""
_LEAST: Final = 0.45
"""Below this score an operation is not proposed."""
_NEAR: Final = 0.06
"""Two operations whose scores differ by less are equally likely."""
_MOST_RIVALS: Final = 3


@frozen(kw_only=True)
class Candidate:
    """One operation of the host that may be one of ours."""

    route: Route
    operation: Operation
    fit: Likelihood
    binding: Binding | None
    """None when ours cannot be expressed there; then a doubt says why."""
    doubts: tuple[str, ...] = ()
    """What a person should check first, one sentence each."""
    notes: tuple[str, ...] = ()
    """What will be missing, one sentence each."""


@frozen(kw_only=True)
class Proposal:
    """What is proposed for one of our operations."""

    route: Route
    best: Candidate | None = None
    """None when nothing fits."""
    rivals: tuple[Candidate, ...] = field(default=())
    """Others that are about as likely."""

    @property
    def sure(self) -> Candidate | None:
        """The candidate that may be taken without asking, or None."""
        best = self.best
        if best is None or best.binding is None or best.doubts or self.rivals:
            return None
        return best if best.fit.score >= SURE else None


def propose(specification: Specification, *, source: str) -> tuple[Proposal, ...]:
    """Return a proposal for each operation whose path is not published, in our order.

    Args:
        specification: The host's.
        source: Who says so, kept in the bindings.
    """
    provisional = [route for route in ROUTES.values() if route.grade is Grade.DESCRIBED]
    known = {
        operation.name
        for route in ROUTES.values()
        if route.grade is Grade.DOCUMENTED
        and (operation := specification.find(route.method, route.template)) is not None
    }
    free = [each for each in specification.operations if each.name not in known]
    found = {
        route.name: [
            candidate
            for operation in free
            if method_factor(route, operation) > 0
            and (candidate := consider(route, operation, source=source)).fit.score >= _LEAST
        ]
        for route in provisional
    }
    return tuple(_assign(provisional, found))


def consider(route: Route, operation: Operation, *, source: str) -> Candidate:
    """Return how `operation` would serve as our `route`."""
    subject = subject_of(route)
    parts = match_parts(route, operation)
    request = _pair_request(route, operation, parts, subject)
    payload, has_envelope = payload_of(operation)
    answer = pair_fields(route.answer_fields, payload, subject=subject)
    fit = likelihood(route, operation, request=request, answer=answer)
    is_open = not _sent_to(operation) and any(not is_optional(path) for path in request.missing)
    doubts = [*parts.doubts, *request.doubts, *answer.doubts, *_demands(operation, request, parts)]
    if is_open:
        doubts.append("The specification does not say what it takes.")
    doubts += [f"Its path says {word!r}." for word in strange_words(route, operation)]
    doubts += _answer_doubts(route, operation, answer, has_envelope=has_envelope)
    standard = route.body is Body.ENVELOPE
    binding, problem = _binding(
        route,
        operation,
        template=parts.template,
        request=evolve(request, missing=()) if is_open else request,
        answer=answer,
        has_envelope=None if has_envelope in {None, standard} else has_envelope,
        source=source,
    )
    if problem:
        doubts.insert(0, problem)
    return Candidate(
        route=route,
        operation=operation,
        fit=fit,
        binding=binding,
        doubts=tuple(dict.fromkeys(doubts)),
        notes=tuple(_notes(operation, request, answer)),
    )


def _pair_request(
    route: Route, operation: Operation, parts: Parts, subject: frozenset[str]
) -> Pairing:
    """Pair what is sent: our fields and parts with the body, or the query where there is none."""
    ours = [path for path in (*route.request_fields, *parts.lost) if path not in parts.placed]
    return pair_fields(ours, _sent_to(operation), subject=subject)


def _sent_to(operation: Operation) -> tuple[Field, ...]:
    """Return the fields that what we send becomes: of the body, or of the query without one."""
    return operation.query if operation.method in {"GET", "DELETE"} else operation.request


def _demands(operation: Operation, request: Pairing, parts: Parts) -> list[str]:
    """Return a sentence for each thing they demand and we do not send."""
    demanded = [*request.unused, *parts.unknown, *(f"header {name}" for name in operation.headers)]
    if operation.method not in {"GET", "DELETE"}:
        demanded += [each.path for each in operation.query if each.is_required]
    return [f"It demands {name}, which we do not send." for name in demanded]


def _answer_doubts(
    route: Route, operation: Operation, answer: Pairing, *, has_envelope: bool | None
) -> list[str]:
    if route.body is Body.BINARY:
        return [] if operation.is_file else ["Its answer is not said to be a file."]
    doubts = []
    if route.answer_fields and not operation.answer:
        doubts.append("The specification does not say what it answers.")
    elif has_envelope is None and operation.answer:
        doubts.append("Its answer has neither success nor data, as all answers known have.")
    needed = [path for path in answer.missing if not is_optional(path)]
    if operation.answer and needed:
        doubts.append(f"Its answer has no {_listed(needed)}.")
    return doubts


def _notes(operation: Operation, request: Pairing, answer: Pairing) -> list[str]:
    notes = []
    if request.missing and (_sent_to(operation) or operation.method in {"GET", "DELETE"}):
        notes.append(f"It takes no {_listed(request.missing)}.")
    spare = [path for path in answer.missing if is_optional(path)]
    if spare and operation.answer:
        notes.append(f"It does not answer {_listed(spare)}.")
    return notes


def _listed(paths: tuple[str, ...] | list[str]) -> str:
    return ", ".join(path.rpartition(".")[2] for path in paths)


def _binding(
    route: Route,
    operation: Operation,
    *,
    template: str | None,
    request: Pairing,
    answer: Pairing,
    has_envelope: bool | None,
    source: str,
) -> tuple[Binding | None, str]:
    """Return the binding, or None and why there is none."""
    needed = [path for path in request.missing if not is_optional(path)]
    if needed:
        return None, f"It has no place for {_listed(needed)}."
    if template is None:
        return None, "Its path has a part that we cannot fill."
    binding = Binding(
        method=operation.method,
        template=template,
        request=binding_pairs(request.pairs),
        answer=binding_pairs(answer.pairs),
        has_envelope=has_envelope,
        source=source,
    )
    problem = ""
    try:
        bind(route.name, binding)
    except ConfigError as error:
        problem = str(error)
    return (None, problem) if problem else (binding, "")


def _assign(provisional: list[Route], found: Mapping[str, list[Candidate]]) -> list[Proposal]:
    """Assign each operation of theirs to the one of ours that it fits best."""
    ranked = sorted(
        (candidate for each in found.values() for candidate in each),
        key=lambda candidate: -candidate.fit.score,
    )
    given: dict[str, Candidate] = {}
    taken: set[str] = set()
    for candidate in ranked:
        if candidate.route.name not in given and candidate.operation.name not in taken:
            given[candidate.route.name] = candidate
            taken.add(candidate.operation.name)
    return [
        Proposal(
            route=route,
            best=given.get(route.name),
            rivals=_rivals(given.get(route.name), found[route.name], taken),
        )
        for route in provisional
    ]


def _rivals(
    best: Candidate | None, candidates: list[Candidate], taken: set[str]
) -> tuple[Candidate, ...]:
    if best is None:
        return ()
    near = [
        candidate
        for candidate in candidates
        if candidate.operation.name not in taken and best.fit.score - candidate.fit.score < _NEAR
    ]
    return tuple(near[:_MOST_RIVALS])
