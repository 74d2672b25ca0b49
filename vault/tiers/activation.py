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


class _Use:
    """What one tenant has of it."""

    __slots__ = ("evicted", "hits", "items", "misses", "size", "wiped")

    def __init__(self) -> None:
        self.items = self.size = self.hits = self.misses = self.evicted = self.wiped = 0


class _Owned:
    """What is kept for one key."""

    __slots__ = ("places", "use")

    def __init__(self, use: _Use) -> None:
        self.places: set[bytes] = set()
        self.use = use


class ActivationMemory:
    """Opened fields, the least recently used of which goes first. May be shared by threads."""

    def __init__(self, limits: ActivationLimits | None = None) -> None:
        self.limits: Final = limits or ActivationLimits()
        self._held: OrderedDict[bytes, _Item] = OrderedDict()
        self._of: dict[object, _Owned] = {}
        self._uses: dict[str, _Use] = {}
        """By tenant."""
        self._size = 0
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
            owned = self._of.get(owner)
            item = self._held.get(place)
            if item is not None and item.owner is owner and item.sealed == sealed:
                self._held.move_to_end(place)
                if owned is not None:
                    owned.use.hits += 1
                return bytes(item.content)
            if owned is not None:
                owned.use.misses += 1
        content = open_()
        self._keep(owner, place, _Item(owner, sealed, content))
        return content

    def forget(self, owner: object) -> None:
        """Wipe what is kept for a key that goes; nothing is kept for it again."""
        with self._lock:
            owned = self._of.pop(owner, None)
            if owned is None:
                return
            owned.use.wiped += len(owned.places)
            for place in owned.places:
                self._take(place, owned.use)

    def adopt(self, owner: object, tenant: str = "") -> None:
        """Keep content for a key of a tenant from now on, until it goes."""
        with self._lock:
            if owner not in self._of:
                self._of[owner] = _Owned(self._uses.setdefault(tenant, _Use()))

    def status(self, tenant: str | None = None) -> ActivationStatus:
        """Return what it holds, in numbers: of all tenants, or of one."""
        with self._lock:
            uses = [use for name, use in self._uses.items() if tenant in (None, name)]
            return ActivationStatus(
                *(sum(getattr(use, name) for use in uses) for name in ActivationStatus.__slots__)
            )

    def _keep(self, owner: object, place: bytes, item: _Item) -> None:
        size = item.size(place)
        with self._lock:
            owned = self._of.get(owner)
            if owned is None or size > self.limits.size or not self.limits.items:
                return  # the key went while this was opened; or one item would push out all others
            if place in self._held:
                self._drop(place)
            self._held[place] = item
            owned.places.add(place)
            owned.use.items += 1
            owned.use.size += size
            self._size += size
            while len(self._held) > self.limits.items or self._size > self.limits.size:
                self._drop(next(iter(self._held))).evicted += 1

    def _drop(self, place: bytes) -> _Use:
        owned = self._of[self._held[place].owner]
        owned.places.discard(place)
        self._take(place, owned.use)
        return owned.use

    def _take(self, place: bytes, use: _Use) -> None:
        item = self._held.pop(place)
        size = item.size(place)
        self._size -= size
        use.items -= 1
        use.size -= size
        item.wipe()
