"""Log keys in the note formats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import KeyMalformedError, VerificationError
from audit.signing import SignerKey, VerifierKey, compute_key_id

SEED = bytes(range(32))
KEY = SignerKey.for_deployment("ward-1", SEED)
TEXT = str(KEY.verifier)


@given(st.binary(min_size=32, max_size=32), st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True))
def test_keys_round_trip_and_what_one_signs_the_other_verifies(seed: bytes, deployment: str) -> None:
    key = SignerKey.for_deployment(deployment, seed)
    assert SignerKey.parse(key.encode()) == key
    assert VerifierKey.parse(str(key.verifier)) == key.verifier
    VerifierKey.parse(str(key.verifier)).verify(b"message", key.sign(b"message"))


def test_the_key_id_is_the_one_of_the_specification() -> None:
    # From the example of c2sp.org/signed-note.
    key = VerifierKey.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    assert compute_key_id("example.com/foo", key.public).hex() == "530d903a"


def test_one_deployment_key_gives_every_logs_key_under_its_own_name_and_id() -> None:
    a, b = KEY.for_log("clinic-a"), KEY.for_log("clinic-b")
    assert a.name == "memos-vault/ward-1/clinic-a"
    assert KEY.verifier.for_log("clinic-a") == a.verifier
    assert a.verifier.public == b.verifier.public
    assert a.key_id != b.key_id


@pytest.mark.parametrize("message", [b"messagf", b""])
def test_a_signature_of_another_message_is_refused(message: bytes) -> None:
    with pytest.raises(VerificationError, match="an invalid one"):
        KEY.verifier.verify(message, KEY.sign(b"message"))


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65)])
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(VerificationError, match="an invalid one"):
        KEY.verifier.verify(b"message", signature)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        "name+00000000+",
        "name+00000000+AQ==",
        TEXT.replace(KEY.key_id.hex(), "00000000"),
        TEXT.replace(KEY.key_id.hex(), KEY.key_id.hex().upper() + "X"),
        TEXT.replace("+A", "+B"),
        TEXT + "A",
        TEXT + "+",
        TEXT.replace("ward-1", "ward 1"),
        TEXT.replace("memos-vault/ward-1", ""),
    ],
)
def test_malformed_keys_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(KeyMalformedError, match="expected") as public:
        VerifierKey.parse(text)
    with pytest.raises(KeyMalformedError, match="expected") as private:
        SignerKey.parse("PRIVATE+KEY+" + text)
    encoded = text.rpartition("+")[2]
    for caught in (public, private):
        assert len(encoded) < 8 or encoded not in str(caught.value)


def test_a_verifier_key_is_not_taken_for_a_signer_key() -> None:
    with pytest.raises(KeyMalformedError, match="starts with PRIVATE"):
        SignerKey.parse(TEXT)


@pytest.mark.parametrize("name", ["", "a+b", "a b", "a\u2003b", "a\nb", "x" * 256])
def test_names_that_would_break_a_signature_line_are_refused(name: str) -> None:
    with pytest.raises(KeyMalformedError, match="key name"):
        SignerKey(name, SEED)


def test_a_seed_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(KeyMalformedError, match="32 bytes, got 31"):
        SignerKey("name", SEED[:-1])


def test_a_signer_does_not_show_its_seed() -> None:
    assert "seed" not in repr(KEY)
    assert repr(SEED) not in repr(KEY)
    assert KEY.encode().rpartition("+")[2] not in repr(KEY)
