"""Quarantine of single bad rows: what is not what was written is not served, and the others are (law 12).

Owns putting versions of memories in and letting them out again, each with an entry that names them and says why. It
leaves finding what is bad to `vault.checking`, and deciding what becomes of it to a person: a row stays where it is,
as evidence, and is removed by expiry or erasure like any other.

A quarantined version is found by no search, read by no id, updated and organized by nobody. The index lets it go at
once; reading paths ask the table themselves (`vault.storage.found`, `vault.storage.read_unit`), so that other
processes follow, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, and_

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType
from audit.log import Leaf
from vault.clock import microseconds
from vault.errors import ConflictError
from vault.ids import IdKind, check_vault_id
from vault.parts import Parts
from vault.storage.consistency_rows import VersionRow, version_at
from vault.storage.group_commit import Change, WriteSet
from vault.storage.schema import QUARANTINE
from vault.storage.served import UNSUPPORTED

RELEASED: Final = "released"


class QuarantineReason(StrEnum):
    """Why a row is not served."""

    FORM = "form"
    """A column holds what the vault never writes there."""
    SEAL = "seal"
    """A sealed field does not open where it stands."""
    KEY_MISSING = "key-missing"
    """Its key is not there, and was not destroyed."""
    LOG = "log"
    """It opens, and is not the row that the log tells of."""
    REMOVED = "removed"
    """It was removed for good, and is there again."""
    UNSUPPORTED = UNSUPPORTED
    """Nothing is wrong with the row: it says what its sources do not (`vault.guarding.held_back`)."""


@dataclass(frozen=True, slots=True)
class BadVersion:
    """A version that is to be quarantined, as it was seen."""

    memory_id: str
    version: int
    digest: str
    reason: QuarantineReason


class Quarantine:
    """The quarantine of one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def put(self, tenant: str, bad: BadVersion, fence: Change | None = None) -> bool:
        """Let a version be served no more; say whether that was done: not where the row is another by now.

        Raises:
            IdentifierInvalidError: it has an id that no memory has, and so is served to nobody anyway.
            LeaseLostError: the fence refused.
        """
        check_vault_id(IdKind.MEMORY, bad.memory_id)
        row = {
            "tenant_id": tenant,
            "memory_id": bad.memory_id,
            "version": bad.version,
            "reason": bad.reason.value,
            "since": microseconds(self._parts.clock()),
            "leaf_index": -1,
        }

        def expect_same(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            now = version_at(connection, tenant, bad.memory_id, bad.version)
            if now is None or now.digest != bad.digest:
                raise ConflictError(f"{bad.memory_id} is another by now")

        draft = self._draft(tenant, bad.memory_id, bad.version, bad.reason.value)
        changes: list[Change] = [expect_same] if fence is None else [fence, expect_same]
        try:
            self._parts.store.submit(WriteSet(drafts=[draft], rows=[(QUARANTINE, row)], changes=changes))
        except ConflictError as error:
            if type(error) is not ConflictError:
                raise
            return False  # changed meanwhile, or in quarantine already
        self._parts.indexes.remove(tenant, [bad.memory_id])
        self._parts.embedding.forget(tenant, [bad.memory_id])
        return True

    def release(self, tenant: str, row: VersionRow, fence: Change | None = None) -> None:
        """Serve a version again whose row is what was written: somebody restored it.

        Raises:
            LeaseLostError: the fence refused.
        """
        memory_id, version = str(row.memory_id), int(str(row.version))
        one = and_(
            QUARANTINE.c.tenant_id == tenant,
            QUARANTINE.c.memory_id == memory_id,
            QUARANTINE.c.version == version,
        )

        def release(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            connection.execute(QUARANTINE.delete().where(one))

        draft = self._draft(tenant, memory_id, version, RELEASED)
        changes: list[Change] = [release] if fence is None else [fence, release]
        self._parts.store.submit(WriteSet(drafts=[draft], changes=changes))
        self._parts.indexes.distrust(tenant)

    def _draft(self, tenant: str, memory_id: str, version: int, reason: str) -> EntryDraft:
        told: dict[str, JsonValue] = {"unreadable": [memory_id], "version": version, "reason": reason}
        return self._parts.journal.event(EventType.MEMORY_QUARANTINE, tenant, told)
