"""Where to connect and as whom: the options every command that talks to the API has."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bestdefense_async.cli.exits import MissingToken
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.settings import FileSettings, state_directory, user_directory
from bestdefense_async.cli.terminal import streams

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from bestdefense_async import BestDefense
    from bestdefense_async.cli.options.params import Command
    from bestdefense_async.config import FoundToken
    from bestdefense_async.transport.hooks import RequestEvent


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


class Connection:
    """The host and the token, as options, environment and settings files say."""

    def __init__(
        self,
        base_url: str | None = None,
        token_file: str | None = None,
        *,
        is_token_file_given: bool = False,
        base_url_file: Path | None = None,
        verbosity: int = 0,
    ) -> None:
        """Check nothing yet.

        Args:
            base_url: As an option, the environment or a settings file has it.
            token_file: As an option or a settings file has it.
            is_token_file_given: It was named on the command line, so it goes before the
                environment.
            base_url_file: The settings file that names the host, None when none does.
            verbosity: How often `-v` was given.
        """
        self.base_url = base_url
        self.verbosity = verbosity
        self._token_file = token_file
        self._is_token_file_given = is_token_file_given
        self._base_url_file = base_url_file

    @functools.cached_property
    def token(self) -> FoundToken:
        """The token and where it came from, looked up once.

        Raises:
            MissingToken: There is none.
            ConfigError: There is one, and it cannot be a token.
        """
        from bestdefense_async.config import TOKEN_VARIABLES, find_token
        from bestdefense_async.files import is_there

        default = user_directory() / "token"
        file = str(default) if is_there(default) else None
        if self._token_file is not None:
            file = str(Path(self._token_file).expanduser())
        found = find_token(file, is_file_first=self._is_token_file_given)
        if found is None:
            raise MissingToken(
                f"There is no token: create one in the app under API access and set "
                f"{TOKEN_VARIABLES[0]} to it, or put it into {default}."
            )
        return found

    @property
    def is_sandbox(self) -> bool:
        """Whether this is the stand-in server, where scans take seconds instead of hours."""
        from bestdefense_async.config import base_url_from

        return base_url_from(self.base_url).is_loopback and self.token.secret.is_sandbox

    @property
    def host(self) -> str:
        """The base URL, without a slash at the end.

        Raises:
            ConfigError: It cannot be used.
        """
        from bestdefense_async.config import base_url_from

        return str(base_url_from(self.base_url))

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
        hooks: Sequence[Callable[[RequestEvent], object]] = (),
        download_hosts: Collection[str] = (),
    ) -> BestDefense:
        """Return a client; nothing has been sent yet.

        Args:
            hooks: Called with attempts, waits and pauses.
            download_hosts: Where downloads may be redirected to.

        Raises:
            MissingToken: There is no token.
            ConfigError: Token, base URL or the file of bindings cannot be used.
        """
        from bestdefense_async import BestDefense
        from bestdefense_async.cli.options.bindings import load_bindings

        base_url = self.host
        secret = self.token.secret
        self.say_host(base_url)
        return BestDefense(
            secret,
            base_url=base_url,
            hooks=hooks,
            bindings=load_bindings(base_url),
            state_dir=state_directory(),
            download_hosts=download_hosts,
        )

    def say_host(self, base_url: str) -> None:
        """Say where the token goes when a file decides it: others may have written that file."""
        if self._base_url_file is not None:
            streams.say(f"bestdefense: the host is {base_url}, as {self._base_url_file} says")


def connected(function: Command) -> Command:
    """Give a command the options of a connection, which it takes as the keyword `connection`."""

    @functools.wraps(function)
    def command(
        *,
        base_url: str | None,
        token_file: str | None,
        verbose: int,
        **options: Any,  # noqa: ANN401  # the command's own options have many types
    ) -> int | None:
        if verbose > 1:
            streams.log_requests()
        context = click.get_current_context()
        source = context.get_parameter_source
        files: object = context.default_map
        is_file = source("base_url") is click.core.ParameterSource.DEFAULT_MAP
        connection = Connection(
            base_url,
            token_file,
            is_token_file_given=source("token_file") is click.core.ParameterSource.COMMANDLINE,
            base_url_file=files.origin("base_url")
            if is_file and isinstance(files, FileSettings)
            else None,
            verbosity=verbose,
        )
        return function(connection=connection, **options)

    return params.with_options(command, _OPTIONS)


_OPTIONS = (
    click.option(
        "--base-url",
        metavar="URL",
        envvar="BD_BASE_URL",
        help="Host of the API, else BD_BASE_URL, else https://app.bestdefense.io.",
    ),
    click.option(
        "--token-file",
        metavar="FILE",
        help="File that holds the token, in place of BD_API_TOKEN.",
    ),
    click.option(
        "-v",
        "--verbose",
        count=True,
        help="Tell more on stderr, like each outcome; -vv each request.",
    ),
)
