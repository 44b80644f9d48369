"""What an answer of 10,000 alerts costs to decode, and for how long it keeps the loop from others.

    pip install orjson
    python benchmarks/decoding.py [--alerts 10000] [--rounds 15]

The same body is read by `orjson.loads` to dicts, which refuses less and makes no models, and to
models: in one piece (`read_envelope`), and in steps (`read_in_steps`), as a call does it. All take
turns; figures are 20th percentiles of CPU time, and their ratios.

The longest piece is the CPU time between two moments at which the loop could run. The garbage
collector has a share in it that is told apart: one full collection visits all objects of the
process, is started by whatever allocates next, and happens with `orjson.loads` as well.

Memory is what is allocated beside the body at the worst moment, and what the result keeps.

Goals: at most 3.2 x, no piece above 15 ms, at the worst moment no more than the result needs.
"""

import argparse
import gc
import json
import random
import statistics
import sys
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from bestdefense_async.core.codec import ALERTS_ITEMS, structure
from bestdefense_async.core.envelope import read_envelope
from bestdefense_async.core.request import Reply, Request, build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.core.secret import Secret
from bestdefense_async.core.slices import read_in_steps
from bestdefense_async.models import Alerts

try:
    import orjson
except ModuleNotFoundError:
    sys.exit("This compares with orjson, which the project does not need: pip install orjson")

SECRET = Secret("a-token-that-the-answer-does-not-hold")
REQUEST: Request[Any] = build_request(
    ROUTES["vortex.alerts"], {"security_id": "7"}, items=ALERTS_ITEMS
)
DETAILS = "The parameter is concatenated into a query without escaping. " * 3


def _alert(number: int, chance: random.Random) -> dict[str, Any]:
    """Return an alert with the members we name, and as many that we do not."""
    return {
        "id": str(uuid.UUID(int=chance.getrandbits(128))),
        "title": chance.choice(["SQL injection", "Reflected XSS", "Open redirect"]),
        "severity": chance.choice(["Critical", "High", "Medium", "Low", "Info"]),
        "url": f"https://app{chance.randrange(40)}.example/api/items/{number}?q={chance.random()}",
        "evidence": f"GET /api/items/{number} HTTP/1.1\nX-Trace: {chance.getrandbits(64):x}",
        "guidance": DETAILS,
        "cwe": f"CWE-{chance.randrange(1, 1300)}",
        "weakness": chance.choice(["Injection", "Cross-site scripting", "Redirects"]),
        "status": chance.choice(["open", "resolved", "ignored"]),
        "cvssScore": round(chance.random() * 10, 1),
        "createdAt": f"2026-03-01T{number % 24:02}:00:00.{number % 1000:03}Z",
        "resolved": chance.random() < 0.3,  # noqa: PLR2004  # some
        "tags": chance.sample(["owasp-a1", "owasp-a3", "pci", "gdpr", "internal"], 3),
        "references": [
            {"title": "OWASP", "url": f"https://owasp.example/{chance.randrange(10**4)}"},
            {"title": "MITRE", "url": f"https://cwe.example/{chance.randrange(10**4)}"},
        ],
        "parameters": [
            {"name": "q", "location": "query", "value": f"' OR {chance.randrange(10**5)}=1 --"},
            {"name": "X-Trace", "location": "header", "value": f"{chance.getrandbits(64):x}"},
        ],
        "internal": {"shard": chance.randrange(64), "flags": [1, 2, 3], "score": chance.random()},
    }


def make_body(alerts: int) -> bytes:
    """Return an answer with so many alerts, about a kilobyte each."""
    chance = random.Random(1)
    found = [_alert(number, chance) for number in range(alerts)]
    data = {"riskSummary": {"critical": alerts}, "alerts": found}
    return json.dumps({"success": True, "message": "", "data": data, "error": None}).encode()


def reply_of(body: bytes) -> Reply:
    """Return the answer with this body."""
    return Reply(200, {"content-type": "application/json"}, body)


def in_one_piece(body: bytes) -> Alerts:
    """Return the alerts of a body, read at once."""
    return structure(read_envelope(reply_of(body), REQUEST, SECRET), Alerts)


def pieces(body: bytes) -> Iterator[Alerts | None]:
    """Yield after each step of reading a body, and at last its alerts."""
    payload = yield from read_in_steps(reply_of(body), REQUEST, SECRET)
    yield structure(payload, Alerts)


def in_steps(body: bytes) -> Alerts | None:
    """Return the alerts of a body, read in steps."""
    found = None
    for found in pieces(body):  # noqa: B007  # the last one counts
        pass
    return found


class Collector:
    """Measures the CPU time of the garbage collector."""

    def __init__(self) -> None:
        self.spent = 0.0
        self._began = 0.0
        gc.callbacks.append(self._on)

    def _on(self, phase: str, _: object) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.spent += time.thread_time() - self._began


def cpu(
    readers: dict[str, Callable[[bytes], object]], body: bytes, rounds: int
) -> dict[str, float]:
    """Return CPU seconds of each reader, which take turns."""
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            gc.collect()
            began = time.process_time()
            found = read(body)
            times[name].append(time.process_time() - began)
            del found
    return {name: statistics.quantiles(each, n=5)[0] for name, each in times.items()}


def longest_piece(body: bytes) -> tuple[int, float, float]:
    """Return how many pieces there are, and CPU seconds of the longest: all, and without gc."""
    collector = Collector()
    with_gc, without = [], []
    gc.collect()
    collected, began = collector.spent, time.thread_time()
    for _ in pieces(body):
        now, spent = time.thread_time(), collector.spent
        with_gc.append(now - began)
        without.append(now - began - (spent - collected))
        collected, began = collector.spent, time.thread_time()
    gc.callbacks.clear()
    return len(with_gc), max(with_gc), max(without)


def memory(read: Callable[[bytes], object], body: bytes) -> tuple[float, float]:
    """Return what is allocated at the worst moment and what is kept, as multiples of the body."""
    gc.collect()
    tracemalloc.start()
    found = read(body)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del found
    return peak / len(body), kept / len(body)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    body = make_body(arguments.alerts)
    readers: dict[str, Callable[[bytes], object]] = {
        "orjson.loads, to dicts": orjson.loads,
        "json.loads, to dicts": json.loads,
        "in one piece, to models": in_one_piece,
        "in steps, to models": in_steps,
    }
    assert in_steps(body) == in_one_piece(body)  # noqa: S101  # else the figures mean nothing
    costs = cpu(readers, body, arguments.rounds)
    base = costs["orjson.loads, to dicts"]
    print(f"{arguments.alerts} alerts, {len(body) / 1e6:.1f} MB, {arguments.rounds} rounds")
    print(f"{'':26}{'CPU':>10}{'ratio':>8}{'at worst':>11}{'kept':>8}   (x the body)")
    for name, read in readers.items():
        peak, kept = memory(read, body)
        print(
            f"{name:26}{costs[name] * 1e3:7.0f} ms{costs[name] / base:8.2f}{peak:11.2f}{kept:8.2f}"
        )
    found = [longest_piece(body) for _ in range(5)]
    count, with_gc, without = (statistics.median(column) for column in zip(*found, strict=True))
    print(f"{count:.0f} pieces, the longest {without * 1e3:.1f} ms", end="")
    print(f", with the garbage collector {with_gc * 1e3:.1f} ms (medians of 5)")


if __name__ == "__main__":
    main()
