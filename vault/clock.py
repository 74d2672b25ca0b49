"""Time and randomness as values that are passed in, so that tests can hold them still."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Clock = Callable[[], datetime]
"""Gives the present as an aware datetime in UTC."""

STOCK_BYTES: Final = 256
"""One block of a `Stock`: what the kernel gives in one uninterrupted draw, and a write of one memory takes."""

Entropy = Callable[[int], bytes]
"""Gives that many unpredictable bytes."""


def system_clock() -> datetime:
    """Return the present in UTC."""
    return datetime.now(UTC)


def system_entropy(size: int) -> bytes:
    """Return `size` bytes from the operating system's generator."""
    return secrets.token_bytes(size)


class Stock:
    """Unpredictable bytes for one call, drawn from a source in blocks and given out in pieces, each once.

    Each draw from the operating system lets go of the interpreter, and among many threads costs a turn: a
    write takes seven pieces. A stock belongs to one call of one thread and goes with it, so that no fork
    and no snapshot of the process finds bytes that will be given out twice.

    Args:
        source: Where blocks come from.
    """

    __slots__ = ("_left", "_source")

    def __init__(self, source: Entropy) -> None:
        self._source = source
        self._left = b""

    def __call__(self, size: int) -> bytes:
        """Return `size` bytes that nobody else gets."""
        if len(self._left) < size:
            self._left = self._source(max(size, STOCK_BYTES))
        piece, self._left = self._left[:size], self._left[size:]
        return piece


def monotonic() -> float:
    """Return seconds from a clock that never goes back, for measuring."""
    return time.monotonic()


def microseconds(at: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC, the form in which the store keeps times; naive is UTC."""
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_microseconds(value: int) -> datetime:
    """Invert `microseconds`, exactly.

    Raises:
        OverflowError: outside the years 1 to 9999.
    """
    return _EPOCH + timedelta(microseconds=value)
