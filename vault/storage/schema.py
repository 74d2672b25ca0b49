"""The tables of `vault.db`: what stands in clear and what is sealed.

In clear: vault ids, versions, access tier, memory tier, trust, times of recording. Sealed: everything
a person said or is called. `tenant_id` leads every primary key, so that a distributed PostgreSQL can
place tenants without a redesign (ARCHITECTURE section 8). The audit tables are declared by
`audit.store`, the wrapped keys by `vault.crypto.key_store` in a database of their own.
"""

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, String, Table, Text
from sqlalchemy import text as words
from sqlmodel import Field, SQLModel

from vault.crypto.sealed import Sealed
from vault.storage.columns import SealedColumn

FORMAT = "memos-vault/1"
IN_ACTIVATION = "memory_tier = 'activation'"
"""As it stands in the index: a statement that says the same in the same words uses it."""


def _id(*, key: bool = True) -> Column[str]:
    return Column(String(64), primary_key=key, nullable=False)


def _sealed(*, nullable: bool = False) -> Column[Sealed]:
    return Column(SealedColumn, nullable=nullable)


def _integer(*, nullable: bool = False) -> Column[int]:
    return Column(BigInteger, nullable=nullable)


def _word(size: int = 16, *, key: bool = False) -> Column[str]:
    return Column(String(size), primary_key=key, nullable=False)


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
    resealed: int | None = Field(sa_column=_integer(nullable=True))
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
    purpose: str = Field(sa_column=_word())
    retention: str = Field(sa_column=_word(64))
    """Id of its retention class, and of the rule that chose it."""
    retention_rule: str = Field(sa_column=_word(64))
    term_start: int = Field(sa_column=_integer())
    """From when its term runs: microseconds since 1970 UTC."""
    leaf_index: int = Field(sa_column=_integer())
    resealed: int | None = Field(sa_column=_integer(nullable=True))
    """Index of the entry that told of its last re-encryption; none: it is as it was written."""
    detector: str = Field(sa_column=Column(String(128), nullable=False))
    text: Sealed = Field(sa_column=_sealed())
    attributes: Sealed = Field(sa_column=_sealed())
    originals: Sealed | None = Field(sa_column=_sealed(nullable=True))
    terms: Sealed = Field(sa_column=_sealed())

    __table_args__ = (
        Index("memory_by_episode", "tenant_id", "episode_id", "position"),
        Index("memory_by_term", "tenant_id", "retention", "is_current", "term_start", "memory_id"),
        # Of the rows that an opening opens beforehand alone: what is written does not stand there, and costs nothing.
        Index(
            "memory_in_activation", "tenant_id", "is_current", "memory_id", sqlite_where=words(IN_ACTIVATION)
        ),
    )


class MemorySubjectRow(_Row, table=True):
    """Which memories are about whom: the one selector for disclosure and erasure (law 3)."""

    __tablename__ = "memory_subject"
    tenant_id: str = Field(sa_column=_id())
    subject_id: str = Field(sa_column=_id())
    memory_id: str = Field(sa_column=_id())

    __table_args__ = (Index("memory_subject_by_memory", "tenant_id", "memory_id"),)


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

    __table_args__ = (Index("edge_by_target", "tenant_id", "target_id"),)


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


class TombstoneRow(_Row, table=True):
    """What was removed for good, as a keyed digest: it is refused when it comes back (law 5). Never changed."""

    __tablename__ = "tombstone"
    tenant_id: str = Field(sa_column=_id())
    digest: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True, nullable=False))
    kind: str = Field(sa_column=_word())
    recorded: int = Field(sa_column=_integer())
    leaf_index: int = Field(sa_column=_integer())


class HoldRow(_Row, table=True):
    """A legal hold: what it names may not be removed until two people released it (law 4)."""

    __tablename__ = "hold"
    tenant_id: str = Field(sa_column=_id())
    hold_id: str = Field(sa_column=_id())
    scope: str = Field(sa_column=_word())
    matter: str | None = Field(sa_column=Column(String(64), nullable=True))
    reason: str = Field(sa_column=_word(32))
    placed_by: str = Field(sa_column=_word(64))
    placed: int = Field(sa_column=_integer())
    review: int = Field(sa_column=_integer())
    asked_by: str | None = Field(sa_column=Column(String(64), nullable=True))
    asked: int | None = Field(sa_column=_integer(nullable=True))
    released_by: str | None = Field(sa_column=Column(String(64), nullable=True))
    released: int | None = Field(sa_column=_integer(nullable=True))
    leaf_index: int = Field(sa_column=_integer())


class HoldTargetRow(_Row, table=True):
    """What a hold names: a subject with all that is and will be known of it, a memory, or the whole tenant."""

    __tablename__ = "hold_target"
    tenant_id: str = Field(sa_column=_id())
    hold_id: str = Field(sa_column=_id())
    kind: str = Field(sa_column=_word(key=True))
    target_id: str = Field(sa_column=_id())
    leaf_index: int = Field(sa_column=_integer())

    __table_args__ = (Index("hold_target_by_target", "tenant_id", "kind", "target_id"),)


class LeaseRow(_Row, table=True):
    """Who may run a job now; its token grows with each taking, and fences off whoever had it before."""

    __tablename__ = "lease"
    tenant_id: str = Field(sa_column=_id())
    name: str = Field(sa_column=_id())
    holder: str = Field(sa_column=_word(64))
    token: int = Field(sa_column=_integer())
    until: int = Field(sa_column=_integer())


class JobRow(_Row, table=True):
    """How far a job came, and when it runs next."""

    __tablename__ = "job"
    tenant_id: str = Field(sa_column=_id())
    name: str = Field(sa_column=_id())
    paused: int = Field(sa_column=Column(SmallInteger, nullable=False))
    due: int = Field(sa_column=_integer())
    cursor: str = Field(sa_column=Column(Text, nullable=False))
    started: int | None = Field(sa_column=_integer(nullable=True))
    finished: int | None = Field(sa_column=_integer(nullable=True))
    outcome: str | None = Field(sa_column=Column(String(16), nullable=True))
    counts: str = Field(sa_column=Column(Text, nullable=False))


class UsageRow(_Row, table=True):
    """When a memory was last read, as the log tells it: for terms that run from there."""

    __tablename__ = "usage"
    tenant_id: str = Field(sa_column=_id())
    memory_id: str = Field(sa_column=_id())
    last_used: int = Field(sa_column=_integer())


class QuarantineRow(_Row, table=True):
    """A memory version that is not served, because its row is not what it should be (law 12)."""

    __tablename__ = "quarantine"
    tenant_id: str = Field(sa_column=_id())
    memory_id: str = Field(sa_column=_id())
    version: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    reason: str = Field(sa_column=_word(32))
    since: int = Field(sa_column=_integer())
    leaf_index: int = Field(sa_column=_integer())


class ReviewRow(_Row, table=True):
    """A memory that somebody is to decide about."""

    __tablename__ = "review"
    tenant_id: str = Field(sa_column=_id())
    memory_id: str = Field(sa_column=_id())
    reason: str = Field(sa_column=_word(32))
    since: int = Field(sa_column=_integer())
    leaf_index: int = Field(sa_column=_integer())


class RestrictionRow(_Row, table=True):
    """A person who restricted the use of what is known of them, or objects to a purpose."""

    __tablename__ = "restriction"
    tenant_id: str = Field(sa_column=_id())
    subject_id: str = Field(sa_column=_id())
    kind: str = Field(sa_column=_word(key=True))
    purpose: str = Field(sa_column=_word(key=True))
    """Empty: all purposes."""
    since: int = Field(sa_column=_integer())
    leaf_index: int = Field(sa_column=_integer())


class ErasureRow(_Row, table=True):
    """How far the erasure of a subject came, and its certificate."""

    __tablename__ = "erasure"
    tenant_id: str = Field(sa_column=_id())
    erasure_id: str = Field(sa_column=_id())
    subject_id: str = Field(sa_column=_id(key=False))
    state: str = Field(sa_column=_word())
    begun: int = Field(sa_column=_integer())
    finished: int | None = Field(sa_column=_integer(nullable=True))
    intent_leaf: int = Field(sa_column=_integer())
    certificate: str | None = Field(sa_column=Column(Text, nullable=True))

    __table_args__ = (Index("erasure_by_subject", "tenant_id", "subject_id", unique=True),)


class CareTeamRow(_Row, table=True):
    """Somebody who is on the care team of a person; who leaves it has no row any more."""

    __tablename__ = "care_team"
    tenant_id: str = Field(sa_column=_id())
    subject_id: str = Field(sa_column=_id())
    principal_id: str = Field(sa_column=_id())
    since: int = Field(sa_column=_integer())
    leaf_index: int = Field(sa_column=_integer())

    __table_args__ = (Index("care_team_by_principal", "tenant_id", "principal_id", "subject_id"),)


class ConsentRow(_Row, table=True):
    """A purpose that a person consents to; a consent that was taken back has no row any more."""

    __tablename__ = "consent"
    tenant_id: str = Field(sa_column=_id())
    subject_id: str = Field(sa_column=_id())
    purpose: str = Field(sa_column=_word(key=True))
    since: int = Field(sa_column=_integer())
    leaf_index: int = Field(sa_column=_integer())


class EmergencyRow(_Row, table=True):
    """Emergency access: who declared it, until when, and who judged it afterwards. Never deleted."""

    __tablename__ = "emergency"
    tenant_id: str = Field(sa_column=_id())
    emergency_id: str = Field(sa_column=_id())
    principal_id: str = Field(sa_column=_word(64))
    reason: str = Field(sa_column=_word(32))
    case_id: str = Field(sa_column=_word(64))
    purpose: str = Field(sa_column=_word())
    started: int = Field(sa_column=_integer())
    until: int = Field(sa_column=_integer())
    """Its end, whether anybody ends it or not."""
    noticed: int | None = Field(sa_column=_integer(nullable=True))
    """When the notice to the officers went out."""
    stopped: int | None = Field(sa_column=_integer(nullable=True))
    stopped_by: str | None = Field(sa_column=Column(String(64), nullable=True))
    reviewed: int | None = Field(sa_column=_integer(nullable=True))
    reviewed_by: str | None = Field(sa_column=Column(String(64), nullable=True))
    verdict: str | None = Field(sa_column=Column(String(16), nullable=True))
    leaf_index: int = Field(sa_column=_integer())


class RunRow(_Row, table=True):
    """A run of a pipeline, or of what a model asked for: how it stands, and nothing of what it was given."""

    __tablename__ = "run"
    tenant_id: str = Field(sa_column=_id())
    run_id: str = Field(sa_column=_id())
    principal_id: str = Field(sa_column=_word(64))
    name: str = Field(sa_column=_word(64))
    version: int = Field(sa_column=_integer())
    definition: str = Field(sa_column=_word(80))
    """Digest of what was declared."""
    inputs: str = Field(sa_column=_word(80))
    """Keyed digest of what it was given, for whoever goes on with it; empty once it ended."""
    purpose: str = Field(sa_column=_word())
    state: str = Field(sa_column=_word())
    token: int = Field(sa_column=_integer())
    """Grows with each beginning and end: what was begun before writes nothing any more."""
    started: int = Field(sa_column=_integer())
    finished: int | None = Field(sa_column=_integer(nullable=True))
    leaf_index: int = Field(sa_column=_integer())

    __table_args__ = (Index("run_by_principal", "tenant_id", "principal_id", "run_id"),)


class RunStepRow(_Row, table=True):
    """A step of a run that ended: what the steps after it need of it, as ids, numbers and fixed words."""

    __tablename__ = "run_step"
    tenant_id: str = Field(sa_column=_id())
    run_id: str = Field(sa_column=_id())
    step_id: str = Field(sa_column=_id())
    operator: str = Field(sa_column=_word(64))
    state: str = Field(sa_column=_word())
    reason: str | None = Field(sa_column=Column(String(32), nullable=True))
    took: int = Field(sa_column=_integer())
    """Microseconds."""
    kept: str | None = Field(sa_column=Column(Text, nullable=True))
    """None once the run ended."""
    leaf_index: int = Field(sa_column=_integer())


class RunEffectRow(_Row, table=True):
    """Something that a step did, written in the transaction that did it: it is never done twice."""

    __tablename__ = "run_effect"
    tenant_id: str = Field(sa_column=_id())
    run_id: str = Field(sa_column=_id())
    step_id: str = Field(sa_column=_id())
    call: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    """Which of the step's calls, from 0."""
    told: str = Field(sa_column=Column(Text, nullable=False))
    """What the call answered, as ids and numbers."""
    leaf_index: int = Field(sa_column=_integer())


class TaskRow(_Row, table=True):
    """Work that was put off: what kind, about whom, under whom, and how it stands. No content."""

    __tablename__ = "task"
    tenant_id: str = Field(sa_column=_id())
    task_id: str = Field(sa_column=_id())
    kind: str = Field(sa_column=_word())
    subject_id: str = Field(sa_column=_id(key=False))
    principal_id: str = Field(sa_column=_word(64))
    roles: str = Field(sa_column=Column(Text, nullable=False))
    assurance: str = Field(sa_column=_word())
    purpose: str = Field(sa_column=_word())
    state: str = Field(sa_column=_word())
    priority: int = Field(sa_column=_integer())
    rank: int = Field(sa_column=_integer())
    """When it was queued, later by so much as it is less urgent: the least is next, so nothing waits for ever."""
    key: str = Field(sa_column=_word(64))
    """Keyed digest by which the same work is queued once."""
    queued: int = Field(sa_column=_integer())
    due: int = Field(sa_column=_integer())
    attempts: int = Field(sa_column=_integer())
    holder: str = Field(sa_column=_word(64))
    token: int = Field(sa_column=_integer())
    """Grows with each taking, and fences off whoever had it before."""
    until: int = Field(sa_column=_integer())
    finished: int | None = Field(sa_column=_integer(nullable=True))
    reason: str | None = Field(sa_column=Column(String(64), nullable=True))
    seal: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Over what it is to do and under whom, with a key of the tenant."""
    leaf_index: int = Field(sa_column=_integer())

    __table_args__ = (
        Index("task_by_rank", "tenant_id", "state", "rank"),
        Index("task_by_key", "tenant_id", "key", unique=True),
        Index("task_by_subject", "tenant_id", "subject_id"),
    )


def table(row: type[SQLModel]) -> Table:
    """The Core table of a row class, for inserts without the object layer."""
    found = SQLModel.metadata.tables[str(row.__tablename__)]
    assert isinstance(found, Table)  # noqa: S101  # narrows the type of SQLAlchemy's registry
    return found


(
    TENANT,
    SUBJECT,
    EPISODE,
    MEMORY,
    MEMORY_SUBJECT,
    EMBEDDING,
    EDGE,
    CREDENTIAL,
    TOMBSTONE,
    HOLD,
    HOLD_TARGET,
    LEASE,
    JOB,
    USAGE,
    QUARANTINE,
    REVIEW,
    RESTRICTION,
    ERASURE,
    CARE_TEAM,
    CONSENT,
    EMERGENCY,
    RUN,
    RUN_STEP,
    RUN_EFFECT,
    TASK,
) = (
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
        TombstoneRow,
        HoldRow,
        HoldTargetRow,
        LeaseRow,
        JobRow,
        UsageRow,
        QuarantineRow,
        ReviewRow,
        RestrictionRow,
        ErasureRow,
        CareTeamRow,
        ConsentRow,
        EmergencyRow,
        RunRow,
        RunStepRow,
        RunEffectRow,
        TaskRow,
    )
)
CONTENT_TABLES = (SUBJECT, EPISODE, MEMORY, MEMORY_SUBJECT, EMBEDDING, EDGE)
"""Tables that hold what was written, and from which an erasure removes it."""
LIFE_TABLES = (TOMBSTONE, HOLD, HOLD_TARGET, LEASE, JOB, USAGE, QUARANTINE, REVIEW, RESTRICTION, ERASURE)
"""Tables of what time and people do to it."""
ACCESS_TABLES = (CARE_TEAM, CONSENT, EMERGENCY)
"""Tables of what a decision about it depends on, beside the rules."""
RUN_TABLES = (RUN, RUN_STEP, RUN_EFFECT)
"""Tables of how far runs came: ids, numbers and fixed words."""
QUEUE_TABLES = (TASK,)
"""Tables of work that was put off."""
WALLED_TABLES = (*CONTENT_TABLES, *LIFE_TABLES, *ACCESS_TABLES, *RUN_TABLES, *QUEUE_TABLES)
"""Tables behind the row-level tenant wall."""
