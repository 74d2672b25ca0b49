"""The key store: what it is told stands on the disk, once, whoever tells it."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text, update

from vault.crypto import key_store
from vault.crypto.key_record import KeyKind, KeyName, KeyRecord, KeyState
from vault.crypto.key_store import KEYS, SqlKeyStore
from vault.errors import KeyDestroyedError, StoreCorruptError
from vault.storage.engine import writer_engine
from vault.storage.migrate import upgrade

AT = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
NAME = KeyName("clinic", KeyKind.SUBJECT, "sub_a", 1)


def record(name: KeyName = NAME, wrapped: bytes = b"wrapped") -> KeyRecord:
    return KeyRecord(name, wrapped, "f" * 32, KeyState.ACTIVE, 0, AT)


def test_a_key_that_was_added_is_found_as_it_was(store: SqlKeyStore) -> None:
    assert store.add([record()]) == [record()]
    assert store.find(NAME) == record()


def test_what_was_never_added_is_not_found(store: SqlKeyStore) -> None:
    store.add([record()])
    for name in (
        NAME._replace(tenant="bank"),
        NAME._replace(kind=KeyKind.SEARCH),
        NAME._replace(subject="sub_b"),
        NAME._replace(version=2),
    ):
        assert store.find(name) is None
    assert store.newest("bank", KeyKind.SUBJECT, "sub_a") is None


def test_a_name_that_is_taken_keeps_its_key(store: SqlKeyStore) -> None:
    store.add([record()])
    other = record(NAME._replace(subject="sub_b"))
    assert store.add([record(wrapped=b"late"), other]) == [record(), other]
    assert store.find(NAME) == record()


def test_a_key_is_on_the_disk_when_adding_returns(store: SqlKeyStore, tmp_path: Path) -> None:
    store.add([record()])
    elsewhere = sqlite3.connect(tmp_path / "keys.db")
    try:
        assert elsewhere.execute("SELECT wrapped FROM keys").fetchall() == [(b"wrapped",)]
    finally:
        elsewhere.close()


def test_the_newest_version_is_chosen_as_a_number(store: SqlKeyStore) -> None:
    store.add([record(NAME._replace(version=version)) for version in (9, 10, 2)])
    newest = store.newest(*NAME[:3])
    assert newest is not None
    assert newest.name.version == 10


def test_a_successor_retires_the_key_before_it(store: SqlKeyStore) -> None:
    store.add([record()])
    second = record(NAME._replace(version=2), b"second")
    assert store.succeed(second) == second
    assert store.find(NAME) == replace(record(), state=KeyState.RETIRED)
    late = store.succeed(replace(second, wrapped=b"late"))
    assert late == second


def test_a_destroyed_key_is_not_revived_by_a_successor(store: SqlKeyStore, keys_engine: Engine) -> None:
    store.add([record()])
    destroy(keys_engine)
    with pytest.raises(KeyDestroyedError):
        store.succeed(record(NAME._replace(version=2)))
    assert [(found.name.version, found.state) for found in store.records()] == [(1, KeyState.DESTROYED)]


def test_a_key_that_never_was_gets_no_successor(store: SqlKeyStore) -> None:
    with pytest.raises(KeyDestroyedError):
        store.succeed(record(NAME._replace(version=2)))
    assert list(store.records()) == []


def test_seals_are_reserved_in_blocks_up_to_the_limit(store: SqlKeyStore) -> None:
    store.add([record()])
    assert [store.reserve(NAME, 4, 10) for _ in range(4)] == [4, 4, 2, 0]
    found = store.find(NAME)
    assert found is not None
    assert found.seal_reserved == 10


def test_a_lowered_limit_grants_nothing_and_takes_nothing_back(store: SqlKeyStore) -> None:
    store.add([record()])
    store.reserve(NAME, 8, 10)
    assert store.reserve(NAME, 8, 5) == 0
    found = store.find(NAME)
    assert found is not None
    assert found.seal_reserved == 8


def test_a_retired_key_still_counts_the_seals_of_who_leased_it(store: SqlKeyStore) -> None:
    store.add([record()])
    store.succeed(record(NAME._replace(version=2)))
    assert store.reserve(NAME, 4, 10) == 4


def test_missing_and_destroyed_keys_reserve_nothing(store: SqlKeyStore, keys_engine: Engine) -> None:
    assert store.reserve(NAME, 4, 10) == 0
    store.add([record()])
    destroy(keys_engine)
    assert store.reserve(NAME, 4, 10) == 0


def destroy(engine: Engine) -> None:
    """Leave a tombstone, as the erasure job will."""
    with engine.begin() as connection:
        connection.execute(update(KEYS).values(state=KeyState.DESTROYED, wrapped=b""))


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
def test_all_records_are_gone_through_page_by_page(
    store: SqlKeyStore, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_store, "_PAGE", page)
    names = [
        KeyName(tenant, kind, subject, version)
        for tenant in ("bank", "clinic")
        for kind, subject in ((KeyKind.SEARCH, ""), (KeyKind.SUBJECT, "sub_a"))
        for version in (1, 2, 10)
    ]
    store.add([record(name) for name in reversed(names)])
    assert [found.name for found in store.records()] == names
    assert [found.name for found in store.records("clinic")] == names[6:]
    assert list(store.records("absent")) == []


def test_the_store_may_be_changed_while_it_is_gone_through(
    store: SqlKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_store, "_PAGE", 1)
    store.add([record(NAME._replace(version=version)) for version in (1, 2, 3)])
    seen = []
    for found in store.records():
        seen.append(found.name.version)
        store.reserve(found.name, 1, 10)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(("column", "value"), [("state", "asleep"), ("kind", "spare")])
def test_a_record_of_unknown_kind_or_state_is_damage(
    store: SqlKeyStore, keys_engine: Engine, column: str, value: str
) -> None:
    store.add([record()])
    with keys_engine.begin() as connection:
        connection.execute(update(KEYS).values({column: value}))
    with pytest.raises(StoreCorruptError):
        list(store.records())


def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    (tmp_path / "keys.db").write_bytes(b"not a database" * 100)
    engine = create_engine(f"sqlite:///{tmp_path / 'keys.db'}")
    with pytest.raises(StoreCorruptError):
        SqlKeyStore(engine).find(NAME)
    engine.dispose()


def test_threads_that_add_the_same_key_get_one(store: SqlKeyStore) -> None:
    barrier, stood = threading.Barrier(8), []

    def add(number: int) -> None:
        barrier.wait(20)
        stood.append(store.add([record(wrapped=bytes([number]))])[0].wrapped)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(stood) == 8
    assert len(set(stood)) == 1


def test_the_context_of_a_wrapping_names_the_row() -> None:
    others = {
        NAME.context,
        NAME._replace(tenant="bank").context,
        NAME._replace(kind=KeyKind.SEARCH).context,
        NAME._replace(subject="sub_b").context,
        NAME._replace(version=2).context,
    }
    assert len(others) == 5
    assert str(NAME) == "subject key sub_a v1"
    assert str(KeyName("clinic", KeyKind.SEARCH, "", 1)) == "search key of the tenant v1"


@pytest.fixture
def migrated(tmp_path: Path) -> Iterator[Engine]:
    """The engine and the schema that a vault really has: one durable connection, made by migration."""
    engine = writer_engine(tmp_path / "migrated.db")
    upgrade(engine, "keys")
    yield engine
    engine.dispose()


def test_the_migration_makes_the_table_that_this_module_expects(
    migrated: Engine, keys_engine: Engine
) -> None:
    def shape(engine: Engine) -> list[tuple[object, ...]]:
        with engine.connect() as connection:
            return [tuple(column) for column in connection.execute(text("PRAGMA table_info(keys)"))]

    assert shape(migrated) == shape(keys_engine)
    assert len(shape(migrated)) == len(KEYS.c)


def test_threads_share_the_one_connection_of_a_vault(migrated: Engine) -> None:
    shared_store = SqlKeyStore(migrated)
    shared_store.add([record()])

    def work(number: int) -> int:
        shared_store.add([record(NAME._replace(subject=f"sub_{number % 5}"))])
        return shared_store.reserve(NAME, 3, 1000)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(40))) == 120
    found = shared_store.find(NAME)
    assert found is not None
    assert found.seal_reserved == 120
    assert len(list(shared_store.records())) == 6


def test_a_destroyed_keys_wrapping_leaves_the_disk(migrated: Engine, tmp_path: Path) -> None:
    """`secure_delete` and a checkpoint: an overwritten wrapping is in neither database nor log."""
    shared_store = SqlKeyStore(migrated)
    shared_store.add([record(wrapped=b"a wrapping that must go" * 4)])
    destroy(migrated)
    raw = sqlite3.connect(tmp_path / "migrated.db")
    try:
        assert raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    finally:
        raw.close()
    left = b"".join(path.read_bytes() for path in tmp_path.glob("migrated.db*"))
    assert b"must go" not in left
    assert b"sub_a" in left
