"""The log: entries appended in the writer's own transaction, checkpoints, and proofs.

Owns order, the head of each tenant's tree and the statements. It leaves the schema to `audit.store`,
the form of entries to `audit.event`, committing to the caller and verification to `audit.verify`.
Nothing is kept between calls but hashes for proofs, which are checked against the head each time: the
truth is what the transaction sees.

There is no method that removes or changes an entry (law 8).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from audit.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint, verify_checkpoint
from audit.errors import LogConflictError, LogDamagedError, RangeInvalidError
from audit.event import (
    SALT_SIZE,
    EncodedEntry,
    EntryDraft,
    EventType,
    Outcome,
    SaltSource,
    Verdict,
    encode_entry,
)
from audit.evidence import StoredEntry
from audit.merkle import CompactRange
from audit.signing import SignerKey
from audit.store import CHECKPOINT, HEAD, LEAF
from audit.tree import Tree

SYSTEM_LOG: Final = "system"
"""Reserved tenant id: the log of the deployment itself, which records every tenant's checkpoints."""
LOG_PRINCIPAL: Final = "audit-log"
PAGE_SIZE: Final = 1000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_READ_HEAD: Final = (
    select(HEAD.c.size, HEAD.c.nodes).where(HEAD.c.tenant_id == bindparam("tenant")).with_for_update()
)
_PEEK_HEAD: Final = select(HEAD.c.size, HEAD.c.nodes).where(HEAD.c.tenant_id == bindparam("tenant"))
_ADD_HEAD: Final = insert(HEAD)
_MOVE_HEAD: Final = (
    update(HEAD)
    .where(HEAD.c.tenant_id == bindparam("tenant"), HEAD.c.size == bindparam("old_size"))
    .values(size=bindparam("new_size"), nodes=bindparam("new_nodes"))
)
_ADD_LEAVES: Final = insert(LEAF)
_IN_RANGE: Final = (
    LEAF.c.tenant_id == bindparam("tenant"),
    LEAF.c.leaf_index >= bindparam("start"),
    LEAF.c.leaf_index < bindparam("stop"),
)
_READ_ENTRIES: Final = (
    select(LEAF.c.leaf_index, LEAF.c.header, LEAF.c.salt, LEAF.c.payload, LEAF.c.leaf_hash)
    .where(*_IN_RANGE)
    .order_by(LEAF.c.leaf_index)
    .limit(PAGE_SIZE)
)
_READ_HASHES: Final = select(LEAF.c.leaf_hash).where(*_IN_RANGE).order_by(LEAF.c.leaf_index)
_READ_CHECKPOINT: Final = select(CHECKPOINT.c.note).where(
    CHECKPOINT.c.tenant_id == bindparam("tenant"), CHECKPOINT.c.tree_size == bindparam("size")
)
_READ_LATEST: Final = (
    select(CHECKPOINT.c.note)
    .where(CHECKPOINT.c.tenant_id == bindparam("tenant"))
    .order_by(CHECKPOINT.c.tree_size.desc())
    .limit(1)
)
_READ_CHECKPOINTS: Final = (
    select(CHECKPOINT.c.note)
    .where(CHECKPOINT.c.tenant_id == bindparam("tenant"))
    .order_by(CHECKPOINT.c.tree_size)
)
_READ_TENANTS: Final = select(HEAD.c.tenant_id).order_by(HEAD.c.tenant_id != SYSTEM_LOG, HEAD.c.tenant_id)


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
            "time_us": (self.draft.time - _EPOCH) // _MICROSECOND,
        }


class AuditLog:
    """Appends to and reads from every tenant's log, through the caller's connection.

    Args:
        key: The deployment's log key; each log signs under `<key name>/<tenant>`.
        salt_source: Returns so many random bytes, e.g. `os.urandom`.
        clock: Returns the time in UTC; used for checkpoint entries alone, drafts bring theirs.
    """

    def __init__(self, key: SignerKey, *, salt_source: SaltSource, clock: Callable[[], datetime]) -> None:
        self._key = key
        self._salt_source = salt_source
        self._clock = clock
        self._trees: dict[str, Tree] = {}
        self._trees_lock = Lock()

    def origin(self, tenant: str) -> str:
        """Return the origin of a tenant's log, as its checkpoints show it."""
        return f"{self._key.name}/{tenant}"

    def append(self, connection: Connection, drafts: Sequence[EntryDraft]) -> list[Leaf]:
        """Append entries in the caller's transaction and return their leaves, in the order given.

        One head read, one head update and one batch insert for each tenant, whatever the number of
        entries. Nothing is committed here: entries stand if and when the caller's transaction does.

        Raises:
            EntryInvalidError: a draft is not of the accepted form; nothing was appended.
            LogConflictError: another transaction moved a head: roll back and retry.
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
        row = connection.execute(_READ_HEAD, {"tenant": tenant}).one_or_none()
        old = CompactRange() if row is None else CompactRange.decode(row.size, row.nodes)
        new = old.extended(pending.entry.leaf_hash for pending in entries)
        connection.execute(_ADD_LEAVES, [pending.row(old.size + nth) for nth, pending in enumerate(entries)])
        if row is None:
            connection.execute(_ADD_HEAD, {"tenant_id": tenant, "size": new.size, "nodes": new.encode()})
            return 0
        values = {"tenant": tenant, "old_size": old.size, "new_size": new.size, "new_nodes": new.encode()}
        if connection.execute(_MOVE_HEAD, values).rowcount != 1:
            raise LogConflictError(f"log {tenant}: the head moved while entries were appended at {old.size}")
        return old.size

    def tenants(self, connection: Connection) -> list[str]:
        """Return the ids of all logs that have entries, the system log first."""
        return list(connection.execute(_READ_TENANTS).scalars())

    def head(self, connection: Connection, tenant: str) -> CompactRange:
        """Return size and right edge of a tenant's tree; size 0 where there are no entries."""
        row = connection.execute(_PEEK_HEAD, {"tenant": tenant}).one_or_none()
        return CompactRange() if row is None else CompactRange.decode(row.size, row.nodes)

    def checkpoint(self, connection: Connection, tenant: str, *, policy: str) -> SignedCheckpoint:
        """Sign and store a checkpoint of the tree as this transaction sees it.

        A tenant's checkpoint also becomes an entry of the system log, under the policy digest given.
        Show it to others only after the transaction is committed: a checkpoint of a tree that was
        rolled back would look like a fork.

        Raises:
            LogDamagedError: a checkpoint of this size exists with another root.
        """
        head = self.head(connection, tenant)
        signer = self._key.for_log(tenant)
        checkpoint = Checkpoint(signer.name, head.size, head.root())
        stored = connection.execute(
            _READ_CHECKPOINT, {"tenant": tenant, "size": head.size}
        ).scalar_one_or_none()
        if stored is not None:
            found = verify_checkpoint(stored.encode(), signer.verifier)
            if found != checkpoint:
                raise LogDamagedError("stored checkpoint", expected=head.root().hex(), got=found.root.hex())
            return SignedCheckpoint(found, stored.encode())
        signed = sign_checkpoint(checkpoint, [signer])
        connection.execute(
            insert(CHECKPOINT), {"tenant_id": tenant, "tree_size": head.size, "note": signed.note.decode()}
        )
        if tenant != SYSTEM_LOG:
            self.append(connection, [self._describe_checkpoint(tenant, checkpoint, policy)])
        return signed

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
        """Return the largest stored checkpoint, its signature verified; None where there is none.

        Raises:
            VerificationError: the stored note is not one that this log signed.
        """
        note: str | None = connection.execute(_READ_LATEST, {"tenant": tenant}).scalar_one_or_none()
        if note is None:
            return None
        return SignedCheckpoint(
            verify_checkpoint(note.encode(), self._key.for_log(tenant).verifier), note.encode()
        )

    def checkpoints(self, connection: Connection, tenant: str) -> list[bytes]:
        """Return all stored checkpoint notes of a tenant, smallest tree first, as stored."""
        return [note.encode() for note in connection.execute(_READ_CHECKPOINTS, {"tenant": tenant}).scalars()]

    def entries(
        self, connection: Connection, tenant: str, start: int = 0, stop: int | None = None
    ) -> Iterator[StoredEntry]:
        """Yield stored entries with index in `[start, stop)`, in order, read page by page, as stored."""
        stop = self.head(connection, tenant).size if stop is None else stop
        while start < stop:
            page = connection.execute(_READ_ENTRIES, {"tenant": tenant, "start": start, "stop": stop}).all()
            yield from (StoredEntry(*row) for row in page)
            start = page[-1].leaf_index + 1 if len(page) == PAGE_SIZE else stop

    def inclusion_proof(self, connection: Connection, tenant: str, index: int, size: int) -> list[bytes]:
        """Return the proof that entry `index` is in the tenant's tree of `size`.

        Raises:
            RangeInvalidError: not index < size <= the log's size.
            LogDamagedError: the stored leaf hashes do not give the head's root.
        """
        with self._trees_lock:
            return self._tree(connection, tenant, size).inclusion_proof(index, size)

    def consistency_proof(self, connection: Connection, tenant: str, first: int, second: int) -> list[bytes]:
        """Return the proof that the tenant's tree of `second` extends that of `first`.

        Raises:
            RangeInvalidError: not 0 < first <= second <= the log's size.
            LogDamagedError: the stored leaf hashes do not give the head's root.
        """
        with self._trees_lock:
            return self._tree(connection, tenant, second).consistency_proof(first, second)

    def _tree(self, connection: Connection, tenant: str, size: int) -> Tree:
        head = self.head(connection, tenant)
        if size > head.size:
            raise RangeInvalidError(f"log {tenant}: expected a tree size of at most {head.size}, got {size}")
        tree = self._trees.get(tenant)
        # A tree filled inside a transaction that was rolled back holds hashes that never came to be.
        if tree is None or not self._fill(connection, tenant, tree, head):
            tree = self._trees[tenant] = Tree()
            if not self._fill(connection, tenant, tree, head):
                del self._trees[tenant]
                raise LogDamagedError(f"tree of log {tenant}", expected=head.root().hex(), got="another root")
        return tree

    def _fill(self, connection: Connection, tenant: str, tree: Tree, head: CompactRange) -> bool:
        span = {"tenant": tenant, "start": tree.size, "stop": head.size}
        tree.extend(connection.execute(_READ_HASHES, span).scalars())
        return tree.size == head.size and tree.root(head.size) == head.root()
