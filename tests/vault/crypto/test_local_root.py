"""The root key's file: whole, closed to others, never overwritten; and what it wraps."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vault.clock import Entropy
from vault.crypto.local_root import (
    MIN_PASSPHRASE,
    Argon2Cost,
    LocalRoot,
    check_passphrase,
    create_key_file,
    kind_of_key_file,
    open_key_file,
)
from vault.crypto.root import RootKind
from vault.errors import (
    ConflictError,
    InputInvalidError,
    KeyFileUnsafeError,
    KeyMissingError,
    KeyWrongError,
    StorageError,
    TamperedError,
)

PASSPHRASE = "correct horse battery"
CHEAP = Argon2Cost(memory_kib=64, iterations=1, lanes=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "root.key"


def fits(root: LocalRoot, other: LocalRoot) -> bool:
    """Say whether two roots are one, by what they wrap."""
    return other.unwrap(b"context", root.wrap(b"context", b"k" * 64)) == b"k" * 64


def test_a_key_file_is_made_for_its_owner_alone_and_read_again(path: Path, entropy: Entropy) -> None:
    umask = os.umask(0)
    try:
        made = create_key_file(path, entropy)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == 48
    opened = open_key_file(path, entropy)
    assert fits(made, opened)
    assert (opened.kind, opened.fingerprint) == (RootKind.FILE, made.fingerprint)
    assert kind_of_key_file(path) is RootKind.FILE


def test_a_narrow_umask_does_not_make_the_file_unreadable(path: Path, entropy: Entropy) -> None:
    umask = os.umask(0o777)
    try:
        create_key_file(path, entropy)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_file_under_a_passphrase_is_read_again_with_it(path: Path, entropy: Entropy) -> None:
    made = create_key_file(path, entropy, PASSPHRASE, CHEAP)
    assert path.stat().st_size == 140
    opened = open_key_file(path, entropy, PASSPHRASE)
    assert fits(made, opened)
    assert (opened.kind, opened.fingerprint) == (RootKind.PASSPHRASE, made.fingerprint)
    assert kind_of_key_file(path) is RootKind.PASSPHRASE


def test_the_default_cost_is_the_second_recommendation_of_rfc_9106(path: Path, entropy: Entropy) -> None:
    create_key_file(path, entropy, PASSPHRASE)
    assert path.read_bytes()[24:36].hex() == "00010000" + "00000003" + "00000004"
    assert open_key_file(path, entropy, PASSPHRASE).kind is RootKind.PASSPHRASE


def test_a_passphrase_typed_in_another_unicode_form_is_the_same(path: Path, entropy: Entropy) -> None:
    create_key_file(path, entropy, "caf\u00e9 au lait noir", CHEAP)
    assert open_key_file(path, entropy, "cafe\u0301 au lait noir").kind is RootKind.PASSPHRASE


@pytest.mark.parametrize("wrong", ["correct horse batterY", "", "correct horse battery "])
def test_a_wrong_passphrase_is_its_own_error(path: Path, entropy: Entropy, wrong: str) -> None:
    create_key_file(path, entropy, PASSPHRASE, CHEAP)
    with pytest.raises(KeyWrongError, match="passphrase is wrong"):
        open_key_file(path, entropy, wrong)


def test_a_missing_passphrase_is_asked_for(path: Path, entropy: Entropy) -> None:
    create_key_file(path, entropy, PASSPHRASE, CHEAP)
    with pytest.raises(KeyWrongError, match="none was given"):
        open_key_file(path, entropy)


def test_a_passphrase_for_a_file_without_one_is_not_silently_ignored(path: Path, entropy: Entropy) -> None:
    create_key_file(path, entropy)
    with pytest.raises(KeyWrongError, match="not protected"):
        open_key_file(path, entropy, PASSPHRASE)


@pytest.mark.parametrize("bad", ["short", "x" * 11, "x" * 1025])
def test_a_passphrase_of_a_wrong_length_makes_no_file(path: Path, entropy: Entropy, bad: str) -> None:
    with pytest.raises(InputInvalidError, match="12 to 1024 characters"):
        create_key_file(path, entropy, bad, CHEAP)
    assert not path.exists()


@pytest.mark.parametrize("bad", ["", "x" * (MIN_PASSPHRASE - 1), "x" * 1025, "twelve chars \ud800"])
def test_a_passphrase_can_be_checked_before_anything_is_made(bad: str) -> None:
    with pytest.raises(InputInvalidError, match="expected a passphrase"):
        check_passphrase(bad)
    assert check_passphrase("x" * MIN_PASSPHRASE) == "x" * MIN_PASSPHRASE


def test_a_passphrase_that_is_no_text_makes_no_file(path: Path, entropy: Entropy) -> None:
    with pytest.raises(InputInvalidError, match="Unicode text"):
        create_key_file(path, entropy, "\ud800" * 20, CHEAP)
    assert not path.exists()


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_every_changed_byte_of_a_key_file_is_noticed(
    path: Path, entropy: Entropy, passphrase: str | None
) -> None:
    made = create_key_file(path, entropy, passphrase, CHEAP)
    whole = path.read_bytes()
    for at in range(len(whole)):
        changed = bytearray(whole)
        # 0x80 in a count of Argon2id is beyond its bounds; a low bit in it would be a costly guess.
        changed[at] ^= 0x80 if at in range(24, 36) else 0x01
        path.write_bytes(changed)
        with pytest.raises((KeyFileUnsafeError, KeyWrongError)):
            open_key_file(path, entropy, passphrase)
    path.write_bytes(whole)
    assert fits(made, open_key_file(path, entropy, passphrase))


@pytest.mark.parametrize("size", [0, 1, 8, 47, 49, 139, 140, 141, 5000])
def test_a_file_of_another_size_is_no_key_file(path: Path, entropy: Entropy, size: int) -> None:
    create_key_file(path, entropy)
    path.write_bytes((path.read_bytes() + bytes(5000))[:size])
    with pytest.raises(KeyFileUnsafeError, match="not a whole key file"):
        open_key_file(path, entropy)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o644, 0o601, 0o610, 0o777])
def test_a_file_open_to_others_is_refused(path: Path, entropy: Entropy, mode: int) -> None:
    create_key_file(path, entropy)
    path.chmod(mode)
    with pytest.raises(KeyFileUnsafeError, match=f"expected mode 0600, got {mode:04o}"):
        open_key_file(path, entropy)
    path.chmod(0o400)
    assert open_key_file(path, entropy).kind is RootKind.FILE


def test_a_file_of_another_user_is_refused(
    path: Path, entropy: Entropy, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_key_file(path, entropy)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(KeyFileUnsafeError, match="belongs to user"):
        open_key_file(path, entropy)


def test_a_link_is_refused_even_to_a_good_file(path: Path, entropy: Entropy) -> None:
    create_key_file(path, entropy)
    link = path.with_name("link.key")
    link.symlink_to(path)
    with pytest.raises(KeyFileUnsafeError, match="cannot be opened safely"):
        open_key_file(link, entropy)


def test_a_folder_and_a_pipe_are_refused_without_waiting(path: Path, entropy: Entropy) -> None:
    path.mkdir(mode=0o700)
    with pytest.raises(KeyFileUnsafeError, match="not a regular file"):
        open_key_file(path, entropy)
    path.rmdir()
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyFileUnsafeError, match="not a regular file"):
        open_key_file(path, entropy)


def test_a_missing_file_is_its_own_error(path: Path, entropy: Entropy) -> None:
    with pytest.raises(KeyMissingError):
        open_key_file(path, entropy)


def test_a_key_file_is_never_overwritten(path: Path, entropy: Entropy) -> None:
    create_key_file(path, entropy)
    before = path.read_bytes()
    with pytest.raises(ConflictError):
        create_key_file(path, entropy)
    assert path.read_bytes() == before


def test_a_dangling_link_is_not_followed_when_a_key_is_made(path: Path, entropy: Entropy) -> None:
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(ConflictError):
        create_key_file(path, entropy)
    assert not path.with_name("elsewhere").exists()


def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path, entropy: Entropy) -> None:
    with pytest.raises(StorageError, match="cannot be made"):
        create_key_file(tmp_path / "absent" / "root.key", entropy)


def test_a_disk_that_fails_leaves_no_half_key(
    path: Path, entropy: Entropy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        create_key_file(path, entropy)
    assert not path.exists()


def test_file_and_folder_are_on_the_disk_before_the_key_is_used(
    path: Path, entropy: Entropy, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    create_key_file(path, entropy)
    assert synced == [False, True]


@pytest.mark.parametrize(
    ("memory_kib", "iterations", "lanes"),
    [(7, 1, 1), (8, 0, 1), (8, 1, 0), (4 * 1024 * 1024 + 1, 1, 1), (64, 65, 1), (1024, 1, 65), (15, 1, 2)],
)
def test_costs_that_could_take_the_machine_are_refused(memory_kib: int, iterations: int, lanes: int) -> None:
    with pytest.raises(KeyFileUnsafeError):
        Argon2Cost(memory_kib, iterations, lanes)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(context=st.binary(max_size=50), key=st.binary(min_size=1, max_size=64))
def test_what_is_wrapped_unwraps_in_its_context(root: LocalRoot, context: bytes, key: bytes) -> None:
    wrapped = root.wrap(context, key)
    assert key not in wrapped or len(key) < 4
    assert root.unwrap(context, wrapped) == key
    with pytest.raises(TamperedError):
        root.unwrap(context + b"x", wrapped)


def test_every_changed_byte_of_a_wrapped_key_is_noticed(root: LocalRoot) -> None:
    wrapped = root.wrap(b"context", b"k" * 32)
    for at in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[at] ^= 1
        # The first 16 bytes name the root: a change there looks like another root's key.
        with pytest.raises(KeyWrongError if at < 16 else TamperedError):
            root.unwrap(b"context", bytes(changed))


def test_another_root_is_told_from_damage(root: LocalRoot, entropy: Entropy) -> None:
    other = LocalRoot(b"o" * 32, RootKind.FILE, entropy)
    with pytest.raises(KeyWrongError, match="another root key"):
        other.unwrap(b"context", root.wrap(b"context", b"k" * 32))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_root_of_another_size_is_refused(size: int, entropy: Entropy) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        LocalRoot(bytes(size), RootKind.FILE, entropy)


def test_a_root_does_not_show_its_key(entropy: Entropy) -> None:
    secret = b"a root key of thirty-two bytes!!"
    assert "thirty" not in repr(LocalRoot(secret, RootKind.FILE, entropy))


def test_the_key_does_not_stand_in_a_file_under_a_passphrase(path: Path) -> None:
    secret = b"a root key of thirty-two bytes!!"
    create_key_file(path, lambda size: secret[:size], PASSPHRASE, CHEAP)
    assert secret not in path.read_bytes()
