"""The tokenizer against the reference's rules, and against the common implementation where it is installed."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.search.wordpiece import WordPiece, read_vocabulary, split_words

VOCABULARY = read_vocabulary()
TOKENIZER = WordPiece(VOCABULARY)
PIECES = {number: piece for piece, number in VOCABULARY.items()}


def pieces(text: str, most: int = 64) -> list[str]:
    return [PIECES[number] for number in TOKENIZER.encode(text, most)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", ["hello", ",", "world", "!"]),
        ("unaffable", ["una", "##ffa", "##ble"]),
        ("naïve Café", ["naive", "cafe"]),
        ("don't", ["don", "'", "t"]),
        ("高龍 b", ["高", "龍", "b"]),
        ("a\u200bb\tc", ["ab", "c"]),
        ("", []),
        ("x" * 101, ["[UNK]"]),
        ("[PERSON-k7f2qa]", ["[", "person", "-", "k", "##7", "##f", "##2", "##qa", "]"]),
    ],
)
def test_text_falls_into_pieces(text: str, expected: list[str]) -> None:
    assert pieces(text) == ["[CLS]", *expected, "[SEP]"]


def test_the_length_is_bounded_and_the_end_is_marked() -> None:
    assert pieces("one two three four", 4) == ["[CLS]", "one", "two", "[SEP]"]
    assert len(TOKENIZER.encode("word " * 10_000, 256)) == 256


@given(st.text(max_size=60))
def test_any_text_has_ids_of_the_vocabulary(text: str) -> None:
    ids = TOKENIZER.encode(text, 32)
    assert ids[0] == VOCABULARY["[CLS]"]
    assert ids[-1] == VOCABULARY["[SEP]"]
    assert set(ids) <= PIECES.keys()
    assert len(ids) <= 32
    assert all(word == word.strip() and word for word in split_words(text))


# Characters of which both sides' Unicode tables say the same.
ASSIGNED = st.characters(max_codepoint=0x52F).filter(lambda c: unicodedata.category(c) != "Cn")
AGREED = ASSIGNED | st.sampled_from("高龍東あ가\u200b\u2028\ufffd€—“”…😀ﬁ")


@given(st.text(AGREED, max_size=40))
@settings(max_examples=400)
def test_ids_agree_with_the_common_implementation(text: str) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="the oracle is not installed")
    oracle = tokenizers.Tokenizer(tokenizers.models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    oracle.normalizer = tokenizers.normalizers.BertNormalizer()
    oracle.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    assert TOKENIZER.encode(text, 10_000)[1:-1] == oracle.encode(text).ids
