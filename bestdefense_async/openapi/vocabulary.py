"""What our operations and fields may be called elsewhere: tables, and nothing else decides.

A word is in lower case and in the singular. A field is known by its words, its JSON types, and
where it has them the values it may take. None of this is known of the vendor: it is what such
things are commonly called.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from bestdefense_async import vendor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Words = tuple[str, ...]

_PIECE: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_KEPT: Final = frozenset({"dns", "https", "is", "has", "status", "previous", "whois", "os", "cvss"})
_SAME: Final = {"ids": "id", "uuid": "id", "guid": "id", "identifier": "id"}
"""Words that are used for another one."""
_COMPOUNDS: Final[Mapping[Words, Words]] = {
    ("file", "name"): ("filename",),
    ("host", "name"): ("hostname",),
    ("jump", "host"): ("jumphost",),
    ("jump", "box"): ("jumpbox",),
    ("sha", "256"): ("sha256",),
}


@lru_cache(maxsize=20_000)
def split_words(text: str) -> Words:
    """Return the words of a name in any style: `nextRunAt` and `next-run_at` are the same."""
    pieces = _PIECE.findall(text.replace("IDs", "Ids"))
    words = tuple(_singular(piece.lower()) for piece in pieces)
    for parts, whole in _COMPOUNDS.items():
        for at in range(len(words) - 1):
            if words[at : at + 2] == parts:
                words = words[:at] + whole + words[at + 2 :]
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


def _names(text: str) -> tuple[Words, ...]:
    return tuple(split_words(each) for each in text.split())


def _as_set(words: Iterable[str]) -> frozenset[str]:
    return frozenset(words)


@frozen(kw_only=True)
class Meaning:
    """What one of our fields is, whatever it is called."""

    names: tuple[Words, ...] = field(converter=_names)
    """What it may be called besides our own name, the likeliest first."""
    kinds: frozenset[str] = field(converter=_as_set)
    """JSON types it may have."""
    values: frozenset[str] = field(default=frozenset[str](), converter=_as_set)
    """Values it has, where they are few."""
    is_optional: bool = False
    """Whether an operation makes sense without it."""


_ID: Final = ("string", "integer")
_TEXT: Final = ("string",)
_NUMBER: Final = ("integer", "number")


def _text(names: str, *, values: tuple[str, ...] = ()) -> Meaning:
    return Meaning(names=names, kinds=_TEXT, values=values, is_optional=True)


def _count(severity: str) -> Meaning:
    return Meaning(
        names=f"{severity}Count num{severity.title()} total{severity.title()}", kinds=_NUMBER
    )


MEANINGS: Final[Mapping[str, Meaning]] = {
    "id": Meaning(names="key ref", kinds=_ID),
    "siteId": Meaning(
        names="site targetId target siteRef websiteId website assetId asset "
        "domainId applicationId application",
        kinds=_ID,
    ),
    "reportId": Meaning(
        names="report scanId scan reportRef sourceReportId assessmentId",
        kinds=_ID,
    ),
    "findingId": Meaning(
        names="finding alertId alert issueId issue vulnerabilityId vulnerability findingRef ",
        kinds=_ID,
        is_optional=True,
    ),
    "security_id": Meaning(names="securityReportId vortexId vortexReportId id", kinds=_ID),
    "site_id": Meaning(names="site targetId target id", kinds=_ID),
    "report_id": Meaning(names="report scanId scan id", kinds=_ID),
    "schedule_id": Meaning(
        names="schedule scheduledReportId planId plan recurrenceId id", kinds=_ID
    ),
    "remediation_id": Meaning(names="remediation fixId fix cardId card repairId id", kinds=_ID),
    "scan_id": Meaning(names="scan networkScanId networkId jobId job runId id", kinds=_ID),
    "filename": Meaning(names="file name asset artifact fileKey", kinds=_TEXT),
    "hostname": _text(
        "host domain siteName siteHostname siteHost siteDomain targetHostname "
        "targetHost targetName fqdn domainName address"
    ),
    "types": Meaning(
        names="scanTypes reportTypes type checks kinds modules categories tests",
        kinds=("array",),
        values=vendor.TYPES,
    ),
    "scanIntensity": _text(
        "intensity level depth scanLevel scanDepth thoroughness profile scanProfile",
        values=vendor.INTENSITIES,
    ),
    "isCompleted": Meaning(
        names="completed complete isComplete done isDone finished isFinished ready isReady",
        kinds=("boolean",),
    ),
    "percentage": Meaning(
        names="percent progress progressPercent progressPercentage completion pct percentDone "
        "percentComplete",
        kinds=_NUMBER,
        is_optional=True,
    ),
    "createdAt": _text(
        "created createdOn creationDate dateCreated createTime creationTime "
        "startedAt startDate creationDatetime insertedAt"
    ),
    "cadence": Meaning(
        names="frequency interval recurrence period repeat every rhythm repetition repeatEvery",
        kinds=_TEXT,
        values=vendor.CADENCES,
    ),
    "testUsers": Meaning(
        names="users testAccounts accounts credentials logins testLogins testUserIds "
        "testCredentials",
        kinds=("array",),
        is_optional=True,
    ),
    "nextRunAt": _text(
        "nextRun nextExecution nextExecutionAt nextAt nextScanAt nextReportAt "
        "nextDate nextRunDate nextRunTime dueAt runsAt nextOccurrence upcomingAt"
    ),
    "weakness": _text(
        "weaknessType weaknessName weaknessGroup cweName vulnerabilityType category "
        "findingGroup group class findingType"
    ),
    "stage": _text(
        "status state phase column lane", values=tuple(stage.lower() for stage in vendor.STAGES)
    ),
    "pullRequestUrl": _text(
        "prUrl pullRequest pullRequestLink prLink mergeRequestUrl pullUrl pullRequestHref"
    ),
    "creditsRemaining": Meaning(
        names="remainingCredits creditsLeft credits creditBalance availableCredits leftCredits "
        "balance",
        kinds=_NUMBER,
        is_optional=True,
    ),
    "targets": Meaning(
        names="hosts addresses ranges cidrs scope networks ips subnets ipRanges ipAddresses "
        "targetHosts destinations",
        kinds=("array",),
    ),
    "jumpBox": _text("jumpHost bastion gateway proxy relay jumpServer bastionHost via viaHost"),
    **{severity: _count(severity) for severity in vendor.SEVERITIES[:-1]},
    "informational": Meaning(
        names="info infoCount informationalCount informationCount numInfo totalInfo", kinds=_NUMBER
    ),
    "severity": Meaning(
        names="risk level riskLevel severityLevel criticality priority",
        kinds=_TEXT,
        values=vendor.SEVERITIES,
    ),
    "title": _text("name headline summary label heading"),
    "url": _text(
        "location uri affectedUrl affectedLocation endpoint href link downloadUrl address"
    ),
    "evidence": _text("proof poc proofOfConcept details observation"),
    "guidance": _text("recommendation solution remediation advice fix mitigation howToFix"),
    "cwe": _text("cweId cweCode weaknessId"),
    "platform": _text("os target architecture arch operatingSystem system targetPlatform"),
    "version": _text("release agentVersion versionNumber build"),
    "size": Meaning(
        names="bytes length sizeBytes fileSize contentLength byteSize sizeInBytes",
        kinds=_NUMBER,
        is_optional=True,
    ),
    "sha256": _text("checksum digest hash sha256sum fileHash checksumSha256 sha256Hash"),
    "message": _text("detail description"),
    "status": Meaning(names="code state", kinds=(*_NUMBER, "string"), is_optional=True),
    "limit": Meaning(
        names="pageSize perPage itemsPerPage count max size maxResults first take",
        kinds=_NUMBER,
        is_optional=True,
    ),
    "after": Meaning(
        names="cursor startingAfter afterId since pageAfter next from startAfter",
        kinds=_ID,
        is_optional=True,
    ),
}
"""By our own name of the field or of the path's part."""

GENERIC: Final = _words(
    "id key ref name value url uri link href type status state count time at date "
    "title label code left remaining balance"
)
"""Words that say nothing without what they stand in: `site.id` is the site's."""

WRAPPERS: Final = _words(
    "item data result entity member payload attribute record row entry content list response "
    "object resource element node"
)
"""Names of containers that say nothing about what is in them."""

SUBJECTS: Final[Mapping[str, frozenset[str]]] = {
    "schedules": _words(
        "schedule scheduled scheduling scheduler recurring recurrence cron periodic planned"
    ),
    "remediation": _words("remediation remediate fix autofix repair healing"),
    "network": _words("network netscan infrastructure subnet"),
    "agents": _words("agent monitor device installer"),
    "vortex": _words("vortex"),
    "sites": _words("site target website"),
    "registrations": _words("registration register"),
    "reports": _words("report scan assessment audit"),
}
"""What an operation is about, by the first half of its name."""

NEIGHBOURS: Final[Mapping[str, frozenset[str]]] = {
    "network": _words("scan job"),
    "agents": _words("file release artifact binary download"),
}
"""Words that say nothing more in the names and paths of a subject, beside its own."""

BROAD: Final = frozenset({"reports", "sites"})
"""Subjects whose words also stand in the paths of others."""

ACTIONS: Final[Mapping[str, frozenset[str]]] = {
    "list": _words("list index all collection search browse overview"),
    "get": _words("show get read detail retrieve view item fetch find one"),
    "create": _words("create new add post store save"),
    "trigger": _words("trigger start run launch request create begin execute apply new"),
    "start": _words("start run launch create begin trigger execute new"),
    "delete": _words("delete remove cancel destroy unschedule drop"),
    "progress": _words("progress status state poll completion"),
    "findings": _words("finding alert result vulnerability issue"),
    "manifest": _words("manifest catalog catalogue inventory release index"),
    "download": _words("download binary artifact installer file"),
}
"""What an operation does, by the second half of its name."""

OTHER_ACTIONS: Final = _words(
    "approve reject merge block accept decline close reopen update edit rename pause resume enable "
    "disable archive restore export import test validate verify retry rerun stop abort share upload"
)
"""What an operation may do that none of ours does."""

IMPLIED: Final = frozenset({"list", "get", "create", "delete", "trigger", "start"})
"""Actions that a method and the form of a path say without a word."""
