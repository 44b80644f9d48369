"""What decoding an answer of 10,000 alerts costs, and how long the event loop would stand still.

    pip install orjson
    python benchmarks/decoding.py [--alerts 10000] [--rounds 15]

The same body is read by `orjson.loads` to dicts, which refuses less and makes no models, and by
`read_payload` and `structure` to models, in turns; the figure is the ratio of the 20th percentiles
of CPU time. The longest piece is the time between two moments in which the event loop could run.
Memory is what is allocated beside the body at the worst moment. Goals: at most 3.2 x, no piece
above 15 ms, body and peak together at most 2 x the body.
"""

import json
import random
import uuid
from typing import Any

from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.core.secret import Secret

try:
    import orjson
except ModuleNotFoundError:
    orjson = None  # type: ignore[assignment]

SECRET = Secret("a-token-that-the-answer-does-not-hold")
REQUEST = build_request(ROUTES["vortex.alerts"], {"security_id": "7"})
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
