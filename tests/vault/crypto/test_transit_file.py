"""The file that names a root on a server, and keys that are leased many at a time."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.simulators.sealed_rows import destroy, seal
from tests.vault.crypto.conftest import MakeKeyring
from vault.crypto import transit_file
from vault.crypto.aead import key_versions
from vault.crypto.key_record import KeyRecord
from vault.crypto.keyring import Keyring, TenantKeys
from vault.crypto.local_root import LocalRoot
from vault.crypto.root import InContext
from vault.crypto.transit_file import create_root_file, read_root_file, replace_root_file
from vault.crypto.transit_root import RootName
from vault.crypto.unwrapped import UnwrappedKey
from vault.errors import ConflictError, KeyFileUnsafeError, KeyMissingError, StorageError

NAME = RootName("transit", "memvault", "0f" * 16, "vault:v1:AAAA")


def test_what_is_written_is_read_and_nobody_else_may(tmp_path: Path) -> None:
    file = tmp_path / "root.transit"
    create_root_file(file, NAME)
    assert read_root_file(file) == NAME
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConflictError):
        create_root_file(file, NAME)
    file.chmod(0o644)
    with pytest.raises(KeyFileUnsafeError):
        read_root_file(file)


def test_a_proof_is_replaced_whole_whatever_a_killed_process_left(tmp_path: Path) -> None:
    file = tmp_path / "root.transit"
    create_root_file(file, NAME)
    (tmp_path / "root.transit.new").write_text("cut")
    newer = RootName(*_parts(), "vault:v2:AAAA")
    replace_root_file(file, newer)
    assert read_root_file(file) == newer
    assert [one.name for one in tmp_path.iterdir()] == ["root.transit"]


def test_a_file_that_cannot_be_replaced_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "root.transit"
    create_root_file(file, NAME)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StorageError, match="No space"):
        replace_root_file(file, RootName(*_parts(), "vault:v2:AAAA"))
    assert read_root_file(file) == NAME


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": 2},
        {"key": "../x"},
        {"mount": ""},
        {"fingerprint": "0F" * 16},
        {"proof": "vault:v0:AAAA"},
        {"proof": 7},
        {"more": 1},
    ],
    ids=str,
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    file = tmp_path / "root.transit"
    create_root_file(file, NAME)
    fields = json.loads(file.read_bytes()) | wrong
    file.write_text(json.dumps(fields, sort_keys=True) + "\n")
    with pytest.raises(KeyFileUnsafeError, match="not of its form"):
        read_root_file(file)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 2_000, b"{}" * 2_000])
def test_bytes_that_are_no_such_file_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "root.transit"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(KeyFileUnsafeError):
        read_root_file(file)


def test_another_spelling_of_the_same_is_refused_and_so_is_a_link(tmp_path: Path) -> None:
    file = tmp_path / "root.transit"
    create_root_file(file, NAME)
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(KeyFileUnsafeError):
        read_root_file(link)
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(KeyFileUnsafeError):
        read_root_file(file)
    file.unlink()
    with pytest.raises(KeyMissingError):
        read_root_file(file)
    assert transit_file.check_mount("a/b") == "a/b"


# ---- keys leased many at a time ----


@pytest.fixture
def keys(keyring: Keyring) -> TenantKeys:
    return keyring.establish("clinic")


def test_keys_are_leased_at_one_go_and_a_bad_one_is_left_to_its_opening(
    keys: TenantKeys,
    make_keyring: MakeKeyring,
    root: LocalRoot,
    monkeypatch: pytest.MonkeyPatch,
    keys_engine: Engine,
) -> None:
    subjects = [keys.subject_id(name) for name in ("Anna", "Ben", "Cy")]
    sealed = {subject: seal(keys, subject) for subject in subjects}
    destroy(keys_engine, subjects[2])
    ring = make_keyring().tenant("clinic")
    asked: list[int] = []
    real = root.unwrap_many

    def unwrap_many(wrapped: Sequence[InContext]) -> object:
        asked.append(len(wrapped))
        return real(wrapped)

    monkeypatch.setattr(root, "unwrap_many", unwrap_many)
    places = [((subject,), key_versions(sealed[subject][1])) for subject in subjects]
    ring.lease([*places, (("sub_" + "z" * 26,), (1,))])
    ring.lease(places)
    for subject in subjects[:2]:
        binding, box = sealed[subject]
        assert ring.open(binding, box) == b"text"
    assert asked == [2]


def test_a_key_that_another_thread_leased_meanwhile_is_wiped_here(
    keys: TenantKeys, make_keyring: MakeKeyring, root: LocalRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = keys.subject_id("Anna")
    binding, sealed = seal(keys, anna)
    ring = make_keyring()
    real = ring._keys._opened
    opened: list[UnwrappedKey] = []
    began: list[bool] = []

    def other_thread(records: Sequence[KeyRecord]) -> list[UnwrappedKey]:
        first, began[:] = not began, [True]
        if first:
            ring.tenant("clinic").open(binding, sealed)
        (key,) = real(records)
        assert isinstance(key, UnwrappedKey)
        opened.append(key)
        return [key]

    monkeypatch.setattr(ring._keys, "_opened", other_thread)
    ring.tenant("clinic").lease([((anna,), key_versions(sealed))])
    assert set(opened[-1]._secret) == {0}
    assert ring.tenant("clinic").open(binding, sealed) == b"text"


def test_a_local_root_is_healthy_and_unwraps_each_by_itself(root: LocalRoot) -> None:
    boxes = root.wrap_many([InContext(b"a", b"k" * 32), InContext(b"b", b"l" * 32)])
    first, second = root.unwrap_many([InContext(b"a", boxes[0]), InContext(b"a", boxes[1])])
    assert first == b"k" * 32
    assert isinstance(second, Exception)
    assert root.health().fault is None


def _parts() -> tuple[str, str, str]:
    return NAME.mount, NAME.key, NAME.fingerprint
