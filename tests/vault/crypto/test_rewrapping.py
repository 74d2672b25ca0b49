"""Every key anew under the newest version: resumable, counted, and no destroyed key comes back."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from tests.simulators.transit import TOKEN, Token, TransitSimulator
from vault.clock import system_entropy
from vault.crypto.key_record import KeyKind, KeyName, KeyRecord, KeyState
from vault.crypto.key_store import KEYS, SqlKeyStore
from vault.crypto.rewrapping import below, oldest, rewrap_keys
from vault.crypto.root import InContext
from vault.crypto.transit_hvac import HvacTransit
from vault.crypto.transit_place import TransitPlace
from vault.crypto.transit_root import TransitRoot, name_root
from vault.errors import KeyWrongError, RootUnreachableError, RootVersionError

MANY = 1_100
AT = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[TransitSimulator]:
    with TransitSimulator() as made:
        yield made


@pytest.fixture
def root(server: TransitSimulator, tmp_path: Path) -> Iterator[TransitRoot]:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    client = HvacTransit(TransitPlace(server.url, "memvault", file), sleep=lambda _: None)
    yield TransitRoot(client, name_root(client, "transit", "memvault", system_entropy), system_entropy)
    client.close()


def fill(root: TransitRoot, store: SqlKeyStore, count: int) -> list[KeyRecord]:
    names = [KeyName("clinic", KeyKind.SUBJECT, f"sub_{nth:026d}", 1) for nth in range(count)]
    boxes = root.wrap_many([InContext(name.context, b"k" * 64) for name in names])
    made = [
        KeyRecord(name, box, "f" * 32, KeyState.ACTIVE, 0, AT) for name, box in zip(names, boxes, strict=True)
    ]
    return store.add(made)


def test_all_keys_are_rewrapped_and_open_as_before(
    root: TransitRoot, store: SqlKeyStore, server: TransitSimulator
) -> None:
    fill(root, store, MANY)
    server.rotate()
    assert below(root, store, 2) == MANY
    told = list(rewrap_keys(root, store, 2))
    assert [(one.seen, one.renewed, one.overtaken) for one in told] == [(1_024, 1_024, 0), (MANY, MANY, 0)]
    assert below(root, store, 2) == 0
    server.state.min_decryption = 2
    boxes = [InContext(one.name.context, one.wrapped) for one in store.records()]
    assert set(root.unwrap_many(boxes)) == {b"k" * 64}
    assert [one.renewed for one in rewrap_keys(root, store, 2)] == [0, 0]


def test_a_rewrapping_that_is_cut_off_is_begun_again(
    root: TransitRoot, store: SqlKeyStore, server: TransitSimulator
) -> None:
    fill(root, store, MANY)
    server.rotate()
    running = rewrap_keys(root, store, 2)
    assert next(running).renewed == 1_024
    server.state.tokens.clear()
    server.over = lambda _path, _body: (500, {})
    with pytest.raises(RootUnreachableError):
        next(running)
    assert below(root, store, 2) == MANY - 1_024
    server.over = lambda _path, _body: None
    server.state.tokens[TOKEN] = Token()
    assert [one.renewed for one in rewrap_keys(root, store, 2)][-1] == MANY - 1_024


def test_what_cannot_be_rewrapped_is_named_and_stands(
    root: TransitRoot, store: SqlKeyStore, server: TransitSimulator, keys_engine: Engine
) -> None:
    first, second, third = fill(root, store, 3)
    with keys_engine.begin() as connection:
        strange = update(KEYS).where(KEYS.c.subject_id == first.name.subject).values(wrapped=b"strange")
        connection.execute(strange)
        gone = update(KEYS).where(KEYS.c.subject_id == second.name.subject)
        connection.execute(gone.values(wrapped=b"", state=KeyState.DESTROYED))
    server.rotate()
    server.state.min_decryption = 2
    (told,) = rewrap_keys(root, store, 2)
    assert (told.seen, told.renewed) == (2, 0)
    assert [(name.subject, type(fault)) for name, fault in told.faults] == [
        (first.name.subject, KeyWrongError),
        (third.name.subject, RootVersionError),
    ]
    assert below(root, store, 2) == 2
    assert store.find(third.name) == third
    assert oldest(root, store) == 1, "of what tells its version"


def test_an_empty_store_has_no_oldest_version(root: TransitRoot, store: SqlKeyStore) -> None:
    assert oldest(root, store) == 0
    assert below(root, store, 2) == 0


def test_a_key_that_was_destroyed_meanwhile_does_not_come_back(
    root: TransitRoot, store: SqlKeyStore, keys_engine: Engine
) -> None:
    (one,) = fill(root, store, 1)
    with keys_engine.begin() as connection:
        connection.execute(update(KEYS).values(state=KeyState.DESTROYED, wrapped=b""))
    assert store.rewrap([(one, b"renewed")]) == 0
    assert store.find(one.name) == replace(one, state=KeyState.DESTROYED, wrapped=b"")


def test_a_rewrap_that_was_overtaken_is_counted(
    root: TransitRoot, store: SqlKeyStore, server: TransitSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(root, store, 2)
    server.rotate()
    monkeypatch.setattr(store, "rewrap", lambda changes: len(changes) - 1)
    (told,) = rewrap_keys(root, store, 2)
    assert (told.renewed, told.overtaken) == (1, 1)
