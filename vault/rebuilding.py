"""From sealed rows to what stands in memory, when a vault is opened: index entries, and vectors still to be made.

Owns which row may be left out. It leaves opening fields to `vault.sealing`, the arrays to `vault.indexes` and
making vectors to the embedding worker. No text is opened but that of memories without a vector.
"""

import struct
from typing import Final

from policies.model import AccessTier
from vault.embedding_worker import Pending
from vault.errors import KeyDestroyedError, KeyMissingError, TamperedError
from vault.parts import Parts
from vault.sealing import IndexPlace
from vault.search.lexical import embedding_text

_BAD_ROW: Final = (
    TamperedError,
    KeyDestroyedError,
    KeyMissingError,
    ValueError,
    TypeError,
    AttributeError,
    struct.error,
)


def rebuild_index(parts: Parts, tenant: str) -> int:
    """Fill a tenant's index from its sealed rows; return how many could not be opened.

    One bad row never fails an opening (law 12): it is left out and named by `memvault doctor`. A row
    whose vector alone is bad is found by its words, and gets a new vector.
    """
    unreadable = 0
    for row in parts.store.feed(tenant):
        try:
            place = IndexPlace(row.memory_id, row.version, row.subjects, AccessTier(row.access_tier))
            record = parts.sealers.open_terms(tenant, place, row.terms)
            vector = None
            if row.vector is not None:
                try:
                    vector = parts.sealers.open_vector(tenant, place, row.vector)
                except _BAD_ROW:
                    parts.store.drop_vector(tenant, row.memory_id)
            parts.indexes.rebuild(tenant, row, record, vector)
        except _BAD_ROW:
            unreadable += 1
    return unreadable


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
