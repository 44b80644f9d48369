"""Lists of targets from any editor, shell or attacker."""

import io
import itertools
import tracemalloc
from collections.abc import Iterator

import pytest

from bestdefense_async.errors import TargetError
from bestdefense_async.runs.targets import Target, decode_lines, read_targets

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
