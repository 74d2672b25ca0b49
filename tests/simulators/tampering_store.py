"""An adversary who owns the database of a log and not its signing key.

Owns what such an adversary can do to rows: alter, drop, reorder, truncate, roll back, fork, swap and
strip, clumsily or with every hash, tile and head recomputed. It drops the guards first, as anyone with the file can.
"""

from dataclasses import dataclass, fields

from sqlalchemy import ColumnElement, Connection, Table, delete, insert, select, text, update

from audit.growing_tree import GrowingTree
from audit.merkle import CompactRange, leaf_hash
from audit.store import CHECKPOINT, COSIGNATURE, HEAD, LEAF, SUBTREE, TILE
from audit.tiles import perfect_root

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Snapshot:
    """All rows of the log at one time."""

    heads: Rows
    leaves: Rows
    checkpoints: Rows
    tiles: Rows
    subtrees: Rows
    cosignatures: Rows


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
        """Recompute every leaf hash, tile, subtree and the head: all that needs no signing key."""
        rows = self._leaves(tenant)
        tiles: Rows = []

        def keep(level: int, index: int, hashes: bytes) -> None:
            tiles.append({"tenant_id": tenant, "level": level, "tile_index": index, "hashes": hashes})

        tree = GrowingTree(keep)
        for row in rows:
            row["leaf_hash"] = leaf = leaf_hash(str(row["header"]).encode())
            tree.add(leaf)
        self._rewrite(tenant, rows)
        self._replace(TILE, tenant, tiles)
        subtrees = [_root_of(tile) for tile in tiles]
        self._replace(SUBTREE, tenant, subtrees)
        self.set_head(tenant, tree.edge())

    def alter_tile(self, tenant: str, level: int, index: int, hashes: bytes) -> None:
        """Replace a stored tile."""
        place = (TILE.c.tenant_id == tenant, TILE.c.level == level, TILE.c.tile_index == index)
        self._connection.execute(update(TILE).where(*place).values(hashes=hashes))

    def drop_tiles(self, tenant: str) -> None:
        """Delete all stored tiles."""
        self._replace(TILE, tenant, [])

    def alter_subtree(self, tenant: str, level: int, position: int, root: bytes) -> None:
        """Replace a stored hash of a full tile."""
        place = (SUBTREE.c.tenant_id == tenant, SUBTREE.c.level == level, SUBTREE.c.position == position)
        self._connection.execute(update(SUBTREE).where(*place).values(hash=root))

    def strip_cosignatures(self, tenant: str) -> None:
        """Delete what witnesses signed."""
        self._replace(COSIGNATURE, tenant, [])

    def move_cosignature(self, tenant: str, size: int) -> None:
        """Put the cosignatures of a log beside its checkpoint of another size."""
        mine = COSIGNATURE.c.tenant_id == tenant
        self._connection.execute(update(COSIGNATURE).where(mine).values(tree_size=size))

    def add_cosignature(self, tenant: str, size: int, witness: str, line: str) -> None:
        """Put a cosignature beside a checkpoint."""
        row = {"tenant_id": tenant, "tree_size": size, "witness": witness, "line": line, "received_us": 0}
        self._connection.execute(insert(COSIGNATURE), row)

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
        for table in _TABLES:
            self._connection.execute(delete(table).where(table.c.tenant_id == tenant))

    def snapshot(self) -> Snapshot:
        """Copy everything."""
        return Snapshot(
            *([dict(row) for row in self._connection.execute(select(table)).mappings()] for table in _TABLES)
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Replay an old copy of the whole database."""
        kept = (getattr(snapshot, field.name) for field in fields(snapshot))
        for table, rows in zip(_TABLES, kept, strict=True):
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

    def _replace(self, table: Table, tenant: str, rows: Rows) -> None:
        self._connection.execute(delete(table).where(table.c.tenant_id == tenant))
        if rows:
            self._connection.execute(insert(table), rows)

    def _rewrite(self, tenant: str, rows: Rows) -> None:
        self._connection.execute(delete(LEAF).where(LEAF.c.tenant_id == tenant))
        numbered = [row | {"leaf_index": index} for index, row in enumerate(rows)]
        if numbered:
            self._connection.execute(insert(LEAF), numbered)


_TABLES = (HEAD, LEAF, CHECKPOINT, TILE, SUBTREE, COSIGNATURE)


def _root_of(tile: dict[str, object]) -> dict[str, object]:
    hashes = tile["hashes"]
    assert isinstance(hashes, bytes)
    assert isinstance(tile["level"], int)
    root = perfect_root([hashes[at : at + 32] for at in range(0, len(hashes), 32)])
    place = {"level": tile["level"] + 1, "position": tile["tile_index"]}
    return {"tenant_id": tile["tenant_id"], **place, "hash": root}


def _at(tenant: str, index: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return LEAF.c.tenant_id == tenant, LEAF.c.leaf_index == index
