"""Crypto-shredding: a destroyed key opens nothing, is nowhere on the disk, and never comes back."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.simulators.sealed_rows import place, seal
from vault.clock import Entropy
from vault.crypto.key_record import KeyKind, KeyName, KeyRecord, KeyState
from vault.crypto.key_store import SqlKeyStore
from vault.crypto.keyring import DestroyedKey, KeyLimits, Keyring, TenantKeys
from vault.crypto.local_root import LocalRoot
from vault.errors import (
    IdentifierInvalidError,
    KeyAccessError,
    KeyDestroyedError,
    KeyExhaustedError,
    KeyMissingError,
)
from vault.storage.engine import writer_engine
from vault.storage.migrate import upgrade

MakeKeyring = Callable[..., Keyring]


@pytest.fixture
def keys_engine(tmp_path: Path) -> Iterator[Engine]:
    """The engine and schema of a vault: write-ahead log, `secure_delete`, guards."""
    engine = writer_engine(tmp_path / "keys.db")
    upgrade(engine, "keys")
    yield engine
    engine.dispose()


@pytest.fixture
def keys(keyring: Keyring) -> TenantKeys:
    return keyring.establish("clinic")


def test_every_version_of_a_subjects_key_is_destroyed_and_named(
    keys: TenantKeys, store: SqlKeyStore, make_keyring: MakeKeyring
) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    old, others = seal(keys, anna), seal(keys, ben)
    keys.rotate(anna)
    new = seal(keys, anna)
    known = [record for record in keys.records() if record.name.subject == anna]
    gone = keys.destroy(anna)
    assert gone == tuple(DestroyedKey(record.fingerprint, record.name.version) for record in known)
    assert [one.version for one in gone] == [1, 2]
    for ring in (keys, make_keyring().tenant("clinic")):
        uses: list[Callable[[], object]] = [
            partial(ring.open, *old),
            partial(ring.open, *new),
            partial(ring.sealing_key, [anna]),
            partial(ring.sealing_key, [anna, ben]),
            partial(ring.provide, [anna]),
            partial(ring.token_key, anna),
            partial(ring.rotate, anna),
        ]
        for use in uses:
            with pytest.raises(KeyDestroyedError):
                use()
        assert ring.open(*others) == b"text"
    left = [record for record in store.records() if record.name.subject == anna]
    assert {(record.state, record.wrapped) for record in left} == {(KeyState.DESTROYED, b"")}
    assert keys.destroy(anna) == gone, "a destruction that was cut off is done again, and says the same"


def test_no_byte_of_a_destroyed_wrapping_is_left_on_the_disk(
    keys: TenantKeys, keyring: Keyring, store: SqlKeyStore, tmp_path: Path
) -> None:
    subjects = [keys.subject_id(f"Person {number}") for number in range(40)]
    keys.provide(subjects)
    keys.rotate(subjects[7])
    store.stage(
        [(record, b"staged" + record.wrapped) for record in keys.records()]
    )  # a move that was cut off
    lost = [record.wrapped for record in keys.records() if record.name.subject == subjects[7]]
    kept = [record.wrapped for record in keys.records() if record.name.subject == subjects[8]]
    assert all(box in on_disk(tmp_path) for box in (*lost, *kept))
    keys.destroy(subjects[7])
    assert keyring.fold(5.0)
    left = on_disk(tmp_path)
    for box in lost:
        assert box not in left
        assert box[16:64] not in left, "nor a part of it: the wrapping begins with the root's name"
    assert all(box in left for box in kept)
    assert (tmp_path / "keys.db-wal").stat().st_size == 0


def test_a_reader_of_an_older_state_holds_the_folding_off_and_that_is_said(
    keys: TenantKeys, keyring: Keyring, tmp_path: Path
) -> None:
    anna = keys.subject_id("Anna")
    keys.provide([anna])
    with closing(sqlite3.connect(tmp_path / "keys.db")) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM keys").fetchone() == (3,)
        keys.destroy(anna)
        assert not keyring.fold(0.0)
    assert keyring.fold(5.0)


def test_leased_copies_are_wiped_and_held_ones_work_no_more(keys: TenantKeys, keyring: Keyring) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    held, joint, other = (keys.sealing_key(subjects) for subjects in ([anna], [anna, ben], [ben]))
    sealed = held.seal(place(keys, anna), b"text")
    leased = [key for key in keyring._keys._leases._held.values() if key.name.subject == anna]
    assert leased
    keys.destroy(anna)
    assert all(set(key._secret) == {0} for key in leased)
    for use in (
        lambda: held.seal(place(keys, anna), b"text"),
        lambda: held.open(place(keys, anna), sealed),
        lambda: joint.seal(place(keys, anna, ben), b"text"),
    ):
        with pytest.raises(KeyDestroyedError, match=anna):
            use()
    assert other.open(place(keys, ben), other.seal(place(keys, ben), b"text")) == b"text"


def test_a_subject_without_a_key_gets_a_tombstone_only_where_that_is_asked_for(
    keys: TenantKeys, store: SqlKeyStore
) -> None:
    anna = keys.subject_id("Anna")
    assert keys.destroy(anna) == ()
    assert store.newest("clinic", KeyKind.SUBJECT, anna) is None
    assert keys.destroy(anna, bury=True) == ()
    found = store.newest("clinic", KeyKind.SUBJECT, anna)
    assert found is not None
    assert (found.state, found.wrapped, found.fingerprint) == (KeyState.DESTROYED, b"", "")
    assert keys.has_key(anna)
    with pytest.raises(KeyDestroyedError):
        keys.sealing_key([anna])


def test_what_is_known_of_all_versions_of_one_key_is_told_oldest_first(keys: TenantKeys) -> None:
    anna = keys.subject_id("Anna")
    assert keys.records_of(anna) == ()
    keys.provide([anna])
    for _ in range(10):
        keys.rotate(anna)
    keys.destroy(anna)
    found = keys.records_of(anna)
    assert [record.name.version for record in found] == list(range(1, 12))
    assert {record.state for record in found} == {KeyState.DESTROYED}


def test_an_id_that_is_none_destroys_nothing(keys: TenantKeys, store: SqlKeyStore) -> None:
    before = list(store.records())
    with pytest.raises(IdentifierInvalidError):
        keys.destroy("Anna", bury=True)
    assert list(store.records()) == before


@pytest.mark.parametrize("moment", ["before it is stored", "after it was stored"])
def test_a_first_write_that_a_destruction_overtakes_makes_no_key(
    keys: TenantKeys, store: SqlKeyStore, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    anna = keys.subject_id("Anna")
    real = store.add

    def add(records: list[KeyRecord]) -> list[KeyRecord]:
        monkeypatch.setattr(store, "add", real)
        if moment == "before it is stored":
            keys.destroy(anna, bury=True)
            return real(records)
        stands = real(records)
        keys.destroy(anna, bury=True)
        return stands

    monkeypatch.setattr(store, "add", add)
    with pytest.raises(KeyDestroyedError):
        keys.sealing_key([anna])
    with pytest.raises(KeyDestroyedError):
        keys.sealing_key([anna])
    (left,) = [record for record in store.records() if record.name.subject == anna]
    assert (left.state, left.wrapped) == (KeyState.DESTROYED, b"")
    assert not any(key.name.subject == anna for key in keys._keys._leases._held.values())


def test_a_rotation_that_a_destruction_overtakes_makes_no_key(
    keys: TenantKeys, store: SqlKeyStore, root: LocalRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = keys.subject_id("Anna")
    keys.provide([anna])
    real = root.wrap_many

    def wrap_many(wanted: list[object]) -> list[bytes]:
        keys.destroy(anna)
        return real(wanted)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(root, "wrap_many", wrap_many)
    with pytest.raises(KeyDestroyedError):
        keys.rotate(anna)
    assert [record.name.version for record in store.records() if record.name.subject == anna] == [1]


def test_a_load_that_a_destruction_overtakes_is_wiped(
    keys: TenantKeys, make_keyring: MakeKeyring, root: LocalRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record was read as a living one, and unwraps; the key was destroyed while that took its time."""
    anna = keys.subject_id("Anna")
    sealed = seal(keys, anna)
    ring = make_keyring()
    fresh = ring.tenant("clinic")
    real = root.unwrap_many

    def unwrap_many(boxes: list[object]) -> object:
        fresh.destroy(anna)
        return real(boxes)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(root, "unwrap_many", unwrap_many)
    with pytest.raises(KeyDestroyedError):
        fresh.open(*sealed)
    fresh.lease([((anna,), (1,))])
    assert len(ring._keys._leases) == 0


def test_a_lease_of_many_that_a_destruction_overtakes_leases_the_others(
    keys: TenantKeys, make_keyring: MakeKeyring, root: LocalRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    keys.provide([anna, ben])
    ring = make_keyring()
    fresh = ring.tenant("clinic")
    real = root.unwrap_many

    def unwrap_many(boxes: list[object]) -> object:
        fresh.destroy(anna)
        return real(boxes)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(root, "unwrap_many", unwrap_many)
    fresh.lease([((anna,), (1,)), ((ben,), (1,))])
    assert [name.subject for name in ring._keys._leases._held] == [ben]


def test_neither_a_rewrap_nor_a_reservation_nor_a_move_brings_a_destroyed_key_back(
    keys: TenantKeys, store: SqlKeyStore
) -> None:
    anna = keys.subject_id("Anna")
    keys.provide([anna])
    record = store.newest("clinic", KeyKind.SUBJECT, anna)
    assert record is not None
    keys.destroy(anna)
    assert store.rewrap([(record, b"again")]) == 0
    assert store.reserve(record.name, 10, 100) == 0
    store.stage([(record, b"again")])
    assert store.add([record])[0].state is KeyState.DESTROYED
    found = store.find(record.name)
    assert found is not None
    assert (found.state, found.wrapped, found.seal_reserved) == (KeyState.DESTROYED, b"", 0)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE keys SET state = 'active'",
        "UPDATE keys SET wrapped = x'00' WHERE state = 'destroyed'",
        "UPDATE keys SET staged = x'00' WHERE state = 'destroyed'",
        "DELETE FROM keys WHERE state = 'destroyed'",
    ],
)
def test_the_database_itself_keeps_a_destroyed_key_destroyed(
    keys: TenantKeys, store: SqlKeyStore, tmp_path: Path, statement: str
) -> None:
    anna = keys.subject_id("Anna")
    keys.provide([anna])
    keys.destroy(anna)
    with (
        closing(sqlite3.connect(tmp_path / "keys.db")) as raw,
        pytest.raises(sqlite3.IntegrityError, match="vault: "),
    ):
        raw.execute(statement)
    found = store.newest("clinic", KeyKind.SUBJECT, anna)
    assert found is not None
    assert (found.state, found.wrapped) == (KeyState.DESTROYED, b"")


def test_threads_that_write_rotate_and_destroy_leave_the_key_destroyed(
    make_keyring: MakeKeyring, store: SqlKeyStore
) -> None:
    keys = make_keyring(KeyLimits(seal_block=3)).establish("clinic")
    subjects = [keys.subject_id(f"Person {number}") for number in range(12)]
    barrier, strange = threading.Barrier(4), []

    def work(use: Callable[[str], object]) -> None:
        barrier.wait(20)
        for subject in subjects:
            for _ in range(5):
                try:
                    use(subject)
                except (KeyDestroyedError, KeyMissingError):
                    continue
                except (KeyAccessError, KeyExhaustedError) as error:  # pragma: no cover - the failure
                    strange.append(error)

    uses: list[Callable[[str], object]] = [
        lambda subject: seal(keys, subject),
        lambda subject: seal(keys, subject, subjects[0]),
        keys.rotate,
        lambda subject: keys.destroy(subject, bury=True),
    ]
    threads = [threading.Thread(target=work, args=(use,)) for use in uses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert strange == []
    left = [record for record in store.records() if record.name.kind is KeyKind.SUBJECT]
    assert {record.name.subject for record in left} == set(subjects)
    assert {(record.state, record.wrapped) for record in left} == {(KeyState.DESTROYED, b"")}


# ---- retired versions ----


def test_retired_versions_are_destroyed_and_the_active_one_stays(
    keys: TenantKeys, make_keyring: MakeKeyring, store: SqlKeyStore
) -> None:
    anna = keys.subject_id("Anna")
    old = seal(keys, anna)
    keys.rotate(anna)
    new = seal(keys, anna)
    names = [KeyName("clinic", KeyKind.SUBJECT, anna, version) for version in (1, 2, 3)]
    later = make_keyring().tenant("clinic")
    assert later.open(*old) == b"text"
    gone = later.destroy_retired(names)
    assert [record.name for record in gone] == names[:1]
    with pytest.raises(KeyDestroyedError):
        later.open(*old)
    assert later.open(*new) == b"text"
    assert later.rotate(anna) == 3
    assert later.token_key(anna) == keys.token_key(anna)
    assert [record.state for record in store.records("clinic") if record.name.subject == anna] == [
        KeyState.DESTROYED,
        KeyState.RETIRED,
        KeyState.ACTIVE,
    ]


def test_a_version_that_this_process_retired_just_now_is_not_destroyed_yet(
    make_keyring: MakeKeyring, ticks: list[float], store: SqlKeyStore
) -> None:
    """A writer may have sealed under it and not stored yet: what it stores would be lost."""
    keys = make_keyring(KeyLimits(lease_seconds=10)).establish("clinic")
    anna = keys.subject_id("Anna")
    keys.provide([anna])
    keys.rotate(anna)
    first = KeyName("clinic", KeyKind.SUBJECT, anna, 1)
    ticks[0] = 9.9
    assert keys.destroy_retired([first]) == ()
    found = store.find(first)
    assert found is not None
    assert found.state is KeyState.RETIRED
    ticks[0] = 10.0
    assert [record.name for record in keys.destroy_retired([first])] == [first]


def test_another_tenants_retired_versions_are_out_of_reach(keys: TenantKeys) -> None:
    with pytest.raises(IdentifierInvalidError):
        keys.destroy_retired([KeyName("bank", KeyKind.SUBJECT, keys.subject_id("Anna"), 1)])


# ---- versions are numbers ----


def test_the_newest_version_is_the_highest_number_and_not_the_last_text(
    store: SqlKeyStore, root: LocalRoot, make_keyring: MakeKeyring, entropy: Entropy
) -> None:
    keys = make_keyring().establish("clinic")
    anna = keys.subject_id("Anna")
    keys.provide([anna])
    for version in range(2, 101):
        assert keys.rotate(anna) == version
        newest = store.newest("clinic", KeyKind.SUBJECT, anna)
        assert newest is not None
        if version in {9, 10, 11, 99, 100}:
            assert newest.name.version == version
            assert keys.sealing_key([anna]).versions == (version,)
    states = [record.state for record in store.records("clinic") if record.name.subject == anna]
    assert states == [KeyState.RETIRED] * 99 + [KeyState.ACTIVE]


def on_disk(folder: Path) -> bytes:
    """Return every byte of the key store, its write-ahead log too."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("keys.db*")))
