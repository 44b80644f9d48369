"""The rule of admission: what an outage may cost, and when starting goes on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.core.admission import (
    LONGEST_AFTER_TRIAL,
    Admission,
    Fate,
    fate_of,
    may_start_later,
)
from bestdefense_async.errors import (
    AttemptTimeout,
    AuthError,
    BestDefenseError,
    ClientClosed,
    ClientError,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    EnvelopeError,
    InvalidRequest,
    JournalError,
    LimitWaitTooLong,
    NotFound,
    OutcomeUnknown,
    QuotaExceeded,
    RateLimited,
    RunStopped,
    Sent,
    ServerError,
)


def lost(cause: BestDefenseError | None) -> OutcomeUnknown:
    """Return what a creation ends in whose answer is lost."""
    error = OutcomeUnknown("lost", operation="reports.create", subject="s", sent_at=0.0)
    error.__cause__ = cause
    return error


LATEST = lambda _, high: high  # noqa: E731 - in place of chance

FATES = [
    ("a success", None, Fate.THERE, False),
    ("no connection", ConnectError("x"), Fate.AWAY, True),
    ("a lost connection", lost(ConnectionLost("x")), Fate.AWAY, False),
    ("a time-out of the attempt", lost(AttemptTimeout("x")), Fate.AWAY, False),
    ("an answer that is not the API's", lost(EnvelopeError("x")), Fate.AWAY, False),
    ("a 5xx", lost(ServerError("x", status=503)), Fate.AWAY, False),
    ("a loss of unknown cause", lost(None), Fate.AWAY, False),
    ("a 408", ClientError("x", status=408), Fate.AWAY, False),
    ("a 425", ClientError("x", status=425), Fate.AWAY, False),
    ("a 429 after all attempts", RateLimited("x", status=429), Fate.AWAY, True),
    ("the deadline after it was sent", DeadlineExceeded("x", sent=Sent.MAYBE), Fate.AWAY, False),
    ("a 404 of the site", NotFound("x", status=404), Fate.THERE, False),
    ("a 422", InvalidRequest("x", status=422), Fate.THERE, False),
    ("a 418", ClientError("x", status=418), Fate.THERE, False),
    ("a 401", AuthError("x", status=401), Fate.THERE, False),
    ("a spent quota", QuotaExceeded("x", status=402), Fate.THERE, False),
    ("a store that cannot be written", JournalError("x"), Fate.NOTHING, False),
    ("a closed client", ClientClosed("x"), Fate.NOTHING, False),
    ("a run that was stopped", RunStopped("x"), Fate.NOTHING, False),
    ("our own limit", LimitWaitTooLong(limit_class="c", wait=9, allowed=1), Fate.NOTHING, False),
    ("a fault of the program", BestDefenseError("x"), Fate.NOTHING, False),
    ("a loss for the client's sake", lost(ClientClosed("x")), Fate.NOTHING, False),
]


@pytest.mark.parametrize(
    ("error", "fate", "is_later"),
    [each[1:] for each in FATES],
    ids=[each[0] for each in FATES],
)
def test_the_end_of_a_creation_says_whether_the_host_is_there(
    error: BestDefenseError | None,
    fate: Fate,
    is_later: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Only what the host did counts, and only what did no work for its sake may start later."""
    assert fate_of(error) is fate
    if error is not None:
        assert may_start_later(error) is is_later


def test_each_failure_takes_a_place_and_one_success_gives_all_back() -> None:
    """Three failures of eight leave five places; a success leaves all of them."""
    admission = Admission(8)
    begun = [admission.began() for _ in range(4)]
    for each in begun[:3]:
        admission.ended(each, Fate.AWAY)
    assert admission.room() == 4  # and one under way

    admission.ended(begun[3], Fate.THERE)

    assert admission.room() == 8


def test_after_an_answered_look_one_creation_is_tried_then_two_then_three() -> None:
    """Each success opens one place more, up to all of them."""
    admission = shut(Admission(4))
    assert (admission.room(), admission.is_trial) == (0, False)
    admission.looked(is_there=True)
    assert (admission.room(), admission.is_trial) == (1, True)

    rooms = []
    for _ in range(5):
        admission.ended(admission.began(), Fate.THERE)
        rooms.append(admission.room())

    assert rooms == [2, 3, 4, 4, 4]
    assert not admission.is_trial


def test_looks_wait_twice_as_long_each_time_up_to_ten_seconds() -> None:
    """Half a second, one, two, four, eight, ten, ten."""
    admission = shut(Admission(8))
    waits = []
    for _ in range(7):
        waits.append(admission.wait(LATEST))
        admission.looked(is_there=False)

    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert admission.wait(lambda low, _: low) == 5.0


def test_each_lost_trial_doubles_the_wait_before_the_next_look_up_to_thirty_seconds() -> None:
    """A host whose creations alone are down answers each look, and gets few creations."""
    admission = shut(Admission(8))
    waits = []
    for _ in range(8):
        admission.looked(is_there=True)
        admission.ended(admission.began(), Fate.AWAY)
        waits.append(admission.wait(LATEST))

    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, *[30.0] * 3]


def test_with_a_single_place_the_first_loss_is_no_trial() -> None:
    """A run that starts one by one waits half a second after its first loss, as others do."""
    assert shut(Admission(1)).wait(LATEST) == 0.5


def test_what_started_before_a_stop_counts_for_nothing_after_it() -> None:
    """Neither a late success opens the gate, nor does a late failure take a place."""
    admission = Admission(8)
    early = [admission.began() for _ in range(3)]
    admission.shut()
    admission.ended(early[0], Fate.THERE)
    assert admission.room() == 0
    admission.looked(is_there=True)

    admission.ended(early[1], Fate.AWAY)
    admission.ended(early[2], Fate.NOTHING)

    assert admission.room() == 1


def shut(admission: Admission) -> Admission:
    """Let creations fail until nothing starts."""
    while (room := admission.room()) > 0:
        for each in [admission.began() for _ in range(room)]:
            admission.ended(each, Fate.AWAY)
    return admission


@given(
    most=st.integers(1, 9),
    steps=st.lists(st.sampled_from(["begin", "there", "away", "nothing", "look", "blind"])),
)
def test_an_outage_never_costs_more_than_the_places(most: int, steps: list[str]) -> None:
    """Losses in a row and creations under way are `most` together at most, in any order of events.

    A shut gate has no room, and an open one with nothing under way always has some.
    """
    admission = Admission(most)
    begun: list[int] = []
    losses = 0
    for step in steps:
        if step == "begin" and admission.room() > 0:
            begun.append(admission.began())
        elif step in {"there", "away", "nothing"} and begun:
            fate = Fate[step.upper()]
            losses = {Fate.THERE: 0, Fate.AWAY: losses + 1}.get(fate, losses)
            admission.ended(begun.pop(0), fate)
        elif step in {"look", "blind"} and admission.is_shut:
            losses = 0  # what is lost from here on is a trial
            admission.looked(is_there=step == "look")

        assert 0 <= admission.room() <= most
        assert losses + len(begun) <= most
        assert 1 <= admission.places <= most
        assert admission.under_way == len(begun)
        if admission.is_shut:
            assert admission.room() == 0
        elif not begun:
            assert admission.room() > 0
        assert 0.0 < admission.wait(LATEST) <= LONGEST_AFTER_TRIAL


@given(st.lists(st.booleans(), min_size=200, max_size=200))
def test_scattered_failures_cost_no_throughput(successes: list[bool]) -> None:
    """While one of seven creations in a row succeeds, a gate of eight is never shut."""
    admission = Admission(8)
    for number, is_success in enumerate(successes):
        is_taken = is_success or number % 7 == 0
        admission.ended(admission.began(), Fate.THERE if is_taken else Fate.AWAY)

        assert not admission.is_shut
