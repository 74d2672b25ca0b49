"""The log: entries appended in the writer's own transaction, and signed checkpoints.

Owns order, the head of each tenant's tree and every INSERT and UPDATE. It leaves reading and proofs
to `audit.reader`, the schema to `audit.store`, the form of entries to `audit.event` and committing to
the caller. There is no method that removes or changes an entry (law 8).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from audit.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint, verify_checkpoint
from audit.driver import BatchInsert, DriverStatement
from audit.errors import KeyMalformedError, LogConflictError, LogDamagedError
from audit.event import (
    SALT_SIZE,
    EncodedEntry,
    EntryDraft,
    EventType,
    Outcome,
    SaltSource,
    Verdict,
    encode_entry,
    time_in_microseconds,
)
from audit.evidence import SYSTEM_LOG
from audit.reader import LogReader
from audit.signing import LogKeys, SignerKey
from audit.store import CHECKPOINT, HEAD, LEAF
from audit.tile_store import StoredTiles
from audit.tiles import grow

LOG_PRINCIPAL: Final = "audit-log"
"""Principal of the entries that the log makes itself."""

_ADD_HEAD: Final = BatchInsert(HEAD)
_MOVE_HEAD: Final = DriverStatement(
    update(HEAD)
    .where(HEAD.c.tenant_id == bindparam("tenant"), HEAD.c.size == bindparam("old_size"))
    .values(size=bindparam("new_size"), nodes=bindparam("new_nodes"))
)
_ADD_LEAVES: Final = BatchInsert(LEAF)
_ADD_CHECKPOINT: Final = insert(CHECKPOINT)
_READ_ANY: Final = select(LEAF.c.leaf_index).where(LEAF.c.tenant_id == bindparam("tenant")).limit(1)
_READ_LATEST: Final = (
    select(CHECKPOINT.c.note)
    .where(CHECKPOINT.c.tenant_id == bindparam("tenant"))
    .order_by(CHECKPOINT.c.tree_size.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where an entry stands: enough to ask for its proof later."""

    tenant: str
    index: int
    hash: bytes
    """32 bytes."""


class _Pending(NamedTuple):
    """A draft with its place in the call and its encoding."""

    position: int
    draft: EntryDraft
    entry: EncodedEntry

    def row(self, leaf_index: int) -> dict[str, object]:
        return {
            "tenant_id": self.draft.tenant,
            "leaf_index": leaf_index,
            "leaf_hash": self.entry.leaf_hash,
            "header": self.entry.header,
            "salt": self.entry.salt,
            "payload": self.entry.payload,
            "event": str(self.draft.event),
            "time_us": time_in_microseconds(self.draft.time),
            "erased_by": None,
        }


class AuditLog(LogReader):
    """Appends to and reads from every tenant's log, through the caller's connection.

    Args:
        keys: The deployment's log key, or all of them; each log signs under `<key name>/<tenant>`.
        salt_source: Returns so many random bytes, e.g. `os.urandom`.
        clock: Returns the time in UTC; used for checkpoint entries alone, drafts bring theirs.
    """

    def __init__(
        self, keys: SignerKey | LogKeys, *, salt_source: SaltSource, clock: Callable[[], datetime]
    ) -> None:
        self._keys = LogKeys.of(keys)
        self._salt_source = salt_source
        self._clock = clock

    def origin(self, tenant: str) -> str:
        """Return the origin of a tenant's log, as its checkpoints show it."""
        return f"{self._keys.name}/{tenant}"

    @property
    def keys(self) -> LogKeys:
        """What it signs with."""
        return self._keys

    def sign_with(self, keys: LogKeys) -> None:
        """Sign with these keys from here on: a step of a roll-over.

        Raises:
            KeyMalformedError: they are another deployment's.
        """
        if keys.name != self._keys.name:
            raise KeyMalformedError("expected keys of this deployment")
        self._keys = keys

    def append(self, connection: Connection, drafts: Sequence[EntryDraft]) -> list[Leaf]:
        """Append entries in the caller's transaction and return their leaves, in the order given.

        One head read, one head update and one batch insert for each tenant, whatever the number of
        entries, and a tile whenever 256 are there. Nothing is committed here: entries stand if and when
        the caller's transaction does.

        Raises:
            EntryInvalidError: a draft is not of the accepted form; nothing was appended.
            LogConflictError: another transaction moved a head: roll back and retry.
            LogDamagedError: a head is missing where entries are, or is none; or a tile became full and
                the stored hashes are not those that the head was made of.
        """
        salts = self._salt_source(SALT_SIZE * len(drafts))
        entries: dict[str, list[_Pending]] = {}
        for position, draft in enumerate(drafts):
            entry = encode_entry(draft, salts[position * SALT_SIZE : (position + 1) * SALT_SIZE])
            entries.setdefault(draft.tenant, []).append(_Pending(position, draft, entry))
        leaves: dict[int, Leaf] = {}
        # Heads are locked in one order, so that two transactions over several tenants cannot deadlock.
        for tenant in sorted(entries):
            first = self._append_to(connection, tenant, entries[tenant])
            for nth, pending in enumerate(entries[tenant]):
                leaves[pending.position] = Leaf(tenant, first + nth, pending.entry.leaf_hash)
        return [leaves[position] for position in range(len(drafts))]

    def _append_to(self, connection: Connection, tenant: str, entries: Sequence[_Pending]) -> int:
        old = self.head(connection, tenant, lock=True)
        if old.size == 0 and connection.execute(_READ_ANY, {"tenant": tenant}).first() is not None:
            raise LogDamagedError(f"head of log {tenant}", expected="one, as there are entries", got="none")
        tiles = StoredTiles(connection, tenant)
        growth = grow(old, [pending.entry.leaf_hash for pending in entries], tiles.hashes)
        new = growth.edge
        _ADD_LEAVES.add(connection, [pending.row(old.size + nth) for nth, pending in enumerate(entries)])
        if growth.tiles:
            tiles.add(growth.tiles)
        if old.size == 0:
            _ADD_HEAD.add(connection, [{"tenant_id": tenant, "size": new.size, "nodes": new.encode()}])
            return 0
        values = {"tenant": tenant, "old_size": old.size, "new_size": new.size, "new_nodes": new.encode()}
        if _MOVE_HEAD.change(connection, values) != 1:
            raise LogConflictError(f"log {tenant}: the head moved while entries were appended at {old.size}")
        return old.size

    def checkpoint(self, connection: Connection, tenant: str, *, policy: str) -> SignedCheckpoint:
        """Sign and store a checkpoint of the tree as this transaction sees it.

        Where the latest one stored is of this size already, that one is returned. A tenant's new
        checkpoint also becomes an entry of the system log, under the policy digest given. Show it to
        others only after the transaction is committed: a checkpoint of a tree that was rolled back
        would look like a fork.

        Raises:
            LogDamagedError: a larger checkpoint is stored, or one of this size with another root.
            VerificationError: the stored note is not one that this log signed.
        """
        head = self.head(connection, tenant, lock=True)
        checkpoint = Checkpoint(self.origin(tenant), head.size, head.root())
        latest = self.latest_checkpoint(connection, tenant)
        if latest is not None and latest.checkpoint.size >= head.size:
            if latest.checkpoint != checkpoint:
                raise LogDamagedError(
                    "stored checkpoint", expected=_brief(checkpoint), got=_brief(latest.checkpoint)
                )
            return latest
        signed = sign_checkpoint(checkpoint, [key.for_log(tenant) for key in self._keys.signers])
        connection.execute(
            _ADD_CHECKPOINT, {"tenant_id": tenant, "tree_size": head.size, "note": signed.note.decode()}
        )
        if tenant != SYSTEM_LOG:
            self.append(connection, [self._describe_checkpoint(tenant, checkpoint, policy)])
        return signed

    def checkpoint_all(self, connection: Connection, *, policy: str) -> list[SignedCheckpoint]:
        """Sign and store a checkpoint of every log, the system log last, so that it covers the others'."""
        tenants = self.tenants(connection)
        ordered = [tenant for tenant in tenants if tenant != SYSTEM_LOG] + [SYSTEM_LOG]
        return [self.checkpoint(connection, tenant, policy=policy) for tenant in ordered]

    def check(self, connection: Connection, tenant: str) -> None:
        """Hold a log's leaf hashes against its head and its last signed checkpoint.

        Raises:
            LogDamagedError: see `check_head`.
            VerificationError: the stored note is not one that this log signed.
            MalformedError: it is no note.
        """
        latest = self.latest_checkpoint(connection, tenant)
        self.check_head(connection, tenant, None if latest is None else latest.checkpoint)

    def _describe_checkpoint(self, tenant: str, checkpoint: Checkpoint, policy: str) -> EntryDraft:
        return EntryDraft(
            event=EventType.LOG_CHECKPOINT,
            time=self._clock(),
            principal=LOG_PRINCIPAL,
            tenant=SYSTEM_LOG,
            action="checkpoint",
            decision=Verdict.ALLOWED,
            policy=policy,
            outcome=Outcome.OK,
            resource=tenant,
            payload={"origin": checkpoint.origin, "root": checkpoint.root.hex(), "size": checkpoint.size},
        )

    def latest_checkpoint(self, connection: Connection, tenant: str) -> SignedCheckpoint | None:
        """Return the largest stored checkpoint, its signatures verified; None where there is none.

        A key of the past does not count here: before it was put down, every log was signed by both.

        Raises:
            VerificationError: the stored note is not one that this log signed.
        """
        note: object = connection.execute(_READ_LATEST, {"tenant": tenant}).scalar_one_or_none()
        if note is None:
            return None
        if not isinstance(note, str):
            raise LogDamagedError(f"checkpoint of log {tenant}", expected="a note", got="no text")
        verifiers = [key.for_log(tenant).verifier for key in self._keys.signers]
        return SignedCheckpoint(verify_checkpoint(note.encode(), *verifiers), note.encode())


def _brief(checkpoint: Checkpoint) -> str:
    return f"size {checkpoint.size}, root {checkpoint.root.hex()}"
