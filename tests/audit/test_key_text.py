"""One text for the keys of logs and of witnesses: read strictly, and never one for the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.cosignature import WitnessSignerKey, WitnessVerifierKey
from audit.errors import KeyMalformedError
from audit.key_text import KEY_SIZE, PRIVATE_PREFIX, KeyForm, check_key
from audit.signing import SignerKey, VerifierKey

FORM = KeyForm(b"\x07", "a test key")
NAMES = st.from_regex(r"[a-z0-9./-]{1,40}", fullmatch=True)
KEYS = st.binary(min_size=KEY_SIZE, max_size=KEY_SIZE)
SEED = bytes(range(32))


@given(NAMES, KEYS)
def test_texts_round_trip(name: str, key: bytes) -> None:
    assert FORM.parse_public(FORM.public_text(name, key)) == (name, key)
    assert FORM.parse_private(FORM.private_text(name, key)) == (name, key)


@given(st.text(max_size=120))
def test_whatever_is_read_is_the_one_text_of_its_key(text: str) -> None:
    for given_text in (text, f"example.com/foo+530d903a+{text}", PRIVATE_PREFIX + text):
        try:
            found = FORM.parse_public(given_text)
        except KeyMalformedError:
            continue
        assert FORM.public_text(*found) == given_text


@given(NAMES, KEYS, st.data())
def test_a_text_with_one_character_changed_is_another_key_or_none(
    name: str, key: bytes, data: st.DataObject
) -> None:
    text = FORM.public_text(name, key)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(exclude_characters=text[place]))
    with pytest.raises(KeyMalformedError):
        FORM.parse_public(text[:place] + other + text[place + 1 :])


def test_the_texts_are_those_of_gos_sumdb_note() -> None:
    """From the documentation of golang.org/x/mod/sumdb/note."""
    private = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
    public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    key = SignerKey.parse(private)
    assert (key.encode(), str(key.verifier)) == (private, public)


def test_a_key_of_one_kind_is_none_of_the_other() -> None:
    log, witness = SignerKey("example.com/foo", SEED), WitnessSignerKey("example.com/foo", SEED)
    assert log.key_id != witness.verifier.key_id
    with pytest.raises(KeyMalformedError, match="expected a cosignature key of"):
        WitnessVerifierKey.parse(str(log.verifier))
    with pytest.raises(KeyMalformedError, match="expected an Ed25519 key of"):
        VerifierKey.parse(str(witness.verifier))
    with pytest.raises(KeyMalformedError, match="expected a cosignature key of"):
        WitnessSignerKey.parse(log.encode())
    with pytest.raises(KeyMalformedError, match="expected an Ed25519 key of"):
        SignerKey.parse(witness.encode())


def test_a_seed_under_the_id_of_its_public_key_alone_is_read() -> None:
    text = FORM.private_text("name", SEED)
    head, key_id, encoded = text.rsplit("+", 2)
    wrong = "0" * 8 if key_id != "0" * 8 else "1" * 8
    with pytest.raises(KeyMalformedError, match=f"expected key id {key_id}, got another") as caught:
        FORM.parse_private(f"{head}+{wrong}+{encoded}")
    assert encoded not in str(caught.value)
    with pytest.raises(KeyMalformedError, match="starts with PRIVATE"):
        FORM.parse_private(FORM.public_text("name", SEED))


@pytest.mark.parametrize(("name", "key"), [("", SEED), ("a b", SEED), ("a+b", SEED), ("a", SEED[1:])])
def test_what_cannot_stand_in_a_text_is_refused(name: str, key: bytes) -> None:
    with pytest.raises(KeyMalformedError):
        check_key(name, key)
