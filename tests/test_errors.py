"""One tree of errors that can be printed, pickled and trusted."""

import inspect
import pickle

import pytest

from bestdefense_async import errors
from bestdefense_async.errors import BestDefenseError, Sent

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, BestDefenseError)
]
EXAMPLES: list[BestDefenseError] = [
    errors.ConfigError("a"),
    errors.ProvisionalRoute("agents.manifest"),
    errors.TargetError("bad", target="x", line=3),
    errors.ConnectError("a", is_unknown_host=True),
    errors.RateLimited("a", status=429),
    errors.LimitWaitTooLong(limit_class="a", wait=2.0, allowed=1.0),
    errors.PollTimeout("r1", waited=3.0),
    errors.ScanFailed("r1", status="cancelled", message="by a person"),
    errors.OutcomeUnknown("lost", operation="reports.create", subject="s1", sent_at=1.0),
]


@pytest.mark.parametrize("kind", ALL)
def test_the_drawing_shows_every_error(kind: type[BestDefenseError]) -> None:
    """The module's docstring is the map."""
    assert f" {kind.__name__} " in (errors.__doc__ or "") + " "


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: error.kind)
def test_an_error_survives_a_pickle(error: BestDefenseError) -> None:
    """Process pools and task queues carry errors around."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.sent is error.sent


def test_messages_are_cleaned_and_capped() -> None:
    """Text quoted from elsewhere cannot steer a terminal or fill a log."""
    error = BestDefenseError("\x1b]0;x\x07\u202e" + "a" * 10_000)
    assert "\x1b" not in str(error)
    assert len(str(error)) == errors.LONGEST_MESSAGE


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (errors.ConfigError, Sent.NO),
        (errors.ConnectError, Sent.NO),
        (errors.ConnectionLost, Sent.MAYBE),
        (errors.AttemptTimeout, Sent.MAYBE),
        (errors.Truncated, Sent.YES),
        (errors.ServerError, Sent.YES),
        (errors.OutcomeUnknown, Sent.MAYBE),
        (errors.ScanFailed, Sent.YES),
        (errors.LimitWaitTooLong, Sent.NO),
    ],
)
def test_each_error_says_whether_the_request_may_have_arrived(
    kind: type[BestDefenseError], sent: Sent
) -> None:
    """This is what makes a repetition safe or not."""
    assert kind.sent is sent


def test_a_line_number_leads_the_message() -> None:
    """A person looks for the line first."""
    assert str(errors.TargetError("not a host name", line=12)).startswith("line 12: ")
