"""Fields of theirs and ours are paired, and pairs become a binding that gives ours from theirs."""

from typing import Any

import pytest

from bestdefense_async.core.binding import Binding, bind
from bestdefense_async.core.route import ROUTES
from bestdefense_async.openapi.model import Field
from bestdefense_async.openapi.pairing import Pair, Pairing, binding_pairs, pair_fields
from bestdefense_async.openapi.vocabulary import SUBJECTS

KINDS = {"s": "string", "i": "integer", "b": "boolean", "a": "array", "o": "object", "n": "number"}


def fields(text: str) -> list[Field]:
    """Return fields written like `site.id:s plan:o!`; `!` demands, `=a|b` lists values."""
    made = []
    for word in text.split():
        rest, _, values = word.partition("=")
        path, _, kind = rest.rstrip("!").partition(":")
        made.append(
            Field(
                path=path,
                kinds=frozenset([KINDS[kind]] if kind else []),
                values=tuple(values.split("|")) if values else (),
                is_required=rest.endswith("!"),
            )
        )
    return made


def pair(ours: str, theirs: str, subject: str = "schedules") -> Pairing:
    """Pair fields written as text."""
    return pair_fields(ours.split(), fields(theirs), subject=SUBJECTS[subject])


SAME = {
    "another style": ("siteId", "site_id:s"),
    "a synonym": ("siteId", "target:s"),
    "an object with an id": ("siteId", "site:o site.id:s"),
    "an object with a reference of its own": ("siteId", "website:o website.uuid:s"),
    "a number for an id": ("siteId", "site_id:i"),
    "no type at all": ("siteId", "site_id"),
    "the subject in the name": ("cadence", "schedule_frequency:s"),
    "the values alone": ("cadence", "rhythmus:s=DAILY|WEEKLY|MONTHLY"),
    "the values of a state": ("stage", "column_name:s=Review|Approved|Blocked"),
    "its own id": ("id", "uuid:s"),
    "its own id, called for what it is": ("id", "schedule_id:s"),
    "its own id in its own object": ("id", "schedule:o schedule.id:s"),
    "its own id in an object that says nothing": ("id", "result:o result.id:s"),
    "a flag": ("isCompleted", "done:b"),
    "deep down": ("cadence", "plan:o plan.timing:o plan.timing.frequency:s"),
    "a list of plain values": ("testUsers", "accounts:a accounts[]:s"),
}


@pytest.mark.parametrize(("ours", "theirs"), SAME.values(), ids=SAME.keys())
def test_a_field_is_found_under_another_name(ours: str, theirs: str) -> None:
    """The last field of theirs is it, or the list that it is of."""
    found = pair(ours, theirs)
    last = theirs.rpartition(" ")[2].partition(":")[0]
    assert found.theirs(ours) == last.removesuffix("[]")
    assert found.missing == ()
    assert found.doubts == ()
    assert 0.5 <= found.share <= 1.0


OTHER = {
    "another type": ("isCompleted", "done:s"),
    "another id": ("id", "site:o site.id:s"),
    "the id of another thing": ("siteId", "user_id:s"),
    "other values": ("cadence", "interval_kind:s=seconds|minutes"),
    "a list of objects for plain values": ("testUsers", "users:a users[]:o users[].name:s"),
    "one word in common": ("nextRunAt", "next_page:s"),
    "something in a list": ("siteId", "sites:a sites[]:o sites[].id:s"),
}


@pytest.mark.parametrize(("ours", "theirs"), OTHER.values(), ids=OTHER.keys())
def test_a_field_is_not_found_in_another(ours: str, theirs: str) -> None:
    """Better missing than wrong."""
    found = pair(ours, theirs)
    assert found.pairs == ()
    assert found.missing == (ours,)


def test_each_field_is_given_away_once_to_the_one_that_fits_best() -> None:
    """`status` is a stage only where nothing else is."""
    found = pair("stage weakness id", "status:s category:s stage:s id:s", "remediation")
    assert {each.ours: each.theirs for each in found.pairs} == {
        "stage": "stage",
        "weakness": "category",
        "id": "id",
    }


def test_lists_are_paired_as_a_whole() -> None:
    """The list whose members fit best; what is outside of it is something else."""
    theirs = (
        "id:s tags:a tags[]:o tags[].id:s tags[].name:s "
        "items:a items[]:o items[].uuid:s items[].site_id:s items[].frequency:s"
    )
    found = pair("schedules[].id schedules[].siteId schedules[].cadence", theirs)
    assert {each.theirs for each in found.pairs} == {
        "items[].uuid",
        "items[].site_id",
        "items[].frequency",
    }


def test_a_list_of_the_same_name_is_likelier() -> None:
    """When members alone do not decide."""
    theirs = "old:a old[]:o old[].id:s schedules:a schedules[]:o schedules[].id:s"
    assert pair("schedules[].id", theirs).theirs("schedules[].id") == "schedules[].id"


def test_the_answer_may_be_the_list() -> None:
    """Then it has no name."""
    found = pair("schedules[].id schedules[].siteId", "[]:o [].id:s [].site:o [].site.id:s")
    assert {each.theirs for each in found.pairs} == {"[].id", "[].site.id"}


def test_an_object_around_most_fields_adds_nothing_to_their_names() -> None:
    """`job.uuid` is the id of what is asked about, whatever a job is."""
    found = pair(
        "scan.id scan.targets scan.jumpBox", "job:o job.uuid:s job.hosts:a job.bastion:s", "network"
    )
    assert found.theirs("scan.id") == "job.uuid"


def test_two_fields_that_are_as_likely_are_a_doubt() -> None:
    """The doubt has both names; the same name further down is an echo, and none."""
    assert pair("siteId", "target_id:s target:s").doubts == ("siteId may be target_id or target.",)
    assert pair("siteId", "siteId:s a:o a.b:o a.b.c:o a.b.c.siteId:s").doubts == ()


def test_what_they_demand_and_we_have_not_is_named() -> None:
    """An object is not demanded itself when something of it was found."""
    found = pair(
        "cadence", "plan:o! plan.frequency:s! plan.zone:s! owner:s! note:s tags:a! tags[]:s!"
    )
    assert found.theirs("cadence") == "plan.frequency"
    assert found.unused == ("plan.zone", "owner", "tags")


def test_a_number_and_a_uuid_are_both_an_id() -> None:
    """Which of them is ours, a person must say."""
    assert pair("id", "id:i uuid:s").doubts == ("id may be id or uuid.",)


def test_the_share_counts_what_matters() -> None:
    """What we could do without takes nothing away when it is missing."""
    assert pair("siteId testUsers", "siteId:s").share == 1.0
    assert pair("siteId cadence", "siteId:s").share == 0.5
    assert pair("", "a:s").share == 1.0


def pairs(names: dict[str, str]) -> list[Pair]:
    """Return pairs of fields."""
    return [Pair(ours=ours, theirs=theirs, alike=1.0) for ours, theirs in names.items()]


CASES: dict[str, tuple[str, dict[str, str], Any, Any]] = {
    "all the same": (
        "schedules.list",
        {"schedules[].id": "schedules[].id"},
        {"schedules": [{"id": "1", "x": 1}]},
        {"schedules": [{"id": "1", "x": 1}]},
    ),
    "another list, with what nobody named": (
        "schedules.list",
        {"schedules[].id": "items[].id", "schedules[].siteId": "items[].site.id"},
        {"items": [{"id": "1", "site": {"id": "s", "n": 1}, "x": 1}], "page": 1},
        {"schedules": [{"id": "1", "siteId": "s", "site": {"n": 1}, "x": 1}], "page": 1},
    ),
    "an empty list": (
        "schedules.list",
        {"schedules[].id": "items[].id"},
        {"items": []},
        {"schedules": []},
    ),
    "the answer is the list": (
        "schedules.list",
        {"schedules[].id": "[].uuid"},
        [{"uuid": "1", "x": 1}],
        {"schedules": [{"id": "1", "x": 1}]},
    ),
    "the answer is the thing": (
        "schedules.create",
        {"schedule.id": "id", "schedule.cadence": "plan.every"},
        {"id": "1", "plan": {"every": "daily"}, "x": 1},
        {"schedule": {"id": "1", "cadence": "daily", "x": 1}},
    ),
    "the thing beside something else": (
        "remediation.trigger",
        {"remediation.id": "fix.id", "remediation.stage": "fix.status", "creditsRemaining": "left"},
        {"fix": {"id": "1", "status": "Review", "x": 1}, "left": 4},
        {"remediation": {"id": "1", "stage": "Review", "x": 1}, "creditsRemaining": 4},
    ),
    "the thing around something else": (
        "remediation.trigger",
        {"remediation.id": "id", "creditsRemaining": "credits.left"},
        {"id": "1", "credits": {"left": 4}},
        {"remediation": {"id": "1"}, "creditsRemaining": 4},
    ),
    "names that are swapped": (
        "remediation.get",
        {"remediation.id": "remediation.reportId", "remediation.reportId": "remediation.id"},
        {"remediation": {"id": "a", "reportId": "b"}},
        {"remediation": {"id": "b", "reportId": "a"}},
    ),
    "counts beside the findings": (
        "network.findings",
        {"riskSummary.high": "high", "riskSummary.low": "low", "alerts[].title": "items[].name"},
        {"high": 1, "low": 0, "items": [{"name": "x"}]},
        {"riskSummary": {"high": 1, "low": 0}, "alerts": [{"title": "x"}]},
    ),
}


@pytest.mark.parametrize(("name", "names", "theirs", "ours"), CASES.values(), ids=CASES.keys())
def test_an_answer_lands_where_ours_stands(
    name: str, names: dict[str, str], theirs: Any, ours: Any
) -> None:
    """With all that has no name of its own."""
    binding = Binding(
        method="POST",
        template="/".join(["/x", *(f"{{{part}}}" for part in ROUTES[name].parts)]),
        answer=binding_pairs(pairs(names)),
    )
    assert bind(name, binding).answer_here(theirs) == ours


def test_only_what_would_not_land_by_itself_is_named() -> None:
    """A file of bindings is for people, too."""
    names = {
        "schedules[].id": "items[].id",
        "schedules[].cadence": "items[].cadence",
        "schedules[].siteId": "items[].target",
    }
    assert binding_pairs(pairs(names)) == {
        "schedules": "items",
        "schedules[].siteId": "items[].target",
    }
    assert binding_pairs(pairs({"siteId": "siteId", "cadence": "every"})) == {"cadence": "every"}
