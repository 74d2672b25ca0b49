"""Vault ids: opaque, ordered by time, never mistaken for another kind or for personal data."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.clock import monotonic, system_clock, system_entropy
from vault.errors import IdentifierInvalidError
from vault.ids import IdKind, check_vault_id, new_id

TIME = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
KIND = st.sampled_from(IdKind)


@given(KIND, TIME, st.binary(min_size=10, max_size=10))
def test_every_id_that_is_made_has_the_form_of_its_kind_and_of_no_other(
    kind: IdKind, at: datetime, random: bytes
) -> None:
    made = new_id(kind, at, lambda _size: random)
    assert check_vault_id(kind, made) == made
    for other in set(IdKind) - {kind}:
        with pytest.raises(IdentifierInvalidError):
            check_vault_id(other, made)


@given(TIME, TIME, st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ids_are_in_the_order_of_their_milliseconds(
    one: datetime, two: datetime, first: bytes, second: bytes
) -> None:
    ids = new_id(IdKind.MEMORY, one, lambda _: first), new_id(IdKind.MEMORY, two, lambda _: second)
    if two - one >= timedelta(milliseconds=1):
        assert ids[0] < ids[1]


@given(TIME, st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ids_of_one_instant_differ_as_their_randomness_does(at: datetime, one: bytes, two: bytes) -> None:
    ids = {new_id(IdKind.MEMORY, at, lambda _: one), new_id(IdKind.MEMORY, at, lambda _: two)}
    assert len(ids) == len({one, two})


def test_no_two_of_many_ids_are_the_same() -> None:
    assert len({new_id(IdKind.MEMORY, system_clock(), system_entropy) for _ in range(20_000)}) == 20_000


@given(st.text(max_size=40))
def test_any_other_text_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(IdentifierInvalidError) as caught:
        check_vault_id(IdKind.MEMORY, text)
    assert len(text) < 4 or text not in str(caught.value)


@given(st.integers(0, 29), st.characters(exclude_characters="0123456789abcdefghjkmnpqrstvwxyz"))
def test_an_id_with_one_character_changed_to_a_foreign_one_is_refused(place: int, char: str) -> None:
    made = new_id(IdKind.EPISODE, datetime(2026, 1, 1, tzinfo=UTC), os.urandom)
    changed = made[:place] + char + made[place + 1 :]
    if changed != made:
        with pytest.raises(IdentifierInvalidError):
            check_vault_id(IdKind.EPISODE, changed)


def test_the_systems_sources_are_what_they_say() -> None:
    assert system_clock().tzinfo is UTC
    assert abs(system_clock() - datetime.now(UTC)) < timedelta(seconds=5)
    assert (len(system_entropy(33)), system_entropy(16) != system_entropy(16)) == (33, True)
    assert monotonic() <= monotonic()
