"""Where to connect, through what and as whom: the options of every command that calls the API."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from bestdefense_async.cli.exits import Exit, MissingToken
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.grammar import Command
from bestdefense_async.cli.options.settings import (
    Settings,
    end_of_token,
    state_directory,
    token_path,
    unknown_variables,
)
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.words import in_days, is_soon, today
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Collection
    from datetime import date

    from bestdefense_async import BestDefense
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.config import BaseUrl, FoundToken
    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.core.secret import Secret
    from bestdefense_async.transport.throttle.shared_store import SharedLimits

T = TypeVar("T")

SANDBOX_SPEED: Final = 60.0
"""Scan seconds that pass in a second in the sandbox, unless it is told otherwise."""


class ApiCommand(Command):
    """A command whose unset options come from the environment and the settings files."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401  # click's signature
    ) -> click.Context:
        """Return the context, with the settings as defaults; completion goes without them."""
        settings = None if extra.get("resilient_parsing") else Settings()
        return super().make_context(info_name, args, parent, **{"default_map": settings, **extra})

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  # click's signature
        """Run the command; variables that look like settings and are none are told first."""
        for sentence in unknown_variables():
            streams.note(f"bestdefense: {sentence}")
        return super().invoke(ctx)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help, which shows defaults: those of the program, whatever the settings say."""
        ctx.default_map = None
        super().format_help(ctx, formatter)


class GivenProxy(NamedTuple):
    """A proxy and who says so."""

    url: str
    origin: str
    """Empty for an option: whoever has typed it need not be told."""

    @property
    def shown(self) -> str:
        """The proxy without user name and password."""
        scheme, _, rest = self.url.rpartition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"


class Connection:
    """The host, the way there and the token."""

    def __init__(
        self,
        base_url: str | None = None,
        token_file: str | None = None,
        *,
        proxy: str | None = None,
        ca_file: str | None = None,
        context: click.Context | None = None,
    ) -> None:
        """Check nothing yet.

        Args:
            base_url: As an option or a setting has it.
            token_file: The same.
            proxy: The same.
            ca_file: The same.
            context: Knows where each came from; None when nobody has typed anything.
        """
        self.base_url = base_url
        self.ca_file = ca_file
        self._token_file = token_file
        self._proxy = proxy
        self._context = context

    def origin(self, name: str) -> str:
        """Return where an option came from: a file or a variable; empty when it was typed."""
        settings: object = None if self._context is None else self._context.default_map
        setting = settings.origin(name) if isinstance(settings, Settings) else None
        return "" if setting is None or self._is_typed(name) else setting.origin

    def _is_typed(self, name: str) -> bool:
        source = None if self._context is None else self._context.get_parameter_source(name)
        return source is click.core.ParameterSource.COMMANDLINE

    @functools.cached_property
    def token(self) -> FoundToken:
        """The token and where it came from, looked up once.

        Raises:
            MissingToken: There is none.
            ConfigError: There is one, and it cannot be a token.
        """
        from bestdefense_async.config import TOKEN_VARIABLES, find_token

        file, default = self.token_file, token_path()
        found = find_token(file, is_file_first=self._is_typed("token_file"))
        if found is None:
            raise MissingToken(
                f"There is no token: create one in the app under Profile, API tokens, and set "
                f"{TOKEN_VARIABLES[0]} to it, or keep it in {default} with `bestdefense auth set`. "
                "Without one, `bestdefense demo` and `bestdefense sandbox` show what there is."
            )
        return found

    def end_of_token(self) -> date | None:
        """Return the last day of the token, None when nobody has said it."""
        from bestdefense_async.files import shown

        is_kept = self.token.origin.endswith(f" {shown(token_path())}")
        return end_of_token() if is_kept else None

    def say_end(self) -> None:
        """Warn of a token that ends within a week, or has."""
        end = self.end_of_token()
        if end is not None and is_soon(end):
            verb = "ends" if end >= today() else "has ended,"
            streams.say(
                f"bestdefense: the token {verb} {in_days(end)} ({end.isoformat()}): make a new one "
                "in the app under Profile, API tokens, and keep it with `bestdefense auth set`"
            )

    @property
    def token_file(self) -> str | None:
        """The file that may hold the token, None when there is none."""
        from bestdefense_async.files import is_there

        if self._token_file is not None:
            return os.fspath(Path(self._token_file).expanduser())
        default = token_path()
        return os.fspath(default) if is_there(default) else None

    @functools.cached_property
    def location(self) -> BaseUrl:
        """The checked base URL, in its parts.

        Raises:
            ConfigError: It cannot be used.
        """
        from bestdefense_async.config import base_url_from

        return base_url_from(self.base_url)

    def polling(self, *others: Secret) -> PollPolicy | None:
        """Return how often to ask: None as usual, else as the sandbox needs it: scans take seconds.

        Args:
            others: The tokens that are used, in place of the one of this connection.
        """
        from bestdefense_async.core.polling import PollPolicy

        secrets = others or (self.token.secret,)
        is_sandbox = self.location.is_loopback and any(each.is_sandbox for each in secrets)
        return PollPolicy(speed=SANDBOX_SPEED) if is_sandbox else None

    @property
    def host(self) -> str:
        """The base URL, without a slash at the end.

        Raises:
            ConfigError: It cannot be used.
        """
        return str(self.location)

    @property
    def proxy(self) -> GivenProxy | None:
        """The proxy to the API, None for none."""
        return self.proxy_to(self.location)

    def proxy_to(self, place: BaseUrl) -> GivenProxy | None:
        """Return the proxy: of option or setting, else `HTTPS_PROXY` where `NO_PROXY` allows it."""
        if place.is_loopback and (self._proxy is None or self.origin("proxy")):
            return None  # only one that was typed can be meant for this machine
        if self._proxy is not None:
            return GivenProxy(_with_scheme(self._proxy), self.origin("proxy"))
        from urllib.parse import urlsplit
        from urllib.request import (  # type: ignore[attr-defined]  # its stub lacks one
            getproxies_environment,
            proxy_bypass_environment,
        )

        found: dict[str, str] = getproxies_environment()
        if not found.get("https"):
            return None
        if proxy_bypass_environment(urlsplit(place.origin).netloc, found):
            return None
        return GivenProxy(_with_scheme(found["https"]), "HTTPS_PROXY")

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return what trusts the system's authorities and those of a file, None without a file.

        Raises:
            ConfigError: The file cannot be read, or holds no certificate.
        """
        if self.ca_file is None:
            return None
        import ssl

        from bestdefense_async.files import read_text, shown

        text = read_text(self.ca_file, what="The certificates")
        context = ssl.create_default_context()
        is_usable = False
        try:
            context.load_verify_locations(cadata=text)
            is_usable = "BEGIN CERTIFICATE" in text
        except (ssl.SSLError, ValueError):
            pass
        if not is_usable:
            raise ConfigError(
                f"{shown(self.ca_file)} holds no certificate of an authority in PEM "
                "(-----BEGIN CERTIFICATE-----)."
            )
        return context

    def check(self) -> None:
        """Check host and token before anything else is done.

        Raises:
            MissingToken: There is no token.
            ConfigError: Token or base URL cannot be used.
        """
        _ = self.host, self.token

    def client(
        self,
        *,
        download_hosts: Collection[str] = (),
        needs_token: bool = True,
        shared_limits: SharedLimits | None = None,
    ) -> BestDefense:
        """Return a client; nothing has been sent yet.

        Args:
            download_hosts: Where downloads may be redirected to.
            needs_token: It sends for itself, not only for views that have tokens of their own.
            shared_limits: What keeps limits in place of the directory of this machine.

        Raises:
            MissingToken: There is no token.
            ConfigError: Token, base URL, proxy, certificates or the file of bindings cannot be
                used.
        """
        from bestdefense_async import BestDefense
        from bestdefense_async.cli.options.bindings import load_bindings

        base_url, proxy = self.host, self.proxy
        secret = self.token.secret if needs_token else None
        self.say_host(base_url)
        self.say_end()
        return BestDefense(
            secret,
            base_url=base_url,
            bindings=load_bindings(base_url),
            state_dir=state_directory(),
            shared_limits=shared_limits,
            download_hosts=download_hosts,
            proxy=None if proxy is None else proxy.url,
            ssl_context=self.ssl_context(),
        )

    def call(self, ask: Callable[[BestDefense], Awaitable[T]], write: Callable[[T], object]) -> int:
        """Ask with a client, close it, write the answer, and return 0; 130 after a signal.

        Raises what `ask` and `write` raise.
        """

        async def work(_: Interruption) -> int:
            async with self.client() as bd:
                answer = await ask(bd)
            write(answer)
            return Exit.OK

        return run_async(work)

    def say_host(self, base_url: str) -> None:
        """Say where the token goes when a file decides it, and by which way nobody has typed."""
        origin = self.origin("base_url")
        if origin and not origin.startswith("BD_"):  # others may have written that file
            streams.say(f"bestdefense: the host is {base_url}, as {origin} says")
        if self.proxy is not None and self.proxy.origin:
            streams.note(
                f"bestdefense: the proxy is {self.proxy.shown}, as {self.proxy.origin} says"
            )


def _with_scheme(proxy: str) -> str:
    """Return a proxy as a URL: many write `proxy.example:3128`."""
    return proxy if "://" in proxy else f"http://{proxy}"


def connected(function: params.Command) -> params.Command:
    """Give a command the options of a connection, which it takes as the keyword `connection`."""

    @functools.wraps(function)
    def command(
        *,
        base_url: str | None,
        token_file: str | None,
        proxy: str | None,
        ca_file: str | None,
        **options: Any,  # noqa: ANN401  # the command's own options have many types
    ) -> int | None:
        context = click.get_current_context()
        connection = Connection(base_url, token_file, proxy=proxy, ca_file=ca_file, context=context)
        return function(connection=connection, **options)

    return params.with_options(command, _OPTIONS)


_OPTIONS = (
    click.option(
        "--base-url",
        metavar="URL",
        help="Host of the API, else BD_BASE_URL, else https://app.bestdefense.io.",
    ),
    click.option(
        "--token-file",
        type=click.Path(),
        metavar="FILE",
        help="File that holds the token, in place of BD_API_TOKEN.",
    ),
    click.option(
        "--proxy",
        metavar="URL",
        help="Proxy like http://proxy.example:3128, else BD_PROXY, else HTTPS_PROXY.",
    ),
    click.option(
        "--ca-file",
        type=click.Path(),
        metavar="FILE",
        help="Also trust the certificate authorities of this file (PEM), else BD_CA_FILE.",
    ),
)
