"""Large answers, read in steps: the same models and the same errors as in one piece."""

import json
import random
from typing import Any

import pytest

from bestdefense_async import errors
from bestdefense_async.core import slices
from bestdefense_async.core.binding import Binding, bind
from bestdefense_async.core.codec import ALERTS_ITEMS, Structured, structure, structure_member
from bestdefense_async.core.envelope import read_envelope
from bestdefense_async.core.request import Reply, Request, build_request, raw_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.core.secret import Secret
from bestdefense_async.core.slices import LARGE, read_in_steps
from bestdefense_async.errors import BestDefenseError
from bestdefense_async.models import Alerts, Finding, Site
from tests.support.mutations import mutated

LOW = {"severity": "low"}
SECRET = Secret("tok-en/123456789")
ALERTS: Request[Any] = build_request(
    ROUTES["vortex.alerts"], {"security_id": "7"}, items=ALERTS_ITEMS
)
SITES: Request[Any] = build_request(ROUTES["sites.list"], items={"sites": Site})


def reply(body: bytes, status: int = 200, content_type: str = "application/json") -> Reply:
    """Return an answer."""
    return Reply(status, {"content-type": content_type}, body)


def large(alerts: int = 1000, **rest: Any) -> bytes:
    """Return an answer above the bound."""
    found = [
        {"id": str(n), "severity": "High", "title": "t\u00e9" * 100, "tags": [n, {"a": n}]}
        for n in range(alerts)
    ]
    data = {"riskSummary": {"high": alerts}, "alerts": found, "page": 1.25} | rest
    body = json.dumps({"success": True, "data": data, "error": None}, ensure_ascii=False).encode()
    assert len(body) > LARGE
    return body


def stepped(answer: Reply, request: Request[Any] = ALERTS, secret: Secret = SECRET) -> Any:
    """Read in steps, whatever the size."""
    return counted(answer, request, secret)[1]


def counted(
    answer: Reply, request: Request[Any] = ALERTS, secret: Secret = SECRET
) -> tuple[int, Any]:
    """Read in steps; return how many there were, and what was read."""
    steps, count = read_in_steps(answer, request, secret), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return count, end.value
        count += 1


def outcome(read: Any, answer: Reply, request: Request[Any]) -> str:
    """Return the model that came of an answer, or the error with all it says."""
    try:
        return repr(structure(read(answer, request, SECRET), Alerts))
    except BestDefenseError as error:
        return f"{error!r} {error.__context__} {sorted(vars(error).items())}"


def test_a_large_answer_is_read_in_many_steps_to_the_same_models() -> None:
    """Each step is a piece."""
    body = large()
    steps, payload = counted(reply(body))
    assert steps > len(body) / slices.PIECE / 2
    assert isinstance(payload["alerts"], Structured)
    whole = structure(read_envelope(reply(body), ALERTS, SECRET), Alerts)
    assert structure(payload, Alerts) == whole
    assert whole.extra == {"page": 1.25}


def test_no_content_and_refusals_are_read_in_one_piece() -> None:
    """Nothing in them is a payload."""
    assert stepped(reply(large(), 204)) is None
    with pytest.raises(errors.ServerError):
        stepped(reply(large(), 500))


def test_mutated_answers_are_the_same_in_steps_and_in_one_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a body holds and wherever its pieces are cut: no difference."""
    chance = random.Random(30)
    seen = set()
    again = []

    def in_one_piece(*arguments: Any) -> Any:
        again.append(arguments)
        return read_envelope(*arguments)

    monkeypatch.setattr(slices, "read_envelope", in_one_piece)
    for _ in range(30_000):
        monkeypatch.setattr(slices, "PIECE", chance.choice((3, 7, 40, 150, 1000)))
        kind = chance.choice(("application/json", "text/json; charset=latin-1"))
        answer = reply(mutated(chance), 200, kind)
        found = outcome(stepped, answer, ALERTS)
        assert found == outcome(read_envelope, answer, ALERTS), answer.body
        seen.add(found.partition("(")[0])
    assert seen == {"Alerts", "ApiError", "DecodeError", "EnvelopeError"}
    assert 5_000 < len(again) < 25_000


@pytest.mark.parametrize(
    "number", ["1.5", "1.5e3", "1.5E-3", "-0.5", "12", "true", "null", '"a b"', "[]", "{}", "[1.5]"]
)
def test_a_value_that_is_cut_anywhere_is_read_whole(
    number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The beginning of a number is a number, too."""
    monkeypatch.setattr(slices, "PIECE", 1)
    monkeypatch.setattr(slices, "read_envelope", None)  # it is not needed
    body = f'{{"success":true,"data":{{"a":{number},"b":[{number},{number} ]}} ,"c":{number}}}'
    for padding in range(8):
        answer = reply(b" " * padding + body.encode())
        found = stepped(answer, raw_request("GET", "/api/sites"))
        assert repr(found) == repr(json.loads(body)["data"])


def test_without_items_lists_stay_json() -> None:
    """The caller of a raw request gets what the server sent."""
    payload = stepped(reply(large()), raw_request("GET", "/api/report/vortex/7/alerts"))
    assert type(payload["alerts"]) is list
    assert payload == read_envelope(reply(large()), ALERTS, SECRET)


def test_an_answer_with_other_names_stays_json_until_it_is_translated() -> None:
    """Members of the host's list are not ours yet."""
    binding = Binding(
        method="GET", template="/v2/{security_id}", answer={"alerts[].title": "alerts[].name"}
    )
    bound = bind("vortex.alerts", binding)
    answer = reply(large().replace(b'"title"', b'"name"'))
    payload = bound.answer_here(stepped(answer, bound.request_there(ALERTS)))
    assert structure(payload, Alerts).findings[0].title == "té" * 100


@pytest.mark.parametrize("envelope", ["top", "none"])
def test_a_list_may_stand_at_the_top(envelope: str) -> None:
    """Where a host has no envelope."""
    bound = bind("sites.list", Binding(method="GET", template="/s", envelope=envelope))
    body = b'{"success": true, "sites": [{"id": 1, "hostname": "a"}], "data": [{"sites": []}]}'
    payload = stepped(reply(body), bound.request_there(SITES))
    assert isinstance(payload["sites"], Structured)
    assert structure_member(payload, "sites", tuple[Site, ...]) == (Site(id="1", hostname="a"),)


@pytest.mark.parametrize("body", [b"[1, 2]", b'{"success": false}', b'{"sites": []}', b" " * 9])
def test_an_answer_without_an_envelope_ends_alike(body: bytes) -> None:
    """It may be a list, nothing, or an error of the host's."""
    binding = Binding(method="GET", template="/s", envelope="none")
    raw = build_request(ROUTES["sites.list"], read=str)
    request = bind("sites.list", binding).request_there(raw)

    def end(read: Any) -> str:
        try:
            return repr(read(reply(body), request, SECRET))
        except BestDefenseError as error:
            return repr(error)

    assert end(stepped) == end(read_envelope)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"riskSummary": {}, "alerts": [], "findings": [LOW]}, id="two"),
        pytest.param({"riskSummary": {}, "findings": [LOW], "alerts": None}, id="or"),
        pytest.param({"riskSummary": [], "alerts": []}, id="PHP's empty maps"),
        pytest.param({"riskSummary": [1], "alerts": []}, id="a list with content is no map"),
        pytest.param({"alerts": [LOW]}, id="no summary"),
        pytest.param({"riskSummary": {}, "alerts": [LOW, {}]}, id="a bad alert"),
        pytest.param([LOW], id="data that is a list"),
        pytest.param(None, id="no data"),
    ],
)
def test_unusual_answers_end_alike(data: Any) -> None:
    """What cannot be read in steps is read in one piece."""
    for success in (True, False):
        for error in (None, "why"):
            answer = reply(json.dumps({"success": success, "data": data, "error": error}).encode())
            assert outcome(stepped, answer, ALERTS) == outcome(read_envelope, answer, ALERTS)


@pytest.mark.parametrize(
    "spelling", ["tok-en/123456789", "TOK-EN\\/123456789", "tok-\\u0065n/123456789"]
)
def test_the_token_is_masked_in_a_large_answer(
    spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it stands, also across the places where the search is cut."""
    monkeypatch.setattr("bestdefense_async.core.secret._PIECE", 50)
    for padding in range(60):
        body = b'{"success":true,"data":{"riskSummary":{},"a":"%s%s"}}'
        payload = stepped(reply(body % (b"x" * padding, spelling.encode())))
        assert payload["a"] == "x" * padding + "[token]"


def test_an_escaped_character_that_is_in_no_token_is_no_reason_to_look_closer() -> None:
    """Symfony escapes what could be mistaken for HTML."""
    answer = reply(rb'{"success":true,"data":{"riskSummary":{},"alerts":[],"a":"\u003Cb\u0027\/"}}')
    assert not SECRET.is_in(answer.body)
    assert isinstance(stepped(answer)["alerts"], Structured)


def test_findings_of_a_large_answer_share_their_names() -> None:
    """A copy of each member's name in each of them would double what is kept."""
    findings: tuple[Finding, ...] = structure(stepped(reply(large())), Alerts).findings
    names = {id(name) for finding in findings for name in finding.extra}
    assert len(names) < len(findings) / 10
