"""Cosignatures of witnesses, against the specification and a checkpoint that a public witness signed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.cosignature import (
    MAX_LINES_SIZE,
    MAX_TIME,
    WitnessSignerKey,
    WitnessVerifierKey,
    compute_witness_key_id,
    cosignature_time,
    cosigned_message,
    parse_cosignatures,
    verify_cosignatures,
)
from audit.errors import KeyMalformedError, NoteMalformedError, VerificationError
from audit.note import Note, Signature, parse_note, verify_note
from audit.signing import SignerKey, VerifierKey

KEY = WitnessSignerKey("witness.example/w1", bytes(range(32)))
TEXT = str(KEY.verifier)
CHECKPOINT = "example.com/log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"

PUBLIC_CHECKPOINT = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
""".encode()
"""A checkpoint of a public log as its witnesses cosigned it in May 2026."""
PUBLIC_WITNESS = WitnessVerifierKey.parse(
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
)
PUBLIC_LOG = VerifierKey.parse(
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
)


def cosigned(*keys: WitnessSignerKey, time: int = 1_700_000_000) -> Note:
    return Note(CHECKPOINT, tuple(key.cosign(CHECKPOINT, time) for key in keys))


def test_a_cosignature_of_a_public_witness_over_a_public_log_verifies() -> None:
    note = verify_note(PUBLIC_CHECKPOINT, [PUBLIC_LOG, PUBLIC_WITNESS])
    assert [signature.name for signature in note.signatures] == [PUBLIC_LOG.name, PUBLIC_WITNESS.name]
    (found,) = verify_cosignatures(parse_note(PUBLIC_CHECKPOINT), [PUBLIC_WITNESS])
    assert (found.witness, found.time) == (PUBLIC_WITNESS, 0x6A122120)


def test_a_public_cosignature_over_another_size_is_refused() -> None:
    forged = parse_note(PUBLIC_CHECKPOINT.replace(b"1432088532", b"1432088533"))
    with pytest.raises(VerificationError, match="cosignature: expected a valid one by remora"):
        verify_cosignatures(forged, [PUBLIC_WITNESS])


def test_the_message_is_the_one_of_the_specification() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    assert cosigned_message(text, 1679315147).decode() == f"cosignature/v1\ntime 1679315147\n{text}"


def test_the_time_is_the_one_of_the_specifications_example() -> None:
    line = (
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJs"
        "X3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    (signature,) = parse_cosignatures(line.encode())
    assert cosignature_time(signature) == 1679315147


def test_the_key_id_is_that_of_a_cosigner_and_not_that_of_a_log() -> None:
    assert PUBLIC_WITNESS.key_id.hex() == "da77ade7"
    assert compute_witness_key_id("remora.n621.de", PUBLIC_WITNESS.public).hex() == "da77ade7"
    assert SignerKey(KEY.name, KEY.seed).key_id != KEY.verifier.key_id


@given(
    st.binary(min_size=32, max_size=32),
    st.from_regex(r"[a-z0-9./-]{1,40}", fullmatch=True),
    st.integers(0, MAX_TIME),
)
def test_keys_round_trip_and_what_one_cosigns_the_other_verifies(seed: bytes, name: str, time: int) -> None:
    key = WitnessSignerKey(name, seed)
    assert WitnessSignerKey.parse(key.encode()) == key
    assert WitnessVerifierKey.parse(str(key.verifier)) == key.verifier
    (found,) = verify_cosignatures(cosigned(key, time=time), [key.verifier])
    assert found.time == time
    assert parse_cosignatures(str(found.signature).encode()) == (found.signature,)


def test_a_signer_key_is_not_shown() -> None:
    assert KEY.seed.hex() not in repr(KEY)
    assert KEY.encode() not in repr(KEY)


def test_a_cosignature_with_another_time_than_the_signed_one_is_refused() -> None:
    (signature,) = cosigned(KEY).signatures
    later = Signature(signature.name, signature.key_id, (1).to_bytes(8) + signature.value[8:])
    with pytest.raises(VerificationError, match="an invalid one"):
        verify_cosignatures(Note(CHECKPOINT, (later,)), [KEY.verifier])


@pytest.mark.parametrize("value", [b"x", bytes(71), bytes(73), bytes(72), b"\xff" * 72])
def test_what_is_no_cosignature_is_refused(value: bytes) -> None:
    with pytest.raises(VerificationError, match="an invalid one"):
        KEY.verifier.verify(CHECKPOINT.encode(), value)


def test_text_that_is_not_utf_8_is_no_text_that_was_cosigned() -> None:
    with pytest.raises(VerificationError, match="an invalid one"):
        KEY.verifier.verify(b"\xff", KEY.cosign(CHECKPOINT, 1).value)


def test_a_time_beyond_63_bits_is_neither_signed_nor_read() -> None:
    for time in (-1, MAX_TIME + 1):
        with pytest.raises(ValueError, match="expected a time"):
            KEY.cosign(CHECKPOINT, time)
    with pytest.raises(NoteMalformedError, match="63 bits"):
        cosignature_time(Signature(KEY.name, KEY.verifier.key_id, b"\xff" * 72))
    with pytest.raises(NoteMalformedError, match="expected a cosignature of 72 bytes, got 64"):
        cosignature_time(Signature(KEY.name, KEY.verifier.key_id, bytes(64)))


def test_a_cosignature_from_the_future_is_refused_where_the_time_is_known() -> None:
    note = cosigned(KEY, time=1_700_000_001)
    assert verify_cosignatures(note, [KEY.verifier], not_after=1_700_000_001)
    with pytest.raises(VerificationError, match="time: expected at most 1700000000, got 1700000001"):
        verify_cosignatures(note, [KEY.verifier], not_after=1_700_000_000)


def test_one_key_under_two_names_is_counted_once() -> None:
    twin = WitnessSignerKey("witness.example/w2", KEY.seed)
    other = WitnessSignerKey("witness.example/w3", bytes(32))
    note = cosigned(KEY, twin, KEY, other)
    found = verify_cosignatures(note, [KEY.verifier, twin.verifier, other.verifier])
    assert [one.witness.name for one in found] == ["witness.example/w1", "witness.example/w3"]


def test_cosignatures_of_unknown_witnesses_are_left_out() -> None:
    assert verify_cosignatures(cosigned(KEY), []) == ()


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"\n",
        b"text\n",
        str(KEY.cosign(CHECKPOINT, 1)).encode()[:-1],
        b"text\n\n" + str(KEY.cosign(CHECKPOINT, 1)).encode(),
        str(KEY.cosign(CHECKPOINT, 1)).encode() + b"\n",
        str(KEY.cosign(CHECKPOINT, 1)).encode() * 101,
        b"\xff\n",
        bytes(MAX_LINES_SIZE + 1),
    ],
)
def test_an_answer_that_is_not_signature_lines_alone_is_refused(lines: bytes) -> None:
    with pytest.raises(NoteMalformedError):
        parse_cosignatures(lines)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        "name+00000000+",
        "name+00000000+BA==",
        TEXT.replace(KEY.verifier.key_id.hex(), "00000000"),
        TEXT.replace("+BA", "+AQ"),
        TEXT + "A",
        " " + TEXT,
        str(SignerKey(KEY.name, KEY.seed).verifier),
    ],
)
def test_what_is_no_witness_key_is_refused(text: str) -> None:
    with pytest.raises(KeyMalformedError):
        WitnessVerifierKey.parse(text)
    with pytest.raises(KeyMalformedError):
        WitnessSignerKey.parse("PRIVATE+KEY+" + text)
    with pytest.raises(KeyMalformedError):
        WitnessSignerKey.parse(text)
