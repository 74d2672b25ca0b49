"""Bad input gets an error of its own type, which names the field and never what stood there."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import (
    IdentifierInvalidError,
    InputInvalidError,
    InputTooLargeError,
    TextEmptyError,
    TextInvalidError,
    TimeInvalidError,
)
from vault.model import Chat, Document, Source, Turn
from vault.pipeline.limits import InputLimits, check_source

SECRET = "Oleander-7421"
LIMITS = InputLimits()


def _chat(text: str = "Hi.", **fields: object) -> Chat:
    return Chat((Turn("Ana", text),), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t \r\n", "\u200b\u200d\ufeff", "\u2060\u00a0", "\u2800\u3164", "\u202a\u202c"]
)
@pytest.mark.parametrize("make", [_chat, Document])
def test_text_in_which_a_reader_sees_nothing_is_empty(make: type[Document], text: str) -> None:
    with pytest.raises(TextEmptyError, match="at least one visible character"):
        check_source(make(text), LIMITS)


def test_a_chat_without_turns_is_empty() -> None:
    with pytest.raises(TextEmptyError, match="at least one turn"):
        check_source(Chat(()), LIMITS)


@pytest.mark.parametrize("bad", ["\x00", "\ud800", "\u202e", "\u202d"])
@pytest.mark.parametrize(
    "place",
    [
        _chat,
        Document,
        lambda text: Chat((Turn(text, "Hi."),)),
        lambda text: Chat((Turn("Ana", "Hi.", ref=text),)),
        lambda text: _chat(title=text),
        lambda text: _chat(tags=(text,)),
        lambda text: _chat(metadata={text: "x"}),
        lambda text: _chat(metadata={"x": text}),
        lambda text: Document("x", name=text),
        lambda text: Document("x", author=text),
    ],
)
def test_nul_lone_surrogates_and_overrides_are_refused_in_every_field_without_its_content(
    place: "type[Document]", bad: str
) -> None:
    with pytest.raises(TextInvalidError) as raised:
        check_source(place(f"{SECRET}{bad}"), LIMITS)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["שלום, מה שלומך?", "مرحبا \u200fكيف الحال", "नमस्ते", "👩\u200d👧 ok", "<b>bold</b>", "می\u200cخواهم"],
)
def test_honest_writing_in_any_script_is_accepted(text: str) -> None:
    check_source(_chat(text), LIMITS)
    check_source(Document(text), LIMITS)


@pytest.mark.parametrize(
    ("source", "limits"),
    [
        (Document("x" * 10_485_760), LIMITS),
        (_chat("x" * 10_485_760), LIMITS),
        (_chat(tags=tuple(map(str, range(1_000_000)))), LIMITS),
        (_chat(tags=("x" * 129,)), LIMITS),
        (_chat(metadata={str(place): "" for place in range(65)}), LIMITS),
        (_chat(metadata={"k" * 129: ""}), LIMITS),
        (_chat(metadata={"k": "v" * 4097}), LIMITS),
        (_chat(title="t" * 513), LIMITS),
        (Document("x", name="n" * 256), LIMITS),
        (Document("x", author="n" * 256), LIMITS),
        (Chat((Turn("n" * 256, "Hi."),)), LIMITS),
        (Chat((Turn("Ana", "Hi.", ref="r" * 257),)), LIMITS),
        (Chat((Turn("Ana", "Hi."),) * 3), InputLimits(turns=2)),
        (Chat((Turn("Ana", "Hi."),) * 3), InputLimits(chat_chars=8)),
    ],
)
def test_what_is_beyond_a_limit_is_refused_by_its_name(source: Source, limits: InputLimits) -> None:
    with pytest.raises(InputTooLargeError, match="at most"):
        check_source(source, limits)


@pytest.mark.parametrize(
    ("source"),
    [
        _chat(tags=("knee", "Knee ")),
        _chat(tags=("knee", "\uff4bnee")),
        _chat(metadata={"ward": "3", "Ward": "4"}),
        _chat(tags=(" ",)),
        _chat(metadata={"": "x"}),
    ],
)
def test_ambiguous_or_blank_names_are_refused(source: Source) -> None:
    with pytest.raises(InputInvalidError):
        check_source(source, LIMITS)


def test_two_turns_with_one_ref_are_refused() -> None:
    with pytest.raises(IdentifierInvalidError, match="a ref of its own"):
        check_source(Chat((Turn("Ana", "Hi.", ref="1"), Turn("Bo", "Ho.", ref="1"))), LIMITS)


@pytest.mark.parametrize(
    "at",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))),
    ],
)
def test_a_date_whose_instant_falls_off_the_calendar_is_refused(at: datetime) -> None:
    for source in (_chat(started=at), Chat((Turn("Ana", "Hi.", at=at),)), Document("x", written=at)):
        with pytest.raises(TimeInvalidError, match="between the years 1 and 9999"):
            check_source(source, LIMITS)


@given(st.datetimes(timezones=st.none() | st.just(UTC)))
def test_every_naive_or_universal_time_is_accepted(at: datetime) -> None:
    check_source(_chat(started=at), LIMITS)


@pytest.mark.parametrize("number", [0, -1])
def test_a_limit_that_would_refuse_everything_is_refused(number: int) -> None:
    with pytest.raises(InputInvalidError, match="the limit turns"):
        InputLimits(turns=number)


def test_what_is_no_text_at_all_is_refused() -> None:
    with pytest.raises(TextInvalidError, match="expected title to be text"):
        check_source(_chat(title=7), LIMITS)
