"""Dropping payloads: the one change to an entry that there is, and it takes away no proof.

Owns the UPDATE that drops payload and salt and names the entry that did it. Header, leaf hash, tree and
every old proof stand (law 8: the log has no delete path). It leaves the `payload.erase` entry, and who may
ask for it, to the vault: that entry is appended in the same transaction, before this is called.

Not every payload can be dropped. What an erasure is for is what was said about persons: entries about
memories, about their keys, and intents that name a subject. What says that a log was signed, that somebody
was let in, that something left the vault, how an effect ended or that something was erased stays: an
administrator who could drop that could cover its own tracks.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from audit.errors import EntryInvalidError, RangeInvalidError
from audit.event import ERASABLE
from audit.store import LEAF

MAX_ERASED: Final = 1_000
"""Payloads that one entry may name."""

_READ: Final = select(LEAF.c.event, LEAF.c.payload).where(
    LEAF.c.tenant_id == bindparam("tenant"), LEAF.c.leaf_index == bindparam("leaf")
)
_DROP: Final = (
    update(LEAF)
    .where(LEAF.c.tenant_id == bindparam("tenant"), LEAF.c.leaf_index == bindparam("leaf"))
    .values(salt=None, payload=None, erased_by=bindparam("eraser"))
)


def erase_payloads(connection: Connection, tenant: str, indexes: Sequence[int], *, by: int) -> None:
    """Drop payload and salt of entries, in the caller's transaction.

    Args:
        connection: Of the transaction in which the `payload.erase` entry was appended.
        tenant: Whose log.
        indexes: Of the entries; what that entry names, in the same order.
        by: Leaf index of that entry.

    Raises:
        RangeInvalidError: no index, too many, one twice, or one that is not before `by`.
        EntryInvalidError: an entry's payload is erased already, or is not one that may be.
    """
    if not 1 <= len(indexes) <= MAX_ERASED or len(set(indexes)) != len(indexes):
        raise RangeInvalidError(f"expected 1 to {MAX_ERASED} entries, each once, got {len(indexes)}")
    for index in indexes:
        held = connection.execute(_READ, {"tenant": tenant, "leaf": index}).one_or_none()
        if held is None or not 0 <= index < by:
            raise RangeInvalidError(f"expected an entry of log {tenant} before {by}, got {index}")
        if held.event not in ERASABLE:
            raise EntryInvalidError(f"the payload of entry {index} is of a kind that stays")
        if held.payload is None:
            raise EntryInvalidError(f"the payload of entry {index} is erased already")
    rows = [{"tenant": tenant, "leaf": index, "eraser": by} for index in indexes]
    connection.execute(_DROP, rows)
