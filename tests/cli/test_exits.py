"""Which exit code and which sentence an error becomes."""

from __future__ import annotations

import pytest

from bestdefense_async import errors
from bestdefense_async.cli.exits import Exit, MissingToken, code_for, sentence_for

AUTH = errors.AuthError("The token is not accepted.", status=401)
DENIED = errors.PermissionDenied("Not permitted.", status=403)

CODES = {
    "a missing token is 4": (MissingToken("x"), Exit.TOKEN),
    "a refused token is 4": (AUTH, Exit.TOKEN),
    "a lacking permission is 4": (DENIED, Exit.TOKEN),
    "a wrong setting is 2": (errors.ConfigError("x"), Exit.USAGE),
    "an unknown site is 2": (errors.UnknownSite("x"), Exit.USAGE),
    "options the server refuses are 2": (errors.InvalidRequest("x", status=422), Exit.USAGE),
    "an unknown id is 2": (errors.NotFound("x", status=404), Exit.USAGE),
    "a run that was stopped is 3": (errors.RunStopped("x"), Exit.INCOMPLETE),
    "no connection is 3": (errors.ConnectError("x"), Exit.INCOMPLETE),
    "a server error is 3": (errors.ServerError("x", status=503), Exit.INCOMPLETE),
    "a timeout is 3": (errors.PollTimeout("r", waited=1.0), Exit.INCOMPLETE),
    "anything else is our bug": (KeyError("x"), Exit.BUG),
}


@pytest.mark.parametrize(("error", "code"), CODES.values(), ids=CODES.keys())
def test_each_kind_of_error_has_its_exit_code(error: Exception, code: Exit) -> None:
    """Scripts tell errors apart by the exit code, and 1 is none of them."""
    assert code_for(error) is code
    assert code is not Exit.GATE_FAILED


def test_a_group_of_errors_has_the_code_of_its_worst() -> None:
    """A bug among refusals is still a bug."""
    refused = ExceptionGroup("run", [errors.ConnectError("x"), AUTH])
    assert code_for(refused) is Exit.TOKEN
    assert code_for(ExceptionGroup("run", [refused, KeyError("x")])) is Exit.BUG


def test_a_group_of_errors_is_one_line() -> None:
    """The worst is told, the others are counted."""
    group = ExceptionGroup("run", [errors.ConnectError("No connection."), AUTH])
    assert sentence_for(group) == "The token is not accepted. (and 1 more)"


def test_an_unknown_host_may_need_a_proxy() -> None:
    """The error itself says to check the base URL; behind a proxy no name resolves."""
    error = errors.ConnectError("api.exampel does not resolve.", is_unknown_host=True)
    assert sentence_for(error).endswith("set HTTPS_PROXY or --proxy.")


@pytest.mark.parametrize(
    ("module", "extra"),
    [("jinja2", "cli"), ("rich.live", "cli"), ("opentelemetry.trace", "otel")],
)
def test_a_missing_extra_is_named_and_no_bug(module: str, extra: str) -> None:
    """Whoever has installed half of it is told the rest."""
    error = ModuleNotFoundError(f"No module named {module!r}", name=module)
    assert code_for(error) == Exit.USAGE
    assert f"bestdefense-async[{extra}]" in sentence_for(error)


def test_a_module_of_ours_that_is_missing_is_a_bug() -> None:
    """Nobody can install that."""
    error = ModuleNotFoundError("No module named 'x'", name="bestdefense_async.cli.x")
    assert code_for(error) == Exit.BUG
