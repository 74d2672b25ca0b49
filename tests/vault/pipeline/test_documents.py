"""File bytes become documents and chats, or errors that keep the content to themselves."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import (
    DocumentInvalidError,
    InputInvalidError,
    InputTooLargeError,
    TextEmptyError,
    TextInvalidError,
    TimeInvalidError,
)
from vault.model import Chat, SourceKind, SpeakerRole, Turn
from vault.pipeline.chats import read_chats, read_conversations, read_time
from vault.pipeline.documents import read_document
from vault.pipeline.limits import InputLimits

LIMITS = InputLimits()
SECRET = "Oleander-7421"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", SourceKind.TEXT),
        ("README", SourceKind.TEXT),
        ("a.MD", SourceKind.MARKDOWN),
        ("b.markdown", SourceKind.MARKDOWN),
        ("c.tar.json", SourceKind.JSON),
    ],
)
def test_the_kind_of_a_document_follows_its_extension(name: str, kind: SourceKind) -> None:
    assert read_document(name, b"[1]", LIMITS).kind is kind


def test_folders_of_a_file_name_are_dropped_and_a_byte_order_mark_is_no_text() -> None:
    document = read_document("/home/ana/C:\\Users\\notes.txt", b"\xef\xbb\xbfhello", LIMITS)
    assert (document.name, document.text) == ("notes.txt", "hello")


@pytest.mark.parametrize("name", ["scan.pdf", "a.html", "", "notes/", "..", "a\n.txt", ".env.exe"])
def test_a_name_of_another_kind_is_refused(name: str) -> None:
    with pytest.raises(DocumentInvalidError):
        read_document(name, b"hello", LIMITS)


@pytest.mark.parametrize(
    "payload", [b"\xff\xfeh\x00i\x00", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\x80", b"ok \xf5"]
)
def test_bytes_that_are_not_utf8_are_refused_and_do_not_travel_with_the_error(payload: bytes) -> None:
    with pytest.raises(TextInvalidError, match="expected UTF-8 text") as raised:
        read_document("a.txt", SECRET.encode() + payload, LIMITS)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "payload", "error"),
    [
        ("a.txt", b"", TextEmptyError),
        ("a.txt", b" \n", TextEmptyError),
        ("a.txt", b"a\x00b", TextInvalidError),
        ("a.txt", b"x" * 10_485_760, InputTooLargeError),
        ("a.json", b"{", DocumentInvalidError),
        ("a.json", b"[" * 100_000, DocumentInvalidError),
        ("a.json", b'["\\ud800"]', TextInvalidError),
    ],
)
def test_bad_files_get_errors_of_their_own_type(
    name: str, payload: bytes, error: type[InputInvalidError]
) -> None:
    with pytest.raises(error):
        read_document(name, payload, LIMITS)


@given(st.binary(max_size=200), st.sampled_from(["a.txt", "a.md", "a.json"]))
def test_any_bytes_are_read_or_refused_with_an_error_of_ours(payload: bytes, name: str) -> None:
    try:
        document = read_document(name, payload, LIMITS)
    except InputInvalidError:
        return
    assert document.text.encode() == payload.removeprefix(b"\xef\xbb\xbf")


OURS = {
    "sessions": [
        {
            "started": "2026-01-05T09:00:00+01:00",
            "title": "Intake",
            "tags": ["knee"],
            "metadata": {"ward": "3"},
            "turns": [
                {"speaker": "Ana", "text": "Good morning."},
                {
                    "speaker": "Desk",
                    "role": "assistant",
                    "text": "Hello!",
                    "at": "2026-01-05T09:01:00Z",
                    "ref": "1:1",
                },
            ],
        }
    ]
}


def _read(content: object) -> tuple[Chat, ...]:
    return read_chats(json.dumps(content).encode(), LIMITS)


def test_our_chat_format_is_read_with_times_roles_and_labels() -> None:
    (chat,) = _read(OURS)
    assert chat.started == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert (chat.title, chat.tags, chat.metadata) == ("Intake", ("knee",), {"ward": "3"})
    assert chat.turns == (
        Turn("Ana", "Good morning."),
        Turn("Desk", "Hello!", SpeakerRole.ASSISTANT, datetime(2026, 1, 5, 9, 1, tzinfo=UTC), "1:1"),
    )


LOCOMO = {
    "sample_id": "conv-1",
    "conversation": {
        "speaker_a": "Ana",
        "speaker_b": "Bo",
        "session_2_date_time": "12:05 am on 3 June, 2023",
        "session_2": [{"speaker": "Bo", "dia_id": "D2:1", "text": "Look!", "blip_caption": "a red bike"}],
        "session_10_date_time": "12:30 pm on 5 June, 2023",
        "session_10": [{"speaker": "Ana", "dia_id": "D10:1", "text": "Nice."}],
        "session_11_date_time": "1:00 pm on 6 June, 2023",
    },
}


@pytest.mark.parametrize("content", [LOCOMO, [LOCOMO], LOCOMO["conversation"]])
def test_the_locomo_format_is_read_in_the_order_of_its_sessions_with_captions(content: object) -> None:
    second, tenth = _read(content)
    assert second.started == datetime(2023, 6, 3, 0, 5, tzinfo=UTC)
    assert second.turns == (Turn("Bo", "Look! [photo: a red bike]", ref="D2:1"),)
    assert tenth.started == datetime(2023, 6, 5, 12, 30, tzinfo=UTC)
    assert (tenth.title, tenth.turns[0].ref) == ("Session 10", "D10:1")


def test_a_list_of_locomo_samples_stays_apart_by_sample() -> None:
    conversations = read_conversations(
        json.dumps([LOCOMO, {**LOCOMO, "sample_id": "conv-2"}]).encode(), LIMITS
    )
    assert [conversation.id for conversation in conversations] == ["conv-1", "conv-2"]


def test_the_real_locomo_file_is_read_whole(shared: Path) -> None:
    payload = (shared / "data" / "locomo" / "locomo_dev.json").read_bytes()
    conversations = read_conversations(payload, LIMITS)
    assert len(conversations) == 5
    assert sum(len(chat.turns) for conversation in conversations for chat in conversation.chats) == 2960
    assert all(chat.started for conversation in conversations for chat in conversation.chats)


def _with(**fields: object) -> object:
    return {"sessions": [{**OURS["sessions"][0], **fields}]}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ([], TextEmptyError),
        ({"sessions": []}, TextEmptyError),
        (_with(turns=[]), TextEmptyError),
        (_with(turns=[{"speaker": "Ana", "text": " "}]), TextEmptyError),
        ({}, DocumentInvalidError),
        (3, DocumentInvalidError),
        ("sessions", DocumentInvalidError),
        ({"sessions": {}}, DocumentInvalidError),
        (_with(turns=None), DocumentInvalidError),
        (_with(turns=["hello"]), DocumentInvalidError),
        (_with(turns=[{"speaker": "Ana", "text": "Hi.", SECRET: 1}]), DocumentInvalidError),
        (_with(turns=[{"speaker": 3, "text": "Hi."}]), DocumentInvalidError),
        (_with(turns=[{"speaker": "Ana", "text": "Hi.", "role": SECRET}]), DocumentInvalidError),
        (_with(metadata=[]), DocumentInvalidError),
        (_with(tags="knee"), DocumentInvalidError),
        (_with(started="0000-01-01"), TimeInvalidError),
        (_with(started="10000-01-01"), TimeInvalidError),
        (_with(started=SECRET), TimeInvalidError),
        (_with(started="0001-01-01T00:00:00+02:00"), TimeInvalidError),
        ({"session_1_date_time": "1:56 pm on 8 May, 0", "session_1": [{"text": "Hi."}]}, TimeInvalidError),
        ({"session_1_date_time": SECRET, "session_1": [{"text": "Hi."}]}, TimeInvalidError),
        (
            {"session_1_date_time": "1:56 pm on 31 June, 2023", "session_1": [{"text": "Hi."}]},
            TimeInvalidError,
        ),
    ],
)
def test_a_chat_file_of_another_shape_is_refused_without_its_content(
    content: object, error: type[InputInvalidError]
) -> None:
    with pytest.raises(error) as raised:
        _read(content)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b'{"sessions": [], "sessions": []}', DocumentInvalidError),
        (b"[" * 100_000, DocumentInvalidError),
        (b"{}{}", DocumentInvalidError),
        (b'{"sessions": ' + b"9" * 5000 + b"}", DocumentInvalidError),
        (b"\xff", TextInvalidError),
    ],
)
def test_a_chat_file_that_is_no_honest_json_is_refused(
    payload: bytes, error: type[InputInvalidError]
) -> None:
    with pytest.raises(error):
        read_chats(payload, LIMITS)


def test_more_chats_than_the_limit_are_refused() -> None:
    with pytest.raises(InputTooLargeError, match="at most 1 sessions, got 2"):
        read_chats(json.dumps({"sessions": OURS["sessions"] * 2}).encode(), InputLimits(sessions=1))


def test_a_time_without_an_offset_is_universal() -> None:
    assert read_time("start", "2026-01-05T09:00:00") == datetime(2026, 1, 5, 9, tzinfo=UTC)
