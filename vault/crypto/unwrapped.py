"""Keys in the clear, for the length of a lease: held in buffers that are wiped, their seals counted.

Owns one unwrapped key and the bounded collection of them. It leaves fetching, creating and joining to
`vault.crypto.leased_keys`, whose lock guards everything here but the counter.

What CPython cannot wipe: the bytes that a key passed through on its way (the driver's row, the
unwrapped value, subkeys that were handed out) and the state inside cipher objects. They go when the
last reference goes, and their memory keeps them until it is used again. See the threat model.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from vault.crypto.derive import KEY_BYTES, Label, derive
from vault.crypto.key_record import KeyName
from vault.crypto.sealing_key import SealingName
from vault.errors import KeyAccessError


class SealCounter:
    """Counts seals against blocks that were reserved durably, so that no seal needs a write of its own.

    A crash loses the rest of a block: the stored count is an upper bound, which is the safe side.
    """

    def __init__(self, reserve: Callable[[], int]) -> None:
        self._reserve = reserve
        self._left = 0
        self._lock = threading.Lock()

    def take(self) -> None:
        """Count one seal.

        Raises:
            KeyExhaustedError: the key's limit is reached.
            KeyDestroyedError: the key was destroyed meanwhile.
        """
        with self._lock:
            if self._left == 0:
                self._left = self._reserve()
            self._left -= 1


class UnwrappedKey:
    """A key in the clear. Reading one that was wiped is an error, not a key of zeros.

    A subject's key is two: 32 bytes that seal and change with each version, then 32 bytes that stay, so
    that tokens read the same after a rotation. A tenant's key is 32 bytes that stay.
    """

    def __init__(self, name: KeyName, secret: bytes, counter: SealCounter) -> None:
        self.name: Final = name
        self.counter: Final = counter
        self.joined_in: Final[set[SealingName]] = set()
        """Sealing keys that were made from it: they go when it goes."""
        self._secret = bytearray(secret)
        self._subkeys: dict[Label, bytes] = {}
        self._wiped = False

    def __repr__(self) -> str:
        return f"UnwrappedKey({self.name})"

    def sealing_part(self) -> bytes:
        """Return the half that changes with each version."""
        return bytes(self._readable()[:KEY_BYTES])

    def lasting_part(self) -> bytes:
        """Return the half that stays."""
        return bytes(self._readable()[-KEY_BYTES:])

    def subkey(self, label: Label) -> bytes:
        """Return a subkey of the half that stays."""
        found = self._subkeys.get(label)
        if found is None:
            found = self._subkeys[label] = derive(self.lasting_part(), label)
        return found

    def wipe(self) -> None:
        """Overwrite the buffer and let go of subkeys."""
        self._secret[:] = bytes(len(self._secret))
        self._subkeys.clear()
        self._wiped = True

    def _readable(self) -> bytearray:
        if self._wiped:
            raise KeyAccessError(f"the {self.name} was read after it was wiped")
        return self._secret


class Leases:
    """Unwrapped keys, bounded in number and time; the oldest goes first.

    Args:
        limit: How many keys may be in the clear.
        seconds: For how long.
        monotonic: A clock in seconds that never goes back.
        release: Called with each key that goes, to wipe it and what was made from it.
    """

    def __init__(
        self,
        limit: int,
        seconds: float,
        monotonic: Callable[[], float],
        release: Callable[[UnwrappedKey], None],
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._monotonic = monotonic
        self._release = release
        # In order of their ends, since all leases are of one length.
        self._held: OrderedDict[KeyName, UnwrappedKey] = OrderedDict()
        self._ends: OrderedDict[KeyName, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, name: KeyName) -> UnwrappedKey | None:
        """Return a key whose lease runs."""
        return self._held.get(name)

    def put(self, key: UnwrappedKey) -> None:
        """Begin a lease, ending the oldest beyond the limit."""
        self._held[key.name] = key
        self._ends[key.name] = self._monotonic() + self._seconds
        while len(self._held) > self._limit:
            self.end(next(iter(self._held)))

    def sweep(self) -> None:
        """End the leases that have run out."""
        while self._ends and (first := next(iter(self._ends.items())))[1] <= self._monotonic():
            self.end(first[0])

    def end(self, name: KeyName) -> None:
        """End a lease that runs."""
        del self._ends[name]
        self._release(self._held.pop(name))

    def clear(self) -> None:
        """End all leases."""
        for name in list(self._held):
            self.end(name)
