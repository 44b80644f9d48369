"""What a release is made of: addresses, workflows, and files that must agree with the project."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FORGE = ROOT / ".github"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """The build hook, imported as hatchling imports it."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://git.example/a/b.git", "https://git.example/a/b"),
        ("https://somebody:secret@git.example/a/b/", "https://git.example/a/b"),
        ("git@git.example:a/b.git", "https://git.example/a/b"),
        ("ssh://git@git.example/a/b.git", "https://git.example/a/b"),
        ("/srv/git/b.git", None),
        ("file:///srv/git/b.git", None),
        ("", None),
    ],
)
def test_the_remote_of_a_checkout_is_its_web_address(
    hook: ModuleType, tmp_path: Path, origin: str, address: str | None
) -> None:
    """Without what somebody has written into it to be let in."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    if origin:
        subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", origin], check=True)

    assert hook.repository({}, str(tmp_path)) == address


def test_a_job_knows_its_repository(hook: ModuleType, tmp_path: Path) -> None:
    """Whatever the remote of its checkout is."""
    github = {"GITHUB_REPOSITORY": "a/b", "GITHUB_SERVER_URL": "https://git.example"}

    assert hook.repository(github, str(tmp_path)) == "https://git.example/a/b"
    assert hook.repository({"CI_PROJECT_URL": "https://x.example/c"}, "") == "https://x.example/c"


def test_addresses_that_nobody_knows_are_left_out(hook: ModuleType, tmp_path: Path) -> None:
    """A folder that is no repository links to the service alone."""
    config = {"urls": {"Source": "{repository}", "Service": "https://app.bestdefense.io"}}
    metadata: dict[str, Any] = {}
    (tmp_path / "README.md").write_text("[Docs](docs/index.md)", "utf-8")

    hook.Addresses(str(tmp_path), config).update(metadata)

    assert metadata == {
        "urls": {"Service": "https://app.bestdefense.io"},
        "readme": {"content-type": "text/markdown", "text": "[Docs](docs/index.md)"},
    }


def test_the_first_page_leads_somewhere_from_a_package_index(hook: ModuleType) -> None:
    """There is no folder beside it there, so every link and every picture is a whole address."""
    page = (ROOT / "README.md").read_text("utf-8")

    shown = hook.absolute(page, "https://git.example/a/b")

    links = re.findall(r"\]\(([^)]+)\)", shown)
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", shown)
    assert len(links) == len(re.findall(r"\]\(", page)) > 10
    assert [link for link in links if not link.startswith("https://")] == []
    assert pictures
    assert {link.partition("/docs/")[0] for link in pictures} == {
        "https://git.example/a/b/raw/HEAD"
    }


def read(path: Path) -> Any:
    """Return the content of a YAML file."""
    return yaml.safe_load(path.read_text("utf-8"))


@pytest.mark.parametrize("path", sorted(FORGE.rglob("*.yml")), ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit(path: Path) -> None:
    """With its version beside it, so that updates can be proposed."""
    for line in path.read_text("utf-8").splitlines():
        if "uses:" in line and "uses: ./" not in line:
            assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+", line), line


def test_the_workflows_ask_for_nothing_but_reading() -> None:
    """Only the job that publishes gets an identity, and no job a token to write with."""
    for path in sorted((FORGE / "workflows").glob("*.yml")):
        workflow = read(path)
        assert workflow["permissions"] == {"contents": "read"}, path.name
        for name, job in workflow["jobs"].items():
            expected = {"id-token": "write"} if name == "publish" else None
            assert job.get("permissions") == expected, (path.name, name)
            assert job["timeout-minutes"] <= 45


def test_the_matrix_names_every_python_that_is_declared() -> None:
    """And the classifiers say the same."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {
        line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line
    }
    matrix = read(FORGE / "workflows" / "ci.yml")["jobs"]["tests"]["strategy"]["matrix"]

    assert set(matrix["python"]) == declared
    assert matrix["loop"] == ["asyncio", "uvloop"]


def test_the_container_copies_what_there_is() -> None:
    """And runs as nobody in particular."""
    lines = (ROOT / "Containerfile").read_text("utf-8").splitlines()
    copied = [
        name
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    ]

    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert any(line.startswith("USER ") for line in lines)
