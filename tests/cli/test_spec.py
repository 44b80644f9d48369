"""`bestdefense spec`: exit codes, what is said and asked, and that bad input writes nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bestdefense_async import read_bindings
from bestdefense_async.cli.app import run
from bestdefense_async.core.route import ROUTES
from bestdefense_async.sandbox.handlers.docs import document
from tests.cli.test_bad_input import assert_one_sentence
from tests.support.command import Command, Ended
from tests.support.moved_host import MOVES, openapi
from tests.support.styled_hosts import PLATFORM
from tests.support.terminal import on_terminal
from tests.support.written_hosts_2 import FASTAPI, LARAVEL

if TYPE_CHECKING:
    from bestdefense_async.testing.process import SandboxProcess

HOST = "http://127.0.0.1:9"
LOCAL = {"BD_BASE_URL": HOST}
"""Nothing listens there, and there is no token: neither is needed for a file."""


def stored(command: Command) -> Path:
    """Return where the command keeps its bindings."""
    return Path(command.environment["HOME"]) / ".config" / "bestdefense" / "bindings.toml"


Here = Callable[..., Ended]


@pytest.fixture
def here(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Here:
    """The command in this process, in the same surroundings: for many small cases."""
    monkeypatch.chdir(command.directory)
    for name in ("BD_API_TOKEN", "BESTDEFENSE_API_KEY", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": command.environment["HOME"], **LOCAL}.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> Ended:
        code = run([*arguments])
        return Ended(code, *capsys.readouterr())

    return call


def write(command: Command, spec: object, name: str = "spec.json") -> str:
    """Write a specification into the command's directory and return its name."""
    text = spec if isinstance(spec, bytes) else json.dumps(spec).encode()
    (command.directory / name).write_bytes(text)
    return name


def rows(ended: Ended, name: str = "operations") -> dict[str, Any]:
    """Return the records of a JSON document by operation."""
    found = json.loads(ended.out)
    assert found["schema_version"] == 1
    return {row["operation"]: row for row in found[name]}


def test_the_sandbox_shows_checks_and_adopts_without_a_token(
    command: Command, served: SandboxProcess
) -> None:
    """Its specification is public and agrees with our table."""
    env = {"BD_BASE_URL": served.url}
    shown = command("spec", "show", env=env)
    assert shown.code == 0, shown.err
    assert "as the sandbox plays it 1 (OpenAPI 3.1.0)" in shown.err
    assert "20 operations, servers: /" in shown.err
    assert [line.split()[0] for line in shown.out.splitlines()[1:]] == list(ROUTES)
    checked = command("spec", "check", env=env)
    assert checked.code == 0, checked.err
    assert f"spec: compared with {served.url}/api/docs.json: agrees {len(ROUTES)}" in checked.err


def test_show_says_where_what_has_moved_probably_stands(command: Command) -> None:
    """A guess that stands nowhere has a likely place, or none."""
    spec = openapi()
    del spec["paths"]["/api/v2/device-monitor/releases/{name}/binary"]
    ended = command("spec", "show", "--from", write(command, spec), "--format", "json", env=LOCAL)
    assert ended.code == 0, ended.err
    found = rows(ended)
    assert found["sites.list"]["decision"] == "agrees"
    assert found["schedules.list"]["there"] == "GET /api/v2/recurring-scans"
    assert found["schedules.list"]["decision"] == "sure"
    assert found["schedules.create"]["decision"] == "undecided"
    assert found["agents.download"]["there"] is None
    assert found["agents.download"]["decision"] == "not there"


def test_drift_is_1_and_names_what_contradicts(command: Command) -> None:
    """In the table as in JSON; what merely stands nowhere is no drift."""
    spec = copy.deepcopy(document())
    del spec["paths"]["/api/schedules"]
    moved = spec["paths"].pop("/api/report/{report_id}/progress")
    spec["paths"]["/api/reports/{id}/progress"] = moved
    name = write(command, yaml.safe_dump(spec).encode(), "spec.yaml")
    ended = command("spec", "check", "--from", name, "--format", "json", env=LOCAL)
    assert ended.code == 1
    found = rows(ended)
    assert found["reports.progress"]["standing"] == "drift"
    assert found["reports.progress"]["problems"] == ["The specification has no such path."]
    assert found["schedules.list"]["standing"] == "not found"
    assert "drift 1, not found 2" in ended.err
    table = command("spec", "check", "--from", name, env=LOCAL)
    assert table.code == 1
    assert "The specification has no such path." in table.out


SAY_NO: dict[str, tuple[object, str]] = {
    "a page": (b"<!doctype html><title>API</title><h1>Docs</h1>", "It is a page"),
    "nothing": (b"", "It is empty, so"),
    "no object": (b"[1]", "not an object"),
    "no specification": ({"success": True}, "names no version"),
    "an unknown version": ({"openapi": "5.0", "paths": {}}, "It names version '5.0'"),
    "no paths": ({"swagger": "2.0"}, "It has no paths"),
    "invalid UTF-8": (b'{"openapi": "3.0.0\xff"}', "In line 1: this is not UTF-8."),
    "deep nesting": (b'{"a": ' * 5000, "nested deeper than 64"),
    "a YAML bomb": (
        b"a0: &a0 [x, x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (at, at, b"*a%d, " % (at - 1) * 9) for at in range(1, 20)),
        "unfold to more values",
    ),
    "a YAML object": (b"!!python/object:os.system {}", "could not determine a constructor"),
    "50 MB": (b" " * (50 << 20), "larger than 16 MB"),
}


@pytest.mark.parametrize(("content", "says"), SAY_NO.values(), ids=SAY_NO.keys())
def test_what_cannot_be_read_is_2_and_one_sentence(
    command: Command, here: Here, content: object, says: str
) -> None:
    """Nothing is written."""
    name = write(command, content)
    ended = here("spec", "adopt", "-y", "--from", name)
    assert_one_sentence(ended, 2, says)
    assert "spec.json cannot be read" in ended.err
    assert not stored(command).exists()


def test_a_host_without_a_specification_is_2_and_one_that_is_not_there_3(
    command: Command, served: SandboxProcess
) -> None:
    """And a wrong file or address is 2 before anything is asked."""
    with_prefix = {"BD_BASE_URL": f"{served.url}/tenant"}
    assert_one_sentence(command("spec", "check", env=with_prefix), 2, "shows no specification at")
    assert_one_sentence(command("spec", "check", env=LOCAL), 3, "127.0.0.1:9")
    for source, says in (("missing.json", "No such file"), ("http://host.invalid/x", "use https")):
        assert_one_sentence(command("spec", "show", "--from", source, env=LOCAL), 2, says)


def test_references_elsewhere_are_remarked_upon_and_never_fetched(
    command: Command, served: SandboxProcess
) -> None:
    """The rest is compared; a cycle is no reason to stop either."""
    spec = copy.deepcopy(document())
    schemas = spec["components"]["schemas"]
    schemas["Site"] = {"$ref": f"{served.url}/api/docs.json#/components/schemas/Site"}
    schemas["Finding"]["properties"]["parent"] = {"$ref": "#/components/schemas/Finding"}
    schemas["Report"] = {"$ref": "#/components/schemas/Report"}
    before = served.ledger()["counts"]
    ended = command("spec", "check", "--from", write(command, spec), env=LOCAL)
    assert ended.code == 0, ended.out
    assert "stands outside the document and is not followed" in ended.err
    assert served.ledger()["counts"] == before


def test_without_agreement_nothing_is_written(command: Command) -> None:
    """A script agrees with -y; the proposals are shown all the same."""
    ended = command("spec", "adopt", "--from", write(command, openapi()), env=LOCAL)
    assert ended.code == 2
    assert "Nothing was written. Add -y to take the 9 reading operations that are sure" in ended.err
    assert "POST /api/v2/sites/{siteUuid}/recurring-scans" in ended.out
    assert not stored(command).exists()


WRITERS = ("schedules.create", "schedules.delete", "remediation.trigger", "network.start")


def binds(*rows: str) -> list[str]:
    """Return the options that name places."""
    return [word for row in rows for word in ("--bind", row)]


PLATFORM_BINDS = binds(
    *(f"{name}={PLATFORM.paths[name]}" for name in (*WRITERS, "network.progress"))
)


def test_what_writes_or_is_not_sure_stays_undecided_and_is_3(command: Command) -> None:
    """It can be named, and then it is bound; what is bound is not proposed again."""
    name = write(command, PLATFORM.document)
    ended = command("spec", "adopt", "-y", "--from", name, "--format", "json", env=LOCAL)
    assert ended.code == 3
    found = rows(ended, "proposals")
    assert {each for each in WRITERS if found[each]["decision"] != "undecided"} == set()
    assert found["network.progress"]["decision"] == "undecided"
    assert found["schedules.delete"]["why"][0] == "It writes: only --bind or an answer takes it."
    assert found["sites.list"]["decision"] == "not there"
    bound = read_bindings(stored(command), HOST)
    assert {each.method for each in bound.values()} == {"GET"}
    assert not bound.keys() & {*WRITERS, "network.progress"}

    named = command("spec", "adopt", *PLATFORM_BINDS, "--from", name, "--format", "json", env=LOCAL)
    decisions = {each: row["decision"] for each, row in rows(named, "proposals").items()}
    assert decisions.pop("network.progress") == "named"
    assert decisions["reports.list"] == "bound"
    binding = read_bindings(stored(command), HOST)["network.progress"]
    assert binding.template == "/api/network_scans/{scan_id}"
    assert binding.answer == {"isCompleted": "done", "percentage": "progress"}
    assert binding.source.endswith("named by a person")

    again = command("spec", "adopt", "-y", "--from", name, env=LOCAL)
    assert "nothing new was written" in again.err
    assert command("spec", "check", "--from", name, env=LOCAL).code == 1  # nothing documented there


def test_a_foreign_deletion_is_never_adopted_by_guess(command: Command) -> None:
    """The only DELETE of the host is about something else; -y and Enter leave it alone."""
    spec = copy.deepcopy(document())
    spec["paths"]["/api/maintenance-schedules/{id}"] = {
        "delete": spec["paths"].pop("/api/schedules/{schedule_id}")["delete"]
    }
    ended = command("spec", "adopt", "-y", "--from", write(command, spec), env=LOCAL)
    assert ended.code == 3
    assert "schedules.delete" not in read_bindings(stored(command), HOST)
    answered(command, spec, "\n" * 4)
    assert "schedules.delete" not in read_bindings(stored(command), HOST)


def test_an_owner_in_the_paths_is_said_once(command: Command) -> None:
    """Without it the path cannot be filled, and nothing is sure."""
    name = write(command, LARAVEL.document())
    asked = command("spec", "adopt", "-y", "--from", name, env=LOCAL)
    assert "say what it is with --set organization=VALUE" in asked.out
    said = command("spec", "adopt", "-y", "--set", "organization=42", "--from", name, env=LOCAL)
    assert said.code == 3
    bound = read_bindings(stored(command), HOST)
    assert bound["reports.list"].constants == {"organization": "42"}
    assert {each.method for each in bound.values()} == {"GET"}
    wrong = command("spec", "adopt", "--set", "organization=a/b", "--from", name, env=LOCAL)
    assert_one_sentence(wrong, 2, "--set must look like organization=42")


EVERYWHERE = (
    "sites.list=GET /api/v2/sites/",
    "reports.overview=GET /api/v2/reports/{report_id}/overview",
    "vortex.alerts=GET /api/v2/reports/vortex/{security_id}/alerts",
    "registrations.create=POST /api/v2/vortex-action/scans/register",
    "reports.create=POST /api/v2/sites/{site_id}/reports",
    "reports.progress=GET /api/v2/reports/{report_id}/progress",
)


@pytest.mark.parametrize("row", EVERYWHERE)
def test_every_documented_operation_can_be_bound(command: Command, here: Here, row: str) -> None:
    """What has moved is named like anything else."""
    name = write(command, FASTAPI.document())
    ended = here("spec", "adopt", "--bind", row, "--from", name)
    assert ended.code in {0, 3}, ended.err
    assert read_bindings(stored(command), HOST).keys() == {row.partition("=")[0]}


def test_what_somebody_agreed_to_is_never_replaced_silently(command: Command, here: Here) -> None:
    """When the specification contradicts it, a person decides, with both before them."""
    name = write(command, document())
    assert here("spec", "adopt", "-y", "--from", name).code == 3
    spec = copy.deepcopy(document())
    spec["paths"]["/api/plans"] = {"get": spec["paths"]["/api/schedules"].pop("get")}
    spec["paths"]["/api/plans/schedules"] = spec["paths"]["/api/plans"]
    changed = write(command, spec, "changed.json")
    assert here("spec", "check", "--from", changed).code == 1

    ended = here("spec", "adopt", "-y", "--from", changed, "--format", "json")
    assert ended.code == 3
    row = rows(ended, "proposals")["schedules.list"]
    assert row["decision"] == "undecided"
    assert row["why"][0] == (
        "It is bound to GET /api/schedules now. The path is there with POST only."
    )
    assert read_bindings(stored(command), HOST)["schedules.list"].template == "/api/schedules"
    bind = ["--bind", "schedules.list=GET /api/plans"]
    assert here("spec", "adopt", *bind, "--from", changed).code == 3
    assert read_bindings(stored(command), HOST)["schedules.list"].template == "/api/plans"
    assert here("spec", "check", "--from", changed).code == 0


def test_two_as_likely_are_never_chosen_between(command: Command) -> None:
    """Both are named, and neither is written."""
    spec = copy.deepcopy(document())
    for path in ("/api/v1/schedules", "/api/v2/schedules"):
        spec["paths"][path] = spec["paths"]["/api/schedules"]
    del spec["paths"]["/api/schedules"]
    ended = command("spec", "adopt", "-y", "--from", write(command, spec), env=LOCAL)
    assert ended.code == 3
    assert "GET /api/v1/schedules" in ended.out
    assert "GET /api/v2/schedules may be it, too." in ended.out
    assert "schedules.list" not in read_bindings(stored(command), HOST)


WRONG = {
    "no method": ("schedules.create=/api/schedules", "--bind must look like"),
    "an unknown operation": ("schedules.make=POST /api/schedules", "no operation 'schedules.make'"),
    "an unknown path": ("schedules.create=POST /api/plans", "has no POST /api/plans"),
    "another method": (
        "schedules.create=PUT /api/schedules",
        "has no PUT /api/schedules; it has that path with GET, POST",
    ),
    "what cannot be": (
        "schedules.delete=DELETE /api/schedules",
        "has no DELETE /api/schedules; it has that path with GET, POST",
    ),
    "a reader for a writer": ("schedules.create=GET /api/sites", "schedules.create sends a body"),
}


@pytest.mark.parametrize(("bind", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_place_that_cannot_be_meant_is_refused(
    command: Command, here: Here, bind: str, says: str
) -> None:
    """Before anything is proposed or written."""
    name = write(command, document())
    ended = here("spec", "adopt", "--bind", bind, "--from", name)
    assert_one_sentence(ended, 2, says)
    assert not stored(command).exists()


def test_a_broken_file_of_bindings_stops_every_command(command: Command) -> None:
    """With its line; help needs no file."""
    stored(command).parent.mkdir(parents=True)
    stored(command).write_text(f'\n["{HOST}"."reports.lost"]\nmethod = "GET"\ntemplate = "/x"\n')
    name = write(command, document())
    env = {**LOCAL, "BD_API_TOKEN": "t"}
    for arguments in (
        ["spec", "adopt", "-y", "--from", name],
        ["spec", "check", "--from", name],
        ["sites", "list"],
    ):
        assert_one_sentence(command(*arguments, env=env), 2, "bindings.toml, line 2: There is no")
    assert command("spec", "--help").code == 0


def test_a_binding_that_lies_is_told_by_the_first_use(
    command: Command, served: SandboxProcess
) -> None:
    """A specification can only be compared; what the host answers is the ordinary error."""
    spec = copy.deepcopy(document())
    spec["paths"]["/api/v9/schedules"] = spec["paths"].pop("/api/schedules")
    name = write(command, spec)
    assert command("spec", "adopt", "-y", "--from", name, env=served.env).code == 3
    assert_one_sentence(
        command("schedules", "list", env=served.env),
        2,
        "Listing the schedules was refused with status 404",
    )


def answered(command: Command, spec: object, answers: str) -> Ended:
    """Adopt at a terminal, with all answers typed at the first question."""
    name = write(command, spec)
    return on_terminal(
        *(command, "spec", "adopt", "--from", name),
        env={**LOCAL, "TERM": "dumb"},
        asked="or quit",
        answer=answers,
    )


READERS = {name for name, move in MOVES.items() if move.method == "GET"}
ASKED: dict[str, tuple[str, int, Callable[[set[str]], bool]]] = {
    "one by one": (
        "1\nnone\n" + "1\n" * 11,
        3,
        lambda bound: bound == MOVES.keys() - {"reports.get"},
    ),
    "enter takes what is sure": ("\n" * 13, 3, lambda bound: bound == READERS),
    "all": ("1\n" * 13, 0, lambda bound: bound == MOVES.keys()),
    "enough": ("1\nquit\n", 3, lambda bound: bound == {"reports.list"}),
    "none": ("none\n" * 13, 3, lambda bound: bound == set()),
}


@pytest.mark.parametrize(("answers", "code", "is_right"), ASKED.values(), ids=ASKED.keys())
def test_a_person_is_asked_for_each(
    command: Command, answers: str, code: int, is_right: Callable[[set[str]], bool]
) -> None:
    """With the reasons; only what was agreed to is written."""
    ended = answered(command, openapi(), answers)
    assert ended.code == code, ended.err
    said = " ".join(ended.err.split())  # a narrow terminal breaks lines
    assert "none of these, or quit" in said
    assert "Its path says scan." in said
    assert "It takes limit as page_size, after as cursor." in said
    assert ended.out.startswith("OPERATION")
    path = stored(command)
    assert is_right(set(read_bindings(path, HOST)) if path.exists() else set())


def test_a_person_may_choose_between_two(command: Command) -> None:
    """What is not sure is `none` unless one is named."""
    spec = copy.deepcopy(document())
    paths = spec["paths"]
    entry = paths.pop("/api/schedules")
    paths["/api/v1/schedules"] = {"post": entry["post"]}
    paths["/api/v2/schedules"] = {"post": entry["post"]}
    paths["/api/v1/schedules"]["get"] = entry["get"]
    ended = answered(command, spec, "\n\n\n2\nquit\n")
    assert ended.code == 3, ended.err
    assert "schedules.create: take 1 or 2, none" in ended.err
    bound = read_bindings(stored(command), HOST)
    assert bound["schedules.create"].template == "/api/v2/schedules"
    assert bound["schedules.list"].template == "/api/v1/schedules"
