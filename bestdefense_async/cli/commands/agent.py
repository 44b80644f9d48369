"""`bestdefense agent`: the device agent's files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMAT, emit

if TYPE_CHECKING:
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.models import AgentFile


@click.group("agent", cls=Group)
def command() -> None:
    """List the files of the device agent, or download them."""


@command.command("manifest", cls=ApiCommand)
@connected
@FORMAT
def manifest(format_: str, *, connection: Connection) -> int:
    """List the files there are, with their checksums."""
    return connection.call(
        lambda bd: bd.agents.manifest(),
        lambda listed: emit("files", map(_record, listed.files), format_),
    )


@command.command("download", cls=ApiCommand)
@click.argument("names", nargs=-1, metavar="[FILE...]")
@click.option("--platform", metavar="NAME", help="All files of a platform, like linux-amd64.")
@click.option("--all", "is_all", is_flag=True, help="All files of the manifest.")
@click.option(
    *("-d", "--directory"),
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where to store them; made if need be.  [default: the working directory]",
)
@click.option(
    "--allow-unverified", is_flag=True, help="Store also files without a checksum in the manifest."
)
@click.option(
    *("--redirect-host", "hosts"),
    multiple=True,
    metavar="HOST",
    help="Follow a redirect to this host, over https and without the token. Repeatable.",
)
@click.option(
    "--timeout",
    type=params.SECONDS,
    help="Longest time for each file, like 90s or 15m, waiting for the limit included.",
)
@connected
@FORMAT
def download(
    names: tuple[str, ...],
    *,
    platform: str | None,
    is_all: bool,
    directory: Path,
    allow_unverified: bool,
    hosts: tuple[str, ...],
    timeout: float | None,
    format_: str,
    connection: Connection,
) -> int:
    """Store files of the manifest, each checked by its SHA-256 and never executable.

    A file that is there already is not fetched again. What an interrupted download has stored
    as FILE.part is completed by the next one. A token allows 20 requests an hour, in all
    processes together; further ones wait. Exit code 3: a file is missing.
    """
    if bool(names) + (platform is not None) + is_all != 1:
        raise click.UsageError(
            "Name files, or a --platform, or --all.", click.get_current_context()
        )

    async def work(_: Interruption) -> int:
        from bestdefense_async.cli.terminal.downloads import Downloads

        async with connection.client(download_hosts=hosts) as bd:
            files = _chosen((await bd.agents.manifest()).files, names, platform)
            downloads = Downloads(
                bd.agents, directory, allow_unverified=allow_unverified, timeout=timeout
            )
            try:
                await downloads.run(files)
            except BaseException:
                if downloads.stored:  # they are there, whatever came then
                    emit("files", downloads.stored, format_)
                raise
        emit("files", downloads.stored, format_)
        return downloads.exit_code

    return run_async(work)


def _chosen(
    files: tuple[AgentFile, ...], names: tuple[str, ...], platform: str | None
) -> list[AgentFile]:
    """Return the files that were named, once each.

    Raises:
        BadParameter: The manifest does not have it.
    """
    from bestdefense_async.report.text import visible

    if platform is not None:
        chosen = [file for file in files if file.platform == platform]
        if not chosen:
            known = sorted({file.platform for file in files if file.platform is not None})
            listed = ", ".join(map(visible, known)) or "none"
            raise click.BadParameter(f"the manifest knows these platforms: {listed}")
        return chosen
    if not names:
        return list(files)
    by_name = {file.filename: file for file in files}
    for name in names:
        if name not in by_name:
            shown = visible(name, longest=80)
            raise click.BadParameter(f"there is no agent file '{shown}': see `agent manifest`")
    return [by_name[name] for name in dict.fromkeys(names)]


def _record(file: AgentFile) -> dict[str, str | int | None]:
    return {
        "filename": file.filename,
        "platform": file.platform,
        "version": file.version,
        "size": file.size,
        "sha256": file.sha256,
    }
