"""What a scan finds: the same for a host every time, and different between hosts.

Source: location, evidence, severity, guidance and CWE of a finding are documented in prose; how
many findings a site has is our guess at a fleet in which most sites are in fair order.

`Weakness`: the weaknesses a scan can find: what they are called, how bad, where, and what
to do.

CWE numbers and their meaning are MITRE's; the sentences are ours. `@HOST@` stands for the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from bestdefense_async.sandbox.world.chance import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


SEVERITIES = ("critical", "high", "medium", "low", "informational")
"""Worst first. (documented)"""


@frozen
class Weakness:
    """One kind of finding."""

    severity: str
    cwe: int
    name: str
    title: str
    paths: tuple[str, ...]
    evidence: str
    guidance: str
    scheme: str = "https"
    """Scheme of the affected location; paths of `tcp` are ports."""


_ADMIN = ("/admin", "/manage", "/internal", "/console")
_FORMS = ("/login", "/search", "/contact", "/checkout", "/profile", "/register", "/feedback")
_APIS = ("/api/v1/users", "/api/v1/orders", "/api/v2/export", "/api/v1/files", "/graphql")
_PAGES = ("/", "/about", "/pricing", "/help", "/account", "/news")

ALL = (
    Weakness(
        "critical",
        89,
        "SQL Injection",
        "Search parameter is executed as SQL",
        ("/search", "/api/v1/orders", "/report", "/catalogue"),
        "GET https://@HOST@/search?q=1'%20AND%20SLEEP(5)--%20 took 5.1 s, without SLEEP 0.1 s.",
        "Bind values as parameters; never build SQL from text the user sent.",
    ),
    Weakness(
        "critical",
        78,
        "OS Command Injection",
        "Diagnostic endpoint runs shell commands",
        ("/tools/ping", "/api/v1/diagnostics", "/cgi-bin/status"),
        "POST host=127.0.0.1;id to @HOST@ answered uid=33(www-data).",
        "Call the program without a shell and accept host names from an allow-list only.",
    ),
    Weakness(
        "critical",
        502,
        "Deserialization of Untrusted Data",
        "Session cookie is a serialized object",
        ("/", "/account", "/dashboard"),
        "A changed class name in the cookie of @HOST@ made it answer 500 with that name.",
        "Keep sessions on the server, or sign plain data instead of serialized objects.",
    ),
    Weakness(
        "critical",
        798,
        "Use of Hard-coded Credentials",
        "Default administrator password is accepted",
        _ADMIN,
        "The factory account of the product opened the console of @HOST@.",
        "Set a password of your own and restrict the console to the administration network.",
    ),
    Weakness(
        "high",
        79,
        "Cross-site Scripting",
        "Text from the address is run as script",
        _FORMS,
        "The parameter q was reflected on @HOST@ without encoding: <svg onload=...> ran.",
        "Encode for the place of output and add a Content-Security-Policy without unsafe-inline.",
    ),
    Weakness(
        "high",
        639,
        "Authorization Bypass Through User-Controlled Key",
        "Other customers' records can be read by number",
        _APIS,
        "With the session of user A, @HOST@ answered record 1042 of user B with status 200.",
        "Check on each access that the record belongs to whoever asks.",
    ),
    Weakness(
        "high",
        918,
        "Server-Side Request Forgery",
        "Image proxy reaches internal addresses",
        ("/image", "/proxy", "/api/v1/preview", "/webhooks/test"),
        "url=http://169.254.169.254/ through @HOST@ answered the metadata index.",
        "Resolve first, refuse private ranges, and connect to the address that was checked.",
    ),
    Weakness(
        "high",
        22,
        "Path Traversal",
        "Download endpoint leaves its directory",
        ("/download", "/files", "/api/v1/files", "/export"),
        "name=..%2f..%2fetc%2fpasswd on @HOST@ answered a passwd file.",
        "Look files up by identifier and refuse names that hold a separator.",
    ),
    Weakness(
        "high",
        287,
        "Improper Authentication",
        "Password reset accepts any token",
        ("/reset", "/api/v1/password", "/account/recover"),
        "An empty token on @HOST@ was accepted and the password changed.",
        "Compare the token, let it expire, and accept it once.",
    ),
    Weakness(
        "medium",
        352,
        "Cross-Site Request Forgery",
        "Form changes data without a token",
        _FORMS,
        "A POST to @HOST@ from a foreign origin changed the profile.",
        "Add an anti-forgery token and set SameSite on the session cookie.",
    ),
    Weakness(
        "medium",
        601,
        "Open Redirect",
        "Login forwards to any address",
        ("/login", "/logout", "/sso/return", "/go"),
        "next=https://attacker.example on @HOST@ answered 302 to it.",
        "Accept relative targets only.",
    ),
    Weakness(
        "medium",
        307,
        "Improper Restriction of Excessive Authentication Attempts",
        "Login can be tried without end",
        ("/login", "/api/v1/token", "/admin"),
        "200 wrong passwords in a minute on @HOST@; the 201st attempt was still answered.",
        "Slow down by account and by address, and notify the account's owner.",
    ),
    Weakness(
        "medium",
        1021,
        "Improper Restriction of Rendered UI Layers",
        "Pages can be framed by others",
        _PAGES,
        "@HOST@ sends neither frame-ancestors nor X-Frame-Options.",
        "Send Content-Security-Policy: frame-ancestors 'self'.",
    ),
    Weakness(
        "medium",
        942,
        "Permissive Cross-domain Policy",
        "API trusts every origin with credentials",
        _APIS,
        "Origin: https://attacker.example was reflected by @HOST@ with credentials allowed.",
        "List the origins that may read answers and leave all others without the header.",
    ),
    Weakness(
        "medium",
        1104,
        "Use of Unmaintained Third Party Components",
        "JavaScript library with published weaknesses",
        _PAGES,
        "@HOST@ loads a library release from 2016 with three published weaknesses.",
        "Update the library, and let the build fail on known weaknesses.",
    ),
    Weakness(
        "low",
        614,
        "Sensitive Cookie Without 'Secure' Attribute",
        "Session cookie also travels unencrypted",
        _PAGES,
        "Set-Cookie of @HOST@ lacks Secure.",
        "Set Secure, HttpOnly and SameSite on session cookies.",
    ),
    Weakness(
        "low",
        319,
        "Cleartext Transmission of Sensitive Information",
        "Strict-Transport-Security is missing",
        _PAGES,
        "No Strict-Transport-Security header on @HOST@.",
        "Send max-age of at least a year once every subdomain speaks TLS.",
    ),
    Weakness(
        "low",
        209,
        "Error Message Containing Sensitive Information",
        "Errors show file names",
        _APIS,
        "A malformed number made @HOST@ answer a stack trace with paths.",
        "Answer a reference number and keep the trace in the log.",
    ),
    Weakness(
        "low",
        525,
        "Use of Web Browser Cache Containing Sensitive Information",
        "Personal pages may be cached",
        ("/account", "/profile", "/orders", "/invoices"),
        "@HOST@ sends no Cache-Control on pages behind the login.",
        "Send Cache-Control: no-store on personal pages.",
    ),
    Weakness(
        "informational",
        200,
        "Exposure of Sensitive Information",
        "Server names its exact version",
        _PAGES,
        "Server header of @HOST@ tells product and version.",
        "Send the product name alone, or nothing.",
    ),
    Weakness(
        "informational",
        693,
        "Protection Mechanism Failure",
        "No Content-Security-Policy",
        _PAGES,
        "@HOST@ sends no Content-Security-Policy.",
        "Start with report-only, then enforce.",
    ),
    Weakness(
        "informational",
        548,
        "Exposure of Information Through Directory Listing",
        "Directory shows its files",
        ("/assets/", "/static/", "/uploads/", "/backup/"),
        "@HOST@ lists the files of this directory.",
        "Switch directory listings off.",
    ),
)

NETWORK = (
    Weakness(
        "critical",
        306,
        "Missing Authentication for Critical Function",
        "Database answers without a password",
        (":6379", ":27017", ":9200"),
        "@HOST@ listed its databases to an anonymous client.",
        "Require authentication and bind the service to the inner interface.",
        scheme="tcp",
    ),
    Weakness(
        "high",
        319,
        "Cleartext Transmission of Sensitive Information",
        "Remote access without encryption",
        (":23", ":21", ":512"),
        "@HOST@ asks for a password on an unencrypted connection.",
        "Replace the service by SSH or SFTP.",
        scheme="tcp",
    ),
    Weakness(
        "medium",
        327,
        "Use of a Broken or Risky Cryptographic Algorithm",
        "Outdated TLS versions are accepted",
        (":443", ":8443", ":993"),
        "@HOST@ completed a TLS 1.0 handshake.",
        "Accept TLS 1.2 and later only.",
        scheme="tcp",
    ),
    Weakness(
        "low",
        200,
        "Exposure of Sensitive Information",
        "Service names its exact version",
        (":22", ":25", ":3306"),
        "The greeting of @HOST@ tells product and version.",
        "Shorten the greeting.",
        scheme="tcp",
    ),
)
"""What a network scan can find."""

BY_SEVERITY: Mapping[str, tuple[Weakness, ...]] = {
    severity: tuple(weakness for weakness in ALL if weakness.severity == severity)
    for severity in SEVERITIES
}


_HEALTH = (
    # Share of sites, then least and most findings by severity, worst first.
    (0.14, ((0, 0), (0, 0), (0, 0), (0, 0), (0, 0))),
    (0.46, ((0, 0), (0, 0), (0, 1), (0, 3), (1, 5))),
    (0.82, ((0, 0), (0, 1), (1, 4), (2, 6), (2, 7))),
    (0.96, ((0, 1), (1, 3), (2, 6), (3, 8), (3, 9))),
    (1.00, ((1, 3), (3, 7), (4, 9), (5, 9), (4, 9))),
)
"""Upper edges of the shares: spotless, tidy, usual, neglected, burning."""


@frozen
class Finding:
    """One finding of one host."""

    id: str
    weakness: Weakness
    path: str


def findings_of(seed: int, host: str) -> Iterator[Finding]:
    """Yield what a complete scan of the host finds, worst first."""
    chance = digest("findings", seed, host, size=32)
    share = (chance[0] * 256 + chance[1]) / 65536
    quotas = next(quota for edge, quota in _HEALTH if share < edge)
    for rank, severity in enumerate(SEVERITIES):
        low, high = quotas[rank]
        known = BY_SEVERITY[severity]
        count = low + chance[2 + rank] % (high - low + 1)
        start = chance[8 + rank]
        for index in range(count):
            weakness = known[(start + index) % len(known)]
            path = weakness.paths[(chance[16 + rank] + index // len(known)) % len(weakness.paths)]
            identity = digest("finding", host, weakness.cwe, path, size=8).hex()
            yield Finding(identity, weakness, path)


def network_findings_of(seed: int, target: str) -> Iterator[Finding]:
    """Yield what a network scan finds at one target, worst first."""
    chance = digest("network", seed, target)
    for index, weakness in enumerate(NETWORK):
        # From one target in 32 for the worst to one in four for the least.
        if chance[index] < 8 << index:
            path = weakness.paths[chance[8 + index] % len(weakness.paths)]
            identity = digest("finding", target, weakness.cwe, path, size=8).hex()
            yield Finding(identity, weakness, path)
