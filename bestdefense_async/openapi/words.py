"""What our operations and fields may be called elsewhere: tables, and nothing else decides.

A word is in lower case and in the singular. None of this is known of the vendor: it is what such
things are commonly called.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from bestdefense_async import vendor
from bestdefense_async.vendor import FINDING_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


def _names(text: str) -> tuple[Words, ...]:
    return tuple(split_words(each) for each in text.split())


def _as_set(words: Iterable[str]) -> frozenset[str]:
    return frozenset(words)


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


@frozen(kw_only=True)
class Place:
    """What the path of one of our operations looks like on any host."""

    needs: tuple[frozenset[str], ...]
    """One word of each must stand in the path."""
    may: frozenset[str] = field(default=frozenset[str](), converter=_as_set)
    """What may stand there besides; any other word is a doubt."""
    says: frozenset[str] = field(default=frozenset[str](), converter=_as_set)
    """One of these says what it does; without any, that is a doubt."""
    ends_in_part: bool | None = None
    """Whether the path ends in a part; None: either."""
    answers: tuple[str, ...] = ()
    """Fields without which the answer is of no use."""

    @property
    def own(self) -> frozenset[str]:
        """Words that add nothing to the name of a field: `scheduleId` is the id."""
        return frozenset().union(*self.needs)


_START: Final = _words("create start run new launch trigger request add")
_END: Final = _words("delete cancel remove unschedule stop")

PLACES: Final[Mapping[str, Place]] = {
    "sites.list": Place(
        needs=(SITE,), ends_in_part=False, answers=("sites[].id", "sites[].hostname")
    ),
    "reports.create": Place(needs=(REPORT,), may=SITE | _START, answers=("id",)),
    "reports.progress": Place(
        needs=(REPORT, _words("progress status state")), answers=("isCompleted",)
    ),
    "reports.overview": Place(needs=(REPORT, _words("overview summary")), answers=("security.id",)),
    "vortex.alerts": Place(needs=(VORTEX, FINDING), may=REPORT, answers=("riskSummary", "alerts")),
    "registrations.create": Place(
        needs=(_words("register registration"),), may=REPORT | {"vortex", "action", "create"}
    ),
    "reports.list": Place(needs=(REPORT,), ends_in_part=False, answers=("reports[].id",)),
    "reports.get": Place(needs=(REPORT,), ends_in_part=True, answers=("report.id",)),
    "schedules.list": Place(
        needs=(SCHEDULE,), may=REPORT, ends_in_part=False, answers=("schedules[].id",)
    ),
    "schedules.create": Place(
        needs=(SCHEDULE,), may=REPORT | SITE | _START, answers=("schedule.id",)
    ),
    "schedules.delete": Place(needs=(SCHEDULE,), may=REPORT | _END, ends_in_part=True),
    "remediation.trigger": Place(
        needs=(REMEDIATION,), may=FINDING | _START | {"ai"}, answers=("remediation.id",)
    ),
    "remediation.list": Place(
        needs=(REMEDIATION,), may={"ai"}, ends_in_part=False, answers=("remediations[].id",)
    ),
    "remediation.get": Place(
        needs=(REMEDIATION,), may={"ai"}, ends_in_part=True, answers=("remediation.id",)
    ),
    "network.start": Place(
        needs=(NETWORK,), may=REPORT | _START | {"jumpbox", "job"}, answers=("scan.id",)
    ),
    "network.progress": Place(
        needs=(NETWORK,),
        may=REPORT | {"job"},
        says=_words("progress status state"),
        answers=("isCompleted",),
    ),
    "network.findings": Place(
        needs=(NETWORK, FINDING | {"result"}),
        may=REPORT | {"job"},
        answers=("riskSummary", "alerts"),
    ),
    "agents.manifest": Place(
        needs=(AGENT,),
        may=_words("download file"),
        says=_words("manifest release catalog artifact"),
        ends_in_part=False,
        answers=("files[].filename",),
    ),
    "agents.download": Place(
        needs=(AGENT,),
        may=_words("release artifact latest"),
        says=_words("download binary file installer"),
    ),
}
"""By the name of our operation."""

PARTS: Final[Mapping[str, frozenset[str]]] = {
    "site_id": SITE,
    "siteId": SITE,
    "report_id": REPORT,
    "reportId": REPORT,
    "schedule_id": SCHEDULE,
    "remediation_id": REMEDIATION,
    "security_id": VORTEX,
    "scan_id": NETWORK | REPORT | {"job"},
    "findingId": FINDING,
    "jumpBox": _words("jumpbox bastion gateway"),
    "filename": _words("filename file artifact binary"),
    "version": _words("version"),
    "platform": _words("platform"),
    "os": _words("os"),
    "arch": _words("arch architecture"),
}
"""What a part of a path is called, by our name for what belongs there."""


@frozen(kw_only=True)
class Meaning:
    """What one of our fields is, whatever it is called."""

    names: tuple[Words, ...] = field(default="", converter=_names)
    """What it may be called besides our own name, the likeliest first."""
    kinds: frozenset[str] = field(default=frozenset[str](), converter=_as_set)
    """JSON types it may have; empty for any."""
    values: tuple[str, ...] = ()
    """Values it has, where they are few."""
    is_optional: bool = False
    """Whether a request makes sense without it."""


_ID: Final = ("string", "integer")
_TEXT: Final = ("string",)
_NUMBER: Final = ("integer", "number")


def _text(names: str, *, values: tuple[str, ...] = ()) -> Meaning:
    return Meaning(names=names, kinds=_TEXT, values=values, is_optional=True)


def _number(names: str) -> Meaning:
    return Meaning(names=names, kinds=_NUMBER, is_optional=True)


MEANINGS: Final[Mapping[str, Meaning]] = {
    "id": Meaning(names="key ref", kinds=_ID),
    "siteId": Meaning(names="site targetId target websiteId website assetId domainId", kinds=_ID),
    "reportId": Meaning(names="report scanId scan sourceReportId assessmentId", kinds=_ID),
    "findingId": Meaning(
        names="finding alertId alert issueId vulnerabilityId", kinds=_ID, is_optional=True
    ),
    "filename": Meaning(names="file name artifact", kinds=_TEXT),
    "hostname": Meaning(
        names="host domain siteName siteHostname targetHostname targetName target fqdn domainName",
        kinds=_TEXT,
        is_optional=True,
    ),
    "types": Meaning(
        names="scanTypes reportTypes checks modules tests",
        kinds=("array",),
        values=vendor.TYPES,
        is_optional=True,
    ),
    "scanIntensity": _text(
        "intensity level depth scanDepth profile scanProfile", values=vendor.INTENSITIES
    ),
    "isCompleted": Meaning(
        names="completed complete isComplete done isDone finished isFinished ready status state",
        kinds=("boolean",),
    ),
    "percentage": _number("percent progress progressPercent completion percentComplete"),
    "createdAt": _text("created createdOn dateCreated startedAt started startDate"),
    "cadence": Meaning(
        names="frequency interval recurrence period repeat every cron cronExpression",
        kinds=_TEXT,
        values=vendor.CADENCES,
    ),
    "testUsers": Meaning(
        names="users testAccounts accounts credentials logins testUserIds",
        kinds=("array",),
        is_optional=True,
    ),
    "nextRunAt": _text("nextRun nextExecution nextScanAt nextDate nextRunDate dueAt"),
    "weakness": _text(" ".join(FINDING_NAMES["weakness"])),
    "stage": _text("status state phase column", values=vendor.STAGES),
    "pullRequestUrl": _text("prUrl pullRequest pullRequestLink prLink mergeRequestUrl"),
    "creditsRemaining": _number("remainingCredits creditsLeft credits creditBalance"),
    "targets": Meaning(
        names="hosts addresses ranges cidrs scope networks ips subnets", kinds=("array",)
    ),
    "jumpBox": _text("jumpHost jumpBoxId bastion gateway proxy relay jumpServer"),
    **{
        severity: _number(f"{severity}Count num{severity.title()} total{severity.title()}")
        for severity in vendor.SEVERITIES[:-1]
    },
    "informational": _number("info infoCount informationalCount information"),
    "severity": Meaning(
        names=" ".join(FINDING_NAMES["severity"]),
        kinds=_TEXT,
        values=vendor.SEVERITIES,
    ),
    "title": _text(" ".join(FINDING_NAMES["title"])),
    "url": _text(" ".join((*FINDING_NAMES["url"], "href", "link", "downloadUrl"))),
    "evidence": _text(" ".join(FINDING_NAMES["evidence"])),
    "guidance": _text(" ".join(FINDING_NAMES["guidance"])),
    "cwe": Meaning(names=" ".join(FINDING_NAMES["cwe"]), kinds=_ID, is_optional=True),
    "platform": _text("os target architecture arch operatingSystem"),
    "version": _text("release agentVersion"),
    "size": _number("bytes length sizeBytes fileSize contentLength"),
    "sha256": _text("checksum digest hash sha256sum fileHash"),
    "limit": _number("perPage pageSize itemsPerPage max size take"),
    "after": Meaning(
        names="cursor startingAfter afterId pageAfter pageToken page offset skip",
        kinds=_ID,
        is_optional=True,
    ),
    "next": _text("nextCursor cursor nextPageToken nextPage nextPageUrl"),
    "total": _number("totalItems totalCount count totalResults"),
    "message": _text("detail description"),
}
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
