"""Input that means harm: hiding, flooding, confusing."""

import time

import pytest

from vault.errors import InputTooLargeError
from vault.privacy.gate import PrivacyGate
from vault.privacy.tokens import SubjectTokens

SIZE = 6_000
SECONDS = 8.0
"""Generous: the slowest of these takes about one second on two busy cores; quadratic time takes minutes."""

HIDDEN_SSNS = [
    "12\u200b3-4\u200b5-67\u200b89",
    "1\u200d2\u200d3\u200d-\u200d4\u200d5\u200d-\u200d6\u200d7\u200d8\u200d9",
    "\u202e123-45-6789\u202c",
    "\u2066123\u2069-45-6789",
    "１２３-４５-６７８９",
    "١٢٣-٤٥-٦٧٨٩",
    "123\u201345\u20136789",
    "123\u221245\u22126789",
    "123&#45;45&#45;6789",
    "&#49;23-45-6789",
    "123-<b>45</b>-6789",
    "12\u00ad3-45-6789",
    "123\ufe0f-45-6789",
]


@pytest.mark.parametrize("number", HIDDEN_SSNS)
def test_a_number_cannot_hide(number: str, gate: PrivacyGate, tokens: SubjectTokens) -> None:
    text = f"his number is {number}, ok?"
    screened = gate.screen(text, tokens)
    readable = [char for char in screened.text.replace(screened.replacements[0].token, "") if char.isdigit()]
    assert readable == []
    assert screened.replacements[0].original == number.strip("\u202e\u202c\u2066\u2069") or number in text


def test_a_hidden_number_has_the_token_of_the_plain_one(gate: PrivacyGate, tokens: SubjectTokens) -> None:
    plain = gate.screen("ssn 123-45-6789", tokens).replacements[0].token
    assert [gate.screen(f"ssn {number}", tokens).replacements[0].token for number in HIDDEN_SSNS] == [
        plain
    ] * len(HIDDEN_SSNS)


@pytest.mark.parametrize(
    "text",
    [
        "mail ann\u200b.lee@\u200bmail.org",
        "mail ann.lee＠mail.org",
        "mail ann.lee&#64;mail.org",
        "mail <b>ann.lee</b>@mail.org",
        "mail ANN.LEE@MAIL.ORG",
    ],
)
def test_an_address_cannot_hide(text: str, gate: PrivacyGate, tokens: SubjectTokens) -> None:
    masked = gate.screen(text, tokens).text.lower()
    assert "lee" not in masked
    assert "org" not in masked


def test_attributes_of_markup_are_searched_as_well(gate: PrivacyGate, tokens: SubjectTokens) -> None:
    assert "ann" not in gate.screen('<a href="mailto:ann@mail.org">write</a>', tokens).text


def test_right_to_left_text_keeps_its_offsets(gate: PrivacyGate, tokens: SubjectTokens) -> None:
    text = "שלום 123-45-6789 مرحبا ann@mail.org"
    screened = gate.screen(text, tokens)
    originals = [one.original for one in screened.replacements]
    assert {"123-45-6789", "ann@mail.org"} <= set(originals)
    assert originals == [text[one.source.start : one.source.end] for one in screened.replacements]


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b", "\u200b\u200d", "🙂🙂", "́", "&#0;", "<b></b>"])
def test_nothing_much_stays_as_it_is(text: str, gate: PrivacyGate, tokens: SubjectTokens) -> None:
    assert gate.screen(text, tokens).text == text


BOMBS = [
    "a", "A", "1", "1 ", "1-", "a@", "a.", "www.", "://", "(", "Aa ", "A. ", "Mr. A ", "Ab, ", "Ab, Ab and ", ":", "ab:", "eyJa.", "-----BEGIN PRIVATE KEY-----", "password for ", "password is ",
    "lives at A ", "corner of a and ", "12 ab ", "12 Main ", "rue de ", "GB12 ABCD ", "&#49;", "<b>", "a\u200b", "e\u0301", "\u0301", "[PERSON-", "[PERSON-aaaaa2]", "a at b dot ", "\n", " ", "'", "x-",
    "123-45-6789 ", "4111 1111 1111 1111 ", "a%40", "my name is ", "Name: ", "deadbeef", "2017 ", "Ab Cd Ef Inc ", "1 jan ", "30 years ", "key=", "{", "A_KEY_", "1.1.1.", "f:", "+1", "@a",
]  # fmt: skip


@pytest.mark.parametrize("piece", BOMBS)
def test_repetition_is_screened_in_linear_time(piece: str, gate: PrivacyGate, tokens: SubjectTokens) -> None:
    start = time.process_time()
    gate.screen((piece * (SIZE // len(piece) + 1))[:SIZE], tokens)
    assert time.process_time() - start < SECONDS


def test_a_megabyte_is_refused_at_once(gate: PrivacyGate, tokens: SubjectTokens) -> None:
    start = time.process_time()
    with pytest.raises(InputTooLargeError):
        gate.screen("My SSN is 123-45-6789. " * 50_000, tokens)
    assert time.process_time() - start < 1.0


@pytest.mark.slow
def test_the_longest_text_is_screened_in_seconds_and_wholly(gate: PrivacyGate, tokens: SubjectTokens) -> None:
    sentence = "Ann went to the lake with her dog and paid 12 dollars, then mailed ann@mail.org about it. "
    start = time.process_time()
    screened = gate.screen(sentence * 1000, tokens)
    assert time.process_time() - start < 60
    assert "ann@mail.org" not in screened.text
