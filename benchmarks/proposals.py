"""How well the rule of `spec adopt` finds our operations on hosts that nobody tuned it to.

    python -m benchmarks.proposals

Prints for each written specification: of our operations how many it has, how many of these are
proposed first in the right place, how many would be taken by -y without a person, and how many of
those are wrong; of the operations it lacks, how many are proposed without a doubt. Nothing is sent.

Goals: at least 85 of 100 right and first on each host; 0 wrong taken; 0 absent without a doubt.
"""

from bestdefense_async.openapi.propose import propose
from bestdefense_async.openapi.specification import read_specification
from tests.support.styled_hosts import BARE, PLATFORM, VENDOR
from tests.support.written_hosts import API_PLATFORM, NELMIO
from tests.support.written_hosts_2 import BY_HAND, FASTAPI, LARAVEL, NEST
from tests.support.written_hosts_3 import GO, SPRING
from tests.support.written_hosts_4 import ASP, HUMA

CONSTANTS = {"organization": "42", "org": "42"}
HOSTS = (
    *(
        (host.name, host.document(), host.places)
        for host in (NELMIO, API_PLATFORM, LARAVEL, BY_HAND, FASTAPI, NEST, SPRING, GO, HUMA, ASP)
    ),
    *((style.name, style.document, style.paths) for style in (VENDOR, PLATFORM, BARE)),
)


def main() -> None:
    """Print a line for each host, and the sums."""
    print(f"{'host':42} {'there':>5} {'right first':>12} {'taken':>6} {'wrong':>6} {'absent':>7}")
    sums = [0] * 5
    for name, document, places in HOSTS:
        specification = read_specification(document)
        found = {
            each.route.name: each
            for each in propose(specification, CONSTANTS)
            if each.route.name in places
        }
        there = [each for each in found if places[each] is not None]
        first = {
            each: proposal.candidates[0].operation.name
            for each, proposal in found.items()
            if proposal.candidates
        }
        sure = {
            each: proposal.sure.operation.name
            for each, proposal in found.items()
            if proposal.sure is not None
        }
        plain = [each for each in first if not found[each].candidates[0].doubts]
        row = [
            len(there),
            sum(first.get(each) == places[each] for each in there),
            len(sure),
            sum(path != places[each] for each, path in sure.items()),
            sum(places[each] is None for each in plain),
        ]
        sums = [one + other for one, other in zip(sums, row, strict=True)]
        print(_line(name, row))
    print(_line("all", sums))


def _line(name: str, row: list[int]) -> str:
    there, right, taken, wrong, absent = row
    share = f"{right} ({right / there:.0%})"
    return f"{name:42} {there:5} {share:>12} {taken:6} {wrong:6} {absent:7}"


if __name__ == "__main__":
    main()
