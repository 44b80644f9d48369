"""What the sandbox's data files hold: a seed gives the same world in every release."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import attrs
import pytest

from bestdefense_async.sandbox.world.agents import AgentFiles
from bestdefense_async.sandbox.world.findings import (
    ALERT_FORMATS,
    HOSTILE_MESSAGE,
    HOSTILE_TEXTS,
    Finding,
    findings_of,
    network_findings_of,
)
from bestdefense_async.sandbox.world.fleet import Fleet
from bestdefense_async.sandbox.world.specs import SCENARIOS

SEEDS = (1, 7, 20_260_105)


def fleet() -> list[Any]:
    """Return ids and host names of two organizations."""
    rows = []
    for seed in SEEDS:
        made = Fleet(seed)
        for organization, count in (("main", 4_000), ("other", 50)):
            made.add(organization, count)
            rows += [[site.id, site.hostname] for site in made.of(organization)]
    return rows


def _row(finding: Finding) -> list[Any]:
    return [finding.id, finding.path, *attrs.astuple(finding.weakness)]


def findings() -> list[Any]:
    """Return every word of what scans of 500 sites find."""
    hosts = [name for _, name in fleet()[:500]]
    return [_row(each) for seed in SEEDS for host in hosts for each in findings_of(seed, host)]


def network_findings() -> list[Any]:
    """Return every word of what a scan of 500 addresses finds."""
    targets = [f"10.0.{index % 7}.{index}" for index in range(500)]
    return [
        _row(each) for seed in SEEDS for name in targets for each in network_findings_of(seed, name)
    ]


def agents() -> list[Any]:
    """Return names, sizes and bytes of the agent's files."""
    files = AgentFiles.of(1, {"further-linux-arm64": 5}).files.values()
    return [[file.name, file.platform, file.size, file.sha256()] for file in files]


def hostile() -> list[Any]:
    """Return the texts that attack whoever shows them."""
    return [HOSTILE_MESSAGE, *HOSTILE_TEXTS]


def scenarios() -> list[Any]:
    """Return what each scenario changes."""
    rows = []
    for name, scenario in SCENARIOS.items():
        changed = attrs.asdict(scenario, filter=lambda field, _: field.name != "findings")
        changed["message"] = scenario.message
        written = ALERT_FORMATS[scenario.findings]
        rows.append([name, changed, [written.summary, written.listing, written.severity("high")]])
    return rows


@pytest.mark.parametrize(
    ("table", "digest"),
    [
        (fleet, "a3843a412b4800852744955beb3fe50f9ed593b2d5b7602b7dd981c426ea4613"),
        (findings, "97f9f628cd025d8671af93dd179c29c700f902bf35580f559eb19f44f5be441f"),
        (network_findings, "a639c05b164fc7366e77efd496c0b0d67c9758f5ee0402f8973869e7f9fab2e6"),
        (agents, "633f734ed512981b71fe1cf8b20ac8ebe56f835533a65b68003070d04f8b7b64"),
        (hostile, "d15e563536e306cf902d2c77ff5b4645658c41d177d45d06dd6cc4291ff97893"),
        (scenarios, "3c9ca25ae1e6fccdcb6ad3fd19e982f94825926a62cd185a57bf8820dbf44363"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "same",
)
def test_a_seed_gives_the_same_world_in_every_release(
    table: Callable[[], list[Any]], digest: str
) -> None:
    """A host name or a count that somebody has written into a test stays true."""
    text = json.dumps(table(), ensure_ascii=True)

    assert sha256(text.encode()).hexdigest() == digest
