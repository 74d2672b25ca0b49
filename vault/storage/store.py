"""The open store: engines, migrations and units of work over one `vault.db`.

Leaves sealing to `vault.crypto`, entries to `audit`, and who may do what to the grant it is given.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, select

from audit.log import Leaf
from vault.crypto.sealed import Sealed
from vault.errors import StorageError, TamperedError
from vault.grant import Grant
from vault.storage.engine import reader_engine, reading, writer_engine
from vault.storage.faults import translated
from vault.storage.folding import fold, fold_beside
from vault.storage.found import FoundRows, found_rows
from vault.storage.group_commit import Appender, Change, GroupCommit, Probe, WriteSet, no_probe
from vault.storage.migrate import upgrade
from vault.storage.read_unit import ReadUnit
from vault.storage.rows import StoredMemory, episode_digest, row_digest, split_subjects, stored_memory
from vault.storage.schema import (
    CREDENTIAL,
    EDGE,
    EMBEDDING,
    EPISODE,
    MEMORY,
    MEMORY_SUBJECT,
    SUBJECT,
    TENANT,
)
from vault.storage.served import NOT_SERVED
from vault.storage.write_unit import WriteUnit


@dataclass(frozen=True, slots=True)
class IndexRow:
    """What the search index is rebuilt from: no text, no attributes."""

    memory_id: str
    version: int
    owner: str
    access_tier: str
    episode_id: str
    position: int
    trust: str
    subjects: tuple[str, ...]
    terms: Sealed
    vector: Sealed | None


@dataclass(frozen=True, slots=True)
class RowDigest:
    """What the log is to know a memory's row by."""

    memory_id: str
    version: int
    is_current: bool
    trust: str
    leaf_index: int
    digest: str
    subjects: tuple[str, ...]
    resealed: int | None = None
    """The entry that told of its last re-encryption."""


class EpisodeDigest(NamedTuple):
    """What the log is to know an episode's row by."""

    episode_id: str
    leaf_index: int
    digest: str
    resealed: int | None = None


class EdgePlace(NamedTuple):
    """An edge, and the entry that wrote it."""

    kind: str
    source_id: str
    target_id: str
    leaf_index: int


class Store:
    """An open `vault.db`."""

    def __init__(self, path: Path, log: Appender, probe: Probe = no_probe) -> None:
        """Open and bring to the present schema.

        Raises:
            StoreCorruptError: the file is damaged.
            TamperedError: its schema is not what was made.
            StoreVersionError: a newer version wrote it.
        """
        self._path = path
        self._writer = writer_engine(path)
        self._readers = reader_engine(path)
        with translated():
            upgrade(self._writer, "rows")
        self._commit = GroupCommit(self._writer, log, probe)
        self._closed = False

    @property
    def folder(self) -> Path:
        """Where `vault.db` lies, with all else of the vault."""
        return self._path.parent

    @contextmanager
    def read(self, grant: Grant) -> Iterator[ReadUnit]:
        """Open a unit of work for reading under a grant."""
        with self._reading(grant.tenant) as connection:
            yield ReadUnit(connection, grant)

    def found(self, grant: Grant, memory_ids: Sequence[str]) -> FoundRows:
        """Return the rows of an answer, of one state of the database."""
        with self._reading(grant.tenant) as connection:
            return found_rows(connection, grant, memory_ids)

    def write(self, grant: Grant) -> WriteUnit:
        """Open a unit of work for writing under a grant."""
        return WriteUnit(self._commit, grant)

    def submit(self, work: WriteSet) -> list[Leaf]:
        """Commit entries or rows that belong to no principal's call, such as opening the vault."""
        return self._commit.submit(work)

    @contextmanager
    def log_connection(self, tenant: str) -> Iterator[Connection]:
        """Lend a read connection that sees one tenant's log, or the system log."""
        with self._reading(tenant) as connection:
            yield connection

    def change(self, change: Change) -> None:
        """Run work of the audit room, such as signing a checkpoint, in a durable transaction.

        Raises:
            StorageError: or one of its kinds; nothing was changed.
        """
        self._commit.submit(WriteSet(changes=[change]))

    def fold(self, seconds: float) -> bool:
        """Leave no byte of what was dropped in the write-ahead log; say whether that was done within the time."""
        return fold(self._path, seconds)

    def fold_beside(self) -> None:
        """Fold the write-ahead log into the database beside those who write."""
        fold_beside(self._path)

    def tenants(self) -> list[str]:
        """Return the ids of all tenants."""
        with self._reading("") as connection:
            return list(connection.execute(select(TENANT.c.tenant_id).order_by(TENANT.c.tenant_id)).scalars())

    def feed(self, tenant: str, about: str | None = None) -> Iterator[IndexRow]:
        """Yield what the index of a tenant is built from, in the order of recording; of one subject where one is named."""
        vector = (
            select(EMBEDDING.c.memory_id, EMBEDDING.c.version, EMBEDDING.c.vector)
            .where(EMBEDDING.c.tenant_id == tenant)
            .subquery()
        )
        query = (
            select(
                MEMORY.c.memory_id,
                MEMORY.c.version,
                MEMORY.c.owner,
                MEMORY.c.access_tier,
                MEMORY.c.episode_id,
                MEMORY.c.position,
                MEMORY.c.trust,
                MEMORY.c.subjects,
                MEMORY.c.terms,
                vector.c.vector,
            )
            .outerjoin(
                vector, (vector.c.memory_id == MEMORY.c.memory_id) & (vector.c.version == MEMORY.c.version)
            )
            .where(MEMORY.c.tenant_id == tenant, MEMORY.c.is_current == 1, ~NOT_SERVED)
            .order_by(MEMORY.c.memory_id)
        )
        if about is not None:
            theirs = select(MEMORY_SUBJECT.c.memory_id).where(
                MEMORY_SUBJECT.c.tenant_id == tenant, MEMORY_SUBJECT.c.subject_id == about
            )
            query = query.where(MEMORY.c.memory_id.in_(theirs))
        with self._reading(tenant) as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield IndexRow(*row[:7], split_subjects(str(row[7])), row[8], row[9])

    def drop_vectors_but(self, model: str) -> int:
        """Drop the vectors of every other model than this and return how many: they do not compare with its own."""
        other = EMBEDDING.c.model != model
        dropped: list[int] = []

        def drop(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            dropped[:] = [connection.execute(EMBEDDING.delete().where(other)).rowcount]

        self.change(drop)
        return dropped[0]

    def has_subject(self, tenant: str, subject_id: str) -> bool:
        """Say whether a subject was ever written about."""
        query = select(SUBJECT.c.subject_id).where(
            SUBJECT.c.tenant_id == tenant, SUBJECT.c.subject_id == subject_id
        )
        with self._reading(tenant) as connection:
            return connection.execute(query).first() is not None

    def drop_vector(self, tenant: str, memory_id: str) -> None:
        """Drop the vector of one memory, so that it is made anew."""
        one = (EMBEDDING.c.tenant_id == tenant) & (EMBEDDING.c.memory_id == memory_id)

        def drop(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            connection.execute(EMBEDDING.delete().where(one))

        self.change(drop)

    def unembedded(self, tenant: str) -> list[StoredMemory]:
        """Return the current memories whose vector was not made before the last end."""
        has_vector = (
            select(EMBEDDING.c.memory_id)
            .where(
                EMBEDDING.c.tenant_id == MEMORY.c.tenant_id,
                EMBEDDING.c.memory_id == MEMORY.c.memory_id,
                EMBEDDING.c.version == MEMORY.c.version,
            )
            .exists()
        )
        query = select(MEMORY).where(
            MEMORY.c.tenant_id == tenant, MEMORY.c.is_current == 1, ~has_vector, ~NOT_SERVED
        )
        with self._reading(tenant) as connection:
            rows = connection.execute(query.order_by(MEMORY.c.memory_id)).all()
        found = []
        for row in rows:
            with suppress(TamperedError):  # the reader's and the verifier's to report (law 12)
                found.append(stored_memory(row))
        return found

    def digests(self, connection: Connection, tenant: str) -> Iterator[RowDigest]:
        """Yield the digest of every version of every memory, oldest version first, to be compared with the log.

        The connection is one that looks at this tenant's log, so that rows and entries are of one state.
        """
        query = (
            select(MEMORY).where(MEMORY.c.tenant_id == tenant).order_by(MEMORY.c.memory_id, MEMORY.c.version)
        )
        for row in connection.execute(query, execution_options={"yield_per": 1000}):
            digest = row_digest({column.name: row[place] for place, column in enumerate(MEMORY.c)})
            current = row.is_current == 1
            subjects = split_subjects(str(row.subjects))
            yield RowDigest(
                row.memory_id,
                row.version,
                current,
                str(row.trust),
                row.leaf_index,
                digest,
                subjects,
                row.resealed,
            )

    def episode_digests(self, connection: Connection, tenant: str) -> Iterator[EpisodeDigest]:
        """Yield the digest of every episode, like `digests`."""
        query = select(EPISODE).where(EPISODE.c.tenant_id == tenant)
        for row in connection.execute(query, execution_options={"yield_per": 1000}):
            digest = episode_digest({column.name: row[place] for place, column in enumerate(EPISODE.c)})
            yield EpisodeDigest(row.episode_id, row.leaf_index, digest, row.resealed)

    def subject_rows(self, connection: Connection, tenant: str) -> Iterator[tuple[str, str]]:
        """Yield subject and memory of every row that says what a memory is about, like `digests`."""
        query = select(MEMORY_SUBJECT.c.subject_id, MEMORY_SUBJECT.c.memory_id)
        for row in connection.execute(query.where(MEMORY_SUBJECT.c.tenant_id == tenant)):
            yield row.subject_id, row.memory_id

    def subject_names(self, tenant: str) -> Iterator[tuple[str, Sealed]]:
        """Yield every subject's vault id and its sealed name."""
        query = select(SUBJECT.c.subject_id, SUBJECT.c.name).where(SUBJECT.c.tenant_id == tenant)
        with self._reading(tenant) as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield row.subject_id, row.name

    def edge_rows(self, connection: Connection, tenant: str) -> Iterator[EdgePlace]:
        """Yield every edge with the entry that wrote it, like `digests`."""
        query = select(EDGE.c.kind, EDGE.c.source_id, EDGE.c.target_id, EDGE.c.leaf_index)
        for row in connection.execute(query.where(EDGE.c.tenant_id == tenant)):
            yield EdgePlace(*row)

    def credential_ids(self, connection: Connection, tenant: str) -> Iterator[str]:
        """Yield the id of every credential, like `digests`."""
        query = select(CREDENTIAL.c.credential_id).where(CREDENTIAL.c.tenant_id == tenant)
        for row in connection.execute(query.order_by(CREDENTIAL.c.credential_id)):
            yield str(row.credential_id)

    def close(self) -> None:
        """Close all connections; the write-ahead log is folded into the file."""
        self._closed = True
        self._commit.close()
        self._readers.dispose()
        self._writer.dispose()

    def _reading(self, tenant: str) -> AbstractContextManager[Connection]:
        if self._closed:
            raise StorageError("the vault is closed")
        return reading(self._readers, tenant)
