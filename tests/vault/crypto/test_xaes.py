"""XAES-256-GCM against its specification, Wycheproof and itself."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from vault.crypto.xaes import Xaes256Gcm
from vault.errors import TamperedError

KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
NONCE = b"0123456789abcdefghijklmn"

keys = st.binary(min_size=32, max_size=32)
nonces = st.binary(min_size=24, max_size=24)


def subkey_as_the_specification_says(key: bytes, nonce: bytes) -> bytes:
    """SP 800-108r1 in counter mode over the library's own CMAC: an independent way to the same key."""
    halves = []
    for counter in (1, 2):
        mac = CMAC(AES256(key))
        mac.update(bytes([0, counter]) + b"X\x00" + nonce[:12])
        halves.append(mac.finalize())
    return b"".join(halves)


@given(key=keys, nonce=nonces)
def test_the_subkey_is_cmac_in_counter_mode(key: bytes, nonce: bytes) -> None:
    assert Xaes256Gcm(key).derived_key(nonce) == subkey_as_the_specification_says(key, nonce)


def test_both_cases_of_the_doubling_are_met() -> None:
    # MSB(L) is 0 for one of these keys and 1 for the other; a wrong K1 in either would show above by chance only.
    tops = set()
    for first in range(16):
        key = bytes([first]) * 32
        cipher = Xaes256Gcm(key)
        assert cipher.derived_key(NONCE) == subkey_as_the_specification_says(key, NONCE)
        tops.add(cipher._k1 & 1)
    assert tops == {0, 1}


def test_a_self_made_vector_still_opens() -> None:
    sealed = Xaes256Gcm(KEY).encrypt(NONCE, b"a plain text", b"its place")
    assert sealed.hex() == SELF_MADE
    assert Xaes256Gcm(KEY).decrypt(NONCE, bytes.fromhex(SELF_MADE), b"its place") == b"a plain text"


SELF_MADE = "879d603d698a485c96980e502049e6b16c9e3044a3ad8d66aa76c46a"


@given(key=keys, nonce=nonces, plaintext=st.binary(max_size=300), place=st.binary(max_size=100))
def test_what_is_encrypted_decrypts(key: bytes, nonce: bytes, plaintext: bytes, place: bytes) -> None:
    cipher = Xaes256Gcm(key)
    sealed = cipher.encrypt(nonce, plaintext, place)
    assert len(sealed) == len(plaintext) + 16
    assert cipher.decrypt(nonce, sealed, place) == plaintext


@pytest.mark.parametrize("part", ["nonce", "sealed", "place"])
def test_any_changed_byte_fails(part: str) -> None:
    cipher = Xaes256Gcm(KEY)
    parts = {"nonce": NONCE, "sealed": cipher.encrypt(NONCE, b"text", b"place"), "place": b"place"}
    for at in range(len(parts[part])):
        changed = bytearray(parts[part])
        changed[at] ^= 0x40
        now = parts | {part: bytes(changed)}
        with pytest.raises(TamperedError, match="not what was written"):
            cipher.decrypt(now["nonce"], now["sealed"], now["place"])


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"32 bytes, got {size}"):
        Xaes256Gcm(bytes(size))


@pytest.mark.parametrize("size", [0, 12, 23, 25])
def test_a_nonce_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"24 bytes, got {size}"):
        Xaes256Gcm(KEY).encrypt(bytes(size), b"", b"")


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def test_the_specifications_vectors(shared: Path) -> None:
    vectors = read(shared / "vectors/xaes/xaes_256_gcm.json")["vectors"]
    assert vectors
    for vector in vectors:
        cipher = Xaes256Gcm(bytes.fromhex(vector["key"]))
        nonce, place = bytes.fromhex(vector["nonce"]), bytes.fromhex(vector["aad"])
        plaintext = bytes.fromhex(vector["plaintext"])
        assert cipher.derived_key(nonce).hex() == vector["derived_key"]
        sealed = cipher.encrypt(nonce, plaintext, place)
        assert sealed.hex() == vector["ciphertext"]
        assert cipher.decrypt(nonce, sealed, place) == plaintext


class Shake128:
    """The specification's generator: SHAKE-128 of nothing, as a stream."""

    def __init__(self, size: int) -> None:
        self._stream = hashlib.shake_128().digest(size)
        self._at = 0

    def take(self, size: int) -> bytes:
        self._at += size
        taken = self._stream[self._at - size : self._at]
        assert len(taken) == size
        return taken


def test_ten_thousand_accumulated_vectors(shared: Path) -> None:
    expected = read(shared / "vectors/xaes/xaes_256_gcm.json")["accumulated"]["10000"]
    stream, results = Shake128(10_000 * (32 + 24 + 2 * 256)), hashlib.shake_128()
    for _ in range(10_000):
        cipher, nonce = Xaes256Gcm(stream.take(32)), stream.take(24)
        plaintext = stream.take(stream.take(1)[0])
        place = stream.take(stream.take(1)[0])
        sealed = cipher.encrypt(nonce, plaintext, place)
        results.update(sealed)
        assert cipher.decrypt(nonce, sealed, place) == plaintext
    assert results.hexdigest(32) == expected


class Bare(Xaes256Gcm):
    """Our code around AES-256-GCM with the subkey given: so that plain GCM vectors can be put through it."""

    def derived_key(self, nonce: bytes) -> bytes:
        assert len(nonce) == 24
        return self.subkey

    def __init__(self, subkey: bytes) -> None:
        super().__init__(bytes(32))
        self.subkey = subkey


def test_wycheproof_aes_gcm_cases_of_our_sizes(shared: Path) -> None:
    groups = read(shared / "vectors/wycheproof/aes_gcm_test.json")["testGroups"]
    ours = [
        group for group in groups if (group["keySize"], group["ivSize"], group["tagSize"]) == (256, 96, 128)
    ]
    seen = {"valid": 0, "invalid": 0}
    for case in (case for group in ours for case in group["tests"]):
        cipher, nonce = Bare(bytes.fromhex(case["key"])), bytes(12) + bytes.fromhex(case["iv"])
        sealed, place = bytes.fromhex(case["ct"] + case["tag"]), bytes.fromhex(case["aad"])
        seen[case["result"]] += 1
        if case["result"] == "valid":
            assert cipher.encrypt(nonce, bytes.fromhex(case["msg"]), place) == sealed
            assert cipher.decrypt(nonce, sealed, place).hex() == case["msg"]
        else:
            with pytest.raises(TamperedError):
                cipher.decrypt(nonce, sealed, place)
    assert min(seen.values()) > 20
