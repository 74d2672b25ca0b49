"""The set of ids says of each id what a set would, whatever its size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.id_set import IdSet


@given(st.lists(st.lists(st.text(max_size=3), max_size=20), max_size=20), st.lists(st.text(max_size=3)))
def test_it_holds_what_was_added_and_nothing_else(batches: list[list[str]], asked: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.id_set._RUN", 4)
        ids = IdSet()
        for batch in batches:
            ids.update(batch)
    added = {one for batch in batches for one in batch}
    assert {one for one in {*asked, *added} if one in ids} == {
        one for one in {*asked, *added} if one in added
    }


def test_it_takes_about_eight_bytes_an_id() -> None:
    ids = IdSet()
    ids.update(f"mem_{nth:08d}" for nth in range(1 << 16))
    ids.update(f"mem_{nth:08d}" for nth in range(1 << 16, 1 << 17))
    assert sum(len(run) * run.itemsize for run in ids._runs) == 8 << 17
    assert not ids._fresh
    assert "mem_00070000" in ids
    assert "mem_00999999" not in ids
