"""Runs that several machines share, as they are typed: tables, a worker, a run, its verdict."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING

import pytest

psycopg = pytest.importorskip("psycopg")

import click  # noqa: E402
import yaml  # noqa: E402

from bestdefense_async.cli.app import root  # noqa: E402
from bestdefense_async.distributed.store import PostgresStore  # noqa: E402
from bestdefense_async.models import ScanOptions  # noqa: E402
from bestdefense_async.testing.process import SandboxProcess  # noqa: E402
from tests.support.command import ROOT, Command  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.inside import Inside

EXAMPLES = ROOT / "examples" / "workers"
PASSWORD = "p4ss-w0rd"
AWAY = f"postgresql://me:{PASSWORD}@127.0.0.1:1/runs"


@pytest.fixture
def bare(database: str) -> str:
    """A database without tables of ours."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA bestdefense CASCADE")
    return database


def test_a_shared_run_from_its_tables_to_its_verdict(
    bare: str, tmp_path: Path, inside: Inside
) -> None:
    """A worker carries out what another process has begun; the gate judges it from anywhere."""
    command = Command(tmp_path)
    with SandboxProcess(speed=1200.0, sites=20) as sandbox:
        env = {**sandbox.env, "BD_DATABASE": bare}
        assert inside("database", "status", "--format", "json", env=env).code == 2
        assert inside("database", "init", env=env).code == 0
        status = inside("database", "status", "--format", "json", env=env)
        assert (status.code, json.loads(status.out)["databases"][0]["version"]) == (0, 1)
        hosts = [
            each["hostname"]
            for each in json.loads(inside("sites", "list", "--format", "json", env=env).out)[
                "sites"
            ]
        ]
        worker = command.start("worker", "--health", "127.0.0.1:0", env=env)
        try:
            page = tmp_path / "run.html"
            scan = ("scan", *hosts, "--distributed", bare, "-o", str(page), "--format", "jsonl")
            ended = command(*scan, "--max-critical", "999", env=env)
            finished = [each for each in ended.events if each["event"] == "scan.finished"]
            assert ended.code == 0, ended.err
            assert sorted(each["target"] for each in finished) == sorted(hosts)
            assert {each["status"] for each in finished} == {"done"}
            assert ended.events[-1]["targets"] == 20
            assert page.stat().st_size > 10_000
        finally:
            worker.send_signal(signal.SIGTERM)
            _, told = worker.communicate(timeout=60)
        assert worker.returncode == 0, told
        assert "1 shard ended here" in told
        assert sandbox.token not in told + ended.err

    named = ("--database", bare)
    watched = inside("runs", "watch", "last", *named, "--format", "jsonl")
    assert [each["event"] for each in watched.events].count("scan.finished") == 20
    assert "no more findings than allowed" in watched.events[-1]["sentence"]
    gate = inside("gate", "--run", "last", *named, "--fail-on", "low", "--format", "json")
    assert gate.code == 1
    gate_for_people = inside("gate", "--run", "last", *named, "--fail-on", "low")
    assert len(json.loads(gate.out)["outcomes"]) == 20
    assert inside("report", "last", *named, "-o", str(tmp_path / "run.md"), "-q").code == 0
    listed = json.loads(inside("runs", "list", *named, "--format", "json").out)["runs"]
    assert [(each["done"], each["state"]) for each in listed] == [(20, "complete")]
    command_to_waive = gate_for_people.out.split("To accept one:")[1].split("--reason")[0]
    assert command_to_waive.endswith(" --database URL ")
    words = command_to_waive.replace("URL", bare).split()[1:]
    waived = inside(*words, "--reason", "Seen", "--until", "9d")
    assert "is waived until" in waived.err
    assert "severity = " in (tmp_path / "waivers.toml").read_text()
    repeat = inside("runs", "repeat", "last", *named, "--every", "0 3 * * *")
    assert "begun again at" in repeat.err
    assert "not repeated" in inside("runs", "repeat", "last", *named, "--never").err
    assert "is cancelled" in inside("runs", "cancel", "last", *named).err


def test_a_run_is_watched_on_when_its_database_was_away(
    database: str, tmp_path: Path, inside: Inside
) -> None:
    """A restart of it must not fail a pipeline that waits for a run of hours."""
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    server = database.removesuffix(name) + "postgres"

    def renamed(old: str, new: str) -> None:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {old} WITH ALLOW_CONNECTIONS false")
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                (old,),
            )
            connection.execute(f"ALTER DATABASE {old} RENAME TO {new}")
            connection.execute(f"ALTER DATABASE {new} WITH ALLOW_CONNECTIONS true")

    asyncio.run(_one_run(database))
    watching = Command(tmp_path).start("runs", "watch", "last", "--database", database)
    assert watching.stderr is not None
    assert "Workers scan 1 site" in watching.stderr.readline()
    renamed(name, f"{name}_away")
    try:
        said = iter(watching.stderr.readline, "")
        assert any(line.endswith("It is tried again.\n") for line in said)
    finally:
        renamed(f"{name}_away", name)
    assert inside("runs", "cancel", "last", "--database", database).code == 0
    _, told = watching.communicate(timeout=60)
    assert "was cancelled" in told
    assert watching.returncode == 3


async def _one_run(database: str) -> None:
    """Begin a run of one site, for workers that do not come."""
    rows = [(0, "a.example", None, "s0", "s0", None)]
    async with PostgresStore(database) as store:
        await store.enqueue(
            rows,
            base_url="http://127.0.0.1:1",
            token_key="k",
            credential="default",
            options=ScanOptions(),
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("database init --database {away}", "cannot be reached"),
        ("database status --database nonsense", "postgresql://user@host/name"),
        ("runs list --database {away}", "cannot be reached"),
        ("runs list --database mysql://me:p4ss-w0rd@a/b", "postgresql://user@host/name"),
        ("gate --run last --database=", "postgresql://user@host/name"),
        ("gate --run last --database {away}", "cannot be reached"),
        ("scan a.example --distributed {away}", "cannot be reached"),
        ("scan --resume last --database {away}", "cannot be reached"),
        ("worker --database {away}", "cannot be reached"),
        ("worker --database {away} --credential org-a=env:NOT_SET", "needs the variable NOT_SET"),
        ("worker --database {away} --credential a-token", "given like org-a=env:"),
        ("worker --database {away} --credential a=file:/not/there", "/not/there: it is not there"),
        ("worker --database {away} --health 8089", "127.0.0.1:8089"),
        ("worker --database {away} --drain 60", "22.5 s or less"),
        ("runs watch last", "--database postgresql://"),
        ("runs cancel last", "--database postgresql://"),
        ("runs repeat last --database {away}", "Say when"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    inside: Inside, arguments: str, message: str
) -> None:
    """With no traceback and no password."""
    env = {"BD_API_TOKEN": "bd_sandbox_x", "BD_BASE_URL": "http://127.0.0.1:1"}

    ended = inside(*arguments.format(away=AWAY).split(), env=env)

    assert ended.code == 2
    assert message in ended.err
    assert PASSWORD not in ended.err
    assert len([line for line in ended.err.splitlines() if line]) <= 2


def test_tables_of_a_newer_program_are_not_touched(inside: Inside, database: str) -> None:
    """Every command says what to do, and changes nothing."""
    change = "UPDATE bestdefense.schema_version SET version = version + %s"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(change, (1,))
        try:
            for words in ("database init", "database upgrade", "database status", "runs list"):
                ended = inside(*words.split(), "--database", database)
                assert (ended.code, "update this program" in ended.err) == (2, True)
        finally:
            connection.execute(change, (-1,))


def arguments_of(name: str) -> list[list[str]]:
    """Return the command lines in an example."""
    documents = list(yaml.safe_load_all((EXAMPLES / name).read_text("utf-8")))
    if name == "compose.yaml":
        services = documents[0]["services"].values()
        return [each["command"] for each in services if "command" in each]
    containers = [
        container
        for each in documents
        for container in each["spec"]["template"]["spec"]["containers"]
    ]
    return [each["args"] for each in containers]


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml"])
def test_the_examples_call_the_command_as_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each container's arguments are understood, with the database from the environment."""
    monkeypatch.setenv("BD_DATABASE", AWAY)
    lines = arguments_of(name)
    assert [line[0] for line in lines] == ["database", "worker"]
    for line in lines:
        command: click.Command = root
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), line.pop(0))
            assert found is not None
            command = found
        command.make_context(command.name, line)
