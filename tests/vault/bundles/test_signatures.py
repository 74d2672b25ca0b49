"""A bundle counts as signed only by a key that was named, over exactly these files under this name and version."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.note import sign_note
from audit.signing import SignerKey
from policies.bundle import ACCESS_RULES, SHIPPED, Bundle
from policies.errors import PolicyInvalidError
from policies.identity import IDENTITY
from tests.vault.bundles.folders import change, versioned
from vault.bundles.signatures import (
    SIGNATURE,
    read_keys,
    read_signature,
    sign_bundle,
    signed_text,
    verify_bundle,
)
from vault.bundles.source import BundleSource, shipped

OURS = SignerKey("ward-1/policies", b"1" * 32)
OTHERS = SignerKey("ward-2/policies", b"2" * 32)
IMPOSTOR = SignerKey("ward-1/policies", b"3" * 32)


def signed(folder: Path, key: SignerKey = OURS) -> Path:
    (folder / SIGNATURE).write_bytes(sign_bundle(Bundle.read(folder), key))
    return folder


def refused(folder: Path) -> PolicyInvalidError:
    with pytest.raises(PolicyInvalidError) as error:
        BundleSource(folder, (OURS.verifier,)).load()
    return error.value


def place(error: PolicyInvalidError) -> tuple[str, str | None, int | None, int | None]:
    return error.code, error.file, error.line, error.column


def test_a_bundle_that_a_named_key_signed_is_used(folder: Path) -> None:
    bundle = BundleSource(signed(folder), (OTHERS.verifier, OURS.verifier)).load()
    assert bundle == Bundle.read(folder)
    assert SIGNATURE not in bundle.files, "it lies beside the bundle and is not of its digest"
    assert verify_bundle(bundle, read_signature(folder), [OURS.verifier]) == ("ward-1/policies",)
    assert signed_text(bundle) == f"memos-vault policy bundle v1\nours\n1\n{bundle.digest}\n"


def test_nobody_has_to_sign_where_no_key_is_named(folder: Path) -> None:
    assert BundleSource(folder).load() == Bundle.read(folder)


def test_an_unsigned_bundle_is_refused_with_its_place(folder: Path) -> None:
    assert place(refused(folder)) == ("signature-missing", SIGNATURE, 1, 1)
    os.mkfifo(folder / SIGNATURE)
    assert place(refused(folder)) == ("signature-missing", SIGNATURE, 1, 1), "a pipe is no signature"


def test_a_key_that_was_not_named_does_not_count_whatever_it_is_called(folder: Path) -> None:
    for key in (OTHERS, IMPOSTOR):
        assert place(refused(signed(folder, key))) == ("signature-unknown", SIGNATURE, 6, 1)


def test_a_wrong_signature_of_a_named_key_is_refused(folder: Path) -> None:
    note = sign_bundle(Bundle.read(folder), OURS)
    forged = sign_note(signed_text(Bundle.read(folder)) + "x\n", [OURS]).split(b"\n\n")[1]
    (folder / SIGNATURE).write_bytes(note.split(b"\n\n")[0] + b"\n\n" + forged)
    assert place(refused(folder)) == ("signature-wrong", SIGNATURE, 6, 1)


def test_a_signature_over_other_files_another_version_or_name_is_refused_where_it_says_so(
    folder: Path,
) -> None:
    signed(folder)
    change(folder, ACCESS_RULES, "# Who", "# who")
    assert place(refused(folder)) == ("signature-other", SIGNATURE, 4, 1)
    versioned(folder, 2)
    assert place(refused(folder)) == ("signature-other", SIGNATURE, 3, 1)
    versioned(folder, 2, name="theirs")
    assert place(refused(folder)) == ("signature-other", SIGNATURE, 2, 1)
    assert place(refused(signed(folder, OTHERS))) == ("signature-unknown", SIGNATURE, 6, 1)


@pytest.mark.parametrize(
    ("note", "code", "line"),
    [
        (b"", "signature-malformed", 1),
        (b"\xff", "signature-malformed", 1),
        (b"x" * 1_000_001, "signature-malformed", 1),
        (sign_note("other\n", [OURS]), "signature-other", 1),
        (sign_note("memos-vault policy bundle v1\n", [OURS]), "signature-other", 2),
    ],
)
def test_what_is_no_note_or_of_another_kind_is_refused(
    folder: Path, note: bytes, code: str, line: int
) -> None:
    (folder / SIGNATURE).write_bytes(note)
    assert place(refused(folder)) == (code, SIGNATURE, line, 1)


def test_more_than_the_four_lines_is_refused(folder: Path) -> None:
    note = sign_note(signed_text(Bundle.read(folder)) + "and more\n", [OURS])
    (folder / SIGNATURE).write_bytes(note)
    assert place(refused(folder)) == ("signature-malformed", SIGNATURE, 5, 1)


def test_what_says_no_version_cannot_be_signed(folder: Path) -> None:
    (folder / IDENTITY).unlink()
    with pytest.raises(PolicyInvalidError, match="cannot be signed"):
        sign_bundle(Bundle.read(folder), OURS)
    assert place(refused(folder)) == ("version-missing", IDENTITY, 1, 1)


@given(at=st.integers(0, 400), bit=st.integers(0, 7))
def test_no_changed_bit_of_a_signature_is_accepted(at: int, bit: int) -> None:
    bundle = Bundle.read(SHIPPED)
    note = bytearray(sign_bundle(bundle, OURS))
    note[at % len(note)] ^= 1 << bit
    with pytest.raises(PolicyInvalidError):
        verify_bundle(bundle, bytes(note), [OURS.verifier])


def test_the_bundle_that_ships_is_refused_where_somebody_has_to_have_signed_it() -> None:
    assert shipped(()) == Bundle.read()
    with pytest.raises(PolicyInvalidError, match="is not signed"):
        shipped((OURS.verifier,))


def test_keys_are_read_one_on_a_line(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# of the ward\n{OURS.verifier}\n\n{OTHERS.verifier}\n")
    assert read_keys(path) == (OURS.verifier, OTHERS.verifier)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("# none\n", 1),
        (f"{OURS.verifier}\nnonsense\n", 2),
        (f"{OURS.verifier}\n{OURS.verifier}\n", 2),
        (OURS.encode(), 1),
        ("\ufffd", 1),
        ("".join(f"{SignerKey('a', bytes([n]) * 32).verifier}\n" for n in range(65)), 65),
    ],
)
def test_a_file_of_keys_that_is_none_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "keys"
    path.write_text(text, "utf-8")
    with pytest.raises(PolicyInvalidError) as error:
        read_keys(path)
    assert place(error.value) == ("keys-invalid", "keys", line, 1)
    assert OURS.encode() not in str(error.value)


def test_a_missing_or_endless_file_of_keys_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", Path("/dev/zero")):
        with pytest.raises(PolicyInvalidError, match="expected a file of verifier keys"):
            read_keys(path)
    (tmp_path / "large").write_bytes(b"#" * 70_000)
    with pytest.raises(PolicyInvalidError, match="expected a file of verifier keys"):
        read_keys(tmp_path / "large")
