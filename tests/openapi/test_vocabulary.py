"""Names in any style are the same words, and every field of ours has its row."""

import pytest

from bestdefense_async.core.route import ROUTES, Grade
from bestdefense_async.openapi.vocabulary import (
    ACTIONS,
    IMPLIED,
    MEANINGS,
    OTHER_ACTIONS,
    SUBJECTS,
    split_words,
)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("nextRunAt next_run_at next-run-at NextRunAt NEXT_RUN_AT next.run.at", "next run at"),
        ("siteId site_id siteIDs SiteID site-ids", "site id"),
        ("fileName filename file_name", "filename"),
        ("sha256 sha_256 SHA256", "sha256"),
        ("vulnerabilities Vulnerability", "vulnerability"),
        ("addresses address", "address"),
        ("jumpBoxes jump-box jumpbox", "jumpbox"),
        ("status", "status"),
        ("dns", "dns"),
        ("isCompleted is_completed", "is completed"),
        ("HTTPServer httpServers", "http server"),
        ("", ""),
    ],
)
def test_a_name_in_any_style_has_the_same_words(names: str, words: str) -> None:
    """In lower case and in the singular."""
    assert {split_words(name) for name in names.split()} <= {tuple(words.split())}


def test_what_is_provisional_has_a_row_for_all_it_consists_of() -> None:
    """A field without one would never be found elsewhere."""
    for route in ROUTES.values():
        if route.grade is Grade.DESCRIBED:
            group, _, action = route.name.partition(".")
            fields = (*route.parts, *route.request_fields, *route.answer_fields)
            assert {each.rpartition(".")[2] for each in fields} <= MEANINGS.keys(), route.name
            assert group in SUBJECTS
            assert action in ACTIONS


def test_the_tables_are_in_the_form_that_is_compared() -> None:
    """A word in the plural or in capitals would match nothing."""
    for words in (*SUBJECTS.values(), *ACTIONS.values(), OTHER_ACTIONS):
        assert all(split_words(word) == (word,) for word in words), words
    assert ACTIONS.keys() >= IMPLIED
    for meaning in MEANINGS.values():
        assert len(set(meaning.names)) == len(meaning.names), meaning
        assert meaning.kinds <= {"string", "integer", "number", "boolean", "array"}
        assert {word.lower() for word in meaning.values} == meaning.values
