"""From sealed rows to what stands in memory: index entries, and vectors still to be made.

Done when a vault is opened, and when an index could not take a change that is durable. Owns which row may be
left out, and when nothing is committed meanwhile. It leaves opening fields to `vault.sealing`, the arrays to `vault.indexes` and
making vectors to the embedding worker. No text is opened but that of memories without a vector.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from policies.model import AccessTier
from vault.embedding_worker import Pending
from vault.errors import IndexStaleError, KeyDestroyedError, KeyMissingError, TamperedError, VaultError
from vault.openness import openness, reread
from vault.parts import Parts
from vault.sealing import IndexPlace
from vault.search.lexical import embedding_text
from vault.storage.group_commit import WriteSet
from vault.storage.store import IndexRow

_STRETCH: Final = 512
"""Rows whose keys are unwrapped together: with a root on a server, each by itself is a call."""
BAD_ROW: Final = (
    TamperedError,
    KeyDestroyedError,
    KeyMissingError,
    ValueError,
    TypeError,
    AttributeError,
    struct.error,
)
"""What opening a row that is not as it was written may come to (law 12)."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What building an index came upon."""

    unreadable: int
    """Rows that could not be opened."""
    bad_vectors: tuple[str, ...]
    """Ids of memories whose vector alone could not be opened."""


def rebuild_index(parts: Parts, tenant: str) -> Rebuilt:
    """Build a tenant's index anew from its sealed rows, while nothing is committed.

    One bad row never fails an opening (law 12): it is left out and named by `memvault doctor`. A row
    whose vector alone is bad is found by its words, and is to get a new one.
    """
    unreadable, bad_vectors = 0, []
    with parts.store.log_connection(tenant) as connection:
        known = openness(connection, tenant, parts.policy)
    with parts.indexes.anew(tenant, known) as take:
        for row in leased_rows(parts, tenant):
            try:
                place = IndexPlace(row.memory_id, row.version, row.subjects, AccessTier(row.access_tier))
                record = parts.sealers.open_terms(tenant, place, row.terms)
                vector = None
                if row.vector is not None:
                    try:
                        vector = parts.sealers.open_vector(tenant, place, row.vector)
                    except BAD_ROW:
                        bad_vectors.append(row.memory_id)
                take(row, record, vector)
            except BAD_ROW:
                unreadable += 1
    return Rebuilt(unreadable, tuple(bad_vectors))


def regroup(parts: Parts, tenant: str, subject: str) -> None:
    """Put what is about a person into the scopes in which it is searched now; the thread that commits calls it.

    What fails makes the index stale, which has it built anew before it is searched again.
    """
    with parts.indexes.regrouped(tenant) as (known, take):
        with parts.store.log_connection(tenant) as connection:
            reread(known, connection, tenant, subject)
        for row in leased_rows(parts, tenant, about=subject):
            place = IndexPlace(row.memory_id, row.version, row.subjects, AccessTier(row.access_tier))
            record = parts.sealers.open_terms(tenant, place, row.terms)
            take(
                row,
                record,
                None if row.vector is None else parts.sealers.open_vector(tenant, place, row.vector),
            )


def leased_rows(parts: Parts, tenant: str, about: str | None = None) -> Iterator[IndexRow]:
    """Go through the rows of a tenant, or of a person; the keys of a stretch of them are unwrapped at one go."""
    rows = iter(parts.store.feed(tenant, about))
    while stretch := list(islice(rows, _STRETCH)):
        parts.sealers.lease(tenant, [(row.subjects, row.terms) for row in stretch])
        yield from stretch


def fill_index(parts: Parts, tenant: str) -> None:
    """Build a tenant's index and queue what has no vector, while a vault is opened."""
    for memory_id in rebuild_index(parts, tenant).bad_vectors:
        parts.store.drop_vector(tenant, memory_id)
    parts.embedding.put(unembedded(parts, tenant))


def freshen(parts: Parts, tenant: str) -> None:
    """Build a tenant's index anew if it is stale, between two commits; whoever asks waits for it.

    It is stale, too, where rules came into force since that ask for other scopes.

    Writers wait, too: what they made durable meanwhile would be missing in the new index. A bad vector stays
    for the next opening, which makes it anew.

    Raises:
        IndexStaleError: it could not be built; the next search tries again.
        StorageError: the vault is closed, or the store failed.
    """

    def build() -> None:
        if not parts.indexes.is_stale(tenant):
            return  # another search was first
        rebuild_index(parts, tenant)
        parts.embedding.put_missing(unembedded(parts, tenant))

    if not parts.indexes.fits(tenant, parts.policy):
        parts.indexes.distrust(tenant)
    if not parts.indexes.is_stale(tenant):
        return
    try:
        parts.store.submit(WriteSet(prepare=build))
    except VaultError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever broke the index, the answer is none
        raise IndexStaleError(f"the search index could not be built anew: {type(error).__name__}") from None


def unembedded(parts: Parts, tenant: str) -> list[Pending]:
    """Return what waits for its vector since before the last end; rows that do not open wait on."""
    pending = []
    for row in parts.store.unembedded(tenant):
        try:
            text = parts.sealers.screened_again(tenant, row).text
        except (TamperedError, KeyDestroyedError, KeyMissingError):
            continue
        pending.append(Pending(tenant, row, embedding_text(text)))
    return pending
