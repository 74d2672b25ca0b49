"""Sealing laws: a sealed value opens in its place, under its key, unchanged, and nowhere else."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from policies.model import AccessTier
from vault.clock import Entropy
from vault.crypto import aead
from vault.crypto.aead import (
    MAX_SUBJECTS,
    MAX_VERSION,
    AeadKey,
    CommittingAead,
    associated_data,
    header,
    key_versions,
    open_,
    seal,
)
from vault.crypto.sealed import Binding, Sealed, SealedField
from vault.errors import IdentifierInvalidError, InputTooLargeError, TamperedError

PLACE = Binding("clinic", "mem_a", 3, ("sub_a", "sub_b"), AccessTier.PRIVATE, SealedField.TEXT)
SECRET = bytes(range(32))
GOLDEN = "01020000000100000007000102030405060708090a0b0c0d0e0f10111213141516176760a4fb352b4f479816f7ec7283e03d8c5543dd2047de95c8565f86ef7275659010652b26373d417e50aeece3f8db6693988bd0b49e6582b4be6e22ec2530c0"


def key() -> AeadKey:
    return AeadKey(SECRET, (1, 7))


def counted(size: int) -> bytes:
    return bytes(range(size))


subjects = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3).map(tuple)
bindings = st.builds(
    Binding,
    tenant=st.text(max_size=8),
    record=st.text(max_size=8),
    version=st.integers(0, MAX_VERSION),
    subjects=subjects,
    access_tier=st.sampled_from(AccessTier),
    field=st.sampled_from(SealedField),
)


@given(
    binding=bindings,
    plaintext=st.binary(max_size=500),
    secret=st.binary(min_size=32, max_size=32),
    data=st.data(),
)
def test_what_is_sealed_opens_in_its_place(
    binding: Binding, plaintext: bytes, secret: bytes, data: st.DataObject
) -> None:
    versions = data.draw(st.tuples(*[st.integers(0, MAX_VERSION) for _ in binding.subjects]))
    sealing = AeadKey(secret, versions)
    sealed = seal(sealing, binding, plaintext, counted)
    assert key_versions(sealed) == versions
    assert open_(sealing, binding, sealed) == plaintext
    assert len(sealed.data) == len(plaintext) + 2 + 4 * len(versions) + 24 + 32 + 16


@given(left=bindings, right=bindings)
def test_two_places_never_share_their_associated_data(left: Binding, right: Binding) -> None:
    assume(left != right)
    assert associated_data(left, (1,) * len(left.subjects)) != associated_data(
        right, (1,) * len(right.subjects)
    )


def test_names_that_run_together_do_not_share_a_place() -> None:
    one = replace(PLACE, tenant="ab", record="c", subjects=("d", "e"))
    other = replace(PLACE, tenant="a", record="bc", subjects=("de", ""))
    assert associated_data(one, (1, 1)) != associated_data(other, (1, 1))


@pytest.mark.parametrize(
    "moved",
    [
        replace(PLACE, tenant="bank"),
        replace(PLACE, record="mem_b"),
        replace(PLACE, version=4),
        replace(PLACE, subjects=("sub_a", "sub_c")),
        replace(PLACE, subjects=("sub_b", "sub_a")),
        replace(PLACE, subjects=("sub_a",)),
        replace(PLACE, subjects=("sub_a", "sub_b", "sub_c")),
        *[replace(PLACE, access_tier=tier) for tier in AccessTier if tier is not AccessTier.PRIVATE],
        *[replace(PLACE, field=field) for field in SealedField if field is not SealedField.TEXT],
    ],
    ids=str,
)
def test_a_value_that_was_moved_does_not_open(moved: Binding) -> None:
    sealed = seal(key(), PLACE, b"text", counted)
    with pytest.raises(TamperedError):
        open_(key(), moved, sealed)
    assert open_(key(), PLACE, sealed) == b"text"


@pytest.mark.parametrize(
    "other", [AeadKey(SECRET, (1, 8)), AeadKey(bytes(32), (1, 7))], ids=["version", "secret"]
)
def test_a_value_does_not_open_under_another_key(other: AeadKey) -> None:
    with pytest.raises(TamperedError):
        open_(other, PLACE, seal(key(), PLACE, b"text", counted))


@given(change=st.integers(1, 255))
def test_every_changed_byte_of_a_sealed_value_fails_to_open(change: int) -> None:
    sealed = seal(key(), PLACE, b"a secret of some length", counted)
    for at in range(len(sealed.data)):
        changed = bytearray(sealed.data)
        changed[at] ^= change
        with pytest.raises(TamperedError):
            open_(key(), PLACE, Sealed(bytes(changed)))


@given(change=st.integers(1, 255))
def test_every_changed_byte_of_the_associated_data_fails_to_open(change: int) -> None:
    sealing, bound = CommittingAead(SECRET), associated_data(PLACE, (1, 7))
    box = sealing.encrypt(bytes(24), b"text", bound)
    for at in range(len(bound)):
        changed = bytearray(bound)
        changed[at] ^= change
        with pytest.raises(TamperedError):
            sealing.decrypt(box, bytes(changed))


def test_every_cut_and_every_longer_value_fails_to_open() -> None:
    sealed = seal(key(), PLACE, b"text", counted).data
    for size in range(len(sealed)):
        with pytest.raises(TamperedError):
            open_(key(), PLACE, Sealed(sealed[:size]))
    with pytest.raises(TamperedError):
        open_(key(), PLACE, Sealed(sealed + b"\x00"))


def test_the_cipher_alone_binds_the_place_too() -> None:
    """The commitment is one lock and the cipher's tag another: each holds without the other."""
    sealing, bound = CommittingAead(SECRET), associated_data(PLACE, (1, 7))
    box = sealing.encrypt(bytes(24), b"text", bound)
    with pytest.raises(TamperedError):
        sealing._cipher.decrypt(box[:24], box[56:], bound + b"x")


def test_the_commitment_alone_refuses_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal(key(), PLACE, b"text", counted)
    other = AeadKey(bytes(32), (1, 7))
    opened: list[bytes] = []
    monkeypatch.setattr(other.aead._cipher, "decrypt", lambda *parts: opened.append(parts[0]))
    with pytest.raises(TamperedError, match="does not belong to this key and place"):
        open_(other, PLACE, sealed)
    assert opened == []


def test_the_same_value_sealed_twice_looks_different(entropy: Entropy) -> None:
    first, second = (seal(key(), PLACE, b"text", entropy) for _ in range(2))
    assert first != second
    assert open_(key(), PLACE, first) == open_(key(), PLACE, second)


def test_nothing_of_the_plaintext_or_the_place_stands_in_a_sealed_value(entropy: Entropy) -> None:
    data = seal(key(), PLACE, b"a planted canary", entropy).data
    assert not any(seen in data for seen in (b"planted", b"canary", b"clinic", b"mem_a", b"sub_a", SECRET))


def test_format_one_opens_for_ever() -> None:
    assert seal(key(), PLACE, b"the first format", counted).data.hex() == GOLDEN
    assert open_(key(), PLACE, Sealed(bytes.fromhex(GOLDEN))) == b"the first format"


def test_a_sealed_value_shows_only_its_size() -> None:
    assert repr(seal(key(), PLACE, b"text", counted)) == "Sealed(86 bytes)"


@pytest.mark.parametrize("versions", [(), (1,) * (MAX_SUBJECTS + 1), (-1,), (MAX_VERSION + 1,)])
def test_key_versions_out_of_range_are_refused(versions: tuple[int, ...]) -> None:
    with pytest.raises(IdentifierInvalidError):
        header(versions)


def test_a_binding_needs_a_key_version_for_each_subject() -> None:
    with pytest.raises(IdentifierInvalidError, match="each of 2 subjects, got 1"):
        seal(AeadKey(SECRET, (1,)), PLACE, b"text", counted)


@pytest.mark.parametrize("version", [-1, MAX_VERSION + 1])
def test_a_row_version_out_of_range_is_refused(version: int) -> None:
    with pytest.raises(IdentifierInvalidError):
        seal(key(), replace(PLACE, version=version), b"text", counted)


def test_a_value_beyond_the_limit_is_refused_before_it_is_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aead, "MAX_PLAINTEXT_BYTES", 4)
    assert open_(key(), PLACE, seal(key(), PLACE, b"four", counted)) == b"four"
    with pytest.raises(InputTooLargeError, match="at most 4 bytes to seal, got 5"):
        seal(key(), PLACE, b"fives", counted)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x02\x01\x00\x00\x00\x01",
        b"\x01\x00",
        b"\x01\xff" + bytes(2000),
        b"\x01\x02" + bytes(7),
    ],
)
def test_a_head_of_no_known_format_is_refused(data: bytes) -> None:
    with pytest.raises(TamperedError):
        key_versions(Sealed(data))


@pytest.mark.parametrize(
    "source", [lambda size: bytes(size - 1), lambda size: bytes(size + 1), lambda _: b""]
)
def test_a_source_of_nonces_of_another_size_is_refused(source: Callable[[int], bytes]) -> None:
    with pytest.raises(ValueError, match="24 bytes"):
        seal(key(), PLACE, b"text", source)
