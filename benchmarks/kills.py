"""What kills of the command cost: creations whose answer is lost, per kill.

    python benchmarks/kills.py [--kills 10] [--sites 1000] [--delay 0.05]

A run of the command against a sandbox in another process is killed with SIGKILL at random moments
and resumed each time. A creation whose answer is lost may exist or not, and is never sent again:
so `unknown` is the price of a kill, at most `max_starting`, 8. The sandbox's ledger says how many
of them really exist, and that no site was scanned twice.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bestdefense_async.testing.process import SandboxProcess

SPEED = 600.0


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bestdefense_async", *arguments]


def _killed(command: list[str], sandbox: SandboxProcess, after: int, env: dict[str, str]) -> bool:
    """Kill a command once so many more creations have come; return whether it was running."""
    known = sandbox.count("reports.create")
    with subprocess.Popen(
        command, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and sandbox.count("reports.create") < known + after:
            time.sleep(0.005)
        process.kill()
    return process.returncode < 0


def measure(kills: int, sites: int, delay: float) -> str:
    """Return what so many kills have cost."""
    chance = random.Random(1)
    with (
        tempfile.TemporaryDirectory() as folder,
        SandboxProcess(speed=SPEED, sites=sites) as sandbox,
    ):
        sandbox.fault("reports.create", kind="delay", delay=delay, after_effect=True)
        env = {**os.environ, **sandbox.env, "BD_STATE_DIR": folder}
        sites_listed = subprocess.run(
            _command("sites", "list", "--format", "json"), env=env, check=True, capture_output=True
        )
        hosts = Path(folder) / "hosts.txt"
        names = [site["hostname"] for site in json.loads(sites_listed.stdout)["sites"]]
        hosts.write_text("\n".join(names), encoding="utf-8")
        first = _command("scan", "-l", str(hosts), "-q")
        again = _command("scan", "--resume", "last", "-q")
        done = sum(
            _killed(again if number else first, sandbox, chance.randrange(1, sites // kills), env)
            for number in range(kills)
        )
        subprocess.run(again, env=env, check=False, capture_output=True)
        listed = subprocess.run(
            _command("runs", "list", "--format", "json"), env=env, check=True, capture_output=True
        )
        (run,) = json.loads(listed.stdout)["runs"]
        unknown, started = run["unknown"], len(sandbox.scans_per_site()) - run["done"]
        sandbox.assert_no_duplicates()
    return (
        f"{done} kills, {sites:,} sites, creations answered after {delay * 1e3:.0f} ms: "
        f"{unknown} unknown, {unknown / done:.1f} per kill; {started} of them exist; none doubled"
    )


def main() -> None:
    """Print what kills cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--sites", type=int, default=1000)
    parser.add_argument("--delay", type=float, default=0.05)
    arguments = parser.parse_args()
    print(measure(arguments.kills, arguments.sites, arguments.delay))


if __name__ == "__main__":
    main()
