"""An adversary who owns the database of a log and not its signing key.

Owns what such an adversary can do to rows: alter, drop, reorder, truncate, roll back, fork, swap and
strip, clumsily or with every hash recomputed. It drops the guards first, as anyone with the file can.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, insert, select, text, update

from audit.merkle import CompactRange, leaf_hash
from audit.store import CHECKPOINT, HEAD, LEAF

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Snapshot:
    """All rows of the log at one time."""

    heads: Rows
    leaves: Rows
    checkpoints: Rows


class TamperingStore:
    """Changes stored logs behind their back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        triggers = (
            connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
        )
        for name in triggers:
            connection.execute(text(f"DROP TRIGGER {name}"))

    def alter(self, tenant: str, index: int, **columns: object) -> None:
        """Set columns of one entry."""
        self._connection.execute(update(LEAF).where(*_at(tenant, index)).values(**columns))

    def alter_header(self, tenant: str, index: int, old: str, new: str) -> None:
        """Replace a piece of an entry's header."""
        header = str(self._row(tenant, index)["header"])
        assert old in header
        self.alter(tenant, index, header=header.replace(old, new))

    def swap_payloads(self, tenant: str, first: int, second: int) -> None:
        """Exchange salt and payload of two entries."""
        rows = [self._row(tenant, index) for index in (first, second)]
        self.alter(tenant, second, salt=rows[0]["salt"], payload=rows[0]["payload"])
        self.alter(tenant, first, salt=rows[1]["salt"], payload=rows[1]["payload"])

    def drop(self, tenant: str, index: int) -> None:
        """Delete one entry and leave a gap."""
        self._connection.execute(delete(LEAF).where(*_at(tenant, index)))

    def close_gap(self, tenant: str, index: int) -> None:
        """Delete one entry and renumber those after it."""
        rows = self._leaves(tenant)
        del rows[index]
        self._rewrite(tenant, rows)

    def reorder(self, tenant: str, first: int, second: int) -> None:
        """Exchange two entries whole."""
        rows = self._leaves(tenant)
        rows[first], rows[second] = rows[second], rows[first]
        self._rewrite(tenant, rows)

    def insert_copy(self, tenant: str, index: int, source: str, source_index: int) -> None:
        """Insert a copy of an entry, perhaps of another log, and renumber those after it."""
        rows = self._leaves(tenant)
        rows.insert(index, self._row(source, source_index) | {"tenant_id": tenant})
        self._rewrite(tenant, rows)

    def truncate(self, tenant: str, size: int) -> None:
        """Cut the tail off."""
        self._rewrite(tenant, self._leaves(tenant)[:size])

    def cover_tracks(self, tenant: str) -> None:
        """Recompute every leaf hash and the head: all that needs no signing key."""
        rows = self._leaves(tenant)
        for row in rows:
            row["leaf_hash"] = leaf_hash(str(row["header"]).encode())
        self._rewrite(tenant, rows)
        edge = CompactRange().extended(leaf_hash(str(row["header"]).encode()) for row in rows)
        self.set_head(tenant, edge)

    def set_head(self, tenant: str, edge: CompactRange) -> None:
        """Replace the head."""
        values = {"size": edge.size, "nodes": edge.encode()}
        self._connection.execute(update(HEAD).where(HEAD.c.tenant_id == tenant).values(values))

    def strip_checkpoints(self, tenant: str, above: int = -1) -> None:
        """Delete the checkpoints of trees larger than `above`."""
        chosen = (CHECKPOINT.c.tenant_id == tenant, CHECKPOINT.c.tree_size > above)
        self._connection.execute(delete(CHECKPOINT).where(*chosen))

    def alter_note(self, tenant: str, old: str, new: str) -> None:
        """Replace a piece of every checkpoint of a log."""
        mine = CHECKPOINT.c.tenant_id == tenant
        for row in self._connection.execute(select(CHECKPOINT).where(mine)).all():
            place = (mine, CHECKPOINT.c.tree_size == row.tree_size)
            self._connection.execute(update(CHECKPOINT).where(*place).values(note=row.note.replace(old, new)))

    def add_note(self, tenant: str, size: int, note: bytes) -> None:
        """Put a checkpoint among those of a log."""
        self._connection.execute(
            insert(CHECKPOINT), {"tenant_id": tenant, "tree_size": size, "note": note.decode()}
        )

    def remove_log(self, tenant: str) -> None:
        """Delete a log whole."""
        for table in (LEAF, HEAD, CHECKPOINT):
            self._connection.execute(delete(table).where(table.c.tenant_id == tenant))

    def snapshot(self) -> Snapshot:
        """Copy everything."""
        return Snapshot(
            *([dict(row) for row in self._connection.execute(select(table)).mappings()] for table in _TABLES)
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Replay an old copy of the whole database."""
        for table, rows in zip(_TABLES, (snapshot.heads, snapshot.leaves, snapshot.checkpoints), strict=True):
            self._connection.execute(delete(table))
            if rows:
                self._connection.execute(insert(table), rows)

    def roll_back(self, tenant: str, size: int) -> None:
        """Cut the tail off, with the checkpoints that speak of it and the head."""
        self.truncate(tenant, size)
        self.strip_checkpoints(tenant, above=size)
        self.cover_tracks(tenant)

    def _row(self, tenant: str, index: int) -> dict[str, object]:
        return dict(self._connection.execute(select(LEAF).where(*_at(tenant, index))).mappings().one())

    def _leaves(self, tenant: str) -> Rows:
        rows = self._connection.execute(
            select(LEAF).where(LEAF.c.tenant_id == tenant).order_by(LEAF.c.leaf_index)
        )
        return [dict(row) for row in rows.mappings()]

    def _rewrite(self, tenant: str, rows: Rows) -> None:
        self._connection.execute(delete(LEAF).where(LEAF.c.tenant_id == tenant))
        numbered = [row | {"leaf_index": index} for index, row in enumerate(rows)]
        if numbered:
            self._connection.execute(insert(LEAF), numbered)


_TABLES = (HEAD, LEAF, CHECKPOINT)


def _at(tenant: str, index: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return LEAF.c.tenant_id == tenant, LEAF.c.leaf_index == index
