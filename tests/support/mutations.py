"""Bodies that are nearly right: real answers with a few bytes changed."""

import random

ALERT = (
    b'{"id": "f-1", "title": "SQL injection \\u00e9 \\ud83d\\ude00", "severity": "high", '
    b'"url": "https:\\/\\/a.example\\/x?y=1", "evidence": null, "score": -1.5e3, '
    b'"guidance": "Use \\"bound\\" parameters.\\n", "cwe": "CWE-89", "weakness": "Injection", '
    b'"seen": [1, 2, {"deep": true}]}'
)
BODIES = (
    b'{"success": true, "message": "", "data": {"riskSummary": {"high": 1, "Info": 2}, '
    b'"alerts": [' + ALERT + b', {"severity": "low"}], "total": 2}, "error": null}',
    b'\xef\xbb\xbf {"success":true,"data":{"findings":[' + ALERT + b'],"risk_summary":{}}} ',
    b'{"success":true,"data":{"sites":[{"id":"0042","hostname":"\xc3\xa9.example"}]}}',
    b'{"data": {"isCompleted": false, "percentage": 40}, "success": true}',
    b'{"success": false, "message": "no", "error": {"code": "x", "message": "why"}}',
    b'[1, 2.50, -0, 1e5, "a", null]',
)
PIECES = (
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b" ", b"\n", b"\0", b"\x1f", b"\x7f"),
    *(b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\u", b"\\ud800", b"\\uD83D\\uDE00"),
    *(b"1e999", b"NaN", b"-Infinity", b"null", b"true", b"0", b"-", b".5", b"9" * 5000),
    *(b'"success": false,', b'"success": true,', b'"data": 1,', b'"alerts": [],', b'"error": "x",'),
    *(b'"severity": 1,', b'"severity": "",', b'"id": {},', b'"title": 5,', b"[]", b"{}"),
    *(b"[" * 40 + b"]" * 40, b'{"a":' * 70 + b"1" + b"}" * 70, b'"a":1,"a":2,', b"{}" * 3),
)


def mutated(chance: random.Random, bodies: tuple[bytes, ...] = BODIES) -> bytes:
    """Return one of `bodies` with up to three places deleted, doubled, replaced or added to."""
    body = chance.choice(bodies)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(body) + 1)
        end = min(len(body), at + chance.choice((0, 0, 1, 1, 2, 5, 20, len(body))))
        put = chance.choice((b"", body[at:end] * 2, chance.choice(PIECES), chance.choice(PIECES)))
        body = body[:at] + put + body[end:]
    return body
