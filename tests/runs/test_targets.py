"""Targets and lists of them: every way a person writes them, and every mistake."""

import io
import itertools
import tracemalloc
from collections.abc import Iterator

import pytest

from bestdefense_async.errors import TargetError
from bestdefense_async.runs.targets import Target, decode_lines, read_targets

SITE_ID = "0b2f6a4e-9C1d-4e57-8a3b-5d6e7f809a1b"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("shop.example.com", "shop.example.com"),
        ("  Shop.Example.COM. ", "shop.example.com"),
        ("https://Shop.example.com/cart?x=1#top", "shop.example.com"),
        ("HTTP://shop.example.com:8080", "shop.example.com"),
        ("shop.example.com:8443", "shop.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("192.0.2.7", "192.0.2.7"),
        ("http://[2001:DB8::0:1]:80/", "2001:db8::1"),
        ("a_b.example", "a_b.example"),
    ],
)
def test_a_host_is_read_from_a_name_or_a_url(text: str, host: str) -> None:
    """Letter case, trailing dot, port, path and IDNA do not make another site."""
    target = Target(text)

    assert target.host == host
    assert target.site_id is None
    assert target.text == text.strip()


def test_a_site_id_is_taken_as_it_is() -> None:
    """A UUID is no host name, and its letters are kept."""
    target = Target(SITE_ID)

    assert target.site_id == SITE_ID
    assert target.host is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        ".",
        "..",
        "-",
        "--help",
        "-shop.example",
        "shop-.example",
        "shop..example",
        "two words.example",
        "tab\tin.example",
        "nul\x00.example",
        "bidi\u202e.example",
        "soft\ufffd.example",
        "a/b",
        "a\\b",
        "%2e%2e",
        "..%2fadmin",
        "ftp://shop.example",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "http://[::1",
        "shop.example:99999",
        "shop.example:x",
        "http://shop.example:0",
        "999.0.2.7",
        "1.2.3",
        "a" * 64 + ".example",
        "a." * 130 + "example",
        "h" * 3000,
        "ü" * 300,
    ],
    ids=ascii,
)
def test_nonsense_is_refused(text: str) -> None:
    """What cannot name a site is an error of the target, with its line, before any request."""
    with pytest.raises(TargetError, match=r"^line 7: ") as caught:
        Target(text, 7)

    assert caught.value.line == 7
    assert len(str(caught.value)) <= 600


@pytest.mark.parametrize("text", ["https://user:secret@shop.example/", "user:secret@shop.example"])
def test_user_information_is_refused_and_not_repeated(text: str) -> None:
    """A password in a list ends up in no message and no attribute."""
    with pytest.raises(TargetError) as caught:
        Target(text)

    assert "secret" not in repr(caught.value) + str(caught.value) + caught.value.target


TEXT = "# sites\r\n\r\n a.example  \r\nb.example # the shop\r\nhttps://c.example/#top\r\na.example"


def read(data: bytes) -> list[Target | TargetError]:
    """Return all that is read from a list."""
    return list(read_targets(decode_lines(io.BytesIO(data))))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_is_read_whatever_its_encoding(encoding: str) -> None:
    """Byte order marks, CRLF, blanks, comments and spaces leave no trace; lines keep numbers."""
    found = [
        (each.text, each.line) for each in read(TEXT.encode(encoding)) if isinstance(each, Target)
    ]

    assert found == [
        ("a.example", 3),
        ("b.example", 4),
        ("https://c.example/#top", 5),
        ("a.example", 6),
    ]


def test_a_mark_in_text_that_was_decoded_elsewhere_is_dropped() -> None:
    """The first target of a list never begins with an invisible character."""
    assert [
        str(each.text) for each in read_targets(["\ufeffa.example\n"]) if isinstance(each, Target)
    ] == ["a.example"]


@pytest.mark.parametrize(
    "line",
    [b"a\x00b.example", b"caf\xe9.example", b"two words", b"-rf", b"x" * 10_000_000],
    ids=["NUL", "Latin-1", "two words", "an option", "10 MB in one line"],
)
def test_a_bad_line_is_an_error_with_its_number_and_the_rest_goes_on(line: bytes) -> None:
    """One bad line disturbs no other."""
    first, bad, last = read(b"a.example\n" + line + b"\nb.example\n")

    assert isinstance(bad, TargetError)
    assert bad.line == 2
    assert [first, last] == [Target("a.example", 1), Target("b.example", 3)]


def test_an_empty_list_is_empty() -> None:
    """No bytes, no targets; only comments, no targets either."""
    assert read(b"") == read(b"# nothing\n\n") == []


class Endless(io.RawIOBase):
    """A stream of one endless line, or of endlessly many."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self.pieces_read = 0

    def read(self, size: int = -1) -> bytes:
        """Return the same piece again."""
        self.pieces_read += 1
        return self._piece


def test_a_list_is_read_lazily() -> None:
    """Taking three targets of an endless list reads one piece of it."""
    stream = Endless(b"a.example\n" * 1000)

    assert len(list(itertools.islice(read_targets(decode_lines(stream)), 3))) == 3  # type: ignore[arg-type]
    assert stream.pieces_read == 1


def test_a_huge_list_takes_little_memory() -> None:
    """A hundred megabytes of list, one line among them endless, stay below one in memory."""
    pieces = itertools.chain(
        itertools.repeat(b"x" * 65_536, 800), itertools.repeat(b"a.example\n" * 100, 100), [b""]
    )

    class Stream(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return next(pieces)

    tracemalloc.start()
    try:
        count = len([0 for _ in read_targets(decode_lines(Stream()))])  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert count == 10_000
    assert peak < 1_000_000


def test_lines_are_not_held(tmp_path: object) -> None:
    """An iterator of lines is advanced one line per target."""
    taken = []

    def lines() -> Iterator[str]:
        for number in range(5):
            taken.append(number)
            yield f"h{number}.example"

    next(read_targets(lines()))

    assert taken == [0]
