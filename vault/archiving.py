"""Into reference memory and back: content compressed, or as it was, and sealed anew; nothing is lost.

Owns what becomes of the rows. It leaves who decides to `vault.review`, `vault.staleness`, `vault.expiry` and
`vault.tiers.placement`, the form of compressed content to `vault.compression`, and the writing to `vault.storage.rewriting`.

It is found, read and revealed as before: nothing of its text, marks, annotations or originals is changed. Every
version is written anew, so that no former one keeps the larger form. A hold does not stand against it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from audit.canonical import JsonValue
from vault.compression import compressed, expanded
from vault.crypto.aead import key_versions
from vault.crypto.sealed import Sealed, SealedField
from vault.errors import ConflictError, KeyAccessError, RootUnusableError, TamperedError
from vault.model import MemoryTier
from vault.parts import Parts
from vault.row_word import RowWord
from vault.storage.due import all_versions
from vault.storage.rewriting import Rewriting
from vault.storage.rows import StoredMemory, row_digest

UNREADABLE: Final = (TamperedError, KeyAccessError, ValueError, TypeError)
"""Errors that speak of a row. A root that cannot be used now says nothing of it, and passes."""


@dataclass(frozen=True, slots=True)
class Archived:
    """Memories to be written anew."""

    rewriting: Rewriting
    count: int
    """How many memories; each may have several versions."""


def what_was_compressed(archived: Archived, reason: str) -> dict[str, JsonValue]:
    """Return what an entry says of it: by the digests the log knows the rows again."""
    anew = archived.rewriting.memories
    return {
        "memories": [before.memory_id for before, _ in anew],
        "versions": [before.version for before, _ in anew],
        "digests": [row_digest(after.row(archived.rewriting.tenant)) for _, after in anew],
        "count": archived.count,
        "reason": reason,
    }


class Archive:
    """Puts memories of one vault into reference memory, and takes them back."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def compressed(self, tenant: str, stored: StoredMemory) -> StoredMemory:
        """Return a row as it stands in reference memory.

        Raises:
            TamperedError: it does not stand where it was sealed.
            KeyAccessError: or one of its kinds.
        """
        return self._anew(tenant, stored, MemoryTier.REFERENCE)

    def _anew(self, tenant: str, stored: StoredMemory, to: MemoryTier) -> StoredMemory:
        form = compressed if to is MemoryTier.REFERENCE else _unchanged
        keys = self._parts.keyring.tenant(tenant)
        place = stored.memory_id, stored.version, stored.access_tier
        old = keys.opening_key(stored.subjects, key_versions(stored.text)).bind(*place)
        new = keys.sealing_key(stored.subjects, create=False).bind(*place)

        def anew(name: SealedField, sealed: Sealed) -> Sealed:
            return new.seal(name, form(expanded(old.open(name, sealed))))

        originals = stored.originals
        return replace(
            stored,
            memory_tier=to,
            text=anew(SealedField.TEXT, stored.text),
            attributes=anew(SealedField.ATTRIBUTES, stored.attributes),
            originals=None if originals is None else anew(SealedField.ORIGINALS, originals),
            # Not compressed, and sealed with the others: the fields of a row stand under one key.
            terms=new.seal(SealedField.TERMS, old.open(SealedField.TERMS, stored.terms)),
        )

    def of(self, tenant: str, memory_ids: Sequence[str], to: MemoryTier = MemoryTier.REFERENCE) -> Archived:
        """Return what puts memories into reference memory, or back into another, for one transaction.

        Args:
            tenant: Whose.
            memory_ids: A few hundred at most.
            to: The memory tier; of any but reference memory the content is as it was written.

        Raises:
            ConflictError: a row is not what the log says, or cannot be opened.
            RootUnusableError: no key can be had now.
        """
        with self._parts.store.log_connection(tenant) as connection:
            try:
                rows = all_versions(connection, tenant, memory_ids)
            except TamperedError as error:
                raise ConflictError(str(error)) from None
            told = RowWord(connection, tenant, [row.told_at for row in rows])
        anew: list[tuple[StoredMemory, StoredMemory]] = []
        for row in rows:
            stored = row.stored
            try:
                told.expect(row.told_at, stored.memory_id, stored.version, row.digest)
                anew.append((stored, self._anew(tenant, stored, to)))
            except RootUnusableError:
                raise
            except UNREADABLE:
                raise ConflictError(
                    f"{stored.memory_id} is not what was written, or cannot be opened"
                ) from None
        return Archived(Rewriting(tenant, anew), sum(row.is_current for row in rows))


def _unchanged(content: bytes) -> bytes:
    return content
