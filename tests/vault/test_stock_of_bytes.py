"""A stock gives out each byte of its source once."""

from collections.abc import Callable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from vault.clock import STOCK_BYTES, Stock


def counting_source() -> tuple[Callable[[int], bytes], list[int]]:
    """Return a source in which every four bytes are another number, and the sizes that were drawn."""
    numbers, drawn = count(), []

    def source(size: int) -> bytes:
        drawn.append(size)
        return b"".join(next(numbers).to_bytes(4) for _ in range(size // 4 + 1))[:size]

    return source, drawn


@given(sizes=st.lists(st.integers(1, 3 * STOCK_BYTES), max_size=60))
def test_pieces_have_their_size_and_no_byte_of_the_source_is_given_twice(sizes: list[int]) -> None:
    source, _ = counting_source()
    given_out: list[bytes] = []
    recorded: list[bytes] = []

    def recording(size: int) -> bytes:
        recorded.append(source(size))
        return recorded[-1]

    stock = Stock(recording)
    given_out = [stock(size) for size in sizes]
    assert [len(piece) for piece in given_out] == sizes
    rest = b"".join(recorded)
    for piece in given_out:  # each piece stands in what is left of the source, behind the one before it
        at = rest.find(piece)
        assert at >= 0
        rest = rest[at + len(piece) :]


def test_a_write_of_one_memory_draws_once() -> None:
    source, drawn = counting_source()
    stock = Stock(source)
    for size in (10, 24, 10, 24, 24, 24, 24):
        stock(size)
    assert drawn == [STOCK_BYTES]
