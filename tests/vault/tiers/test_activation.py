"""Activation memory holds a bounded amount of opened content, and wipes it when it goes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.model import AccessTier
from tests.simulators.clinic import OFFICER, OWNER, Clinic
from vault.clock import system_entropy
from vault.crypto.sealed import SealedField
from vault.crypto.sealing_key import SealingKey, SealingName
from vault.errors import KeyDestroyedError, StorageError, TamperedError
from vault.model import Chat, Turn
from vault.tiers.activation import ActivationLimits, ActivationMemory


class Key:
    """Stands for a sealing key."""


def opening(content: bytes, told: list[bytes]) -> Callable[[], bytes]:
    def open_() -> bytes:
        told.append(content)
        return content

    return open_


@pytest.fixture
def memory() -> ActivationMemory:
    return ActivationMemory(ActivationLimits(items=2, size=100))


def test_what_was_opened_is_opened_once(memory: ActivationMemory) -> None:
    key, told = Key(), list[bytes]()
    memory.adopt(key)
    for _ in range(3):
        assert memory.opened(key, b"place", b"sealed", opening(b"content", told)) == b"content"
    assert told == [b"content"]
    status = memory.status()
    assert (status.items, status.hits, status.misses, round(status.hit_rate, 2)) == (1, 2, 1, 0.67)


@pytest.mark.parametrize(("place", "sealed"), [(b"elsewhere", b"sealed"), (b"place", b"changed")])
def test_a_moved_or_changed_ciphertext_is_opened_as_if_nothing_were_kept(
    memory: ActivationMemory, place: bytes, sealed: bytes
) -> None:
    key, told = Key(), list[bytes]()
    memory.adopt(key)
    memory.opened(key, b"place", b"sealed", opening(b"content", told))

    def refuse() -> bytes:
        raise TamperedError("not what was sealed here")

    with pytest.raises(TamperedError):
        memory.opened(key, place, sealed, refuse)
    assert memory.opened(key, b"place", b"sealed", opening(b"other", told)) == b"content"


def test_another_key_gets_nothing_of_it(memory: ActivationMemory) -> None:
    key, other, told = Key(), Key(), list[bytes]()
    memory.adopt(key)
    memory.adopt(other)
    memory.opened(key, b"place", b"sealed", opening(b"mine", told))
    assert memory.opened(other, b"place", b"sealed", opening(b"theirs", told)) == b"theirs"
    assert memory.status().items == 1


def test_the_least_recently_used_goes_first_and_is_wiped(memory: ActivationMemory) -> None:
    key, told = Key(), list[bytes]()
    memory.adopt(key)
    for name in (b"one", b"two"):
        memory.opened(key, name, b"sealed", opening(name, told))
    buffer = memory._held[b"two"].content  # that it is overwritten shows nowhere else
    memory.opened(key, b"one", b"sealed", opening(b"one", told))
    memory.opened(key, b"three", b"sealed", opening(b"three", told))
    assert bytes(buffer) == bytes(3)
    assert memory.status().evicted == 1
    memory.opened(key, b"one", b"sealed", opening(b"one", told))
    assert told == [b"one", b"two", b"three"]


def test_what_is_larger_than_all_room_pushes_nothing_out(memory: ActivationMemory) -> None:
    key, told = Key(), list[bytes]()
    memory.adopt(key)
    memory.opened(key, b"one", b"sealed", opening(b"one", told))
    memory.opened(key, b"huge", b"sealed", opening(bytes(1000), told))
    assert (memory.status().items, memory.status().evicted) == (1, 0)


def test_content_goes_with_its_key_and_does_not_come_back_behind_it(memory: ActivationMemory) -> None:
    key, told = Key(), list[bytes]()
    memory.adopt(key)
    memory.opened(key, b"place", b"sealed", opening(b"content", told))
    buffer = memory._held[b"place"].content  # as above

    def gone() -> bytes:
        memory.forget(key)
        return b"late"

    assert memory.opened(key, b"late", b"sealed", gone) == b"late"
    assert bytes(buffer) == bytes(7)
    assert (memory.status().items, memory.status().size, memory.status().wiped) == (0, 0, 1)


def test_limits_are_not_negative() -> None:
    with pytest.raises(ValueError, match="not negative"):
        ActivationLimits(items=-1)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 40), st.booleans()), max_size=60)
)
def test_bounds_hold_and_sizes_add_up_whatever_happens(
    steps: list[tuple[int, int, int, bool]],
) -> None:
    memory, keys = ActivationMemory(ActivationLimits(items=5, size=120)), [Key() for _ in range(4)]
    for number, place, size, forget in steps:
        if forget:
            memory.forget(keys[number])
            continue
        memory.adopt(keys[number])
        content = bytes([number + 1]) * size
        name = bytes([number, place])
        assert memory.opened(keys[number], name, content, opening(content, [])) == content
        held = memory._held  # the sum is the point
        assert memory.status().items <= 5
        assert memory.status().size == sum(item.size(at) for at, item in held.items()) <= 120


def test_reading_twice_opens_once_and_originals_are_never_kept(clinic: Clinic) -> None:
    mem = clinic.mem(OWNER)
    chat = Chat((Turn("Ana", "call me on 218 555 0159 about the knee"),))
    (memory_id,) = mem.extract(chat, subject="maria").memory_ids
    first = mem.get(memory_id)
    before = clinic.vault.parts.sealers.at_hand.status()
    assert mem.get(memory_id).text == first.text
    after = clinic.vault.parts.sealers.at_hand.status()
    assert (after.hits - before.hits, after.misses - before.misses) == (3, 0)
    assert "218 555 0159" in mem.reveal(memory_id).text
    held = clinic.vault.parts.sealers.at_hand._held.values()  # what must not be there
    assert held
    assert not any(b"0159" in bytes(item.content) for item in held)


def test_a_row_that_somebody_changed_is_found_out_though_its_content_is_at_hand(clinic: Clinic) -> None:
    mem = clinic.mem(OWNER)
    (memory_id,) = mem.extract(Chat((Turn("Ana", "the knee is sore"),)), subject="maria").memory_ids
    mem.get(memory_id)
    clinic.sql("UPDATE memory SET access_tier = 'institutional' WHERE memory_id = ?", memory_id)
    with pytest.raises(TamperedError):
        mem.get(memory_id)


def test_nothing_of_an_erased_person_stays_at_hand(clinic: Clinic) -> None:
    mem = clinic.mem(OWNER)
    (memory_id,) = mem.extract(Chat((Turn("Ana", "the knee is sore"),)), subject="maria").memory_ids
    mem.get(memory_id)
    parts = clinic.vault.parts
    assert parts.sealers.at_hand.status().items == 3
    (subject,) = parts.sealers.subject_ids(OFFICER.tenant, ("maria",))
    parts.sealers.destroy(OFFICER.tenant, subject)
    assert parts.sealers.at_hand.status().items == 0
    with pytest.raises(KeyDestroyedError):
        mem.get(memory_id)


def test_what_is_at_hand_goes_with_the_lease_of_its_key_and_with_the_vault(clinic: Clinic) -> None:
    mem = clinic.mem(OWNER)
    (memory_id,) = mem.extract(Chat((Turn("Ana", "the knee is sore"),)), subject="maria").memory_ids
    mem.get(memory_id)
    at_hand = clinic.vault.parts.sealers.at_hand
    assert at_hand.status().items
    clinic.close()
    assert (at_hand.status().items, at_hand.status().size) == (0, 0)


def test_nothing_is_kept_for_a_key_that_is_closed_while_it_is_handed_over() -> None:
    name = SealingName("clinic", ("sub_a",), (1,))
    key = SealingKey(name, bytes(32), system_entropy, lambda: None)
    sealer = key.bind("mem_1", 1, AccessTier.PRIVATE)
    sealed = sealer.seal(SealedField.TEXT, b"the knee")

    class Closing(ActivationMemory):
        def adopt(self, owner: object, tenant: str = "") -> None:
            key._keeper = None  # as if the other thread had looked just before
            key.close()
            super().adopt(owner, tenant)
            key._keeper = self

    memory = Closing()
    with pytest.raises(StorageError):
        sealer.open_kept(SealedField.TEXT, sealed, memory)
    assert (memory.status().items, memory._of) == (0, {})
