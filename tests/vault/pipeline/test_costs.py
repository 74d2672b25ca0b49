"""What a refusal costs: what is too much is counted before it is worked on."""

import time

import pytest

from vault.errors import InputInvalidError, InputTooLargeError
from vault.model import Document, SourceKind
from vault.pipeline.chats import read_chats
from vault.pipeline.limits import InputLimits
from vault.pipeline.segment import segment

SECONDS = 2.5
"""Of the process's own time; each took two to three times as long before, on a machine without other work."""
LIMITS = InputLimits()


def test_a_chat_of_a_million_turns_is_refused_before_its_turns_are_read() -> None:
    payload = b'{"sessions":[{"turns":[' + b",".join([b"{}"] * 1_000_000) + b"]}]}"
    start = time.process_time()
    with pytest.raises(InputTooLargeError, match="at most 10000 turns, got 1000000"):
        read_chats(payload, LIMITS)
    assert time.process_time() - start < SECONDS


def test_a_document_of_half_a_million_headings_is_refused_at_the_first_too_many() -> None:
    start = time.process_time()
    with pytest.raises(InputTooLargeError, match="at most 10000 passages"):
        segment(Document(" #\n" * 660_000 + "a", kind=SourceKind.MARKDOWN), LIMITS)
    assert time.process_time() - start < SECONDS


def test_a_document_of_terminators_alone_is_cut_in_linear_time() -> None:
    start = time.process_time()
    assert segment(Document("a" + "!?" * 900_000), LIMITS)
    assert time.process_time() - start < SECONDS / 2


@pytest.mark.parametrize(
    "broken", [b'{"sessions":[NaN]}', b'{"sessions":[', b'{"a":"', b'["\\', b"[" * 100_000]
)
def test_a_broken_chat_file_is_refused(broken: bytes) -> None:
    with pytest.raises(InputInvalidError):
        read_chats(broken, LIMITS)


def test_brackets_within_a_text_are_no_nesting() -> None:
    text = '\\"' + "[{" * 500
    payload = '{"sessions":[{"turns":[{"text":"' + text + '"}]}]}'
    assert read_chats(payload.encode(), LIMITS)[0].turns[0].text == '"' + "[{" * 500
