"""Hashed terms: exact names are found though they are masked, and no word stands in clear."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.privacy import EntityType
from tests.vault.search.makers import HASHER, SAID, clear, masked
from vault.model import SCREENED_ISSUER, Replacement, Screened, Span
from vault.search.lexical import (
    MAX_EMBEDDED_CHARACTERS,
    MAX_QUERY_TERMS,
    TermHasher,
    embedding_text,
    prepare_query,
    restore,
)
from vault.search.record import pack
from vault.search.stand_ins import STAND_INS

REDACTED = Screened(
    "the code is [CARD_CODE] today",
    (Replacement("CARD_CODE", Span(12, 23), Span(12, 15), "[CARD_CODE]", None),),
    "test",
    SCREENED_ISSUER,
)


def shared_terms(memory: Screened, question: Screened) -> set[int]:
    return set(HASHER.record(memory).terms) & set(prepare_query(HASHER, question).terms)


def test_a_masked_name_is_found_by_a_masked_and_by_a_clear_question() -> None:
    memory = masked("I met {} yesterday", "Caroline Smith")
    assert HASHER.hash("carolin") in shared_terms(memory, masked("Who knows {}?", "Caroline", code="zzzzzz"))
    assert HASHER.hash("smith") in shared_terms(memory, clear("Who knows smith?"))


def test_a_masked_number_is_found_in_any_grouping() -> None:
    memory = masked("call {} now", "+1 (555) 123-4567", "PHONE")
    assert HASHER.hash("15551234567") in shared_terms(memory, clear("whose number is 1-555-123-4567?"))
    assert HASHER.hash("15551234567") in shared_terms(memory, clear("whose number is 15551234567?"))


def test_a_token_copied_from_an_answer_finds_its_memory() -> None:
    memory = masked("I met {} yesterday", "Caroline")
    assert HASHER.hash("k7f2qa") in shared_terms(memory, clear("who is [PERSON-k7f2qa]?"))


def test_redacted_values_leave_no_term_and_no_text() -> None:
    record = HASHER.record(REDACTED)
    assert set(record.terms) == {HASHER.hash("code"), HASHER.hash("today")}
    assert restore(REDACTED).split() == ["the", "code", "is", "today"]


def test_masking_changes_neither_length_nor_words() -> None:
    hidden, open_ = (
        HASHER.record(masked("I met {} at noon", "Caroline")),
        HASHER.record(clear("I met Caroline at noon")),
    )
    assert set(hidden.terms) - set(open_.terms) == {HASHER.hash("k7f2qa")}
    assert set(open_.terms) <= set(hidden.terms)
    assert hidden.length == open_.length


def test_other_keys_make_other_hashes() -> None:
    other = TermHasher(bytes(32))
    assert HASHER.hash("caroline") != other.hash("caroline")
    assert not set(HASHER.record(clear("a support group")).terms) & set(
        other.record(clear("a support group")).terms
    )


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        TermHasher(b"short")


@pytest.mark.parametrize(("name", "words"), [("The Doctor", ["doctor"]), ("Will", ["will"]), ("", [])])
def test_a_speaker_is_known_by_the_words_that_tell_who_it_is(name: str, words: list[str]) -> None:
    assert HASHER.record(clear("hello"), speaker=clear(name)).speaker == tuple(
        sorted(map(HASHER.hash, words))
    )


def test_no_word_of_the_text_stands_in_the_record() -> None:
    packed = pack(
        HASHER.record(masked("I met {} at the harbour", "Caroline"), speaker=clear("Melanie"), at=SAID)
    )
    for word in (b"caroline", b"carolin", b"harbour", b"melanie", b"k7f2qa"):
        assert word not in packed.lower()
    assert "key" in repr(HASHER)


def test_the_embedded_text_says_of_what_kind_a_value_was_and_no_more() -> None:
    assert embedding_text(masked("I met {} in town", "Caroline Smith")) == "I met someone in town"
    assert embedding_text(masked("write to {}", "a@b.example", "EMAIL")) == "write to some e-mail address"
    assert embedding_text(masked("my {} is new", "xyz", "KIND_OF_TOMORROW")) == "my something is new"
    assert embedding_text(REDACTED) == "the code is some card code today"


def test_every_kind_that_the_rules_name_has_its_word() -> None:
    assert {kind.value for kind in EntityType} - {"CALENDAR"} <= set(STAND_INS)


def test_speakers_and_dates_are_kept_apart_from_the_text() -> None:
    record = HASHER.record(clear("hello there"), speaker=clear("Ann Lee"), at=SAID)
    assert set(record.speaker) == {HASHER.hash("ann"), HASHER.hash("lee")}
    assert HASHER.hash(":2023-05-08") in record.dates
    assert record.at == int(SAID.timestamp())
    asked = prepare_query(HASHER, clear("What did Ann say on 8 May 2023?"))
    assert HASHER.hash("ann") in asked.names
    assert set(record.dates) == set(asked.dates)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Is it?", True),
        ("Is it? Yes.", True),
        ("“Really?”", True),
        ("本当？", True),
        ("see https://a.example/x?y=1", False),
        ("It is.", False),
        ("", False),
    ],
)
def test_a_question_is_known_by_its_mark(text: str, *, question: bool) -> None:
    assert HASHER.record(clear(text)).question is question


@given(st.text(max_size=400), st.none() | st.datetimes(timezones=st.just(UTC)))
def test_any_text_makes_a_record_that_packs_and_an_embedded_text_that_is_bounded(
    text: str, at: datetime | None
) -> None:
    assert pack(HASHER.record(clear(text), speaker=clear(text), at=at))
    assert len(embedding_text(clear(text * 20))) <= MAX_EMBEDDED_CHARACTERS
    assert len(prepare_query(HASHER, clear(text)).terms) <= MAX_QUERY_TERMS
