"""Removing rows for good: the one path that deletes content, behind the check of legal holds (laws 4 and 5).

Owns the statements that take a memory and all that hangs on it out of the tables, the hold check that comes
before them in the same transaction, and the tombstones that stay. It leaves who may remove what to the caller's
grant, the entry that names what is gone to the caller's write set, and keyed digests to `vault.tombstones`.

A memory under a hold is never removed: `Removal.change` raises `HeldError`, and nothing of its write set happens.
Whoever removes many asks `held_memories` first and leaves those out; the check in the transaction is what counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    RootTransaction,
    Table,
    and_,
    bindparam,
    cast,
    exists,
    or_,
    select,
)

from audit.driver import BatchInsert, DriverStatement, ListStatement
from audit.log import Leaf
from vault.errors import ErasedError, HeldError, InputInvalidError
from vault.storage.run_rows import forget
from vault.storage.schema import (
    CARE_TEAM,
    CONSENT,
    EDGE,
    EMBEDDING,
    EPISODE,
    HOLD,
    HOLD_TARGET,
    MEMORY,
    MEMORY_SUBJECT,
    QUARANTINE,
    RESTRICTION,
    REVIEW,
    SUBJECT,
    TASK,
    TOMBSTONE,
    USAGE,
)

MAX_REMOVED: Final = 500
"""Memories that one transaction removes at most: writers wait for no longer than that takes."""


class TargetKind(StrEnum):
    """What a target of a hold is."""

    SUBJECT = "subject"
    """All that is known of a person, now and later."""
    MEMORY = "memory"
    TENANT = "tenant"
    """All there is."""


class TombstoneKind(StrEnum):
    """What a tombstone stands for."""

    SUBJECT = "subject"
    MEMORY = "memory"
    FACT = "fact"
    ECHO = "echo"
    """A statement that was corrected or retracted: nothing was removed, and nothing is refused for it."""


class Tombstone(NamedTuple):
    """A keyed digest of what was removed; made by `vault.tombstones`."""

    kind: TombstoneKind
    digest: bytes


class Holding(NamedTuple):
    """Why something may not be removed."""

    memory_id: str
    hold_id: str


@dataclass(slots=True)
class Removed:
    """How many rows a removal took, by what they were."""

    memories: int = 0
    """Versions of memories."""
    embeddings: int = 0
    edges: int = 0
    episodes: int = 0
    """Those of which no memory is left."""
    subjects: int = 0


@dataclass(slots=True)
class Removal:
    """What one transaction removes: memories with all their versions, and, at an erasure, subjects.

    Add `change` to a write set whose first entry names the memories as `gone`.

    Args:
        tenant: Whose.
        memory_ids: At most `MAX_REMOVED`; those that are gone already are passed over.
        tombstones: What stays: at least a `MEMORY` tombstone of each.
        recorded: Now, in microseconds since 1970 UTC.
        subjects: Of whom the name, all restrictions, consents and care teams go, too.
        episodes: Of which no memory may be left beside these, although none names them.

    Raises:
        InputInvalidError: too many memories.
    """

    tenant: str
    memory_ids: Sequence[str]
    tombstones: Sequence[Tombstone]
    recorded: int
    subjects: Sequence[str] = ()
    episodes: Sequence[str] = ()
    removed: Removed = field(default_factory=Removed)

    def __post_init__(self) -> None:
        if len(self.memory_ids) > MAX_REMOVED:
            raise InputInvalidError(
                f"expected at most {MAX_REMOVED} memories at once, got {len(self.memory_ids)}"
            )

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Remove in the caller's transaction; a `vault.storage.group_commit.Change`.

        Raises:
            HeldError: a memory or a subject is under a hold.
        """
        expect_not_held(connection, self.tenant, self.memory_ids, self.subjects)
        add_tombstones(connection, self.tenant, self.tombstones, self.recorded, leaves[0].index)
        removed = self.removed = Removed()
        ids, tenant = list(self.memory_ids), self.tenant
        episodes = list(self.episodes)
        if ids:
            episodes += _distinct_episodes(connection, tenant, ids)
            of = {"tenant": tenant}
            removed.edges = sum(statement.change(connection, of, ids) for statement in _EDGES)
            removed.embeddings = _EMBEDDINGS.change(connection, of, ids)
            for statement in _BESIDE:
                statement.change(connection, of, ids)
            removed.memories = _MEMORIES.change(connection, of, ids)
            forget(connection, tenant, ids)
        if episodes:
            removed.episodes = _EPISODES.change(connection, {"tenant": tenant}, sorted(set(episodes)))
        if self.subjects:
            removed.subjects = _delete(connection, SUBJECT, tenant, SUBJECT.c.subject_id.in_(self.subjects))
            # Also what says that a memory is about them that was lost, or whose id is damaged there.
            for table in (MEMORY_SUBJECT, RESTRICTION, CARE_TEAM, CONSENT, TASK):
                _delete(connection, table, tenant, table.c.subject_id.in_(self.subjects))


_HAS_MEMORIES: Final = exists().where(
    MEMORY.c.tenant_id == EPISODE.c.tenant_id, MEMORY.c.episode_id == EPISODE.c.episode_id
)


def _deletion(column: ColumnElement[Any], unless: ColumnElement[bool] | None = None) -> ListStatement:
    """Return the deletion of a tenant's rows by a column's values; writers wait while it runs."""
    table = column.table
    kept = () if unless is None else (~unless,)
    return ListStatement(
        lambda ids: table.delete().where(table.c.tenant_id == bindparam("tenant"), column.in_(ids), *kept)
    )


_EDGES: Final = (_deletion(EDGE.c.source_id), _deletion(EDGE.c.target_id))
_EMBEDDINGS: Final = _deletion(EMBEDDING.c.memory_id)
_BESIDE: Final = tuple(_deletion(table.c.memory_id) for table in (MEMORY_SUBJECT, USAGE, REVIEW, QUARANTINE))
_MEMORIES: Final = _deletion(MEMORY.c.memory_id)
_EPISODES: Final = _deletion(EPISODE.c.episode_id, unless=_HAS_MEMORIES)
# As bytes: SQLite keeps whatever was put there, also what is no UTF-8, and one bad row stops no removal.
_EPISODES_OF: Final = ListStatement(
    lambda ids: (
        select(cast(MEMORY.c.episode_id, LargeBinary))
        .where(MEMORY.c.tenant_id == bindparam("tenant"), MEMORY.c.memory_id.in_(ids))
        .distinct()
    )
)
_KNOWN: Final = ListStatement(
    lambda digests: select(TOMBSTONE.c.digest).where(
        TOMBSTONE.c.tenant_id == bindparam("tenant"), TOMBSTONE.c.digest.in_(digests)
    )
)
_ADD_TOMBSTONES: Final = BatchInsert(TOMBSTONE)
# Every write asks this.
_EMPTY: Final[WeakKeyDictionary[RootTransaction, set[str]]] = WeakKeyDictionary()
_ANY_TOMBSTONE: Final = DriverStatement(select(exists().where(TOMBSTONE.c.tenant_id == bindparam("tenant"))))
_IN_FORCE: Final = and_(
    HOLD.c.tenant_id == HOLD_TARGET.c.tenant_id,
    HOLD.c.hold_id == HOLD_TARGET.c.hold_id,
    HOLD.c.released.is_(None),
)


def _delete(connection: Connection, table: Table, tenant: str, which: ColumnElement[bool]) -> int:
    return connection.execute(table.delete().where(table.c.tenant_id == tenant, which)).rowcount


def _distinct_episodes(connection: Connection, tenant: str, ids: Sequence[str]) -> list[str]:
    found = _EPISODES_OF.rows(connection, {"tenant": tenant}, ids)
    return [episode.decode(errors="replace") for (episode,) in found]


def expect_not_held(
    connection: Connection, tenant: str, memory_ids: Sequence[str], subjects: Sequence[str] = ()
) -> None:
    """See in the caller's transaction that nothing of this is under a hold.

    Raises:
        HeldError: something is.
    """
    holdings = held_memories(connection, tenant, memory_ids)
    holds = {one.hold_id for one in holdings} | set(held_subjects(connection, tenant, subjects))
    if holds:
        raise HeldError(tuple(sorted({one.memory_id for one in holdings})), tuple(sorted(holds)))


def held_memories(connection: Connection, tenant: str, memory_ids: Sequence[str]) -> list[Holding]:
    """Return which of these memories are under which holds; few hundred at a time."""
    ids = list(memory_ids)
    if not ids or not _any_hold(connection, tenant):
        return []
    about = and_(
        MEMORY_SUBJECT.c.tenant_id == HOLD_TARGET.c.tenant_id,
        MEMORY_SUBJECT.c.subject_id == HOLD_TARGET.c.target_id,
    )
    by_subject = (
        select(MEMORY_SUBJECT.c.memory_id, HOLD_TARGET.c.hold_id)
        .select_from(HOLD_TARGET.join(HOLD, _IN_FORCE).join(MEMORY_SUBJECT, about))
        .where(_targets(tenant, TargetKind.SUBJECT), MEMORY_SUBJECT.c.memory_id.in_(ids))
    )
    by_id = (
        select(HOLD_TARGET.c.target_id, HOLD_TARGET.c.hold_id)
        .select_from(HOLD_TARGET.join(HOLD, _IN_FORCE))
        .where(_targets(tenant, TargetKind.MEMORY), HOLD_TARGET.c.target_id.in_(ids))
    )
    found = {Holding(*row) for query in (by_subject, by_id) for row in connection.execute(query)}
    over_all = held_subjects(connection, tenant, ())
    found.update(Holding(memory_id, hold_id) for memory_id in ids for hold_id in over_all)
    return sorted(found)


def held_subjects(connection: Connection, tenant: str, subjects: Sequence[str]) -> list[str]:
    """Return the holds over these subjects as such, and those over the whole tenant."""
    which = or_(
        _targets(tenant, TargetKind.TENANT),
        and_(_targets(tenant, TargetKind.SUBJECT), HOLD_TARGET.c.target_id.in_(list(subjects))),
    )
    query = select(HOLD_TARGET.c.hold_id).select_from(HOLD_TARGET.join(HOLD, _IN_FORCE)).where(which)
    return sorted(set(connection.execute(query).scalars()))


def _targets(tenant: str, kind: TargetKind) -> ColumnElement[bool]:
    return and_(HOLD_TARGET.c.tenant_id == tenant, HOLD_TARGET.c.kind == kind.value)


def _any_hold(connection: Connection, tenant: str) -> bool:
    query = select(HOLD.c.hold_id).where(HOLD.c.tenant_id == tenant, HOLD.c.released.is_(None)).limit(1)
    return connection.execute(query).first() is not None


def add_tombstones(
    connection: Connection, tenant: str, tombstones: Sequence[Tombstone], recorded: int, leaf_index: int
) -> None:
    """Add what is not there yet, in the caller's transaction."""
    rows = {
        one.digest: {
            "tenant_id": tenant,
            "digest": one.digest,
            "kind": one.kind.value,
            "recorded": recorded,
            "leaf_index": leaf_index,
        }
        for one in tombstones
    }
    missing = [rows[digest] for digest in rows.keys() - _known(connection, tenant, list(rows))]
    if missing:
        _ADD_TOMBSTONES.add(connection, missing)
        _seen_empty(connection).discard(tenant)


def expect_not_erased(connection: Connection, tenant: str, tombstones: Mapping[bytes, TombstoneKind]) -> None:
    """See in the caller's transaction that nothing of this was erased.

    Raises:
        ErasedError: something was; the message says what kind of thing, and nothing more.
    """
    known = _known(connection, tenant, list(tombstones))
    if known:
        kinds = sorted({tombstones[digest].value for digest in known})
        raise ErasedError(f"expected what was not erased, got an erased {' and '.join(kinds)}")


def has_tombstones(connection: Connection, tenant: str) -> bool:
    """Say whether anything was ever removed: where nothing was, no digest is worth making.

    Asked once in a transaction, however many writes share it: each statement lets go of the interpreter's lock,
    and among many writing threads costs the leader its turn. What adds tombstones takes the answer back.
    """
    empty = _seen_empty(connection)
    if tenant in empty:
        return False
    if _ANY_TOMBSTONE.rows(connection, {"tenant": tenant})[0][0]:
        return True
    empty.add(tenant)
    return False


def _seen_empty(connection: Connection) -> set[str]:
    """Return the tenants of which this transaction saw that nothing was removed, to be added to."""
    transaction = connection.get_transaction()
    return set() if transaction is None else _EMPTY.setdefault(transaction, set())


def _known(connection: Connection, tenant: str, digests: Sequence[bytes]) -> set[bytes]:
    return {digest for (digest,) in _KNOWN.rows(connection, {"tenant": tenant}, digests)}
