"""Tables of the log and the guards that refuse to rewrite it.

Owns the schema: the vault's migration creates `METADATA` and then runs `GUARDS[dialect]`. It leaves
reading and writing to `audit.log`. The guards stop accidents and injected SQL; whoever owns the file
can drop them, which is what the tree, the signatures and the offline verifier are for.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    event,
)

METADATA: Final = MetaData()

HEAD: Final = Table(
    "audit_head",
    METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("nodes", LargeBinary, nullable=False),
    CheckConstraint("size >= 0", name="ck_audit_head_size"),
    comment="Right edge of each tenant's tree: its compact range, 32 bytes a node.",
)

LEAF: Final = Table(
    "audit_leaf",
    METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("leaf_index", BigInteger, primary_key=True, autoincrement=False),
    Column("leaf_hash", LargeBinary(32), nullable=False),
    Column("header", Text, nullable=False),
    Column("salt", LargeBinary(32)),
    Column("payload", Text),
    Column("event", String(32), nullable=False),
    Column("time_us", BigInteger, nullable=False),
    CheckConstraint("leaf_index >= 0", name="ck_audit_leaf_index"),
    CheckConstraint("length(leaf_hash) = 32", name="ck_audit_leaf_hash"),
    CheckConstraint("(salt IS NULL) = (payload IS NULL)", name="ck_audit_leaf_erased_whole"),
    Index("ix_audit_leaf_time", "tenant_id", "time_us"),
    comment="Entries. event and time_us repeat the header for indexes; the verifier compares them.",
)

CHECKPOINT: Final = Table(
    "audit_checkpoint",
    METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("tree_size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
    comment="Signed checkpoints, as C2SP tlog-checkpoint notes.",
)


def _refuse(name: str, when: str, table: str, message: str, condition: str = "") -> str:
    guard = f" WHEN {condition}" if condition else ""
    return f"CREATE TRIGGER {name} BEFORE {when} ON {table}{guard} BEGIN SELECT RAISE(ABORT, 'audit log: {message}'); END"


# INSERT OR REPLACE deletes without firing delete triggers, hence a guard on insert too: it lets
# only the next index in.
_NEXT_INDEX: Final = "NEW.leaf_index <> coalesce((SELECT max(leaf_index) + 1 FROM audit_leaf WHERE tenant_id = NEW.tenant_id), 0)"
_CHECKPOINT_KNOWN: Final = (
    "EXISTS (SELECT 1 FROM audit_checkpoint WHERE tenant_id = NEW.tenant_id AND tree_size = NEW.tree_size)"
)
_HEAD_KNOWN: Final = "EXISTS (SELECT 1 FROM audit_head WHERE tenant_id = NEW.tenant_id)"
_NOT_AN_ERASURE: Final = "NEW.payload IS NOT NULL OR NEW.salt IS NOT NULL OR OLD.event = 'log.checkpoint'"
_LEAF_HEADER: Final = "UPDATE OF tenant_id, leaf_index, leaf_hash, header, event, time_us"

GUARDS: Final[Mapping[str, tuple[str, ...]]] = {
    "sqlite": (
        _refuse("audit_leaf_append", "INSERT", "audit_leaf", "leaves are only appended", _NEXT_INDEX),
        _refuse("audit_leaf_keep", "DELETE", "audit_leaf", "leaves are never deleted"),
        _refuse("audit_leaf_fixed", _LEAF_HEADER, "audit_leaf", "leaves are never changed"),
        _refuse(
            "audit_leaf_erase",
            "UPDATE OF salt, payload",
            "audit_leaf",
            "payloads are only erased",
            _NOT_AN_ERASURE,
        ),
        _refuse("audit_head_once", "INSERT", "audit_head", "heads are only advanced", _HEAD_KNOWN),
        _refuse("audit_head_keep", "DELETE", "audit_head", "heads are never deleted"),
        _refuse(
            "audit_head_grow",
            "UPDATE",
            "audit_head",
            "heads only grow",
            "NEW.size <= OLD.size OR NEW.tenant_id <> OLD.tenant_id",
        ),
        _refuse(
            "audit_checkpoint_once",
            "INSERT",
            "audit_checkpoint",
            "checkpoints are only added",
            _CHECKPOINT_KNOWN,
        ),
        _refuse("audit_checkpoint_keep", "DELETE", "audit_checkpoint", "checkpoints are never deleted"),
        _refuse("audit_checkpoint_fixed", "UPDATE", "audit_checkpoint", "checkpoints are never changed"),
    ),
}
"""Statements by dialect, to run once after the tables are made; `METADATA.create_all` runs them itself."""

for _dialect, _statements in GUARDS.items():
    for _statement in _statements:
        event.listen(METADATA, "after_create", DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]
