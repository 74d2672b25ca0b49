"""Passages tile their source, and their spans lead back to the exact text."""

import json
from datetime import UTC, datetime
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import DocumentInvalidError, InputTooLargeError, TextEmptyError, TextInvalidError
from vault.model import Chat, Document, SourceKind, Span, SpeakerRole, Turn
from vault.pipeline.blocks import cut_markdown, cut_text
from vault.pipeline.json_leaves import decoded_places, read_leaves
from vault.pipeline.limits import InputLimits
from vault.pipeline.segment import episode_text, segment

LIMITS = InputLimits(passage_chars=60)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

# Text with the marks that the cutting rules look at, far more often than chance would give.
_MARKED = st.text(
    st.one_of(
        st.sampled_from("ab .!?\n\n\t#-*`~|1)([é漢😀"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00\u202d\u202e"),
    ),
    max_size=300,
)
# Letters by category, blank to the eye.
_FILLERS = "\u115f\u1160\u3164\uffa0"
_SOLID = _MARKED.filter(lambda text: any(char.isalnum() and char not in _FILLERS for char in text))


def _solid(text: str) -> str:
    return "".join(text.split())


def _assert_tiles(text: str, spans: tuple[Span, ...], size: int) -> None:
    end = 0
    for span in spans:
        assert not text[end : span.start].strip(), "only white space lies between passages"
        assert 0 < span.end - span.start <= size
        end = span.end
    assert not text[end:].strip()


@given(_MARKED, st.integers(1, 80))
def test_plain_text_is_cut_into_spans_that_lose_no_visible_character(text: str, size: int) -> None:
    _assert_tiles(text, cut_text(text, size), size)


@given(_MARKED, st.integers(1, 80))
def test_markdown_is_cut_into_spans_that_lose_no_visible_character(text: str, size: int) -> None:
    _assert_tiles(text, cut_markdown(text, size), size)


@given(_SOLID, st.sampled_from([SourceKind.TEXT, SourceKind.MARKDOWN]))
def test_each_passage_of_a_document_is_the_slice_that_its_span_names(text: str, kind: SourceKind) -> None:
    passages = segment(Document(text, kind=kind), LIMITS)
    assert [passage.position for passage in passages] == list(range(len(passages)))
    assert all(passage.text == text[passage.source.start : passage.source.end] for passage in passages)
    assert _solid("".join(passage.text for passage in passages)) == _solid(text)


@given(st.lists(_SOLID, min_size=1, max_size=8))
def test_each_turn_is_one_passage_whose_span_indexes_the_turns_joined_by_newlines(texts: list[str]) -> None:
    chat = Chat(tuple(Turn("Ana", text) for text in texts))
    passages = segment(chat, InputLimits())
    assert [passage.text for passage in passages] == texts
    assert all(
        episode_text(chat)[passage.source.start : passage.source.end] == passage.text for passage in passages
    )


def test_a_turn_without_a_time_takes_the_start_of_its_chat_and_keeps_speaker_role_and_ref() -> None:
    later = NOON.replace(hour=13)
    turns = (Turn("Ana", "Hi.", ref="1:0"), Turn("Desk", "Hello.", SpeakerRole.ASSISTANT, later))
    first, second = segment(Chat(turns, started=NOON), InputLimits())
    assert (first.speaker, first.role, first.at, first.ref) == ("Ana", SpeakerRole.USER, NOON, "1:0")
    assert (second.speaker, second.role, second.at, second.ref) == (
        "Desk",
        SpeakerRole.ASSISTANT,
        later,
        None,
    )


def test_short_paragraphs_share_a_passage_and_long_ones_are_cut_after_a_sentence() -> None:
    text = (
        "Short one.\n\nShort two.\n\nA first sentence of some length here. A second sentence of some length."
    )
    assert [passage.text for passage in segment(Document(text), LIMITS)] == [
        "Short one.\n\nShort two.",
        "A first sentence of some length here.",
        "A second sentence of some length.",
    ]


@pytest.mark.parametrize(
    "value", ["4111 1111 1111 1111", "Card: 4111-1111-1111-1111", "218 555 0142", "12\n34"]
)
def test_a_value_of_several_groups_of_digits_and_its_label_stay_in_one_passage(value: str) -> None:
    for before in range(60):
        passages = segment(
            Document(f"{'w' * before} {value} and then some more words to fill the line up"), LIMITS
        )
        assert any(value in passage.text for passage in passages), before


def test_markdown_keeps_a_heading_with_its_text_and_a_code_block_whole() -> None:
    text = "# Plan\n\nWalk daily.\n\n```\n# no heading\n\nx = 1\n```\n\n## Diet\n- salt\n- sugar"
    passages = segment(Document(text, kind=SourceKind.MARKDOWN), LIMITS)
    assert [passage.text for passage in passages] == [
        "# Plan\n\nWalk daily.\n\n```\n# no heading\n\nx = 1\n```",
        "## Diet\n- salt\n- sugar",
    ]


def test_json_becomes_readable_lines_with_their_key_paths_one_passage_a_record() -> None:
    text = '{"name": "Ana", "visits": [{"on": "2026-01-02", "bp": [120, 80]}, {"on": "2026-02-03", "note": ""}], "tags": []}'
    passages = segment(Document(text, kind=SourceKind.JSON), InputLimits())
    assert [passage.text for passage in passages] == [
        "name: Ana",
        "visits[0].on: 2026-01-02\nvisits[0].bp[0]: 120\nvisits[0].bp[1]: 80",
        'visits[1].on: 2026-02-03\nvisits[1].note: ""',
        "tags: []",
    ]
    assert text[passages[0].source.start : passages[0].source.end] == '"Ana"'
    assert text[passages[1].source.start : passages[1].source.end] == '"2026-01-02", "bp": [120, 80'


def test_a_long_json_string_is_cut_with_spans_that_count_its_escapes() -> None:
    value = 'Émile said "no".\n' * 8
    text = json.dumps({"note": value})
    passages = segment(Document(text, kind=SourceKind.JSON), LIMITS)
    assert len(passages) > 1
    assert all(passage.text.startswith("note: ") for passage in passages)
    for passage in passages:
        written = text[passage.source.start : passage.source.end]
        assert json.loads(f'"{written}"') == passage.text.removeprefix("note: ")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _MARKED,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_MARKED, inner, max_size=4),
    max_leaves=12,
)


def _leaf_values(value: object) -> list[object]:
    if isinstance(value, dict) and value:
        return [leaf for inner in value.values() for leaf in _leaf_values(inner)]
    if isinstance(value, list) and value:
        return [leaf for inner in value for leaf in _leaf_values(inner)]
    return [value]


@given(value=_JSON, ascii_only=st.booleans(), indent=st.sampled_from([None, 2]))
def test_the_json_reader_agrees_with_the_standard_library(
    value: object, *, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    leaves = list(read_leaves(text, depth=64))
    assert [json.loads(text[leaf.source.start : leaf.source.end]) for leaf in leaves] == _leaf_values(value)
    assert all(
        leaf.text == json.loads(text[leaf.source.start : leaf.source.end])
        for leaf in leaves
        if leaf.is_string
    )


@given(value=_MARKED, ascii_only=st.booleans())
def test_each_decoded_character_of_a_json_string_is_found_in_its_literal(
    value: str, *, ascii_only: bool
) -> None:
    literal = json.dumps(value, ensure_ascii=ascii_only)
    places = decoded_places(literal)
    assert len(places) == len(value) + 1
    assert all(
        json.loads(f'"{literal[start:end]}"') == char
        for char, start, end in zip(value, places, places[1:], strict=False)
    )


@given(_JSON)
def test_no_visible_value_of_a_json_document_is_lost(value: object) -> None:
    text = json.dumps(value)
    strings = [leaf for leaf in _leaf_values(value) if isinstance(leaf, str)]
    try:
        lines = "\n".join(
            passage.text
            for passage in segment(Document(text, kind=SourceKind.JSON), InputLimits(passage_chars=40))
        )
    except TextEmptyError:
        lines = ""
    for string in strings:
        assert all(char in lines for char in _solid(string))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1,]",
        '{"a" 1}',
        '{"a": 1,}',
        "01",
        "nul",
        '"\t"',
        '"\\x"',
        "1 2",
        "[1}",
        "{1: 2}",
        "NaN",
        "'a'",
        '{"a": }',
    ],
)
def test_what_is_not_json_is_refused_without_its_content(text: str) -> None:
    with pytest.raises(
        DocumentInvalidError, match=r"^expected one JSON value, got something else at character \d+$"
    ):
        segment(Document(text, kind=SourceKind.JSON), InputLimits())


def test_json_nested_too_deep_is_refused_without_exhausting_the_stack() -> None:
    with pytest.raises(DocumentInvalidError, match="at most 64 deep"):
        segment(Document("[" * 1_000_000, kind=SourceKind.JSON), InputLimits())


@pytest.mark.parametrize("escape", ["\\u0000", "\\ud800", "\\udc00x", "\\u202e"])
def test_json_escapes_cannot_smuggle_in_what_text_may_not_hold(escape: str) -> None:
    with pytest.raises(TextInvalidError):
        segment(Document(f'{{"a": "{escape}"}}', kind=SourceKind.JSON), InputLimits())


def test_a_document_of_too_many_passages_is_refused() -> None:
    with pytest.raises(InputTooLargeError, match="at most 3 passages, got more"):
        segment(Document("\n\n".join("abcd"), SourceKind.TEXT), InputLimits(passage_chars=1, passages=3))


def test_a_json_document_of_one_long_blank_string_has_nothing_to_remember() -> None:
    with pytest.raises(TextEmptyError, match="at least one visible value"):
        segment(Document(f'"{" " * 2000}"', kind=SourceKind.JSON), InputLimits())


def test_a_key_path_that_every_value_would_repeat_is_bounded() -> None:
    text = json.dumps({"k" * 600: {"k" * 600: ["v"] * 100}})
    with pytest.raises(InputTooLargeError, match="key paths of at most 1024 characters, got 1201"):
        segment(Document(text, kind=SourceKind.JSON), InputLimits())


def test_a_long_key_path_is_cut_from_its_left_and_a_long_number_like_a_string() -> None:
    text = json.dumps({"k" * 50 + "end": "word " * 20, "n": 10**99})
    passages = segment(Document(text, kind=SourceKind.JSON), LIMITS)
    assert all(len(passage.text) <= 60 for passage in passages)
    assert passages[0].text.startswith("…")
    assert "end: word" in passages[0].text
    digits = [passage for passage in passages if passage.text.startswith("n: ")]
    assert "".join(text[passage.source.start : passage.source.end] for passage in digits) == str(10**99)


def test_the_largest_documents_are_cut_in_linear_time() -> None:
    big = InputLimits()
    for unit in ("word ", "x", "A sentence. ", "- item\n", "a\n\n", "```\n", "[1, 2]\n"):
        text = unit * (big.document_chars // 4 // len(unit))
        started = process_time()
        cut_text(text, big.passage_chars)
        cut_markdown(text, big.passage_chars)
        assert process_time() - started < 5, f"too slow on a repetition of {len(unit)} characters"
