"""The unit of work for writing: rows and audit entries of one grant, made durable together (law 2).

Owns what a grant's action allows to be added. It leaves the commit to `vault.storage.group_commit` and the
form of rows to `vault.storage.rows`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from audit.event import EntryDraft
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import Action
from vault.crypto.sealed import Sealed
from vault.errors import ConflictError
from vault.grant import Grant
from vault.model import EdgeKind, TrustState
from vault.storage.beside import BESIDE
from vault.storage.group_commit import Change, GroupCommit, Row, WriteSet
from vault.storage.read_unit import within
from vault.storage.removal import TombstoneKind, expect_not_erased, has_tombstones
from vault.storage.rows import StoredEpisode, StoredMemory, episode_digest, row_digest
from vault.storage.schema import EDGE, EMBEDDING, EPISODE, MEMORY, MEMORY_SUBJECT, SUBJECT

_CHUNK: Final = 500  # below SQLite's limit of bound parameters


class WriteUnit:
    """Collects what one call writes, then commits it with its entries."""

    def __init__(self, commit: GroupCommit, grant: Grant) -> None:
        self._commit = commit
        self._grant = grant
        self._work = WriteSet()
        self._beside = BESIDE.get()  # of the thread that asks: another may commit

    def entry(self, draft: EntryDraft) -> None:
        """Add an audit entry.

        Raises:
            ConflictError: it is of another tenant than the grant.
        """
        if draft.tenant != self._grant.tenant:
            raise ConflictError("expected an entry of the grant's tenant")
        self._work.drafts.append(draft)

    def _expect(self, *actions: Action) -> None:
        """See that the grant is for what is done under it (law 2).

        Raises:
            DeniedError: it is for another action.
        """
        if self._grant.action not in actions:
            raise DeniedError(f"a grant to {self._grant.action} is none to {actions[0]}")

    def refuse_erased(self, tombstones: Callable[[], Mapping[bytes, TombstoneKind]]) -> None:
        """Refuse the write where it would bring back what was erased, as the commit's transaction sees it.

        Args:
            tombstones: Makes the digests under which what is written would be known; asked only where
                anything was ever removed.
        """

        def check(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            if has_tombstones(connection, self._grant.tenant):
                expect_not_erased(connection, self._grant.tenant, tombstones())

        self._work.changes.append(check)

    def also(self, *changes: Change) -> None:
        """Do this in the same transaction; what it touches, its maker answers for."""
        self._work.changes.extend(changes)

    def add_subject(self, subject_id: str, name: Sealed, created: int) -> None:
        """Add a subject; one that is there already, by another thread, is left as it is."""
        self._expect(Action.WRITE)
        row = {"tenant_id": self._grant.tenant, "subject_id": subject_id, "name": name, "created": created}

        def insert_once(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            connection.execute(SUBJECT.insert().prefix_with("OR IGNORE", dialect="sqlite"), [row])

        self._work.changes.append(insert_once)

    def add_episode(self, episode: StoredEpisode) -> str:
        """Add an episode and return its digest, which the entry is to name."""
        self._expect(Action.WRITE)
        row = episode.row(self._grant.tenant)
        self._work.rows.append((EPISODE, row))
        return episode_digest(row)

    def add_memory(self, memory: StoredMemory) -> str:
        """Add the first version of a memory and return its digest, which the entry is to name."""
        self._expect(Action.WRITE)
        tenant, row = self._grant.tenant, memory.row(self._grant.tenant)
        self._work.rows.append((MEMORY, row))
        for subject in memory.subjects:
            about: Row = {"tenant_id": tenant, "subject_id": subject, "memory_id": memory.memory_id}
            self._work.rows.append((MEMORY_SUBJECT, about))
        return row_digest(row)

    def add_version(self, memory: StoredMemory, former: TrustState | None = None) -> None:
        """Add a later version, which replaces the one before it as the current one.

        Args:
            memory: The version.
            former: Trust of the one before; None: the same.

        Threat: a memory is disputed or revoked while its new version is being sealed. A version is
        written only if the one before it still has the trust that the caller saw.
        """
        self._expect(Action.UPDATE, Action.PROMOTE)
        trusted = MEMORY.c.trust == (former or memory.trust).value
        before = and_(self._current(memory.memory_id, memory.version - 1), trusted)

        def retire(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            retired = update(MEMORY).where(before).values(is_current=0)
            if connection.execute(retired, self._me()).rowcount != 1:
                raise ConflictError("the memory was changed meanwhile: read it again")
            connection.execute(
                EMBEDDING.delete().where(
                    EMBEDDING.c.tenant_id == self._grant.tenant, EMBEDDING.c.memory_id == memory.memory_id
                )
            )

        self._work.changes.append(retire)
        self._work.rows.append((MEMORY, memory.row(self._grant.tenant)))

    def set_trust(self, memory_id: str, version: int, trust: TrustState) -> None:
        """Change how far a memory may be relied on."""
        self._expect(Action.ORGANIZE)
        self._set_trust(memory_id, version, trust)

    def distrust(self, memory_id: str, version: int, trust: TrustState) -> None:
        """Dispute or revoke a memory because what it says, or rests on, is changed: under a grant to change it.

        Raises:
            DeniedError: the grant is for something else, or the memory would be relied on more.
        """
        self._expect(Action.UPDATE)
        if trust not in {TrustState.DISPUTED, TrustState.REVOKED}:
            raise DeniedError("a grant to update verifies nothing")
        self._set_trust(memory_id, version, trust)

    def _set_trust(self, memory_id: str, version: int, trust: TrustState) -> None:
        current = self._current(memory_id, version)

        def change(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            changed = update(MEMORY).where(current).values(trust=trust.value)
            if connection.execute(changed, self._me()).rowcount != 1:
                raise ConflictError("the memory was changed meanwhile: read it again")

        self._work.changes.append(change)

    def add_edge(self, source_id: str, kind: EdgeKind, target_id: str) -> None:
        """Add a typed edge; one that is there already stays."""
        self._expect(Action.ORGANIZE)
        row = {
            "tenant_id": self._grant.tenant,
            "source_id": source_id,
            "kind": kind.value,
            "target_id": target_id,
        }

        def insert_once(connection: Connection, leaves: Sequence[Leaf]) -> None:
            statement = EDGE.insert().prefix_with("OR IGNORE", dialect="sqlite")
            connection.execute(statement, [{**row, "leaf_index": leaves[0].index}])

        self._work.changes.append(insert_once)

    def expect_present(self, memory_ids: Collection[str]) -> None:
        """Refuse the commit where one of these memories was removed meanwhile: an edge to it would come back.

        Raises:
            ConflictError: at the commit: one is there no more.
        """
        ids = sorted(memory_ids)

        def look(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            for start in range(0, len(ids), _CHUNK):
                some = ids[start : start + _CHUNK]
                query = select(func.count(MEMORY.c.memory_id.distinct())).where(
                    MEMORY.c.tenant_id == self._grant.tenant, MEMORY.c.memory_id.in_(some)
                )
                if connection.execute(query).scalar_one() != len(some):
                    raise ConflictError("a memory was removed meanwhile: read them again")

        self._work.changes.append(look)

    def commit(
        self, *, prepare: Callable[[], None] | None = None, finish: Callable[[], None] | None = None
    ) -> list[Leaf]:
        """Make everything durable together with its entries.

        Args:
            prepare: Adds what is to be written, in the thread that commits.
            finish: Run when all is durable, by that thread, in the order of commits.

        Raises:
            ConflictError: there is no entry: nothing unlogged happens; or a row changed meanwhile.
            StorageError: nothing was written.
        """
        if prepare is not None:
            self._work.prepare = partial(self._fill, prepare)
        else:
            self._complete()
        self._work.finish = finish
        try:
            return self._commit.submit(self._work)
        finally:
            # They hold this unit, which holds them: what was written, texts and all, would stay in memory
            # until the collector comes by, and that is dear among many writers.
            self._work.changes.clear()

    def _fill(self, prepare: Callable[[], None]) -> None:
        work = self._work
        for part in (work.drafts, work.rows, work.changes):
            part.clear()
        prepare()
        self._complete()

    def _complete(self) -> None:
        if not self._work.drafts:
            raise ConflictError("expected at least one audit entry")
        if self._beside is not None:
            self._beside(self._work)

    def _current(self, memory_id: str, version: int) -> ColumnElement[bool]:
        return and_(
            MEMORY.c.tenant_id == self._grant.tenant,
            MEMORY.c.memory_id == memory_id,
            MEMORY.c.version == version,
            MEMORY.c.is_current == 1,
            within(self._grant.reach, MEMORY.c.access_tier, MEMORY.c.owner),
        )

    def _me(self) -> dict[str, str]:
        return {"me": self._grant.principal.id}
