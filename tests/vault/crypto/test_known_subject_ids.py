"""Subject ids that were worked out before: the same ids, and no name kept."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vault.crypto import keyring as keyring_module
from vault.crypto.keyring import Keyring
from vault.crypto.subject_name import check_subject_id
from vault.errors import IdentifierInvalidError, KeyMissingError, StorageError


@given(name=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_id_is_the_same_when_it_is_asked_for_again_and_in_any_case(keyring: Keyring, name: str) -> None:
    keys = keyring.establish("clinic")
    first = check_subject_id(keys.subject_id(name))
    assert keys.subject_id(name) == first
    assert keys.subject_id(f" {name} ") == first
    assert keyring.establish("bank").subject_id(name) != first


def test_no_name_is_kept_for_having_been_asked_for(keyring: Keyring) -> None:
    keys = keyring.establish("clinic")
    keys.subject_id("Anna Schmidt")
    assert [len(known) for known in keys._ids] == [16]
    assert "Anna" not in repr(keys._ids)


def test_a_name_that_is_not_acceptable_is_refused_each_time(keyring: Keyring) -> None:
    keys = keyring.establish("clinic")
    for _ in range(2):
        with pytest.raises(IdentifierInvalidError):
            keys.subject_id("\ud800")
    assert keys._ids == {}


def test_known_ids_are_bounded_in_number(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "_KNOWN_IDS", 3)
    keys = keyring.establish("clinic")
    ids = [keys.subject_id(f"person {number}") for number in range(10)]
    assert len(keys._ids) <= 3
    assert [keys.subject_id(f"person {number}") for number in range(10)] == ids


def test_a_known_id_is_not_told_without_the_tenants_key(keyring: Keyring) -> None:
    with pytest.raises(KeyMissingError):
        keyring.tenant("nobody").subject_id("Anna")
    keys = keyring.establish("clinic")
    keys.subject_id("Anna")
    keyring.close()
    with pytest.raises(StorageError):
        keys.subject_id("Anna")
