"""Where to connect and as whom: the options every command that talks to the API has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import frozen

from bestdefense_async.cli.exits import MissingToken
from bestdefense_async.cli.options.settings import FileSettings, state_directory, user_directory
from bestdefense_async.cli.terminal import streams
from bestdefense_async.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from bestdefense_async import BestDefense
    from bestdefense_async.transport.observe import RequestEvent

F = TypeVar("F", bound="Callable[..., Any]")


class ApiCommand(click.Command):
    """A command whose unset options come from the settings files."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401  # click's signature
    ) -> click.Context:
        """Return the context, with the files as defaults; completion goes without them."""
        files = None if extra.get("resilient_parsing") else FileSettings()
        return super().make_context(info_name, args, parent, **{"default_map": files, **extra})

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help, which shows defaults: those of the program, whatever the files say."""
        ctx.default_map = None
        super().format_help(ctx, formatter)


@frozen
class Found:
    """A token and where it came from."""

    secret: Secret
    origin: str


@frozen
class Connection:
    """The host and the token's whereabouts, as flags, environment and files say."""

    base_url: str | None
    token_file: str | None
    is_token_file_given: bool = False
    """The file was named on the command line, so it goes before the environment."""
    base_url_file: Path | None = None
    """The settings file that names the host, None when none does."""

    def token(self) -> Found:
        """Return the token and where it came from.

        Raises:
            MissingToken: There is none.
            ConfigError: There is one, and it cannot be a token.
        """
        from bestdefense_async.config import TOKEN_VARIABLES, token_from_environment
        from bestdefense_async.transport.credentials import read_token_file

        if not self.is_token_file_given and any(os.environ.get(name) for name in TOKEN_VARIABLES):
            secret, name = token_from_environment()
            return Found(secret, f"the environment variable {name}")
        default = user_directory() / "token"
        path = default if self.token_file is None else Path(self.token_file).expanduser()
        if self.token_file is not None or path.exists():
            return Found(read_token_file(path), f"the file {path}")
        raise MissingToken(
            f"There is no token: create one in the app under API access and set "
            f"{TOKEN_VARIABLES[0]} to it, or put it into {default}."
        )

    @property
    def is_sandbox(self) -> bool:
        """Whether this is the stand-in server, where scans take seconds instead of hours."""
        from bestdefense_async.config import base_url_from

        return base_url_from(self.base_url).is_loopback and self.token().secret.is_sandbox

    @property
    def host(self) -> str:
        """The base URL, without a slash at the end.

        Raises:
            ConfigError: It cannot be used.
        """
        from bestdefense_async.config import base_url_from

        return str(base_url_from(self.base_url))

    def check(self) -> None:
        """Look at host and token before anything else is done.

        Raises:
            MissingToken: There is no token.
            ConfigError: Token or base URL cannot be used.
        """
        _ = self.host
        self.token()

    def client(
        self,
        *,
        hooks: Sequence[Callable[[RequestEvent], object]] = (),
        download_hosts: Collection[str] = (),
    ) -> BestDefense:
        """Return a client; nothing has been sent yet.

        Args:
            hooks: Told of attempts, waits and pauses.
            download_hosts: Where downloads may be redirected to.

        Raises:
            MissingToken: There is no token.
            ConfigError: Token, base URL or the file of bindings cannot be used.
        """
        from bestdefense_async import BestDefense
        from bestdefense_async.cli.options import bindings as bindings_file

        base_url = self.host
        secret = self.token().secret
        self.say_host(base_url)
        bindings = bindings_file.load_bindings(base_url)
        return BestDefense(
            secret,
            base_url=base_url,
            hooks=hooks,
            bindings=bindings,
            state_dir=state_directory(),
            download_hosts=download_hosts,
        )

    def say_host(self, base_url: str) -> None:
        """Say where the token goes when a file says so: whoever filled the directory decides."""
        if self.base_url_file is not None:
            streams.say(f"bestdefense: the host is {base_url}, says {self.base_url_file}")


def connected(function: F) -> F:
    """Give a command the options of a connection; `connection()` reads them."""
    for option in (
        click.option(
            "-v",
            "--verbose",
            count=True,
            expose_value=False,
            callback=_tell_requests,
            help="Tell more on stderr, like each outcome; -vv each request.",
        ),
        click.option(
            "--token-file",
            metavar="FILE",
            expose_value=False,
            callback=_keep,
            help="File that holds the token, in place of BD_API_TOKEN.",
        ),
        click.option(
            "--base-url",
            metavar="URL",
            envvar="BD_BASE_URL",
            expose_value=False,
            callback=_keep,
            help="Host of the API, else BD_BASE_URL, else https://app.bestdefense.io.",
        ),
    ):
        function = option(function)
    return function


def _tell_requests(context: click.Context, parameter: click.Parameter, value: int) -> None:
    context.meta[str(parameter.name)] = value
    if value > 1:
        streams.log_requests()


def _keep(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    name = str(parameter.name)
    context.meta[name] = value
    source = context.get_parameter_source(name)
    context.meta[f"{name} given"] = source is click.core.ParameterSource.COMMANDLINE
    files: object = context.default_map
    if source is click.core.ParameterSource.DEFAULT_MAP and isinstance(files, FileSettings):
        context.meta[f"{name} file"] = files.origin(name)


def verbosity() -> int:
    """Return how often the current command was asked to tell more."""
    return int(click.get_current_context().meta.get("verbose", 0))


def connection() -> Connection:
    """Return the connection the current command was asked to use."""
    meta = click.get_current_context().meta
    return Connection(
        base_url=meta.get("base_url"),
        token_file=meta.get("token_file"),
        is_token_file_given=bool(meta.get("token_file given")),
        base_url_file=meta.get("base_url file"),
    )
