"""The tables of `vault.db`: what stands in clear and what is sealed.

In clear: vault ids, versions, access tier, memory tier, trust, times of recording. Sealed: everything
a person said or is called. `tenant_id` leads every primary key, so that a distributed PostgreSQL can
place tenants without a redesign (ARCHITECTURE section 8). The audit tables are declared by
`audit.store`, the wrapped keys by `vault.crypto.key_store` in a database of their own.
"""

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, String, Table, Text
from sqlmodel import Field, SQLModel

from vault.crypto.sealed import Sealed
from vault.storage.columns import SealedColumn

FORMAT = "memos-vault/1"


def _id(*, key: bool = True) -> Column[str]:
    return Column(String(64), primary_key=key, nullable=False)


def _sealed(*, nullable: bool = False) -> Column[Sealed]:
    return Column(SealedColumn, nullable=nullable)


def _integer() -> Column[int]:
    return Column(BigInteger, nullable=False)


class _Row(SQLModel):
    model_config: ClassVar = {"arbitrary_types_allowed": True}


class TenantRow(_Row, table=True):
    """One institution."""

    __tablename__ = "tenant"
    tenant_id: str = Field(sa_column=_id())
    created: int = Field(sa_column=_integer())


class SubjectRow(_Row, table=True):
    """A person that memories are about: the vault's id, and the caller's name sealed."""

    __tablename__ = "subject"
    tenant_id: str = Field(sa_column=_id())
    subject_id: str = Field(sa_column=_id())
    name: Sealed = Field(sa_column=_sealed())
    created: int = Field(sa_column=_integer())


class EpisodeRow(_Row, table=True):
    """One session or document in plaintext memory; its text is that of its memories, in order."""

    __tablename__ = "episode"
    tenant_id: str = Field(sa_column=_id())
    episode_id: str = Field(sa_column=_id())
    owner: str = Field(sa_column=_id(key=False))
    access_tier: str = Field(sa_column=Column(String(16), nullable=False))
    subjects: str = Field(sa_column=Column(Text, nullable=False))
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    recorded: int = Field(sa_column=_integer())
    leaf_index: int = Field(sa_column=_integer())
    attributes: Sealed = Field(sa_column=_sealed())


class MemoryRow(_Row, table=True):
    """One version of one memory. Versions are added, never overwritten."""

    __tablename__ = "memory"
    tenant_id: str = Field(sa_column=_id())
    memory_id: str = Field(sa_column=_id())
    version: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    is_current: int = Field(sa_column=Column(SmallInteger, nullable=False))
    episode_id: str = Field(sa_column=_id(key=False))
    position: int = Field(sa_column=_integer())
    owner: str = Field(sa_column=_id(key=False))
    access_tier: str = Field(sa_column=Column(String(16), nullable=False))
    memory_tier: str = Field(sa_column=Column(String(16), nullable=False))
    trust: str = Field(sa_column=Column(String(16), nullable=False))
    subjects: str = Field(sa_column=Column(Text, nullable=False))
    recorded: int = Field(sa_column=_integer())
    leaf_index: int = Field(sa_column=_integer())
    detector: str = Field(sa_column=Column(String(128), nullable=False))
    text: Sealed = Field(sa_column=_sealed())
    attributes: Sealed = Field(sa_column=_sealed())
    originals: Sealed | None = Field(sa_column=_sealed(nullable=True))
    terms: Sealed = Field(sa_column=_sealed())

    __table_args__ = (Index("memory_by_episode", "tenant_id", "episode_id", "position"),)


class MemorySubjectRow(_Row, table=True):
    """Which memories are about whom: the one selector for disclosure and erasure (law 3)."""

    __tablename__ = "memory_subject"
    tenant_id: str = Field(sa_column=_id())
    subject_id: str = Field(sa_column=_id())
    memory_id: str = Field(sa_column=_id())


class EmbeddingRow(_Row, table=True):
    """The dense vector of one memory version, made after its commit."""

    __tablename__ = "embedding"
    tenant_id: str = Field(sa_column=_id())
    memory_id: str = Field(sa_column=_id())
    version: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    model: str = Field(sa_column=Column(String(64), nullable=False))
    vector: Sealed = Field(sa_column=_sealed())


class EdgeRow(_Row, table=True):
    """A typed edge between two memories."""

    __tablename__ = "edge"
    tenant_id: str = Field(sa_column=_id())
    source_id: str = Field(sa_column=_id())
    kind: str = Field(sa_column=Column(String(16), primary_key=True, nullable=False))
    target_id: str = Field(sa_column=_id())
    leaf_index: int = Field(sa_column=_integer())


class CredentialRow(_Row, table=True):
    """How a principal shows who it is at the edge: the verifier of a secret, never the secret."""

    __tablename__ = "credential"
    tenant_id: str = Field(sa_column=_id())
    credential_id: str = Field(sa_column=_id())
    principal_id: str = Field(sa_column=_id(key=False))
    roles: str = Field(sa_column=Column(Text, nullable=False))
    verifier: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created: int = Field(sa_column=_integer())
    seal: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Over all the others, under a key of the tenant: see `vault.credentials`."""


def table(row: type[SQLModel]) -> Table:
    """The Core table of a row class, for inserts without the object layer."""
    found = SQLModel.metadata.tables[str(row.__tablename__)]
    assert isinstance(found, Table)  # noqa: S101  # narrows the type of SQLAlchemy's registry
    return found


TENANT, SUBJECT, EPISODE, MEMORY, MEMORY_SUBJECT, EMBEDDING, EDGE, CREDENTIAL = (
    table(row)
    for row in (
        TenantRow,
        SubjectRow,
        EpisodeRow,
        MemoryRow,
        MemorySubjectRow,
        EmbeddingRow,
        EdgeRow,
        CredentialRow,
    )
)
CONTENT_TABLES = (SUBJECT, EPISODE, MEMORY, MEMORY_SUBJECT, EMBEDDING, EDGE)
"""Tables behind the row-level tenant wall."""
