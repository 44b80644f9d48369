"""From bytes to plain data: strict, and safe from what was made to do harm."""

import pytest

from bestdefense_async.openapi.document import LARGEST, SpecificationError, decode

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
)


@pytest.mark.parametrize(
    "body",
    [
        b'{"openapi": "3.0.0", "info": {"version": "1"}}',
        b'\xef\xbb\xbf  {"openapi": "3.0.0", "info": {"version": "1"}}\n',
        b"openapi: 3.0.0\ninfo: {version: '1'}\n",
        b"%YAML 1.2\n---\nopenapi: '3.0.0'\ninfo:\n  version: \"1\"\n...\n",
        b"x: &v {version: '1'}\nopenapi: 3.0.0\ninfo:\n  <<: *v\n",
    ],
)
def test_json_and_yaml_give_the_same(body: bytes) -> None:
    """Whatever it is called and however it begins."""
    document = decode(body)
    assert (document["openapi"], document["info"]) == ("3.0.0", {"version": "1"})


def test_yaml_gives_what_json_could() -> None:
    """A date stays text, and `200` and `yes` are names: of a response, of a property."""
    document = decode(
        b"on: 2026-01-02\nresponses: {200: {description: ok}}\nno: 1.5\nlist: [~, true]"
    )
    assert document == {
        "on": "2026-01-02",
        "responses": {"200": {"description": "ok"}},
        "no": 1.5,
        "list": [None, True],
    }


REFUSED = {
    "nothing": (b" \n", "It is empty."),
    "a page": (b"\n<!DOCTYPE html><p>openapi: 3.0.0", "It is a page"),
    "a list": (b"[1, 2]", "not an object"),
    "text": (b"Not Found", "not an object"),
    "broken JSON": (b'{"a": 1,}', "not strict JSON"),
    "a member twice in JSON": (b'{"a": 1, "a": 2}', "the same member twice"),
    "a member twice in YAML": (
        b"b: 0\na: 1\na: 2\n",
        "line 3: an object names the same member twice",
    ),
    "NaN": (b'{"a": NaN}', "NaN"),
    "JSON that is no UTF-8": (b'{"a": "\xff"}', "not valid UTF-8"),
    "YAML that is no UTF-8": (b"a: 1\nb: \xff\n", "line 2 is not UTF-8"),
    "a tab": (b"a:\n\tb: 1\n", "line 2: "),
    "two documents": (b"a: 1\n---\nb: 2\n", "another document"),
    "a tag that makes an object": (
        b"a: !!python/object/apply:os.system ['exit 1']",
        "could not determine a constructor",
    ),
    "deep JSON": (b'{"a": ' * 70 + b"1" + b"}" * 70, "nested deeper than 64"),
    "very deep JSON": (b'{"a": ' * 100_000, "nested deeper than 64"),
    "deep YAML": (b"- " * 70 + b"x", "nested deeper than 64"),
    "very deep YAML": (b"a: " + b"[" * 100_000, "nest"),
    "aliases that unfold": (BOMB.encode(), "unfold to more values"),
    "an alias to itself": (b"a: &a {b: [*a]}", "an alias to what the alias stands in"),
    "an unknown alias": (b"a: *b", "undefined alias"),
    "a key that is a list": (b"? [a]\n: b\n", "unhashable key"),
    "a number without end": (b"a: " + b"9" * 5000, "cannot be read"),
    "a set": (b"!!set {a, b}", "not an object"),
    "something huge": (b"{" + b" " * LARGEST, "larger than 16 MB"),
}


@pytest.mark.parametrize(("body", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_document_is_refused_in_one_sentence(body: bytes, says: str) -> None:
    """Before it is unfolded, whatever it would unfold to."""
    with pytest.raises(SpecificationError) as caught:
        decode(body)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
