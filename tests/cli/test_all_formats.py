"""A fleet in one go: every format from one scan, each accepted by a validator that is not ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.published import junit_validator, sarif_validator, validator

if TYPE_CHECKING:
    from bestdefense_async.testing.process import SandboxProcess
    from tests.support.command import Command


@pytest.mark.slow(timeout=300)
@pytest.mark.bd_sandbox(speed=6000.0, sites=2000)
def test_two_thousand_sites_give_all_formats_at_once(
    command: Command, bd_sandbox_process: SandboxProcess
) -> None:
    """One scan writes six files; each is whole, valid and within its limits."""
    sites = command("sites", "list", "--format", "jsonl", env=bd_sandbox_process.env)
    hosts = [line["hostname"] for line in sites.events]
    (command.directory / "hosts.txt").write_text("\n".join(hosts))
    names = [f"run.{ending}" for ending in ("html", "jsonl", "json", "sarif", "xml", "md")]
    wanted = [word for name in names for word in ("-o", name)]

    ended = command("scan", "-l", "hosts.txt", "-q", *wanted, env=bd_sandbox_process.env)

    assert ended.code == 0, ended.err
    html, events, document, sarif, junit, markdown = (
        (command.directory / name).read_text("utf-8") for name in names
    )
    assert len(html.encode()) < 1_000_000
    assert len(markdown.encode()) < 900_000
    of_events = validator("events.json")
    assert all(of_events.is_valid(json.loads(line)) for line in events.splitlines())
    validator("run.json").validate(json.loads(document))
    assert json.loads(document)["counts"]["done"] == 2000
    assert len(json.loads(sarif)["runs"][0]["results"]) <= 25_000
    sarif_validator().validate(json.loads(sarif))
    junit_validator().validate(junit)
