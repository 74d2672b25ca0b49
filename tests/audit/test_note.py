"""C2SP signed notes: the example of the specification, round trips and every malformed kind."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import NoteMalformedError, VerificationError
from audit.note import (
    MAX_NOTE_SIZE,
    Note,
    Signature,
    is_key_name,
    parse_base64,
    parse_note,
    sign_note,
    verify_note,
)
from audit.signing import SignerKey, VerifierKey

KEY = SignerKey("example.org/log", bytes(32))
OTHER = SignerKey("example.org/witness", bytes([1]) * 32)
# The example of c2sp.org/signed-note.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
LINE = "\u2014 example.org/log " + b64encode(bytes(68)).decode() + "\n"

lines = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(min_codepoint=33, exclude_characters="+"), min_size=1, max_size=20).filter(
    is_key_name
)


def test_the_example_of_the_specification_verifies() -> None:
    note = verify_note(EXAMPLE.encode(), [VerifierKey.parse(EXAMPLE_KEY)])
    assert note.text == "This is an example message.\n"
    assert note.encode().decode() == EXAMPLE


def test_the_shared_notes_verify_and_fail_with_a_letter_changed(shared: Path) -> None:
    for case in json.loads((shared / "vectors" / "tlog" / "notes.json").read_text())["notes"]:
        key = VerifierKey.parse(case["vkey"])
        note = case["note"].encode()
        assert verify_note(note, [key]).encode() == note
        with pytest.raises(VerificationError, match="note signature"):
            verify_note(note.replace(b"e", b"a", 1), [key])


@given(st.lists(lines, min_size=1, max_size=5))
def test_a_signed_text_verifies_with_each_key_and_reads_back(text_lines: list[str]) -> None:
    text = "".join(line + "\n" for line in text_lines)
    note = sign_note(text, [KEY, OTHER])
    assert parse_note(note).encode() == note
    assert verify_note(note, [KEY.verifier]).text == text
    assert [signature.name for signature in verify_note(note, [OTHER.verifier, KEY.verifier]).signatures] == [
        KEY.name,
        OTHER.name,
    ]


@given(
    lines.map(lambda line: line + "\n"),
    st.lists(st.tuples(names, st.binary(min_size=5, max_size=80)), min_size=1),
)
def test_any_note_round_trips(text: str, signatures: list[tuple[str, bytes]]) -> None:
    note = Note(text, tuple(Signature(name, value[:4], value[4:]) for name, value in signatures[:100]))
    assert parse_note(note.encode()) == note


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(NoteMalformedError):
        parse_note(noise)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n\n",
        ("text\n" + LINE).encode(),
        ("text\n\n" + LINE[:-1]).encode(),
        ("text\n\n" + LINE + "\n").encode(),
        ("te\rxt\n\n" + LINE).encode(),
        ("te\0xt\n\n" + LINE).encode(),
        b"te\xffxt\n\n" + LINE.encode(),
        ("text\n\n" + LINE.replace("\u2014", "-")).encode(),
        ("text\n\n" + LINE.replace("\u2014 ", "\u2014")).encode(),
        "text\n\n\u2014 name\n".encode(),
        "text\n\n\u2014 name \n".encode(),
        "text\n\n\u2014 name AAAA\n".encode(),
        "text\n\n\u2014 name AAAAAA==\n".encode(),
        "text\n\n\u2014 name AAAAAAA\n".encode(),
        "text\n\n\u2014 name AAAAAAB=\n".encode(),
        "text\n\n\u2014 name AAAA AAA=\n".encode(),
        "text\n\n\u2014 name ÄAAAAAA=\n".encode(),
        "text\n\n\u2014 na+me AAAAAAA=\n".encode(),
        "text\n\n\u2014  AAAAAAA=\n".encode(),
        ("text\n\n" + LINE * 101).encode(),
        b"x" * MAX_NOTE_SIZE + b"\n",
    ],
)
def test_malformed_notes_are_refused(note: bytes) -> None:
    with pytest.raises(NoteMalformedError, match="expected"):
        parse_note(note)


@pytest.mark.parametrize("text", ["", "no newline", "a\n\n\u2014 b AAAAAAA=", "bell\a\n"])
def test_a_text_that_would_not_read_back_is_not_signed(text: str) -> None:
    with pytest.raises(NoteMalformedError):
        sign_note(text, [KEY])


def test_a_note_without_a_known_signature_is_refused() -> None:
    note = sign_note("text\n", [OTHER])
    with pytest.raises(VerificationError, match=f"expected one by {KEY.name}, got none"):
        verify_note(note, [KEY.verifier])
    with pytest.raises(VerificationError, match="expected one by a known key, got none"):
        verify_note(note, [])


def test_a_wrong_signature_of_a_known_key_is_refused_even_beside_a_right_one() -> None:
    note = parse_note(sign_note("text\n", [KEY, OTHER]))
    wrong = Signature(OTHER.name, OTHER.key_id, bytes(64))
    with pytest.raises(VerificationError, match="an invalid one"):
        verify_note(Note("text\n", (note.signatures[0], wrong)).encode(), [KEY.verifier, OTHER.verifier])


def test_a_signature_repeated_by_one_key_counts_once() -> None:
    note = parse_note(sign_note("text\n", [KEY]))
    doubled = Note(note.text, note.signatures * 2)
    assert verify_note(doubled.encode(), [KEY.verifier]) == note


def test_a_signature_under_the_same_name_and_another_id_is_of_an_unknown_key() -> None:
    note = parse_note(sign_note("text\n", [KEY]))
    stranger = Signature(KEY.name, b"\0\0\0\0", note.signatures[0].value)
    assert verify_note(Note(note.text, (stranger, *note.signatures)).encode(), [KEY.verifier]) == note


def test_base64_has_one_spelling() -> None:
    assert parse_base64("AAE=") == b"\0\1"
    for text in ("AAE", "AAF=", "AA E=", "AAE=\n", "A", "é", "-_8="):
        assert parse_base64(text) is None
