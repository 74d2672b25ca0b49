"""Subkeys: one label a use, and HKDF and HMAC as their standards say."""

import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.crypto.aead import CommittingAead
from vault.crypto.derive import Label, derive, fingerprint, hkdf
from vault.crypto.encoding import frame

SECRET = bytes(range(32))


def test_each_label_gives_another_key() -> None:
    assert len({derive(SECRET, label) for label in Label}) == len(Label)


def test_each_context_and_secret_gives_another_key() -> None:
    keys = {
        derive(SECRET, Label.TOKEN),
        derive(SECRET, Label.TOKEN, b"x"),
        derive(SECRET, Label.TOKEN, b"y"),
        derive(bytes(32), Label.TOKEN),
    }
    assert len(keys) == 4


def test_a_derived_key_is_the_same_in_every_release() -> None:
    assert derive(bytearray(SECRET), Label.SEALING, b"context").hex() == KEPT


KEPT = "77f235501020a76cca9fd854b9e4b67f6838efc558170b77f4f69943f47de0f1"


def test_hkdf_is_extract_and_expand() -> None:
    extracted = hmac.digest(b"salt", b"secret", "sha256")
    first = hmac.digest(extracted, b"use\x01", "sha256")
    second = hmac.digest(extracted, first + b"use\x02", "sha256")
    assert hkdf(b"secret", b"salt", b"use", 40) == (first + second)[:40]


def test_a_fingerprint_names_a_key_without_telling_it() -> None:
    assert len(fingerprint(SECRET)) == 32
    assert fingerprint(SECRET) != fingerprint(bytes(32))
    assert fingerprint(SECRET) not in SECRET.hex()


@given(st.lists(st.binary(max_size=20), max_size=5), st.lists(st.binary(max_size=20), max_size=5))
def test_two_lists_share_a_frame_only_if_they_are_equal(left: list[bytes], right: list[bytes]) -> None:
    assert (frame(*left) == frame(*right)) == (left == right)


def test_a_frame_keeps_the_border_between_its_parts() -> None:
    assert frame(b"ab", b"c") != frame(b"a", b"bc")
    assert frame(b"a", b"") == b"\x00\x00\x00\x01a\x00\x00\x00\x00"


def groups(path: Path) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(path.read_text())["testGroups"]
    return loaded


def test_wycheproof_hkdf(shared: Path) -> None:
    seen = {"valid": 0, "invalid": 0}
    for case in (
        case
        for group in groups(shared / "vectors/wycheproof/hkdf_sha256_test.json")
        for case in group["tests"]
    ):
        given_ = (
            bytes.fromhex(case["ikm"]),
            bytes.fromhex(case["salt"]),
            bytes.fromhex(case["info"]),
            case["size"],
        )
        seen[case["result"]] += 1
        if case["result"] == "valid":
            assert hkdf(*given_).hex() == case["okm"]
        else:
            with pytest.raises(ValueError, match="large"):
                hkdf(*given_)
    assert min(seen.values()) > 0


def test_wycheproof_hmac_in_the_commitment(shared: Path) -> None:
    seen = {"valid": 0, "invalid": 0}
    for group in groups(shared / "vectors/wycheproof/hmac_sha256_test.json"):
        if group["tagSize"] != 256:
            continue
        for case in group["tests"]:
            aead = CommittingAead(bytes(32))
            aead._committer = hmac.new(bytes.fromhex(case["key"]), digestmod="sha256")
            message = bytes.fromhex(case["msg"])
            commitment = aead._commitment(message[:24], message[24:])
            seen[case["result"]] += 1
            assert hmac.compare_digest(commitment.hex(), case["tag"]) == (case["result"] == "valid")
    assert min(seen.values()) > 20


def test_the_commitment_is_hmac_of_nonce_and_place() -> None:
    aead = CommittingAead(SECRET)
    commitment_key = derive(SECRET, Label.AEAD, size=64)[32:]
    expected = hmac.digest(commitment_key, b"n" * 24 + b"place", "sha256")
    assert aead.encrypt(b"n" * 24, b"text", b"place")[24:56] == expected
