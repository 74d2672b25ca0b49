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
    SmallInteger,
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
    Column("erased_by", BigInteger),
    CheckConstraint("leaf_index >= 0", name="ck_audit_leaf_index"),
    CheckConstraint("length(leaf_hash) = 32", name="ck_audit_leaf_hash"),
    CheckConstraint("(salt IS NULL) = (payload IS NULL)", name="ck_audit_leaf_erased_whole"),
    CheckConstraint("erased_by IS NULL OR payload IS NULL", name="ck_audit_leaf_erased_by"),
    Index("ix_audit_leaf_time", "tenant_id", "time_us"),
    comment="Entries. event and time_us repeat the header for indexes; the verifier compares them."
    " erased_by is the index of the entry that erased this one's payload.",
)

TILE: Final = Table(
    "audit_tile",
    METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("tile_index", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary(8192), nullable=False),
    CheckConstraint("level >= 0 AND tile_index >= 0", name="ck_audit_tile_place"),
    CheckConstraint("length(hashes) = 8192", name="ck_audit_tile_full"),
    comment="Full tiles of C2SP tlog-tiles, 256 hashes each, stored when they become full.",
)

SUBTREE: Final = Table(
    "audit_subtree",
    METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    CheckConstraint("level >= 1 AND position >= 0", name="ck_audit_subtree_place"),
    CheckConstraint("length(hash) = 32", name="ck_audit_subtree_hash"),
    comment="Roots of full tiles: an entry of tile level `level` each, so that partial tiles can be read.",
)

CHECKPOINT: Final = Table(
    "audit_checkpoint",
    METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("tree_size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
    comment="Signed checkpoints, as C2SP tlog-checkpoint notes.",
)

COSIGNATURE: Final = Table(
    "audit_cosignature",
    METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("tree_size", BigInteger, primary_key=True, autoincrement=False),
    Column("witness", String(255), primary_key=True),
    Column("line", Text, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    comment="What witnesses signed of a checkpoint, as signature lines of C2SP tlog-cosignature.",
)


def _refuse(name: str, when: str, table: str, message: str, condition: str = "") -> str:
    guard = f" WHEN {condition}" if condition else ""
    return f"CREATE TRIGGER {name} BEFORE {when} ON {table}{guard} BEGIN SELECT RAISE(ABORT, 'audit log: {message}'); END"


# INSERT OR REPLACE deletes without firing delete triggers, hence a guard on insert too: it lets
# only what comes next in.
def _not_next(table: str, column: str, *within: str) -> str:
    place = " AND ".join(f"{name} = NEW.{name}" for name in ("tenant_id", *within))
    return f"NEW.{column} <> coalesce((SELECT max({column}) + 1 FROM {table} WHERE {place}), 0)"  # noqa: S608  # names of our own tables


def _known(table: str, *key: str) -> str:
    place = " AND ".join(f"{name} = NEW.{name}" for name in ("tenant_id", *key))
    return f"EXISTS (SELECT 1 FROM {table} WHERE {place})"  # noqa: S608  # names of our own tables


def _only_added(table: str, what: str, on_insert: str) -> tuple[str, str, str]:
    return (
        _refuse(f"{table}_once", "INSERT", table, f"{what} are only added", on_insert),
        _refuse(f"{table}_keep", "DELETE", table, f"{what} are never deleted"),
        _refuse(f"{table}_fixed", "UPDATE", table, f"{what} are never changed"),
    )


_ERASED: Final = "NEW.erased_by IS NOT NULL OR (NEW.payload IS NULL AND NEW.salt IS NULL)"
_NOT_APPENDED: Final = f"{_ERASED} OR {_not_next('audit_leaf', 'leaf_index')}"
# What says that something was signed, erased or handed over keeps its payload: the verifier needs it.
_LASTING: Final = "OLD.event IN ('log.checkpoint', 'log.key', 'payload.erase')"
_ERASURE_KNOWN: Final = "EXISTS (SELECT 1 FROM audit_leaf WHERE tenant_id = OLD.tenant_id AND leaf_index = NEW.erased_by AND leaf_index > OLD.leaf_index AND event = 'payload.erase')"
_NOT_AN_ERASURE: Final = (
    "NEW.payload IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.erased_by IS NULL OR OLD.erased_by IS NOT NULL"
    f" OR {_LASTING} OR NOT {_ERASURE_KNOWN}"
)
_LEAF_HEADER: Final = "UPDATE OF tenant_id, leaf_index, leaf_hash, header, event, time_us"

GUARDS: Final[Mapping[str, tuple[str, ...]]] = {
    "sqlite": (
        _refuse("audit_leaf_append", "INSERT", "audit_leaf", "leaves are only appended", _NOT_APPENDED),
        _refuse("audit_leaf_keep", "DELETE", "audit_leaf", "leaves are never deleted"),
        _refuse("audit_leaf_fixed", _LEAF_HEADER, "audit_leaf", "leaves are never changed"),
        _refuse(
            "audit_leaf_erase",
            "UPDATE OF salt, payload, erased_by",
            "audit_leaf",
            "payloads are only erased",
            _NOT_AN_ERASURE,
        ),
        _refuse(
            "audit_head_once",
            "INSERT",
            "audit_head",
            "heads are only advanced",
            _known("audit_head"),
        ),
        _refuse("audit_head_keep", "DELETE", "audit_head", "heads are never deleted"),
        _refuse(
            "audit_head_grow",
            "UPDATE",
            "audit_head",
            "heads only grow",
            "NEW.size <= OLD.size OR NEW.tenant_id <> OLD.tenant_id",
        ),
        *_only_added("audit_tile", "tiles", _not_next("audit_tile", "tile_index", "level")),
        *_only_added("audit_subtree", "subtrees", _not_next("audit_subtree", "position", "level")),
        *_only_added("audit_checkpoint", "checkpoints", _known("audit_checkpoint", "tree_size")),
        *_only_added(
            "audit_cosignature", "cosignatures", _known("audit_cosignature", "tree_size", "witness")
        ),
    ),
}
"""Statements by dialect, to run once after the tables are made; `METADATA.create_all` runs them itself."""

for _dialect, _statements in GUARDS.items():
    for _statement in _statements:
        event.listen(METADATA, "after_create", DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]
