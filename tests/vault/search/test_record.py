"""The packed term record: one form for one record, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import TamperedError
from vault.search.record import MAX_TERMS, TermRecord, pack, unpack

HASHES = st.integers(0, 2**64 - 1)


def ascending(most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.sets(HASHES, max_size=most).map(lambda found: tuple(sorted(found)))


@st.composite
def records(draw: st.DrawFn) -> TermRecord:
    terms = draw(ascending(40))
    return TermRecord(
        terms=terms,
        counts=tuple(draw(st.lists(st.integers(1, 255), min_size=len(terms), max_size=len(terms)))),
        speaker=draw(ascending(4)),
        dates=draw(ascending(12)),
        length=draw(st.integers(0, 65_535)),
        question=draw(st.booleans()),
        at=draw(st.none() | st.integers(-(2**63) + 1, 2**63 - 1)),
    )


@given(records())
def test_a_record_survives_packing(record: TermRecord) -> None:
    assert unpack(pack(record)) == record


@given(st.binary(max_size=200))
def test_bytes_are_refused_or_are_the_one_packed_form_of_what_they_mean(packed: bytes) -> None:
    try:
        record = unpack(packed)
    except TamperedError:
        return
    assert pack(record) == packed


@given(records(), st.data())
def test_a_record_cut_or_lengthened_is_refused(record: TermRecord, data: st.DataObject) -> None:
    packed = pack(record)
    cut = data.draw(st.integers(0, len(packed) - 1))
    for wrong in (packed[:cut], packed + b"\x00"):
        with pytest.raises(TamperedError):
            unpack(wrong)


@given(records(), st.integers(2, 255))
def test_another_version_is_refused(record: TermRecord, version: int) -> None:
    with pytest.raises(TamperedError, match="version"):
        unpack(bytes([version]) + pack(record)[1:])


EMPTY = TermRecord((), (), (), (), 0, question=False, at=None)


@pytest.mark.parametrize(
    "record",
    [
        TermRecord((2, 1), (1, 1), (), (), 2, question=False, at=None),
        TermRecord((1, 1), (1, 1), (), (), 2, question=False, at=None),
        TermRecord((1,), (), (), (), 1, question=False, at=None),
        TermRecord((1,), (0,), (), (), 1, question=False, at=None),
        TermRecord((1,), (256,), (), (), 1, question=False, at=None),
        TermRecord((), (), (3, 2), (), 0, question=False, at=None),
        TermRecord((), (), (), (), 65_536, question=False, at=None),
        TermRecord(tuple(range(MAX_TERMS + 1)), (1,) * (MAX_TERMS + 1), (), (), 1, question=False, at=None),
    ],
    ids=[
        "descending",
        "twice",
        "no count",
        "count 0",
        "count 256",
        "speaker descending",
        "too long",
        "too many",
    ],
)
def test_a_record_out_of_bounds_is_not_packed(record: TermRecord) -> None:
    with pytest.raises(ValueError, match="expected"):
        pack(record)


def test_terms_out_of_order_are_refused_when_read() -> None:
    packed = bytearray(pack(TermRecord((1, 2), (1, 1), (), (), 2, question=False, at=None)))
    head = len(pack(EMPTY))
    packed[head : head + 16] = packed[head + 8 : head + 16] + packed[head : head + 8]
    with pytest.raises(TamperedError, match="ascending"):
        unpack(bytes(packed))
