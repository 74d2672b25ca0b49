"""What stands inside a seal: every value comes back as it was, and nothing else is taken for one."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.privacy import EntityType
from vault.clock import from_microseconds, microseconds
from vault.content import (
    EpisodeAttributes,
    Mark,
    MaskedField,
    MemoryAttributes,
    decode_episode_attributes,
    decode_memory_attributes,
    decode_originals,
    encode_episode_attributes,
    encode_memory_attributes,
    encode_originals,
)
from vault.errors import TamperedError
from vault.model import (
    SCREENED_ISSUER,
    Annotations,
    Replacement,
    Screened,
    Span,
    SpeakerRole,
    Statement,
    TimeMention,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
TIME = st.datetimes(timezones=st.just(UTC))
SPAN = st.builds(Span, st.integers(0, 10**6), st.integers(0, 10**6))
MARK = st.builds(Mark, st.sampled_from(list(EntityType)), SPAN)
MARKS = st.lists(MARK, max_size=4).map(tuple)
FIELD = st.builds(MaskedField, TEXT, MARKS)
ORIGINALS = st.dictionaries(TEXT, st.lists(st.none() | TEXT, max_size=4).map(tuple), max_size=4)
ANNOTATIONS = st.builds(
    Annotations,
    statements=st.lists(st.builds(Statement, SPAN, st.booleans()), max_size=3).map(tuple),
    keyphrases=st.lists(TEXT, max_size=3).map(tuple),
    times=st.lists(st.builds(TimeMention, SPAN, TIME, TIME), max_size=3).map(tuple),
)
MEMORY = st.builds(
    MemoryAttributes,
    owner=TEXT,
    role=st.sampled_from(SpeakerRole),
    at=st.none() | TIME,
    source=SPAN,
    speaker=FIELD,
    ref=FIELD,
    text_marks=MARKS,
    annotations=ANNOTATIONS,
)
EPISODE = st.builds(
    EpisodeAttributes,
    owner=TEXT,
    title=FIELD,
    name=FIELD,
    at=st.none() | TIME,
    tags=st.lists(FIELD, max_size=3).map(tuple),
    metadata=st.lists(st.tuples(FIELD, FIELD), max_size=3).map(tuple),
    originals=ORIGINALS,
)
A_MEMORY = MemoryAttributes(
    owner="agent-1",
    role=SpeakerRole.USER,
    at=datetime(2026, 5, 1, tzinfo=UTC),
    source=Span(0, 9),
    speaker=MaskedField("[PERSON-abc234]", (Mark(EntityType.PERSON, Span(0, 15)),)),
    ref=MaskedField("D1:1"),
    text_marks=(Mark(EntityType.EMAIL, Span(3, 9)),),
    annotations=Annotations((Statement(Span(0, 4), question=True),), ("knee",), ()),
)


@given(MEMORY)
def test_attributes_of_a_memory_come_back(value: MemoryAttributes) -> None:
    assert decode_memory_attributes(encode_memory_attributes(value)) == value


@given(EPISODE)
def test_attributes_of_an_episode_come_back(value: EpisodeAttributes) -> None:
    assert decode_episode_attributes(encode_episode_attributes(value)) == value


@given(ORIGINALS)
def test_originals_come_back(value: dict[str, tuple[str | None, ...]]) -> None:
    assert decode_originals(encode_originals(value)) == value


@given(st.binary(max_size=60))
def test_bytes_of_another_form_are_refused(data: bytes) -> None:
    for decode in (decode_memory_attributes, decode_episode_attributes, decode_originals):
        with pytest.raises(TamperedError):
            decode(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.sampled_from(["v", "o", "r", "a", "s", "w", "f", "m", "st", "k", "t"]), JSON)
def test_a_memory_with_any_field_replaced_is_refused_or_still_a_memory(key: str, value: object) -> None:
    fields: dict[str, Any] = json.loads(encode_memory_attributes(A_MEMORY))
    fields[key] = value
    try:
        decoded = decode_memory_attributes(json.dumps(fields).encode())
    except TamperedError:
        return
    assert isinstance(decoded, MemoryAttributes)
    encode_memory_attributes(decoded)


@settings(max_examples=300)
@given(st.sampled_from(["v", "o", "t", "n", "a", "g", "m", "x"]), JSON)
def test_an_episode_with_any_field_replaced_is_refused_or_still_an_episode(key: str, value: object) -> None:
    whole = EpisodeAttributes(
        "agent-1", MaskedField("title"), MaskedField(), None, originals={"title": ("x", None)}
    )
    fields: dict[str, Any] = json.loads(encode_episode_attributes(whole))
    fields[key] = value
    try:
        decoded = decode_episode_attributes(json.dumps(fields).encode())
    except TamperedError:
        return
    assert isinstance(decoded, EpisodeAttributes)
    encode_episode_attributes(decoded)


@pytest.mark.parametrize("key", ["v", "o", "r", "a", "s", "w", "f", "m", "st", "k", "t"])
def test_a_memory_without_one_of_its_fields_is_refused(key: str) -> None:
    fields: dict[str, Any] = json.loads(encode_memory_attributes(A_MEMORY))
    del fields[key]
    with pytest.raises(TamperedError) as caught:
        decode_memory_attributes(json.dumps(fields).encode())
    assert caught.value.__cause__ is None
    assert "agent-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"), [("a", True), ("s", [False, True]), ("st", [[0, 4, True]]), ("k", "knee"), ("m", "")]
)
def test_a_field_of_another_kind_is_refused_also_where_python_would_take_it(key: str, value: object) -> None:
    fields = json.loads(encode_memory_attributes(A_MEMORY)) | {key: value}
    with pytest.raises(TamperedError):
        decode_memory_attributes(json.dumps(fields).encode())


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_another_version_of_the_form_is_refused(version: object) -> None:
    fields = json.loads(encode_memory_attributes(A_MEMORY)) | {"v": version}
    with pytest.raises(TamperedError):
        decode_memory_attributes(json.dumps(fields).encode())


@given(st.lists(st.tuples(TEXT, st.none() | TEXT), max_size=5), TEXT)
def test_a_field_revealed_is_the_text_as_it_was(pieces: list[tuple[str, str | None]], tail: str) -> None:
    masked, source, replacements = "", "", []
    for clear, original in pieces:
        token = "[PERSON-ab2cde]" if original is not None else "[SECRET]"
        masked, source = masked + clear, source + clear
        place = Span(len(masked), len(masked) + len(token))
        replacements.append(Replacement(EntityType.PERSON, place, place, token, original))
        masked, source = masked + token, source + (token if original is None else original)
    field = MaskedField.of(Screened(masked + tail, tuple(replacements), "test", SCREENED_ISSUER))
    assert field.revealed([original for _, original in pieces]) == source + tail
    with pytest.raises(TamperedError):
        field.revealed([*(original for _, original in pieces), "one too many"])


@given(TIME)
def test_a_time_in_microseconds_comes_back_exactly(at: datetime) -> None:
    assert from_microseconds(microseconds(at)) == at


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_of_any_zone_is_kept_as_its_instant(at: datetime) -> None:
    try:
        universal = at.astimezone(UTC)
    except OverflowError:
        return
    assert from_microseconds(microseconds(at)) == universal


@given(st.datetimes())
def test_a_time_without_a_zone_is_universal(at: datetime) -> None:
    assert from_microseconds(microseconds(at)) == at.replace(tzinfo=UTC)


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 253_402_300_800_000_000, -62_135_596_800_000_001])
def test_microseconds_outside_the_years_are_refused(value: int) -> None:
    with pytest.raises(OverflowError):
        from_microseconds(value)
