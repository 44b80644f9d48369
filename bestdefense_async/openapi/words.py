"""What our operations and fields may be called elsewhere: tables, and nothing else decides.

A word is in lower case and in the singular. None of this is known of the vendor: it is what such
things are commonly called.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async import vendor

if TYPE_CHECKING:
    from collections.abc import Mapping

_PIECE: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_KEPT: Final = frozenset({"dns", "https", "is", "has", "status", "previous", "whois", "os", "cvss"})
_SAME: Final = {"ids": "id", "uuid": "id", "guid": "id", "identifier": "id"}
"""Words that are used for another one."""
_TWO: Final = re.compile(r"(file|host)-(?=name\b)|(jump)-(?=host\b|box\b)")
"""Two words that are one thing: `hostname`, `jumpbox`."""

Words = tuple[str, ...]


@lru_cache(maxsize=20_000)
def split_words(text: str) -> Words:
    """Return the words of a name in any style: `nextRunAt` and `next-run_at` are the same."""
    pieces = _PIECE.findall(text.replace("IDs", "Ids"))
    resolved_link = _TWO.sub(r"\1\2", "-".join(_singular(piece.lower()) for piece in pieces))
    return tuple(resolved_link.split("-")) if resolved_link else ()


def _singular(word: str) -> str:
    if word in _KEPT or len(word) < 4 or word.endswith("ss"):  # noqa: PLR2004  # `gas`, `ids`
        return _SAME.get(word, word)
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches")):
        return word[:-2]
    bare = word.removesuffix("s")
    return _SAME.get(bare, bare)


def _words(text: str) -> frozenset[str]:
    """Return the words of a text; a name of a group stands for its words."""
    return frozenset(word for name in text.split() for word in _GROUPS.get(name, name).split())


_GROUPS: Final[Mapping[str, str]] = {
    "SITE": "site target website domain asset",
    "REPORT": "report scan assessment audit",
    "SCHEDULE": "schedule scheduled scheduling recurring recurrence periodic cron",
    "REMEDIATION": "remediation remediate fix autofix repair card",
    "NETWORK": "network netscan subnet",
    "AGENT": "agent device monitor",
    "FINDING": "finding alert issue vulnerability",
    "VORTEX": "vortex security",
    "JOB": "report scan assessment audit job",
    "FILE": "download file",
    "JUMP": "jumpbox jumphost bastion gateway",
    "STATE": "progress status state",
    "START": "create start run new launch trigger request add",
    "END": "delete cancel remove unschedule",
}
ENDS: Final = _words("END")
"""What a POST says that deletes."""
NEUTRAL: Final = _words("api rest public app json for by of the and all list index")
"""Words of a path that say nothing."""
OWNERS: Final = _words(
    "organization organisation org tenant account workspace team company project customer"
)
"""What an API may stand below: the part behind is the same in every call."""
GENERIC: Final = _words("id key name url value type status state count at date time left code")
"""Words that say nothing without what they stand in: `site.id` is the site's."""


@frozen
class PathRule:
    """What one of our operations looks like on any host."""

    needs: tuple[frozenset[str], ...]
    """One word of each must stand in the path."""
    may: frozenset[str]
    """What may stand there besides; any other word is a doubt."""
    says: frozenset[str]
    """One of these says what it does; without any, that is a doubt."""
    answers: tuple[str, ...]
    """Fields without which the answer is of no use."""

    @property
    def own(self) -> frozenset[str]:
        """Words that add nothing to the name of a field: `scheduleId` is the id."""
        return frozenset().union(*self.needs)


_PLACES: Final = """
sites.list | SITE | | | sites[].id sites[].hostname
reports.create | REPORT | SITE START | | id
reports.progress | REPORT, STATE | | | isCompleted
reports.overview | REPORT, overview summary | | | security.id
vortex.alerts | VORTEX, FINDING | REPORT | | riskSummary alerts
registrations.create | register registration | REPORT vortex action create | |
reports.list | REPORT | | | reports[].id
reports.get | REPORT | | | report.id
schedules.list | SCHEDULE | REPORT | | schedules[].id
schedules.create | SCHEDULE | REPORT SITE START | | schedule.id
schedules.delete | SCHEDULE | REPORT END stop | |
remediation.trigger | REMEDIATION | FINDING START ai | | remediation.id
remediation.list | REMEDIATION | ai | | remediations[].id
remediation.get | REMEDIATION | ai | | remediation.id
network.start | NETWORK | JOB START JUMP | | scan.id
network.progress | NETWORK | JOB | STATE | isCompleted
network.findings | NETWORK, FINDING result | JOB | | riskSummary alerts
agents.manifest | AGENT | FILE | manifest release catalog artifact | files[].filename
agents.download | AGENT | release artifact latest | FILE binary installer |
"""
"""Our operation, and the members of `PathRule`."""


def _rule(needs: str, may: str, says: str, answers: str) -> PathRule:
    nouns = tuple(_words(each) for each in needs.split(","))
    return PathRule(nouns, _words(may), _words(says), tuple(answers.split()))


_RULES: Final = [[cell.strip() for cell in row.split("|")] for row in _PLACES.strip().splitlines()]
PLACES: Final[Mapping[str, PathRule]] = {name: _rule(*cells) for name, *cells in _RULES}
"""By the name of our operation."""

PARTS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("site_id", "siteId"), _words("SITE")),
    **dict.fromkeys(("report_id", "reportId"), _words("REPORT")),
    "schedule_id": _words("SCHEDULE"),
    "remediation_id": _words("REMEDIATION"),
    "security_id": _words("VORTEX"),
    "scan_id": _words("NETWORK JOB"),
    "findingId": _words("FINDING"),
    "jumpBox": _words("JUMP"),
    "filename": _words("FILE binary artifact filename"),
    "arch": _words("arch architecture"),
    **{name: _words(name) for name in ("version", "platform", "os")},
}
"""What a part of a path is called, by our name for what belongs there."""


@frozen
class Meaning:
    """What one of our fields is, whatever it is called."""

    kinds: frozenset[str] = frozenset()
    """JSON types it may have; empty for any."""
    names: tuple[Words, ...] = ()
    """What it may be called besides our own name, the likeliest first."""
    is_optional: bool = False
    """Whether a request makes sense without it."""


_KINDS: Final = {
    "id": _words("string integer"),
    "text": _words("string"),
    "number": _words("integer number"),
    "list": _words("array"),
    "truth": _words("boolean"),
    "object": _words("object"),
}
_TABLE: Final = """
id                id       key ref
siteId            id       site targetId target websiteId website assetId domainId
reportId          id       report scanId scan sourceReportId assessmentId
findingId         id?      finding alertId alert issueId vulnerabilityId
filename          text     file name artifact
hostname          text?    host domain siteName siteHostname targetHostname targetName target fqdn \
                           domainName
types             list?    scanTypes reportTypes checks modules tests
scanIntensity     text?    intensity level depth scanDepth profile scanProfile
vortexType        text?    mode scanMode engine scanEngine
testingType       text?    testType siteType targetType
secret            text?
isCompleted       truth    completed complete isComplete done isDone finished isFinished ready \
                           status state
percentage        number?  percent progress progressPercent completion percentComplete
createdAt         text?    created createdOn dateCreated startedAt started startDate
cadence           text     frequency interval recurrence period repeat every
dayOfWeek         text?    weekday weekDay
dayOfMonth        number?  monthDay
time              text?    timeOfDay atTime
timezone          text?    timeZone tz
cron              text?    cronExpression crontab
testUsers         list?    users testAccounts accounts credentials logins testUserIds
nextRunAt         text?    nextRun nextExecution nextScanAt nextDate nextRunDate dueAt
stage             text?    status state phase column
pullRequestUrl    text?    prUrl pullRequest pullRequestLink prLink mergeRequestUrl
creditsRemaining  number?  remainingCredits creditsLeft credits creditBalance
targets           list     hosts addresses ranges cidrs scope networks ips subnets
jumpBox           text?    jumpHost jumpBoxId bastion gateway proxy relay jumpServer
critical          number?  criticalCount numCritical totalCritical
high              number?  highCount numHigh totalHigh
medium            number?  mediumCount numMedium totalMedium
low               number?  lowCount numLow totalLow
informational     number?  info infoCount informationalCount information
severity          text
title             text?
url               text?    href link downloadUrl
evidence          text?
guidance          text?
cwe               id?
weakness          text?
platform          text?    os target architecture arch operatingSystem
version           text?    release agentVersion
size              number?  bytes length sizeBytes fileSize contentLength
sha256            text?    checksum digest hash sha256sum fileHash
limit             number?  perPage pageSize itemsPerPage max size take
after             id?      cursor startingAfter afterId pageAfter pageToken page offset skip
next              text?    nextCursor cursor nextPageToken nextPage nextPageUrl
total             number?  totalItems totalCount count totalResults totalElements
message           text?    detail description
riskSummary       object?  summary count total severity
alerts            list?    finding issue vulnerability result item
files             list?    artifact release
"""
"""Our own name of a field or container, its type (`?`: can be done without), and what it may be
called besides; what a finding has is called as `vendor.FINDING_NAMES` says."""


def _meaning(name: str, kind: str, *names: str) -> Meaning:
    called = (*vendor.FINDING_NAMES.get(name, ()), *names)
    words = tuple(split_words(each) for each in called)
    return Meaning(_KINDS[kind.removesuffix("?")], words, kind.endswith("?"))


_ROWS: Final = [row.split() for row in _TABLE.strip().splitlines()]
MEANINGS: Final[Mapping[str, Meaning]] = {row[0]: _meaning(*row) for row in _ROWS}
"""By our own name of the field."""


def meaning_of(name: str) -> Meaning:
    """Return what a field of ours is; of those without a row nothing is known but the name."""
    return MEANINGS.get(name, _UNKNOWN)


_UNKNOWN: Final = Meaning()

VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "types": vendor.TYPES,
    "scanIntensity": vendor.INTENSITIES,
    "vortexType": vendor.MODES,
    "testingType": vendor.TESTING_TYPES,
    "cadence": vendor.CADENCES,
    "dayOfWeek": vendor.WEEKDAYS,
    "stage": vendor.STAGES,
    "severity": vendor.SEVERITIES,
    "isCompleted": ("true",),
}
"""Our words for the values of a field, where they are few."""

SYNONYMS: Final[Mapping[str, frozenset[str]]] = {
    "daily": _words("day everyday 1d"),
    "weekly": _words("week 7d"),
    "monthly": _words("month 1m"),
    **{day: _words(f"{day[:3]} {day[:2]}") for day in vendor.WEEKDAYS},
    "informational": _words("info information"),
    "true": _words("completed complete done finished ready"),
}
"""Listed values that are one of ours under another word."""
