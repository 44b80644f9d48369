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

Words = tuple[str, ...]

_PIECE: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_KEPT: Final = frozenset({"dns", "https", "is", "has", "status", "previous", "whois", "os", "cvss"})
_SAME: Final = {"ids": "id", "uuid": "id", "guid": "id", "identifier": "id"}
"""Words that are used for another one."""
_COMPOUNDS: Final[Mapping[Words, str]] = {
    ("file", "name"): "filename",
    ("host", "name"): "hostname",
    ("jump", "host"): "jumpbox",
    ("jump", "box"): "jumpbox",
    ("sha", "256"): "sha256",
}


@lru_cache(maxsize=20_000)
def split_words(text: str) -> Words:
    """Return the words of a name in any style: `nextRunAt` and `next-run_at` are the same."""
    words = tuple(_singular(piece.lower()) for piece in _PIECE.findall(text.replace("IDs", "Ids")))
    for parts, whole in _COMPOUNDS.items():
        for at in range(len(words) - 1):
            if words[at : at + 2] == parts:
                words = (*words[:at], whole, *words[at + 2 :])
    return words


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
    return frozenset(text.split())


SITE: Final = _words("site target website domain asset")
REPORT: Final = _words("report scan assessment audit")
SCHEDULE: Final = _words("schedule scheduled scheduling recurring recurrence periodic cron")
REMEDIATION: Final = _words("remediation remediate fix autofix repair card")
NETWORK: Final = _words("network netscan subnet")
AGENT: Final = _words("agent device monitor")
FINDING: Final = _words("finding alert issue vulnerability")
VORTEX: Final = _words("vortex security")
NEUTRAL: Final = _words("api rest public app json for by of the and all list index")
"""Words of a path that say nothing."""
OWNERS: Final = _words(
    "organization organisation org tenant account workspace team company project customer"
)
"""What an API may stand below: the part behind is the same in every call."""
GENERIC: Final = _words("id key name url value type status state count at date time left code")
"""Words that say nothing without what they stand in: `site.id` is the site's."""
ENDS: Final = _words("delete cancel remove unschedule")
"""What a POST says that deletes."""
_START: Final = _words("create start run new launch trigger request add")
_STATE: Final = _words("progress status state")


@frozen
class PathRule:
    """What the path of one of our operations looks like on any host."""

    needs: tuple[frozenset[str], ...]
    """One word of each must stand in the path."""
    may: frozenset[str] = frozenset()
    """What may stand there besides; any other word is a doubt."""
    says: frozenset[str] = frozenset()
    """One of these says what it does; without any, that is a doubt."""
    ends_in_part: bool | None = None
    """Whether the path ends in a part, as of one thing, or not, as of a list; None: either."""
    answers: tuple[str, ...] = ()
    """Fields without which the answer is of no use."""

    @property
    def own(self) -> frozenset[str]:
        """Words that add nothing to the name of a field: `scheduleId` is the id."""
        return frozenset().union(*self.needs)


def _list(noun: frozenset[str], *answers: str, may: frozenset[str] = frozenset()) -> PathRule:
    return PathRule((noun,), may, ends_in_part=False, answers=answers)


_JOB: Final = REPORT | {"job"}
_RISK: Final = ("riskSummary", "alerts")
PLACES: Final[Mapping[str, PathRule]] = {
    "sites.list": _list(SITE, "sites[].id", "sites[].hostname"),
    "reports.create": PathRule((REPORT,), SITE | _START, answers=("id",)),
    "reports.progress": PathRule((REPORT, _STATE), answers=("isCompleted",)),
    "reports.overview": PathRule((REPORT, _words("overview summary")), answers=("security.id",)),
    "vortex.alerts": PathRule((VORTEX, FINDING), REPORT, answers=_RISK),
    "registrations.create": PathRule(
        (_words("register registration"),), REPORT | {"vortex", "action", "create"}
    ),
    "reports.list": _list(REPORT, "reports[].id"),
    "reports.get": PathRule((REPORT,), ends_in_part=True, answers=("report.id",)),
    "schedules.list": _list(SCHEDULE, "schedules[].id", may=REPORT),
    "schedules.create": PathRule((SCHEDULE,), REPORT | SITE | _START, answers=("schedule.id",)),
    "schedules.delete": PathRule((SCHEDULE,), REPORT | ENDS | {"stop"}, ends_in_part=True),
    "remediation.trigger": PathRule(
        (REMEDIATION,), FINDING | _START | {"ai"}, answers=("remediation.id",)
    ),
    "remediation.list": _list(REMEDIATION, "remediations[].id", may=frozenset({"ai"})),
    "remediation.get": PathRule(
        (REMEDIATION,), frozenset({"ai"}), ends_in_part=True, answers=("remediation.id",)
    ),
    "network.start": PathRule((NETWORK,), _JOB | _START | {"jumpbox"}, answers=("scan.id",)),
    "network.progress": PathRule((NETWORK,), _JOB, _STATE, answers=("isCompleted",)),
    "network.findings": PathRule((NETWORK, FINDING | {"result"}), _JOB, answers=_RISK),
    "agents.manifest": PathRule(
        (AGENT,),
        _words("download file"),
        _words("manifest release catalog artifact"),
        ends_in_part=False,
        answers=("files[].filename",),
    ),
    "agents.download": PathRule(
        (AGENT,), _words("release artifact latest"), _words("download binary file installer")
    ),
}
"""By the name of our operation."""

PARTS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("site_id", "siteId"), SITE),
    **dict.fromkeys(("report_id", "reportId"), REPORT),
    "schedule_id": SCHEDULE,
    "remediation_id": REMEDIATION,
    "security_id": VORTEX,
    "scan_id": NETWORK | _JOB,
    "findingId": FINDING,
    "jumpBox": _words("jumpbox bastion gateway"),
    "filename": _words("filename file artifact binary"),
    "version": _words("version"),
    "platform": _words("platform"),
    "os": _words("os"),
    "arch": _words("arch architecture"),
}
"""What a part of a path is called, by our name for what belongs there."""


@frozen
class Meaning:
    """What one of our fields is, whatever it is called."""

    kinds: frozenset[str] = frozenset()
    """JSON types it may have; empty for any."""
    names: tuple[Words, ...] = ()
    """What it may be called besides our own name, the likeliest first."""
    values: tuple[str, ...] = ()
    """Values it has, where they are few."""
    is_optional: bool = False
    """Whether a request makes sense without it."""


_KINDS: Final = {
    "id": _words("string integer"),
    "text": _words("string"),
    "number": _words("integer number"),
    "list": _words("array"),
    "truth": _words("boolean"),
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
vortexType        text?
testingType       text?
secret            text?
isCompleted       truth    completed complete isComplete done isDone finished isFinished ready \
                           status state
percentage        number?  percent progress progressPercent completion percentComplete
createdAt         text?    created createdOn dateCreated startedAt started startDate
cadence           text     frequency interval recurrence period repeat every cron cronExpression
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
"""
"""Our own name of a field, its type (`?`: can be done without), and what it may be called
besides; what a finding has is called as `vendor.FINDING_NAMES` says."""

_VALUES: Final = {
    "types": vendor.TYPES,
    "scanIntensity": vendor.INTENSITIES,
    "vortexType": vendor.MODES,
    "testingType": vendor.TESTING_TYPES,
    "cadence": vendor.CADENCES,
    "stage": vendor.STAGES,
    "severity": vendor.SEVERITIES,
}


def _meaning(name: str, kind: str, *names: str) -> Meaning:
    called = (*vendor.FINDING_NAMES.get(name, ()), *names)
    return Meaning(
        _KINDS[kind.removesuffix("?")],
        tuple(split_words(each) for each in called),
        _VALUES.get(name, ()),
        is_optional=kind.endswith("?"),
    )


_ROWS: Final = [row.split() for row in _TABLE.strip().splitlines()]
MEANINGS: Final[Mapping[str, Meaning]] = {row[0]: _meaning(*row) for row in _ROWS}
"""By our own name of the field."""

CONTAINERS: Final[Mapping[str, frozenset[str]]] = {
    "riskSummary": _words("summary count total risk severity"),
    "alerts": FINDING | {"result", "item"},
    "files": _words("file artifact release"),
}
"""Words of what our containers may be called besides their own name."""

SYNONYMS: Final[Mapping[str, frozenset[str]]] = {
    "daily": _words("day everyday 1d"),
    "weekly": _words("week 7d"),
    "monthly": _words("month 1m"),
    "informational": _words("info information"),
    "true": _words("completed complete done finished ready"),
}
"""Listed values that are one of ours under another word."""
