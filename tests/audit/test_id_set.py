"""The set of ids says of each id what a set would, whatever its size."""

import sqlite3
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.id_set import _FRESH, IdSet
from audit.replay import Erasures


@given(st.lists(st.lists(st.text(max_size=3), max_size=20), max_size=20), st.lists(st.text(max_size=3)))
def test_it_holds_what_was_added_and_nothing_else(batches: list[list[str]], asked: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.id_set._FRESH", 4)
        ids = IdSet()
        for batch in batches:
            ids.update(batch)
    added = {one for batch in batches for one in batch}
    assert {one for one in {*asked, *added} if one in ids} == {
        one for one in {*asked, *added} if one in added
    }


def test_most_of_it_lies_on_the_disk() -> None:
    ids = IdSet()
    ids.update(f"mem_{nth:08d}" for nth in range(_FRESH - 1))
    assert not ids._older.begun, "a small log writes no file"
    tracemalloc.start()
    ids.update(f"mem_{nth:08d}" for nth in range(_FRESH, 16 * _FRESH))
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 100 * _FRESH, "as a set, all of them took fifteen times as much"
    assert len(ids._fresh) < _FRESH
    assert all(f"mem_{nth:08d}" in ids for nth in range(1, 15 * _FRESH, 997))
    assert "mem_99999999" not in ids


def test_a_disk_that_is_full_ends_the_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a use of a memory that was never written would pass, or one that was would be a finding."""

    def refuse(*_given: object, **_named: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr("audit.scratch.sqlite3.connect", refuse)
    ids = IdSet()
    with pytest.raises(OSError, match="no room for a temporary file"):
        ids.update(f"mem_{nth:08d}" for nth in range(_FRESH))
    assert "mem_00000000" in ids, "what was seen is not forgotten"


@pytest.mark.parametrize(
    "ask", [lambda ids: "mem_99999999" in ids, lambda ids: list(ids._older.rows("SELECT 1"))]
)
def test_a_disk_that_cannot_be_read_ends_the_verification(ask: Callable[[IdSet], object]) -> None:
    ids = IdSet()
    ids.update(f"mem_{nth:08d}" for nth in range(_FRESH))
    table = ids._older._table
    assert table is not None
    table.close()
    with pytest.raises(OSError, match="no room for a temporary file"):
        ask(ids)


def test_erased_payloads_that_wait_for_their_eraser_take_no_memory() -> None:
    erasures = Erasures("clinic-a")
    assert not list(erasures.unsettled())
    count = 50_000
    tracemalloc.start()
    for index in range(count):
        assert erasures.observe_gone(index, count + index % 7)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 50_000, "as sets they took six megabytes"
    assert not list(erasures.observe_beside(count + 3, [3, 10]))
    assert list(erasures.observe_beside(count + 3, [count])) == [count]
    waiting = list(erasures.unsettled())
    assert waiting == sorted(waiting, key=lambda one: (one[1], one[0]))
    assert len(waiting) == count - 2
    assert not {3, 10} & {entry for entry, _ in waiting}
