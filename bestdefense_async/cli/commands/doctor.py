"""`bestdefense doctor`: what a call needs, looked at piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from bestdefense_async.cli import exits
from bestdefense_async.cli.exits import Exit, told_as
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMAT, emit
from bestdefense_async.cli.terminal.words import in_days, is_soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.core.request import Reply

_PATIENCE: Final = 30.0
"""Seconds the host may take for its answer."""
_MOST_SKEW: Final = 60.0
"""Seconds that the clocks may differ: dates of `Retry-After` and of waivers are read by them."""
_LIMITS: Final = ("agents.manifest", "agents.download")
"""Operations with a documented limit."""


class Finding(NamedTuple):
    """What one look has found."""

    check: str
    result: str
    """ok, warning or failed."""
    detail: str


@click.command("doctor", cls=ApiCommand)
@connected
@FORMAT
def command(format_: str, connection: Connection) -> int:
    """Check token, host, clock, proxy and files, and say what is wrong.

    One harmless request is sent: the list of sites. The exit code is 0 when a scan could start,
    else the one that it would end with.
    """
    findings: list[Finding] = []
    codes = [
        _looked(findings, check, look, connection)
        for check, look in (
            ("settings", _settings),
            ("token", _token),
            ("proxy", _proxy),
            ("certificates", _certificates),
            ("state", _state),
            ("adopted paths", _bindings),
        )
    ]
    if not any(codes):
        codes.append(_looked(findings, "limits", _limits, connection))
        codes.append(_looked(findings, "access", _host, connection))
    emit("checks", [each._asdict() for each in findings], format_)
    return max(codes, key=lambda code: code != Exit.OK)


def _looked(
    findings: list[Finding],
    check: str,
    look: Callable[[Connection], Iterator[Finding]],
    connection: Connection,
) -> int:
    """Look at one thing, and record what was found or what went wrong. Return the exit code."""
    from bestdefense_async.errors import BestDefenseError

    try:
        findings.extend(look(connection))
    except BestDefenseError as error:
        findings.append(Finding(check, "failed", exits.sentence_for(error)))
        return exits.code_for(error)
    return Exit.OK


def _settings(_connection: Connection) -> Iterator[Finding]:
    from bestdefense_async.cli.options.settings import load_settings, unknown_variables

    origins = sorted({setting.origin for setting in load_settings().values()})
    yield Finding("settings", "ok", f"from {', '.join(origins)}" if origins else "the defaults")
    for sentence in unknown_variables():
        yield Finding("settings", "warning", sentence)


def _token(connection: Connection) -> Iterator[Finding]:
    found, end = connection.token, connection.end_of_token()
    ends = "" if end is None else f", ends {in_days(end)} ({end.isoformat()})"
    is_late = end is not None and is_soon(end)
    yield Finding("token", "warning" if is_late else "ok", f"from {found.origin}{ends}")


def _proxy(connection: Connection) -> Iterator[Finding]:
    proxy = connection.proxy
    if proxy is None:
        yield Finding("proxy", "ok", "none")
    else:
        origin = f", as {proxy.origin} says" if proxy.origin else ""
        yield Finding("proxy", "ok", f"{proxy.shown}{origin}")


def _certificates(connection: Connection) -> Iterator[Finding]:
    besides = connection.ssl_context() is not None
    more = f" and {connection.ca_file}" if besides else ""
    yield Finding("certificates", "ok", f"authorities of the system{more}")


def _state(_connection: Connection) -> Iterator[Finding]:
    """Look at the directory of runs and limits."""
    import os

    from bestdefense_async.cli.options.settings import state_directory
    from bestdefense_async.errors import ConfigError

    directory = state_directory()
    problem = f"The directory {directory} cannot be used"
    with told_as(problem):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(directory, os.W_OK):
        raise ConfigError(f"{problem}: Nothing can be written in it.")
    yield Finding("state", "ok", f"runs and limits are kept in {directory}")


def _limits(connection: Connection) -> Iterator[Finding]:
    """Look at what is left of the documented limits of the token."""
    import time

    from bestdefense_async.cli.options.settings import state_directory
    from bestdefense_async.core.route import ROUTES
    from bestdefense_async.transport.throttle.shared_store import SavedState

    directory, key = state_directory(), connection.token.secret.token_key
    for name in _LIMITS:
        for limit in ROUTES[name].limits:
            used = SavedState.calls_since(directory, key, time.time() - limit.per).get(name, 0)
            left = max(0, limit.calls - used)
            what = f"{ROUTES[name].doing}: {left} of {limit.calls} left in {limit.per / 60:.0f} min"
            yield Finding("limits", "ok" if left else "warning", what)


def _bindings(connection: Connection) -> Iterator[Finding]:
    from bestdefense_async.cli.options.bindings import load_bindings, path_of_bindings

    names = sorted(load_bindings(connection.host))
    where = f" (in {path_of_bindings()})" if names else ""
    yield Finding("adopted paths", "ok", f"{', '.join(names) or 'none'}{where}")


def _host(connection: Connection) -> Iterator[Finding]:
    """Send one request, and look at the answer and at the clock behind it."""
    import time
    from email.utils import parsedate_to_datetime

    from bestdefense_async.core.codec import structure_member
    from bestdefense_async.core.envelope import read_envelope
    from bestdefense_async.core.request import build_request
    from bestdefense_async.core.route import ROUTES
    from bestdefense_async.models import Site
    from bestdefense_async.report.text import counted

    connection.say_host(connection.host)
    begun = time.monotonic()
    reply = _asked(connection)
    took = time.monotonic() - begun
    yield Finding("host", "ok", f"{connection.host} has answered after {took * 1000:.0f} ms")
    date = reply.headers.get("date")
    if date is not None:
        try:
            skew = time.time() - parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            yield Finding("clock", "warning", "the host sends a date that is none")
        else:
            is_off = abs(skew) > _MOST_SKEW
            side = "ahead of" if skew > 0 else "behind"
            told = f"{abs(skew):.0f} s {side} the host's" if is_off else "as the host's"
            yield Finding("clock", "warning" if is_off else "ok", told)
    payload = read_envelope(reply, build_request(ROUTES["sites.list"]), connection.token.secret)
    sites = structure_member(payload, "sites", tuple[Site, ...])
    yield Finding("access", "ok", f"the token is accepted: {counted(len(sites), 'site')}")


def _asked(connection: Connection) -> Reply:
    """Return the answer to the list of sites, whatever it says; nothing is tried again."""
    from bestdefense_async.cli.options.bindings import load_bindings
    from bestdefense_async.core.binding import bind
    from bestdefense_async.core.request import build_request
    from bestdefense_async.core.route import ROUTES
    from bestdefense_async.errors import ConfigError
    from bestdefense_async.transport.http.cancel_scope import Home, Lifetime
    from bestdefense_async.transport.http.connection import Exchange
    from bestdefense_async.transport.http.exchange import Wire
    from bestdefense_async.transport.http.session import WireSettings

    secret, proxy = connection.token.secret, connection.proxy
    if secret.is_sandbox and not connection.location.is_loopback:
        raise ConfigError("This token is the sandbox's: it is not sent to any other host.")
    settings = WireSettings(
        base_url=connection.host,
        proxy=None if proxy is None else proxy.url,
        ssl_context=connection.ssl_context(),
    )
    request: Any = build_request(ROUTES["sites.list"])
    binding = load_bindings(connection.host).get("sites.list")
    if binding is not None:
        request = bind("sites.list", binding).request_there(request)
    answers: list[Reply] = []

    async def work(_: Interruption) -> int:
        home = Home()
        wire = Wire(settings, home=home)
        try:
            with Exchange(request, secret, Lifetime(home)) as exchange:
                answers.append(await wire.exchange(exchange, _PATIENCE))
        finally:
            await wire.aclose()
        return Exit.OK

    run_async(work)
    if not answers:
        raise click.Abort
    return answers[0]
