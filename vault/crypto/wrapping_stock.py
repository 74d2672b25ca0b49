"""Wrapping keys that a transit server encrypted before anybody asked: a first write costs one call at most.

Owns the stock: fresh 32-byte secrets, each with its transit ciphertext, bounded in number and age, wiped when they
are taken, too old or not wanted any more. A secret of the stock protects nothing. It leaves to `transit_root` what is
asked of the server, and whether the server's key is the right one.

Nothing is taken that the server did not give back within the last quarter of a second: a server that is sealed, gone
or has withdrawn its permission stops first writes, as it would without a stock. The stock grows with what is asked
of it: who makes one key fetches one.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from vault.clock import Entropy
from vault.crypto.derive import KEY_BYTES
from vault.errors import RootAnswerError

MOST: Final = 64
"""Secrets that wait at one time."""
SECONDS: Final = 60.0
"""How long one waits: a version of the transit key that was rotated away is used no longer than that."""
SEEN_SECONDS: Final = 0.25
"""For how long it counts that the server gave a secret back; one attempt of a call may take longer."""


class Wrapping(NamedTuple):
    """A secret that wraps one key, and the transit ciphertext of it."""

    secret: bytes
    ciphertext: str


class _Waiting:
    def __init__(self, wrapping: Wrapping, now: float) -> None:
        self._secret = bytearray(wrapping.secret)
        self.ciphertext: Final = wrapping.ciphertext
        self.until: Final = now + SECONDS
        self.seen = now

    @property
    def wrapping(self) -> Wrapping:
        return Wrapping(bytes(self._secret), self.ciphertext)

    def wipe(self) -> None:
        self._secret[:] = bytes(len(self._secret))


class WrappingStock:
    """The stock of one root. Shared by threads.

    Args:
        encrypt: Asks the server; a result for each.
        expect: Sees that the server gives these secrets back now; raises where it does not.
        batch: How many of them at one go; nobody takes more.
        entropy: For secrets.
        monotonic: Seconds that never go back; None keeps no stock.
    """

    def __init__(
        self,
        encrypt: Callable[[Sequence[bytes]], Sequence[str]],
        expect: Callable[[Sequence[Wrapping]], None],
        batch: int,
        entropy: Entropy,
        monotonic: Callable[[], float] | None,
    ) -> None:
        self._encrypt = encrypt
        self._expect = expect
        self._batch = batch
        self._entropy = entropy
        self._monotonic = monotonic
        self._waiting: deque[_Waiting] = deque()
        self._ahead = 0
        self._drops = 0
        self._closed = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, count: int) -> list[Wrapping]:
        """Return so many that the server gives back and that nobody else gets.

        Raises:
            RootUnusableError: or one of its kinds, or KeyWrongError: none could be had; nothing waits any more.
        """
        waiting = len(self._waiting)
        try:
            return self._take(count)
        except RootAnswerError:
            if not waiting:
                raise
            return self._take(count)  # what waited may be of a version that decrypts no more

    def drop(self) -> None:
        """Wipe all that wait, and keep nothing that is under way: the transit key may have a newer version."""
        with self._lock:
            self._drops += 1
            self._clear()

    def close(self) -> None:
        """Wipe all, and keep none from now on."""
        self._closed = True
        self.drop()

    def _take(self, count: int) -> list[Wrapping]:
        with self._lock:
            self._sweep()
            seen = all(self._is_seen(one) for one in islice(self._waiting, count))
            taken = [self._pop() for _ in range(min(count, len(self._waiting)))]
            room = self._batch - count
            others, ahead, drops = list(islice(self._waiting, room)), min(self._ahead, room), self._drops
        if seen and len(taken) == count:
            return taken
        try:
            missing = count - len(taken)
            made = self._made(missing + ahead) if missing else []
            begun = self._now()
            self._expect([*taken, *made, *(one.wrapping for one in others)])
        except BaseException:
            self.drop()
            raise
        with self._lock:
            for one in others:
                one.seen = begun
            if drops == self._drops and self._monotonic is not None and not self._closed:
                kept = made[missing:][: MOST - len(self._waiting)]
                self._waiting.extend(_Waiting(one, begun) for one in kept)
                self._ahead = min(MOST, 4 * ahead + 4) if missing else ahead
        return taken + made[:missing]

    def _made(self, count: int) -> list[Wrapping]:
        secrets = [self._entropy(KEY_BYTES) for _ in range(count)]
        return list(map(Wrapping, secrets, self._encrypt(secrets)))

    def _is_seen(self, one: _Waiting) -> bool:
        return one.seen + SEEN_SECONDS > self._now()

    def _now(self) -> float:
        return 0.0 if self._monotonic is None else self._monotonic()

    def _sweep(self) -> None:
        if self._waiting and self._waiting[0].until <= self._now():
            self._clear()  # more was fetched than was wanted

    def _clear(self) -> None:
        self._ahead = 0
        while self._waiting:
            self._pop()

    def _pop(self) -> Wrapping:
        waiting = self._waiting.popleft()
        taken = waiting.wrapping
        waiting.wipe()
        return taken
