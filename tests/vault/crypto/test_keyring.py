"""The keyring's laws: nothing created by a read, three different errors, one wall between tenants."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, update

from policies.model import AccessTier
from tests.simulators.sealed_rows import ROW, destroy, place, rows, seal
from vault.clock import Entropy
from vault.crypto.aead import MAX_SUBJECTS, key_versions
from vault.crypto.key_record import KeyKind, KeyState
from vault.crypto.key_store import KEYS, SqlKeyStore
from vault.crypto.keyring import KeyLimits, Keyring, TenantKeys
from vault.crypto.local_root import LocalRoot
from vault.crypto.root import RootKind
from vault.crypto.sealed import Binding, Sealed, SealedField
from vault.errors import (
    IdentifierInvalidError,
    KeyDestroyedError,
    KeyMissingError,
    KeyWrongError,
    TamperedError,
)

MakeKeyring = Callable[..., Keyring]


@pytest.fixture
def keys(keyring: Keyring) -> TenantKeys:
    return keyring.establish("clinic")


# ---- sealing and opening ----


def test_what_is_sealed_opens_again(keys: TenantKeys) -> None:
    binding, sealed = seal(keys, keys.subject_id("Anna"))
    assert keys.open(binding, sealed) == b"text"


def test_it_opens_again_after_a_restart(
    keys: TenantKeys, keyring: Keyring, make_keyring: MakeKeyring
) -> None:
    binding, sealed = seal(keys, keys.subject_id("Anna"))
    keyring.close()
    again = make_keyring().tenant("clinic")
    assert again.subject_id("Anna") == binding.subjects[0]
    assert again.open(binding, sealed) == b"text"


def test_the_fields_of_a_row_are_sealed_by_one_sealer(keys: TenantKeys) -> None:
    anna = keys.subject_id("Anna")
    key = keys.sealing_key([anna])
    sealer = key.bind(ROW, 1, AccessTier.PRIVATE)
    for field in SealedField:
        sealed = sealer.seal(field, field.encode())
        assert sealer.open(field, sealed) == field.encode()
        assert keys.open(place(keys, anna, field=field), sealed) == field.encode()
    with pytest.raises(TamperedError):
        sealer.open(SealedField.TERMS, sealer.seal(SealedField.TEXT, b"text"))
    with pytest.raises(TamperedError):
        key.bind(ROW, 2, AccessTier.PRIVATE).open(SealedField.TEXT, sealer.seal(SealedField.TEXT, b"text"))
    assert (key.subjects, key.versions) == ((anna,), (1,))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    names=st.sets(st.sampled_from(["Anna", "Ben", "Cleo", "Dora"]), min_size=1),
    text=st.binary(max_size=200),
    spot=st.tuples(st.integers(0, 2**32 - 1), st.sampled_from(AccessTier), st.sampled_from(SealedField)),
)
def test_any_set_of_subjects_round_trips(
    keys: TenantKeys, names: set[str], text: bytes, spot: tuple[int, AccessTier, SealedField]
) -> None:
    subjects = tuple(sorted(keys.subject_id(name) for name in names))
    version, tier, field = spot
    binding = Binding("clinic", ROW, version, subjects, tier, field)
    sealed = keys.sealing_key(subjects).seal(binding, text)
    assert keys.open(binding, sealed) == text


@pytest.mark.parametrize(
    "moved",
    [
        {"tenant": "bank"},
        {"record": "mem_b"},
        {"version": 2},
        {"access_tier": AccessTier.PUBLIC},
        {"field": SealedField.TERMS},
    ],
    ids=str,
)
def test_a_moved_value_does_not_open(keys: TenantKeys, moved: dict[str, str]) -> None:
    binding, sealed = seal(keys, keys.subject_id("Anna"))
    with pytest.raises(TamperedError):
        keys.open(replace(binding, **moved), sealed)  # type: ignore[arg-type]  # one field of each type


def test_a_value_moved_to_another_subject_does_not_open(keys: TenantKeys) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    keys.provide([ben])
    binding, sealed = seal(keys, anna)
    with pytest.raises(TamperedError):
        keys.open(replace(binding, subjects=(ben,)), sealed)


def test_a_key_seals_for_its_own_tenant_and_subjects_alone(keys: TenantKeys) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    key = keys.sealing_key([anna])
    for wrong in (place(keys, ben), place(keys, anna, ben), replace(place(keys, anna), tenant="bank")):
        with pytest.raises(IdentifierInvalidError):
            key.seal(wrong, b"text")
        with pytest.raises(TamperedError):
            key.open(wrong, seal(keys, anna)[1])


# ---- joint keys ----


def test_a_joint_key_is_neither_of_its_parts(keys: TenantKeys) -> None:
    anna, ben = sorted((keys.subject_id("Anna"), keys.subject_id("Ben")))
    joint = place(keys, anna, ben)
    joint_sealed = keys.sealing_key([ben, anna, ben]).seal(joint, b"text")
    assert key_versions(joint_sealed) == (1, 1)
    assert keys.open(joint, joint_sealed) == b"text"
    for subject in (anna, ben):
        with pytest.raises(TamperedError):
            keys.open(replace(joint, subjects=(subject,)), joint_sealed)


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_destroying_any_part_shreds_what_is_sealed_jointly(
    keyring: Keyring, keys_engine: Engine, make_keyring: MakeKeyring, gone: int
) -> None:
    keys = keyring.establish("clinic")
    subjects = tuple(sorted(keys.subject_id(name) for name in ("Anna", "Ben", "Cleo")))
    binding, sealed = seal(keys, *subjects)
    destroy(keys_engine, subjects[gone])
    with pytest.raises(KeyDestroyedError):
        make_keyring().tenant("clinic").open(binding, sealed)


def test_as_many_subjects_as_a_format_allows_round_trip(keys: TenantKeys) -> None:
    subjects = [keys.subject_id(f"Person {number}") for number in range(MAX_SUBJECTS)]
    binding, sealed = seal(keys, *subjects)
    assert keys.open(binding, sealed) == b"text"
    with pytest.raises(IdentifierInvalidError):
        keys.sealing_key([*subjects, keys.subject_id("One more")])


# ---- nothing is created by a read ----


def test_no_read_creates_a_key(keyring: Keyring, make_keyring: MakeKeyring, keys_engine: Engine) -> None:
    keys = keyring.establish("clinic")
    anna = keys.subject_id("Anna")
    stranger = Sealed(b"\x01\x01" + bytes([0, 0, 0, 1]) + bytes(80))
    before = rows(keys_engine)
    for read in (
        lambda: keys.open(place(keys, anna), stranger),
        lambda: keys.opening_key((anna,), (1,)),
        lambda: keys.token_key(anna),
        lambda: keys.rotate(anna),
        lambda: make_keyring().tenant("bank").subject_id("Anna"),
        lambda: make_keyring().tenant("bank").search_key(),
        lambda: make_keyring().tenant("bank").query_key(),
        lambda: make_keyring().tenant("bank").surrogate_key(),
    ):
        with pytest.raises(KeyMissingError):
            read()
    assert rows(keys_engine) == before == 2


def test_writing_creates_a_key_once_and_durably(
    keys: TenantKeys, keys_engine: Engine, store: SqlKeyStore
) -> None:
    anna = keys.subject_id("Anna")
    first, second = keys.sealing_key([anna]), keys.sealing_key([anna])
    assert first is second
    assert rows(keys_engine) == 3
    found = store.newest("clinic", KeyKind.SUBJECT, anna)
    assert found is not None
    assert re.fullmatch("[0-9a-f]{32}", found.fingerprint)
    assert found.state is KeyState.ACTIVE
    assert found.created.isoformat() == "2026-11-22T12:00:00+00:00"


def test_keys_of_many_subjects_are_created_together(keys: TenantKeys, keys_engine: Engine) -> None:
    subjects = [keys.subject_id(f"Person {number}") for number in range(20)]
    keys.provide(subjects[:10])
    keys.provide(subjects)
    assert rows(keys_engine) == 22
    keys.provide([])
    assert rows(keys_engine) == 22


def test_establishing_twice_changes_nothing(keyring: Keyring, keys_engine: Engine) -> None:
    first = keyring.establish("clinic").subject_id("Anna")
    assert keyring.establish("clinic").subject_id("Anna") == first
    assert rows(keys_engine) == 2


# ---- missing, wrong, destroyed, tampered ----


def test_a_destroyed_key_opens_nothing_and_gets_no_successor(
    keys: TenantKeys, keys_engine: Engine, make_keyring: MakeKeyring
) -> None:
    anna = keys.subject_id("Anna")
    binding, sealed = seal(keys, anna)
    destroy(keys_engine, anna)
    again = make_keyring().tenant("clinic")
    for use in (
        lambda: again.open(binding, sealed),
        lambda: again.sealing_key([anna]),
        lambda: again.provide([anna]),
        lambda: again.token_key(anna),
        lambda: again.rotate(anna),
    ):
        with pytest.raises(KeyDestroyedError):
            use()
    assert rows(keys_engine) == 3


def test_another_root_key_is_wrong_not_missing(
    keys: TenantKeys, make_keyring: MakeKeyring, entropy: Entropy
) -> None:
    anna = keys.subject_id("Anna")
    binding, sealed = seal(keys, anna)
    stranger = make_keyring(over=LocalRoot(b"s" * 32, RootKind.FILE, entropy)).tenant("clinic")
    with pytest.raises(KeyWrongError):
        stranger.open(binding, sealed)
    with pytest.raises(KeyWrongError):
        stranger.sealing_key([anna])


def test_a_wrapped_key_moved_to_another_row_does_not_unwrap(
    keys: TenantKeys, keys_engine: Engine, make_keyring: MakeKeyring, store: SqlKeyStore
) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    keys.provide([anna, ben])
    annas = store.newest("clinic", KeyKind.SUBJECT, anna)
    assert annas is not None
    with keys_engine.begin() as connection:
        moved = update(KEYS).where(KEYS.c.subject_id == ben)
        connection.execute(moved.values(wrapped=annas.wrapped, fingerprint=annas.fingerprint))
    with pytest.raises(TamperedError):
        make_keyring().tenant("clinic").sealing_key([ben])


def test_a_changed_fingerprint_is_noticed(
    keys: TenantKeys, keys_engine: Engine, make_keyring: MakeKeyring
) -> None:
    anna = keys.subject_id("Anna")
    keys.provide([anna])
    with keys_engine.begin() as connection:
        connection.execute(update(KEYS).values(fingerprint="0" * 32))
    with pytest.raises(TamperedError, match="not the one that its record names"):
        make_keyring().tenant("clinic").sealing_key([anna])


def test_a_head_that_names_a_version_that_never_was_is_missing(keys: TenantKeys) -> None:
    binding, sealed = seal(keys, keys.subject_id("Anna"))
    changed = bytearray(sealed.data)
    changed[5] = 9
    with pytest.raises(KeyMissingError, match="v9"):
        keys.open(binding, Sealed(bytes(changed)))


def test_a_head_with_another_number_of_keys_is_tampered(keys: TenantKeys) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    binding, sealed = seal(keys, anna)
    with pytest.raises(TamperedError, match="another number of subjects"):
        keys.open(place(keys, anna, ben), sealed)
    assert keys.open(binding, sealed) == b"text"


@pytest.mark.parametrize("subjects", [(), ("sub_b" + "a" * 25, "sub_a" + "a" * 25), ("anna",)])
def test_subjects_that_are_no_sorted_ids_are_refused(keys: TenantKeys, subjects: tuple[str, ...]) -> None:
    with pytest.raises(IdentifierInvalidError):
        keys.opening_key(subjects, (1,) * len(subjects))


def test_malformed_subjects_and_tenants_create_nothing(
    keys: TenantKeys, keyring: Keyring, keys_engine: Engine
) -> None:
    for use in (
        lambda: keys.sealing_key([]),
        lambda: keys.sealing_key(["Anna"]),
        lambda: keys.provide(["Anna"]),
        lambda: keyring.tenant("No Tenant"),
        lambda: keyring.establish(""),
    ):
        with pytest.raises(IdentifierInvalidError):
            use()
    assert rows(keys_engine) == 2


# ---- the tenant wall ----


def test_the_same_person_is_another_subject_at_another_tenant(keyring: Keyring) -> None:
    clinic, bank = keyring.establish("clinic"), keyring.establish("bank")
    assert clinic.subject_id("Anna") != bank.subject_id("Anna")
    assert clinic.search_key() != bank.search_key()


def test_a_tenants_keys_do_not_open_anothers_values(keyring: Keyring) -> None:
    clinic, bank = keyring.establish("clinic"), keyring.establish("bank")
    anna = clinic.subject_id("Anna")
    binding, sealed = seal(clinic, anna)
    bank.provide([anna])
    for claimed in (binding, replace(binding, tenant="bank")):
        with pytest.raises(TamperedError):
            bank.open(claimed, sealed)


# ---- subkeys ----


def test_each_use_has_a_key_of_its_own(keys: TenantKeys) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    keys.provide([anna, ben])
    found = {
        keys.token_key(anna),
        keys.token_key(ben),
        keys.search_key(),
        keys.query_key(),
        keys.surrogate_key(),
    }
    assert len(found) == 5
    assert {len(key) for key in found} == {32}
    assert keys.token_key(anna) == keys.token_key(anna)


def test_a_tenants_keys_are_listed_without_being_unwrapped(keyring: Keyring) -> None:
    keys = keyring.establish("clinic")
    keyring.establish("bank")
    keys.provide([keys.subject_id("Anna")])
    listed = [(record.name.kind, record.state) for record in keys.records()]
    assert listed == [
        (kind, KeyState.ACTIVE) for kind in (KeyKind.SEARCH, KeyKind.SUBJECT, KeyKind.SUBJECT_IDS)
    ]
    assert {record.name.tenant for record in keys.records()} == {"clinic"}
    assert keyring.limits == KeyLimits()


# ---- the tenant's key of credentials, and what is known of a subject's key ----


def test_the_key_of_credentials_is_the_same_for_ever_and_serves_nothing_else(
    keys: TenantKeys, keyring: Keyring, make_keyring: MakeKeyring
) -> None:
    key = keys.credential_key()
    assert len(key) == 32
    assert keyring.establish("bank").credential_key() != key
    assert key not in {keys.search_key(), keys.query_key(), keys.surrogate_key()}
    keyring.close()
    assert make_keyring().tenant("clinic").credential_key() == key


def test_a_tenant_that_was_never_established_has_no_key_of_credentials(keyring: Keyring) -> None:
    with pytest.raises(KeyMissingError):
        keyring.tenant("nobody").credential_key()


def test_asking_whether_a_subject_has_a_key_makes_none(keys: TenantKeys, store: SqlKeyStore) -> None:
    anna = keys.subject_id("Anna")
    before = list(store.records())
    assert not keys.has_key(anna)
    assert list(store.records()) == before
    keys.sealing_key([anna])
    assert keys.has_key(anna)


def test_a_leased_key_is_known_without_asking_the_store(
    keys: TenantKeys, store: SqlKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    keys.sealing_key([anna])
    keys.provide([ben])
    keys.token_key(ben)
    monkeypatch.setattr(store, "newest", lambda *_name: pytest.fail("the store was asked"))
    assert keys.has_key(anna)
    assert keys.has_key(ben)


def test_a_lost_key_is_told_from_a_destroyed_one(
    keys: TenantKeys, keyring: Keyring, make_keyring: MakeKeyring, keys_engine: Engine
) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    keys.provide([anna, ben])
    destroy(keys_engine, anna)
    with keys_engine.begin() as connection:
        connection.execute(KEYS.delete().where(KEYS.c.subject_id == ben))
    keyring.close()
    again = make_keyring().tenant("clinic")
    assert (again.has_key(anna), again.has_key(ben)) == (True, False)


def test_a_key_that_may_not_be_created_is_missing_and_none_is_made_for_the_others(
    keys: TenantKeys, store: SqlKeyStore
) -> None:
    anna, ben = keys.subject_id("Anna"), keys.subject_id("Ben")
    with pytest.raises(KeyMissingError):
        keys.sealing_key([anna], create=False)
    keys.sealing_key([anna])
    before = list(store.records())
    with pytest.raises(KeyMissingError, match=ben):
        keys.sealing_key([anna, ben], create=False)
    assert list(store.records()) == before
    assert keys.sealing_key([anna], create=False) is keys.sealing_key([anna])


def test_the_key_of_tombstones_is_the_same_for_ever_and_serves_nothing_else(
    keys: TenantKeys, keyring: Keyring, make_keyring: MakeKeyring
) -> None:
    """A tombstone is asked for years after it was set: its key may neither rotate nor be of a subject."""
    anna = keys.subject_id("Anna")
    keys.provide([anna])
    key = keys.tombstone_key()
    assert len(key) == 32
    assert keyring.establish("bank").tombstone_key() != key
    assert key not in {keys.search_key(), keys.query_key(), keys.surrogate_key(), keys.credential_key()}
    keys.rotate(anna)
    keyring.close()
    assert make_keyring().tenant("clinic").tombstone_key() == key
    with pytest.raises(KeyMissingError):
        make_keyring().tenant("nobody").tombstone_key()
