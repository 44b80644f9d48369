"""What a build adds to pyproject.toml: addresses in the repository that the release is built in.

No repository stands in the project itself, so that a fork links to itself and a copy to nothing.
"""

import os
import re
import subprocess
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface


def repository(environ: dict[str, str], folder: str) -> str | None:
    """Return the web address of the repository: of the CI job, else of the remote `origin`."""
    if environ.get("GITHUB_REPOSITORY"):
        server = environ.get("GITHUB_SERVER_URL", "https://github.com")
        return f"{server}/{environ['GITHUB_REPOSITORY']}"
    if environ.get("CI_PROJECT_URL"):
        return environ["CI_PROJECT_URL"]
    try:
        asked = ["git", "-C", folder, "config", "--get", "remote.origin.url"]
        done = subprocess.run(asked, check=False, capture_output=True, text=True)  # noqa: S603 -- git
    except OSError:
        return None
    address = done.stdout.strip().removesuffix("/").removesuffix(".git")
    if address.startswith("git@") and ":" in address:
        address = "https://" + address.removeprefix("git@").replace(":", "/", 1)
    # A user name or a token that stands in the address is nobody's business.
    scheme, found, rest = address.partition("://")
    return f"https://{rest.rpartition('@')[2]}" if found and scheme in {"https", "ssh"} else None


def absolute(page: str, repository: str) -> str:
    """Return a page whose links and pictures are found from anywhere, as on a package index."""
    page = re.sub(r"(!\[[^]]*\]\()(?!https?:)", rf"\g<1>{repository}/raw/HEAD/", page)
    return re.sub(r"((?<!!)\[[^]]*\]\()(?!https?:|#)", rf"\g<1>{repository}/blob/HEAD/", page)


class Addresses(MetadataHookInterface):
    """Fills in `[tool.hatch.metadata.hooks.custom.urls]`, also in the links of the README."""

    def update(self, metadata: dict[str, object]) -> None:
        """Set the addresses; those in a repository that nobody knows are left out."""
        known = repository(dict(os.environ), self.root)
        metadata["urls"] = {
            name: address.format(repository=known)
            for name, address in self.config["urls"].items()
            if known or "{repository}" not in address
        }
        page = Path(self.root, "README.md").read_text("utf-8")
        page = absolute(page, known) if known else page
        metadata["readme"] = {"content-type": "text/markdown", "text": page}
