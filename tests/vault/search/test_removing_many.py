"""Many memories leave an index at one go: as if one by one, and while it is written to and searched."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vault.search.makers import ALICE, BOB, DIMENSIONS, ask, entry, record, vector
from vault.search import partition
from vault.search.index import Found, TenantIndex
from vault.search.partition import Moving, Partition

WORDS = ("lake", "ferry", "kitchen", "puppy", "summer", "sister")
SCOPES = frozenset({ALICE, BOB})


def filled(count: int) -> TenantIndex:
    index = TenantIndex(DIMENSIONS)
    index.add_many(
        entry(number, f"the {WORDS[number % 6]} and the {WORDS[number // 6 % 6]}", (ALICE, BOB)[number % 2])
        for number in range(count)
    )
    return index


def answers(index: TenantIndex) -> list[list[Found]]:
    return [index.search(ask(word, seed=7), SCOPES, 50) for word in WORDS]


@given(st.sets(st.integers(0, 59)))
@settings(deadline=None)
def test_removed_together_or_one_by_one_the_rest_is_found_alike(gone: set[int]) -> None:
    together, single = filled(50), filled(50)
    together.remove_many([f"m{number}" for number in sorted(gone, reverse=True)])
    for number in gone:
        single.remove(f"m{number}")
    assert len(together) == len(single) == 50 - len([number for number in gone if number < 50])
    assert answers(together) == answers(single)


@given(
    st.lists(st.integers(0, 39), unique=True), st.lists(st.integers(0, 39), unique=True), st.integers(0, 9)
)
@settings(deadline=None)
def test_what_happens_while_memories_move_together_happens_to_them(
    before: list[int], meanwhile: list[int], added: int
) -> None:
    old = Partition(DIMENSIONS)
    for number in range(40):
        old.add(f"m{number}", "e1", number, record(f"the {WORDS[number % 6]}"))
        if number % 3:
            old.put_vector(number, vector(number))
    old.remove_many(before)
    moving = Moving(DIMENSIONS)
    moving.copy(old, 40)
    old.remove_many(meanwhile)
    for number in range(added):
        old.add(f"n{number}", "e2", number, record("the ferry"))
    for row in range(0, 40, 3):
        if old.ids[row] is not None:
            old.put_vector(row, vector(row))
    moving.follow(old)
    kept = [(one, row) for row, one in enumerate(old.ids) if one is not None]
    fresh = {one: row for row, one in enumerate(moving.fresh.ids) if one is not None}
    assert sorted(fresh) == sorted(one for one, _ in kept)
    assert len(moving.fresh) == len(old)
    for one, row in kept:
        assert moving.fresh.has_vector(fresh[one]) == old.has_vector(row)


def test_an_index_is_written_to_and_searched_while_its_holes_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition, "FEWEST_HOLES", 10)
    index = filled(400)
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(400, 700):
                index.add(ALICE, f"m{number}", "e9", number, record("the sister sails"))
                index.search(ask("sister", seed=1), SCOPES, 5)
        except BaseException as error:  # noqa: BLE001  # told by the test
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    for start in range(0, 400, 50):
        index.remove_many([f"m{number}" for number in range(start, start + 50)])
        index.close_holes()
    writer.join(60)
    assert not writer.is_alive()
    assert failures == []
    assert len(index) == 300
    found = index.search(ask("sister sails", seed=1), SCOPES, 500)
    assert {hit.memory_id for hit in found} == {f"m{number}" for number in range(400, 700)}


def test_an_index_that_loses_all_is_empty() -> None:
    index = filled(20)
    index.remove_many([f"m{number}" for number in range(20)])
    index.remove_many(["m1", "unknown"])
    assert len(index) == 0
    assert answers(index) == [[] for _ in WORDS]
