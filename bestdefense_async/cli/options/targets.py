"""What to scan: named in arguments or a list, or chosen among the sites of the organization."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from bestdefense_async.cli.options import params
from bestdefense_async.cli.terminal import streams
from bestdefense_async.errors import ConfigError, TargetError, UnknownSite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from bestdefense_async.client import BestDefense
    from bestdefense_async.models import Site
    from bestdefense_async.runs import Target

_SHOWN: Final = 3
"""Malformed lines, and targets with more than a host, that are named; the rest is counted."""


class TargetOptions(NamedTuple):
    """Which sites, as options say."""

    listing: str | None
    is_all: bool
    match: tuple[str, ...]
    exclude: tuple[str, ...]
    exclude_from: str | None

    @property
    def given(self) -> list[str]:
        """The options that were given, as they are typed."""
        named = {
            "--list": self.listing is not None,
            "--all": self.is_all,
            "--match": bool(self.match),
            "--exclude": bool(self.exclude),
            "--exclude-from": self.exclude_from is not None,
        }
        return [name for name, is_given in named.items() if is_given]


selected: Callable[[params.Command], params.Command] = params.options_as(
    "chosen",
    TargetOptions,
    (
        click.option(
            "-l",
            "--list",
            "listing",
            type=click.Path(),
            metavar="FILE",
            help="Targets, one a line; # starts a comment, - is stdin.",
        ),
        click.option("--all", "is_all", is_flag=True, help="Every site of the organization."),
        click.option(
            "--match",
            multiple=True,
            metavar="PATTERN",
            help="Only host names like '*.shop.*'; without targets, of all sites. Repeatable.",
        ),
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help="No host names like this. Repeatable.",
        ),
        click.option(
            "--exclude-from",
            type=click.Path(),
            metavar="FILE",
            help="No host names like those of a list, one a line.",
        ),
    ),
)


async def sites_of(
    bd: BestDefense, targets: Iterable[Target | Site]
) -> AsyncIterator[tuple[Target | Site, Site | TargetError]]:
    """Yield each target with the site that it names, as a run would find it, or what is wrong.

    Costs one request.

    Raises:
        BestDefenseError: The sites cannot be listed.
    """
    from bestdefense_async.models import Site
    from bestdefense_async.resources.pages import cut_of
    from bestdefense_async.runs.site_index import SiteIndex

    known = await bd.sites.list()
    by_id = {site.id.lower(): site for site in known}

    async def listed() -> tuple[Site, ...]:
        return known

    index = SiteIndex(listed)
    for target in targets:
        try:
            site_id = target.id if isinstance(target, Site) else await index.resolve(target)
        except TargetError as error:
            yield target, error.with_traceback(None)
            continue
        unknown = f"No site of this organization has the id {site_id}.{cut_of(known)}"
        yield target, by_id.get(site_id.lower()) or UnknownSite(unknown, target=site_id)


async def site_named(bd: BestDefense, text: str) -> Site:
    """Return the site that a host name, a URL or an id names, as `scan` reads it.

    Raises:
        TargetError: It names none.
        BestDefenseError: The sites cannot be listed.
    """
    from bestdefense_async.runs import Target

    found = [site async for _, site in sites_of(bd, [Target(text)])]
    if isinstance(found[0], TargetError):
        raise found[0]
    return found[0]


class Selection:
    """What is named and what is left out of it, checked before anything is sent."""

    def __init__(self, arguments: Sequence[str], options: TargetOptions) -> None:
        """Read the lists.

        Raises:
            ConfigError: A list cannot be read, or nothing is named at all.
            TargetError: At least one target is malformed; the message names the first ones and
                their lines.
        """
        self._is_from_sites = options.is_all or bool(options.match)
        is_named = bool(arguments) or options.listing is not None
        if options.is_all and is_named:
            raise ConfigError("--all is every site: leave out the targets, or --all.")
        if not is_named and not self._is_from_sites:
            raise ConfigError(
                "Nothing to scan: name a host or a site id, give a list with -l FILE, or choose "
                "--all."
            )
        self._is_from_sites &= not is_named
        self._match = [pattern.lower() for pattern in options.match]
        self._exclude = [pattern.lower() for pattern in options.exclude]
        self._exclude += _lines_of(options.exclude_from)
        self.named: list[Target] = _named(arguments, options.listing)
        """What is named, in order; empty when all sites are meant."""
        if is_named and not self.named:
            raise ConfigError("Nothing to scan: the list holds no target.")

    async def targets(self, bd: BestDefense) -> Sequence[Target | Site]:
        """Return what to scan; what is left out, and what a target says in vain, is told.

        Raises:
            ConfigError: Nothing is left.
            BestDefenseError: The sites cannot be listed.
        """
        from bestdefense_async.report.text import counted

        named = await bd.sites.list() if self._is_from_sites else self.named
        kept = [each for each in named if self._is_wanted(each)]
        if len(kept) < len(named):
            left_out = counted(len(named) - len(kept), "target")
            streams.note(f"bestdefense: {left_out} left out by --match and --exclude")
        if not kept:
            raise ConfigError(
                "Nothing to scan: the organization has no site."
                if not named
                else "Nothing to scan: --match and --exclude leave no target."
            )
        _say_ignored(kept)
        return kept

    def _is_wanted(self, target: Target | Site) -> bool:
        names = _names(target)
        return (not self._match or _fits(names, self._match)) and not _fits(names, self._exclude)


def _names(target: Target | Site) -> list[str]:
    """Return what a pattern is compared with: the host, and the target as it was written."""
    from bestdefense_async.models import Site

    if isinstance(target, Site):
        return [target.hostname.lower(), target.id.lower()]
    return [(target.host or "").lower(), target.text.lower()]


def _fits(names: Iterable[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _lines_of(path: str | None) -> list[str]:
    """Return the patterns of a file, without comments and blank lines."""
    if path is None:
        return []
    from bestdefense_async.files import read_text

    lines = read_text(path, what="The list", largest=16 << 20).splitlines()
    bare = (line.partition("#")[0].strip().lower() for line in lines)
    return [line for line in bare if line]


def _named(arguments: Sequence[str], listing: str | None) -> list[Target]:
    from bestdefense_async.runs import Target

    found = [*_from_arguments(arguments), *_from_list(listing)]
    wrong = [one for one in found if isinstance(one, TargetError)]
    if wrong:
        more = len(wrong) - _SHOWN
        said = " ".join(str(error) for error in wrong[:_SHOWN])
        raise TargetError(said + (f" And {more} more." if more > 0 else ""))
    return [one for one in found if isinstance(one, Target)]


def _from_arguments(arguments: Sequence[str]) -> Iterator[Target | TargetError]:
    from bestdefense_async.runs import Target

    for text in arguments:
        try:
            yield Target(text)
        except TargetError as error:
            yield error.with_traceback(None)


def _from_list(listing: str | None) -> Iterable[Target | TargetError]:
    if listing is None:
        return ()
    from bestdefense_async.files import opened
    from bestdefense_async.runs import decode_lines, read_targets

    with opened(listing, what="The list") as stream:
        return list(read_targets(decode_lines(stream)))


def _say_ignored(targets: Iterable[Target | Site]) -> None:
    """Say which targets name a port or a path: a scan is always of the whole site."""
    from bestdefense_async.models import Site
    from bestdefense_async.report.text import counted, visible

    more = [each for each in targets if not isinstance(each, Site) and _says_more(each)]
    if more:
        named = ", ".join(visible(each.text, longest=80) for each in more[:_SHOWN])
        rest = f" and {len(more) - _SHOWN} more" if len(more) > _SHOWN else ""
        verb = "names" if len(more) == 1 else "name"
        streams.say(
            f"bestdefense: {counted(len(more), 'target')} {verb} a port or a path, which is left "
            f"out: the whole site is scanned ({named}{rest})"
        )


def _says_more(target: Target) -> bool:
    if target.host is None:
        return False
    from urllib.parse import urlsplit

    text = target.text
    parts = urlsplit(text if "://" in text else f"//{text}")
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.port not in {None, usual} or parts.path not in {"", "/"} or bool(parts.query)
