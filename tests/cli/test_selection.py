"""Which sites a scan takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bestdefense_async.testing.process import SandboxProcess
    from tests.support.command import Command, Ended
    from tests.support.inside import Inside

NO_SITE = "00000000-0000-4000-8000-000000000000"


def planned(inside: Inside, served: SandboxProcess, *arguments: str) -> tuple[Ended, set[str]]:
    """Return how a dry run ended, and what it would scan."""
    ended = inside("scan", *arguments, "--dry-run", "--format", "jsonl", env=served.env)
    return ended, {each["target"] for each in ended.events}


def test_all_sites_can_be_chosen(inside: Inside, served: SandboxProcess, names: list[str]) -> None:
    """By name, so that a report reads as one of a list."""
    ended, targets = planned(inside, served, "--all")
    assert ended.code == 0, ended.err
    assert targets == set(names)


def test_patterns_choose_and_leave_out(
    inside: Inside, served: SandboxProcess, names: list[str]
) -> None:
    """Without targets, of all sites; how many were left out is told."""
    first, second = names[0], names[1]
    domain = first.partition(".")[2]
    there = {name for name in names if name.endswith(f".{domain}")}

    _, matched = planned(inside, served, "--match", f"*.{domain.upper()}")
    ended, without = planned(inside, served, "--all", "--exclude", f"*.{domain}")
    (inside.directory / "not.txt").write_text(f"# not these\n{second}\n\n")
    _, rest = planned(inside, served, first, second, "--exclude-from", "not.txt")

    assert matched == there
    assert without == set(names) - there
    assert f"{len(there)} targets left out by --match and --exclude" in ended.err
    assert rest == {first}


WRONG = {
    "all and some": (["a.example", "--all"], "leave out the targets, or --all"),
    "nothing": ([], "or choose --all"),
    "only what not": (["--exclude", "*"], "or choose --all"),
    "nothing left": (["--all", "--exclude", "*"], "leave no target"),
    "a list that is not there": (["--all", "--exclude-from", "no.txt"], "cannot be read"),
}


@pytest.mark.parametrize(("arguments", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_choice_of_nothing_is_refused(
    inside: Inside, served: SandboxProcess, arguments: list[str], says: str
) -> None:
    """Nothing is started."""
    before = served.count("reports.create")
    ended = inside("scan", *arguments, env=served.env)
    assert ended.code == 2, ended.err
    assert says in ended.err
    assert served.count("reports.create") == before


@pytest.mark.parametrize("more", [":8443", "/shop", "/?a=b"])
def test_a_port_or_a_path_that_is_left_out_is_said(
    inside: Inside, served: SandboxProcess, names: list[str], more: str
) -> None:
    """Whoever names a path expects that it is scanned alone."""
    told = "1 target names a port or a path, which is left out: the whole site is scanned"
    ended, _ = planned(inside, served, f"https://{names[0]}{more}")
    assert told in ended.err
    for plain in (f"https://{names[0]}/", f"https://{names[0]}:443", names[0]):
        assert "left out" not in planned(inside, served, plain)[0].err


def test_what_is_tested_is_sent(inside: Inside, served: SandboxProcess, names: list[str]) -> None:
    """As a site or as an API; with another type it has no meaning."""
    ended = inside("scan", names[0], "--test", "API", "-q", "--fail-on", "none", env=served.env)
    assert ended.code == 0, ended.err
    wrong = inside("scan", names[0], "--test", "web", "--type", "dns", env=served.env)
    assert wrong.code == 2
    assert "--test belong to a security scan" in wrong.err


def test_a_resumed_run_has_chosen_already(inside: Inside, served: SandboxProcess) -> None:
    """Its targets were fixed when it began."""
    ended = inside("scan", "--resume", "last", "--all", "--match", "*", env=served.env)
    assert ended.code == 2
    assert "leave out --all and --match" in ended.err


OVERWRITTEN = {
    "the list": ["scan", "-l", "hosts.md", "-o", "hosts.md"],
    "the list by another name": ["scan", "-l", "hosts.md", "-o", "./sub/../hosts.md"],
    "the list by a link": ["scan", "-l", "hosts.md", "-o", "link.md"],
    "the exceptions": ["scan", "b.example", "--exclude-from", "hosts.md", "-o", "hosts.md"],
    "the run": ["gate", "--run", "run.json", "-o", "run.json"],
    "the run that is rendered": ["report", "run.json", "-o", "run.json"],
    "the baseline": ["gate", "--run", "run.json", "--baseline", "old.json", "-o", "old.json"],
}


@pytest.mark.parametrize("arguments", OVERWRITTEN.values(), ids=OVERWRITTEN.keys())
def test_what_is_read_is_not_written_over(
    inside: Inside, served: SandboxProcess, arguments: list[str]
) -> None:
    """A slip of the hand must not cost a list of hosts."""
    from tests.support.runs import fleet

    inside.save("run.json", fleet(3))
    inside.save("old.json", fleet(2, seed=8))
    (inside.directory / "sub").mkdir()
    (inside.directory / "hosts.md").write_text("a.example\n")
    (inside.directory / "link.md").symlink_to("hosts.md")
    before = {path: path.read_bytes() for path in inside.directory.glob("*.*") if path.is_file()}

    ended = inside(*arguments, env=served.env)

    assert ended.code == 2, ended.err
    assert "cannot be written: it is read in the same run" in ended.err
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", ["run.jsonl", "run.json"])
def test_a_link_is_written_through(
    inside: Inside, served: SandboxProcess, names: list[str], name: str
) -> None:
    """Whoever made it wants the file where it leads to."""
    (inside.directory / "real").mkdir()
    (inside.directory / name).symlink_to(f"real/{name}")
    ended = inside("scan", names[0], "-q", "-o", name, env=served.env)
    assert ended.code == 0, ended.err
    assert (inside.directory / name).is_symlink()
    assert (inside.directory / "real" / name).stat().st_size > 100


def test_many_unknown_hosts_are_counted(inside: Inside, served: SandboxProcess) -> None:
    """A list of another organization is no 100,000 lines."""
    lines = "\n".join(f"h{n}.example" for n in range(300))
    (inside.directory / "hosts.txt").write_text(lines)
    for more in (["--dry-run"], ["-q"]):
        ended = inside("scan", "-l", "hosts.txt", *more, env=served.env)
        assert ended.code == 2
        assert ended.err.count("No site of this organization is called") == 20
        assert "280 more" in ended.err


def test_a_site_is_named_alike_everywhere(
    inside: Inside, served: SandboxProcess, names: list[str]
) -> None:
    """What `scan` reads as a site, a command about one site does too."""
    listed = inside("sites", "list", "-f", "jsonl", env=served.env).events
    wanted = next(site for site in listed if site["hostname"] == names[0])

    for text in (names[0].upper(), f"https://{names[0]}:443/a?b", wanted["id"].upper()):
        shown = inside("sites", "show", text, "-f", "jsonl", env=served.env)
        planned = inside("scan", text, "--dry-run", "-f", "jsonl", env=served.env)
        assert (shown.code, planned.code) == (0, 0), shown.err + planned.err
        assert shown.events == [wanted]
        assert planned.events[0]["site_id"] == wanted["id"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nowhere.example", "No site of this organization is called nowhere.example."),
        (NO_SITE, f"No site of this organization has the id {NO_SITE}."),
        ("a b", "'a b' contains a space"),
    ],
)
def test_what_names_no_site_is_told_alike_everywhere(
    inside: Inside, served: SandboxProcess, text: str, said: str
) -> None:
    """In one sentence, and nothing is started or scheduled."""
    for words in (["sites", "show"], ["schedules", "create", "--every", "weekly"]):
        ended = inside(*words, text, env=served.env)
        assert ended.code == 2
        assert ended.err.startswith(f"bestdefense: {said}")


def test_a_shell_completes_the_sites_of_earlier_runs(
    command: Command, served: SandboxProcess, names: list[str]
) -> None:
    """They stand in the record on this machine: nobody waits for a network at a press of Tab."""
    assert command("scan", names[0], env=served.env).code == 0

    for words in ("scan", "sites show", "schedules create"):
        env = {
            "_BESTDEFENSE_COMPLETE": "bash_complete",
            "COMP_WORDS": f"bestdefense {words} {names[0][:3].upper()}",
            "COMP_CWORD": str(len(words.split()) + 1),
        }
        assert command(env=env).out.split() == [f"plain,{names[0]}"]


def test_a_shell_completes_files(command: Command) -> None:
    """Where an option takes one."""
    for option in ("--list", "-o", "--waivers", "--token-file", "--ca-file", "--exclude-from"):
        words = f"bestdefense scan {option} x"
        env = {"_BESTDEFENSE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "3"}
        assert command(env=env).out.split() == ["file,x"]
