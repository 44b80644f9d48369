"""What a file must be, and what headers say about it."""

import pytest

from bestdefense_async.core.expected_file import (
    ExpectedFile,
    Range,
    checked_digest,
    parse_content_range,
    size_beyond,
    strong_etag,
)
from bestdefense_async.core.host import redirect_target
from bestdefense_async.errors import IntegrityError

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("size", "most"),
    [(None, 2_147_483_648), (0, 0), (2_147_483_647, 2_147_483_647), (10**12, 2_147_483_648)],
)
def test_no_more_comes_than_is_expected_and_never_more_than_two_gibibytes(
    size: int | None, most: int
) -> None:
    """A body without end must not fill the disk, whatever the manifest says."""
    assert ExpectedFile(sha256=None, size=size).most == most


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bytes 0-0/1", Range(first=0, last=0, total=1)),
        ("bytes 5-9/10", Range(first=5, last=9, total=10)),
        ("bytes 5-10/10", None),
        ("bytes 6-5/10", None),
        ("bytes 0-9/*", None),
        ("bytes 0-9/10 ", None),
        ("items 0-9/10", None),
        ("", None),
        (None, None),
    ],
)
def test_a_part_is_known_only_when_its_header_is_complete(
    text: str | None, found: Range | None
) -> None:
    """The first byte is no later than the last, and the last lies in the file."""
    assert parse_content_range(text) == found


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("bytes */0", 0),
        ("bytes */77", 77),
        ("bytes */*", None),
        ("bytes 0-1/2", None),
        (None, None),
    ],
)
def test_a_range_beyond_the_file_names_its_size(text: str | None, size: int | None) -> None:
    """A 416 says how large the file is."""
    assert size_beyond(text) == size


@pytest.mark.parametrize(
    ("text", "is_strong"),
    [
        ('"a"', True),
        ('"' + "a" * 200 + '"', True),
        ('"' + "a" * 201 + '"', False),
        ('""', False),
        ('W/"a"', False),
        ('"a b"', False),
        ("a", False),
        (None, False),
    ],
)
def test_only_a_strong_etag_stands_for_the_bytes(text: str | None, *, is_strong: bool) -> None:
    """A weak one may stand for other bytes of the same meaning."""
    assert strong_etag(text) == (text if is_strong else None)


def test_a_digest_is_in_lower_case_and_may_be_missing_only_where_none_is_required() -> None:
    """One that is there and malformed is never taken for none."""
    assert checked_digest(f" {DIGEST.upper()}\n") == DIGEST
    assert checked_digest(None, is_required=False) is None
    with pytest.raises(IntegrityError, match="gives no SHA-256"):
        checked_digest(None)
    for malformed in ("", DIGEST[1:], DIGEST + "0", "g" + DIGEST[1:]):
        for is_required in (True, False):
            with pytest.raises(IntegrityError, match="is none"):
                checked_digest(malformed, is_required=is_required)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://cdn.example/a", "https://cdn.example/a"),
        ("https://CDN.example:443/a?b#c", "https://CDN.example:443/a?b"),
        ("https://cdn.example:8443/a", None),
        ("https://other.example/a", None),
        ("http://cdn.example/a", None),
        ("https://user@cdn.example/a", None),
        ("https://cdn.example/a\\b", None),
        ("https://cdn.example/a b", None),
        ("/a", None),
        ("https://[cdn/a", None),
    ],
)
def test_a_redirect_is_followed_to_a_known_host_over_https_only(
    location: str, target: str | None
) -> None:
    """A file comes from where it was said to come from, or not at all."""
    assert redirect_target(location, {"cdn.example"}) == target
