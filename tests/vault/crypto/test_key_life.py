"""The life of keys: rotated, counted, leased, wiped, and shared by threads."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, select, update

from policies.model import AccessTier
from tests.simulators.sealed_rows import ROW, destroy, place, rows, seal
from vault.crypto.aead import MAX_SUBJECTS, key_versions
from vault.crypto.derive import Label
from vault.crypto.key_record import KeyKind, KeyName, KeyRecord, KeyState
from vault.crypto.key_store import KEYS, SqlKeyStore
from vault.crypto.keyring import KeyLimits, Keyring, TenantKeys
from vault.crypto.local_root import LocalRoot
from vault.crypto.sealed import Binding, Sealed, SealedField
from vault.crypto.unwrapped import UnwrappedKey
from vault.errors import (
    InputInvalidError,
    KeyAccessError,
    KeyDestroyedError,
    KeyExhaustedError,
    StorageError,
    TamperedError,
)

MakeKeyring = Callable[..., Keyring]


@pytest.fixture
def keys(keyring: Keyring) -> TenantKeys:
    return keyring.establish("clinic")


# ---- rotation ----


def test_after_a_rotation_new_values_take_the_new_key_and_old_ones_open(
    keys: TenantKeys, store: SqlKeyStore
) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    old = seal(keys, anna)
    old_joint, others = seal(keys, anna, ben), seal(keys, ben)
    token_key = keys.token_key(anna)
    assert keys.rotate(anna) == 2
    new, new_joint = seal(keys, anna), seal(keys, anna, ben)
    assert key_versions(old[1]) == (1,)
    assert key_versions(new[1]) == (2,)
    assert sorted(key_versions(new_joint[1])) == [1, 2]
    for binding, sealed in (old, old_joint, others, new, new_joint):
        assert keys.open(binding, sealed) == b"text"
    assert keys.token_key(anna) == token_key
    states = [found.state for found in store.records("clinic") if found.name.subject == anna]
    assert states == [KeyState.RETIRED, KeyState.ACTIVE]


def test_a_value_relabelled_with_the_new_version_does_not_open(keys: TenantKeys) -> None:
    anna = keys.subject_id("Anna")
    binding, sealed = seal(keys, anna)
    keys.rotate(anna)
    changed = bytearray(sealed.data)
    changed[5] = 2
    with pytest.raises(TamperedError):
        keys.open(binding, Sealed(bytes(changed)))


def test_a_rotation_during_a_first_write_is_not_overlooked(
    keys: TenantKeys, store: SqlKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer has read version 1 when version 2 comes: it may seal once under 1, and not go on."""
    anna = keys.subject_id("Anna")
    keys.provide([anna])
    real = store.newest
    rotated: list[bool] = []

    def newest(tenant: str, kind: KeyKind, subject: str) -> object:
        found = real(tenant, kind, subject)
        if not rotated:
            rotated.append(True)
            keys.rotate(anna)
        return found

    monkeypatch.setattr(store, "newest", newest)
    assert keys.sealing_key([anna]).versions == (1,)
    assert keys.sealing_key([anna]).versions == (2,)


# ---- counters ----


def test_a_key_refuses_to_seal_beyond_its_limit(make_keyring: MakeKeyring) -> None:
    keys = make_keyring(KeyLimits(seals=5, seal_block=2)).establish("clinic")
    anna = keys.subject_id("Anna")
    sealed = [seal(keys, anna) for _ in range(5)]
    with pytest.raises(KeyExhaustedError, match="its 5 seals"):
        seal(keys, anna)
    assert all(keys.open(*one) == b"text" for one in sealed)
    keys.rotate(anna)
    assert key_versions(seal(keys, anna)[1]) == (2,)


def test_a_restart_never_forgets_seals(make_keyring: MakeKeyring, store: SqlKeyStore) -> None:
    limits = KeyLimits(seals=6, seal_block=4)
    keys = make_keyring(limits).establish("clinic")
    anna = keys.subject_id("Anna")
    seal(keys, anna)
    again = make_keyring(limits).tenant("clinic")
    for _ in range(2):
        seal(again, anna)
    with pytest.raises(KeyExhaustedError):
        seal(again, anna)
    found = store.newest("clinic", KeyKind.SUBJECT, anna)
    assert found is not None
    assert found.seal_reserved == 6


def test_a_seal_costs_no_write_within_a_block(
    make_keyring: MakeKeyring, store: SqlKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = make_keyring(KeyLimits(seal_block=100)).establish("clinic")
    anna = keys.subject_id("Anna")
    real, reserved = store.reserve, []

    def reserve(name: KeyName, block: int, limit: int) -> int:
        reserved.append(name)
        return real(name, block, limit)

    monkeypatch.setattr(store, "reserve", reserve)
    for _ in range(101):
        seal(keys, anna)
    assert len(reserved) == 2


def test_a_joint_seal_counts_for_each_subject(make_keyring: MakeKeyring) -> None:
    keys = make_keyring(KeyLimits(seals=3, seal_block=1)).establish("clinic")
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    for _ in range(2):
        seal(keys, anna, ben)
    seal(keys, ben)
    with pytest.raises(KeyExhaustedError):
        seal(keys, anna, ben)


def test_a_held_key_stops_sealing_when_the_key_is_destroyed(
    make_keyring: MakeKeyring, keys_engine: Engine
) -> None:
    keys = make_keyring(KeyLimits(seal_block=1)).establish("clinic")
    anna = keys.subject_id("Anna")
    key = keys.sealing_key([anna])
    key.seal(place(keys, anna), b"text")
    destroy(keys_engine, anna)
    with pytest.raises(KeyDestroyedError):
        key.seal(place(keys, anna), b"text")


def test_threads_count_every_seal(make_keyring: MakeKeyring) -> None:
    keys = make_keyring(KeyLimits(seals=400, seal_block=7)).establish("clinic")
    anna = keys.subject_id("Anna")

    def work(_number: int) -> int:
        done = 0
        for _ in range(100):
            try:
                seal(keys, anna)
            except KeyExhaustedError:
                return done
            done += 1
        return done

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 400


# ---- threads ----


def test_two_threads_that_create_the_same_key_get_one(make_keyring: MakeKeyring, keys_engine: Engine) -> None:
    rings = [make_keyring() for _ in range(4)]
    barrier = threading.Barrier(4)

    def work(ring: Keyring) -> tuple[str, tuple[Binding, Sealed]]:
        barrier.wait(20)
        keys = ring.establish("clinic")
        return keys.subject_id("Anna"), seal(keys, keys.subject_id("Anna"))

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(work, rings))
    assert len({subject for subject, _ in made}) == 1
    for ring in rings:
        assert all(ring.tenant("clinic").open(*sealed) == b"text" for _, sealed in made)
    assert rows(keys_engine) == 3


def test_threads_over_more_keys_than_may_be_leased_all_succeed(make_keyring: MakeKeyring) -> None:
    ring = make_keyring(KeyLimits(leased_keys=MAX_SUBJECTS))
    keys = ring.establish("clinic")
    subjects = [keys.subject_id(f"Person {number}") for number in range(3 * MAX_SUBJECTS)]
    keys.provide(subjects)

    def work(offset: int) -> bool:
        chosen = [subjects[(offset + 40 * step) % len(subjects)] for step in range(4)]
        return all(
            keys.open(*seal(keys, *several)) == b"text" for several in [chosen, *[[one] for one in chosen]]
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(50)))
    assert len(ring._keys._leases) <= MAX_SUBJECTS
    assert len(ring._keys._sealing) <= MAX_SUBJECTS


# ---- leases ----


def test_a_lease_that_ran_out_is_wiped_and_fetched_anew(
    make_keyring: MakeKeyring, ticks: list[float], root: LocalRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = make_keyring(KeyLimits(lease_seconds=10))
    keys = ring.establish("clinic")
    anna = keys.subject_id("Anna")
    key = keys.sealing_key([anna])
    held = list(ring._keys._leases._held.values())
    unwrapped: list[bytes] = []
    real = root.unwrap

    def unwrap(context: bytes, wrapped: bytes) -> bytes:
        unwrapped.append(context)
        return real(context, wrapped)

    monkeypatch.setattr(root, "unwrap", unwrap)
    ticks[0] = 9.9
    assert keys.sealing_key([anna]) is key
    ticks[0] = 10.0
    assert keys.sealing_key([anna]) is not key
    assert len(unwrapped) == 1
    assert all(set(one._secret) == {0} for one in held)
    late = key.seal(place(keys, anna), b"text")  # a unit of work that holds it may finish
    assert keys.open(place(keys, anna), late) == b"text"


def test_a_destroyed_key_is_gone_when_its_lease_ends(
    make_keyring: MakeKeyring, ticks: list[float], keys_engine: Engine
) -> None:
    keys = make_keyring(KeyLimits(lease_seconds=10)).establish("clinic")
    anna = keys.subject_id("Anna")
    binding, sealed = seal(keys, anna)
    destroy(keys_engine, anna)
    ticks[0] = 10.0
    with pytest.raises(KeyDestroyedError):
        keys.open(binding, sealed)


def test_sweeping_wipes_keys_that_nobody_asks_for(make_keyring: MakeKeyring, ticks: list[float]) -> None:
    ring = make_keyring(KeyLimits(lease_seconds=10))
    keys = ring.establish("clinic")
    keys.sealing_key([keys.subject_id("Anna")])
    keys.token_key(keys.subject_id("Anna"))
    held = list(ring._keys._leases._held.values())
    assert any(set(one._secret) != {0} for one in held)
    ticks[0] = 10.0
    ring.sweep()
    assert all(set(one._secret) == {0} for one in held)
    assert len(ring._keys._leases) == 0
    assert ring._keys._sealing == {}
    assert ring._keys._newest == {}
    assert ring._keys._writing == {}


def test_closing_wipes_every_key_and_stops_every_user(keyring: Keyring) -> None:
    keys = keyring.establish("clinic")
    anna = keys.subject_id("Anna")
    key = keys.sealing_key([anna])
    sealer = key.bind(ROW, 1, AccessTier.PRIVATE)
    binding, sealed = seal(keys, anna)
    held = list(keyring._keys._leases._held.values())
    keyring.close()
    keyring.close()
    assert all(set(one._secret) == {0} for one in held)
    assert all(one._subkeys == {} for one in held)
    for use in (
        lambda: sealer.seal(SealedField.TEXT, b"text"),
        lambda: key.open(binding, sealed),
        lambda: keys.open(binding, sealed),
        lambda: keys.sealing_key([anna]),
        lambda: keys.token_key(anna),
        lambda: keys.provide([keys_id]),
    ):
        with pytest.raises(StorageError, match="the vault is closed"):
            use()


keys_id = "sub_" + "z" * 26


def test_a_key_that_fails_to_load_leaves_the_others_wiped(
    keys: TenantKeys,
    keyring: Keyring,
    make_keyring: MakeKeyring,
    keys_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subjects = sorted((keys.subject_id("Anna"), keys.subject_id("Ben")))
    binding, sealed = seal(keys, *subjects)
    with keys_engine.begin() as connection:
        whole = connection.execute(
            select(KEYS.c.wrapped).where(KEYS.c.subject_id == subjects[1])
        ).scalar_one()
        cut = update(KEYS).where(KEYS.c.subject_id == subjects[1]).values(wrapped=whole[:-1])
        connection.execute(cut)
    ring = make_keyring()
    real, loaded = ring._keys._unwrapped, []

    def unwrapped(name: KeyName, secret: bytes) -> UnwrappedKey:
        loaded.append(real(name, secret))
        return loaded[-1]

    monkeypatch.setattr(ring._keys, "_unwrapped", unwrapped)
    with pytest.raises(TamperedError):
        ring.tenant("clinic").open(binding, sealed)
    assert len(loaded) == 1
    assert set(loaded[0]._secret) == {0}
    assert len(ring._keys._leases) == 0


@pytest.mark.parametrize(
    "wrong",
    [{"leased_keys": MAX_SUBJECTS - 1}, {"lease_seconds": 0.0}, {"seals": 0}, {"seal_block": 0}],
    ids=str,
)
def test_limits_that_cannot_work_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputInvalidError):
        KeyLimits(**wrong)


def test_nothing_prints_a_key(keys: TenantKeys, keyring: Keyring) -> None:
    anna = keys.subject_id("Anna")
    key = keys.sealing_key([anna])
    held = list(keyring._keys._leases._held.values())
    shown = repr(key) + repr(held) + repr(keyring.root)
    assert anna in shown
    assert not any(one._secret.hex() in shown or repr(bytes(one._secret)) in shown for one in held)


def test_no_key_stands_in_the_clear_in_the_store(
    keys: TenantKeys, keyring: Keyring, store: SqlKeyStore
) -> None:
    keys.sealing_key([keys.subject_id("Anna")])
    stored = b"".join(found.wrapped for found in store.records())
    for one in keyring._keys._leases._held.values():
        assert bytes(one._secret) not in stored
        assert bytes(one._secret)[:16] not in stored


def test_a_key_that_was_wiped_to_make_room_is_never_leased_again(make_keyring: MakeKeyring) -> None:
    """A joint key of a new subject and the oldest one leased: leasing the new one ends the other's lease."""
    ring = make_keyring(KeyLimits(leased_keys=MAX_SUBJECTS))
    keys = ring.establish("clinic")
    new, *others = sorted(keys.subject_id(f"Person {number}") for number in range(MAX_SUBJECTS + 1))
    keys.provide([new])
    ring._keys._leases.clear()
    for subject in reversed(others):
        keys.sealing_key([subject])
    assert next(iter(ring._keys._leases._held)).subject == others[-1]
    binding, sealed = seal(keys, new, others[-1])
    assert all(set(held._secret) != {0} for held in ring._keys._leases._held.values())
    ring._keys._leases.clear()
    assert keys.open(binding, sealed) == b"text"


def test_reading_a_wiped_key_is_an_error_and_not_a_key_of_zeros(keys: TenantKeys, keyring: Keyring) -> None:
    keys.sealing_key([keys.subject_id("Anna")])
    held = list(keyring._keys._leases._held.values())
    keyring.close()
    for key in held:
        for read in (key.sealing_part, key.lasting_part, lambda key=key: key.subkey(Label.TOKEN)):
            with pytest.raises(KeyAccessError, match="after it was wiped"):
                read()


def test_of_two_threads_that_load_a_key_one_copy_is_leased_and_the_other_wiped(
    keys: TenantKeys, make_keyring: MakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = keys.subject_id("Anna")
    binding, sealed = seal(keys, anna)
    ring = make_keyring()
    real = ring._keys._matched
    loaded: list[UnwrappedKey] = []

    def load(record: KeyRecord, secret: bytes) -> UnwrappedKey:
        key = real(record, secret)
        assert isinstance(key, UnwrappedKey)
        if not loaded:
            loaded.append(key)
            ring.tenant("clinic").sealing_key([anna])  # the other thread, while this one waits for the root
        else:
            loaded.append(key)
        return key

    monkeypatch.setattr(ring._keys, "_matched", load)
    assert ring.tenant("clinic").open(binding, sealed) == b"text"
    slow, fast = loaded
    assert set(slow._secret) == {0}
    assert set(fast._secret) != {0}
    assert ring._keys._leases.get(fast.name) is fast
