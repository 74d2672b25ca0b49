"""Rewrapping: every stored key anew under the newest version of the transit key; no key is opened.

Owns the loop over the key store, in batches, each durable by itself. It leaves which key is stored to the store
and the transit part to the root. It can be cut off anywhere and begun again: what is done is told by the version
that each wrapped key names, so that nothing has to be remembered.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from vault.crypto.key_record import KeyName, KeyRecord, KeyState
from vault.crypto.transit_root import MAX_BATCH, TransitRoot
from vault.errors import KeyWrongError, TamperedError, VaultError

_PAGE: Final = 8 * MAX_BATCH


class RewrapStore(Protocol):
    """What rewrapping needs of a key store."""

    def records(self, tenant: str | None = None) -> Iterator[KeyRecord]:
        """Go through all keys in order of their names."""
        ...

    def rewrap(self, changes: Sequence[tuple[KeyRecord, bytes]]) -> int:
        """Replace wrapped keys that are still as they were read, in one transaction; return how many."""
        ...


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """How far a rewrapping is."""

    seen: int
    """Living keys that were looked at."""
    renewed: int
    """Keys that are under the newest version now, and were not."""
    overtaken: int
    """Keys that changed, or were destroyed, between reading and writing: left as they are."""
    faults: tuple[tuple[KeyName, VaultError], ...]
    """Keys that could not be rewrapped; they stand as they were."""


def rewrap_keys(root: TransitRoot, store: RewrapStore, version: int) -> Iterator[Rewrapped]:
    """Rewrap every living key that is wrapped under a version below `version`; tell how far it is after each page.

    Raises:
        RootUnusableError: or one of its kinds: what was told of is done, the rest is as it was.
    """
    seen, renewed, overtaken = 0, 0, 0
    faults: list[tuple[KeyName, VaultError]] = []
    living = (record for record in store.records() if record.state is not KeyState.DESTROYED)
    while page := list(islice(living, _PAGE)):
        seen += len(page)
        due = [record for record in page if _due(root, record, version, faults)]
        changes: list[tuple[KeyRecord, bytes]] = []
        for record, box in zip(due, root.rewrap_many([record.wrapped for record in due]), strict=True):
            if isinstance(box, bytes):
                changes.append((record, box))
            else:
                faults.append((record.name, box))
        done = store.rewrap(changes) if changes else 0
        renewed += done
        overtaken += len(changes) - done
        yield Rewrapped(seen, renewed, overtaken, tuple(faults))


def below(root: TransitRoot, store: RewrapStore, version: int) -> int:
    """Count the living keys that are not provably under `version` or a newer one: nothing left is a finished rewrap."""
    faults: list[tuple[KeyName, VaultError]] = []
    living = (record for record in store.records() if record.state is not KeyState.DESTROYED)
    return sum(_due(root, record, version, faults) for record in living) + len(faults)


def oldest(root: TransitRoot, store: RewrapStore) -> int:
    """Return the lowest version that a living key is wrapped under, as far as the keys tell; 0 where none does."""
    versions: list[int] = []
    for record in store.records():
        if record.state is not KeyState.DESTROYED:
            with suppress(KeyWrongError, TamperedError):
                versions.append(root.version(record.wrapped))
    return min(versions, default=0)


def _due(
    root: TransitRoot, record: KeyRecord, version: int, faults: list[tuple[KeyName, VaultError]]
) -> bool:
    try:
        # Compared as numbers: as text, version 10 would be older than 9.
        return root.version(record.wrapped) < version
    except (KeyWrongError, TamperedError) as error:
        faults.append((record.name, error))
        return False
