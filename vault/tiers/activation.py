"""Activation memory: content opened lately, at hand for the next answer; bounded in items, bytes and seconds.

Owns the bounds and the wiping. What is kept is found by the associated data that it was sealed for and by its very
ciphertext, so a row that was moved, changed or put back is opened as if nothing were kept. It is kept for a sealing
key and goes with it: when the key's lease ends (the seconds), when its subject is erased, when the vault is closed.
Whoever asks has that key in hand already; access is decided before, over rows of the database, each time.

Content lies in buffers that are overwritten when it goes. What CPython cannot wipe: the copies that answers are made of.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ActivationLimits:
    """How much may be in the clear at once; for how long is the lease of the keys."""

    items: int = 8_192
    """Sealed fields: a memory has two, its episode one."""
    size: int = 16 * 1024 * 1024
    """Bytes of content, ciphertext and names together."""

    def __post_init__(self) -> None:
        if self.items < 0 or self.size < 0:
            raise ValueError("expected limits of activation memory that are not negative")


@dataclass(frozen=True, slots=True)
class ActivationStatus:
    """What activation memory holds, and what it was good for since the vault was opened."""

    items: int
    size: int
    """Bytes."""
    hits: int
    misses: int
    evicted: int
    """Wiped for want of room."""
    wiped: int
    """Wiped because their key went."""

    @property
    def hit_rate(self) -> float:
        """Share of openings that were spared, 0 to 1."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class _Item:
    __slots__ = ("content", "owner", "sealed")

    def __init__(self, owner: object, sealed: bytes, content: bytes) -> None:
        self.owner = owner
        self.sealed = sealed
        self.content = bytearray(content)

    def size(self, place: bytes) -> int:
        return len(place) + len(self.sealed) + len(self.content)

    def wipe(self) -> None:
        self.content[:] = bytes(len(self.content))


class ActivationMemory:
    """Opened fields, the least recently used of which goes first. May be shared by threads."""

    def __init__(self, limits: ActivationLimits | None = None) -> None:
        self._limits: Final = limits or ActivationLimits()
        self._held: OrderedDict[bytes, _Item] = OrderedDict()
        self._of: dict[object, set[bytes]] = {}
        self._size = 0
        self._hits = self._misses = self._evicted = self._wiped = 0
        self._lock = threading.Lock()

    def opened(self, owner: object, place: bytes, sealed: bytes, open_: Callable[[], bytes]) -> bytes:
        """Return content that is kept, or open it and keep it.

        Args:
            owner: For which key it is kept: `forget` takes it out again.
            place: The associated data it was sealed for: where it stands.
            sealed: Its ciphertext.
            open_: Opens it; what it raises passes.
        """
        with self._lock:
            item = self._held.get(place)
            if item is not None and item.owner is owner and item.sealed == sealed:
                self._held.move_to_end(place)
                self._hits += 1
                return bytes(item.content)
            self._misses += 1
        content = open_()
        self._keep(owner, place, _Item(owner, sealed, content))
        return content

    def forget(self, owner: object) -> None:
        """Wipe what is kept for a key that goes; nothing is kept for it again."""
        with self._lock:
            places = self._of.pop(owner, set())
            self._wiped += len(places)
            for place in places:
                self._take(place)

    def adopt(self, owner: object) -> None:
        """Keep content for a key from now on, until it goes."""
        with self._lock:
            self._of.setdefault(owner, set())

    def status(self) -> ActivationStatus:
        """Return what it holds, in numbers."""
        with self._lock:
            return ActivationStatus(
                len(self._held), self._size, self._hits, self._misses, self._evicted, self._wiped
            )

    def _keep(self, owner: object, place: bytes, item: _Item) -> None:
        size = item.size(place)
        with self._lock:
            of_owner = self._of.get(owner)
            if of_owner is None or size > self._limits.size or not self._limits.items:
                return  # the key went while this was opened; or one item would push out all others
            if place in self._held:
                self._drop(place)
            self._held[place] = item
            of_owner.add(place)
            self._size += size
            while len(self._held) > self._limits.items or self._size > self._limits.size:
                self._evicted += 1
                self._drop(next(iter(self._held)))

    def _drop(self, place: bytes) -> None:
        of_owner = self._of.get(self._held[place].owner)
        if of_owner is not None:
            of_owner.discard(place)
        self._take(place)

    def _take(self, place: bytes) -> None:
        item = self._held.pop(place)
        self._size -= item.size(place)
        item.wipe()
