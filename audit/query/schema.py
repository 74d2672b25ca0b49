"""Tables of the derived index of one tenant's log.

Owns the schema and its version. A file of another version is thrown away and built anew: nothing here is
the only copy of anything. What entries have in common is a `kind`, of which even a long log has a few
hundred; a full block of entries also lies in two columns of numbers, which counting reads at once.
"""

from typing import Final

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint, text

from audit.query.rows import Kind

INDEX_VERSION: Final = 1
SEGMENT_ENTRIES: Final = 4_096

METADATA: Final = MetaData()

STATE: Final = Table(
    "state",
    METADATA,
    Column("one", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("last_hash", LargeBinary, nullable=False),
    comment="Up to which size of the tree the index is complete, and the hash of that last leaf.",
)

KIND: Final = Table(
    "kind",
    METADATA,
    Column("kind_id", Integer, primary_key=True),
    *(Column(name, Text, nullable=False) for name in Kind._fields),
    UniqueConstraint(*Kind._fields),
)

ENTRY: Final = Table(
    "entry",
    METADATA,
    Column("leaf_index", Integer, primary_key=True, autoincrement=False),
    Column("time_us", Integer, nullable=False),
    Column("kind_id", Integer, nullable=False),
    Column("resource", Text, nullable=False),
    Column("erased_by", Integer),
    Index("ix_entry_kind", "kind_id"),
    Index("ix_entry_resource", "resource"),
    Index("ix_entry_erased", "erased_by", sqlite_where=text("erased_by IS NOT NULL")),
)

SEGMENT: Final = Table(
    "segment",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("first_us", Integer, nullable=False),
    Column("last_us", Integer, nullable=False),
    Column("times", LargeBinary, nullable=False),
    Column("kinds", LargeBinary, nullable=False),
    comment="Times (int64) and kinds (int32), little-endian, of 4,096 entries each.",
)
