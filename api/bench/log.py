"""The log's own speed: appending, proofs from tiles, and what `api.bench.log_reads` measures of reading.

Owns the log's suite. Appending is measured below the vault, by `AuditLog.append`: encode, hash, insert, grow
the tree, store tiles. Beside it, in turn, stands the floor: SQLite takes the same rows, encoded already, with
no tree. What names one core is counted in the thread's own processor time; what waits for the disk, or stands
for a caller's wait, in time of the wall.
"""

import random
import sqlite3
import time
from contextlib import closing
from functools import partial
from os import urandom
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import StaticPool

from api.bench.log_made_up import (
    LOG_KEY,
    Step,
    add_leaves,
    fill_tiles,
    no_clock,
    number_leaf,
    write_draft,
)
from api.bench.log_reads import reads
from api.bench.log_targets import DURABLE, IN_MEMORY, JUDGED_RUNS, PROOF, SINGLE, LogEffort, part, timed
from api.bench.made_up import TENANT
from api.bench.report import Figure, p50, p95
from audit.event import encode_entry
from audit.log import AuditLog
from audit.merkle import verify_inclusion
from audit.reader import LogReader
from audit.store import METADATA
from audit.tiles import TILE_WIDTH
from vault.storage.engine import writer_engine

BATCH: Final = 128
_TURN: Final = 10
"""Batches before it is the floor's turn."""
_FLOOR: Final = (
    "CREATE TABLE leaf (tenant TEXT, leaf_index INTEGER, hash BLOB, header TEXT, salt BLOB, payload TEXT, "
    "event TEXT, time_us INTEGER, PRIMARY KEY (tenant, leaf_index))"
)


def log_speed(scratch: Path, effort: LogEffort, *, step: Step = lambda _: None) -> list[Figure]:
    """Measure appending, proofs, offline verification and questions; what fails leaves a row that says why."""
    return [
        *part((IN_MEMORY,), lambda: _in_memory(effort)),
        *part((DURABLE, SINGLE), lambda: _durable(scratch, effort)),
        *part((PROOF,), lambda: _proofs(scratch / "tiles.db", effort, step)),
        *reads(scratch, effort, step),
    ]


def _new_log(engine: Engine) -> AuditLog:
    METADATA.create_all(engine)
    return AuditLog(LOG_KEY, salt_source=urandom, clock=no_clock)


def _in_memory(effort: LogEffort) -> list[Figure]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    log = _new_log(engine)
    with engine.connect() as connection:
        wall, own = time.perf_counter(), time.thread_time()
        for _ in range(effort.appended // BATCH):
            _append(log, connection, BATCH)
        own, wall = time.thread_time() - own, time.perf_counter() - wall
        count = log.head(connection, TENANT).size
    engine.dispose()
    note = f"processor time of the thread, tiles and commits included; {count / wall:,.0f}/s of the wall"
    sample = f"{count:,} entries"
    return [IN_MEMORY.measured(count / own, note, enough=effort.whole, sample=sample)]


def _append(log: AuditLog, connection: Connection, count: int) -> None:
    log.append(connection, [write_draft() for _ in range(count)])
    connection.commit()


def _durable(scratch: Path, effort: LogEffort) -> list[Figure]:
    engine = writer_engine(scratch / "append.db")
    log = _new_log(engine)
    walls: list[float] = []
    floors: list[float] = []
    own = 0.0
    with engine.connect() as connection, closing(_FloorLog(scratch / "floor.db")) as floor:
        for nth in range(effort.appended // BATCH):
            wall, before = time.perf_counter(), time.thread_time()
            _append(log, connection, BATCH)
            walls.append(time.perf_counter() - wall)
            own += time.thread_time() - before
            if nth % _TURN == _TURN - 1:
                floors += [floor.append(BATCH) for _ in range(_TURN)]
        singles = [_single(log, connection) for _ in range(effort.singles)]
    engine.dispose()
    rate, bare = BATCH * len(walls) / sum(walls), BATCH * len(floors) / sum(floors)
    note = (
        f"a FULL commit each; {BATCH * len(walls) / own:,.0f}/s of processor; floor in turn {bare:,.0f}/s: SQLite, "
        f"the same rows encoded before, no tree; {bare / rate:.1f} times as fast"
    )
    alone = (
        f"processor time of the thread, commit not; p95 {p95(singles) * 1e3:.3f} ms, "
        f"largest {max(singles) * 1e3:.2f} ms: every {TILE_WIDTH}th stores a tile"
    )
    return [
        DURABLE.measured(rate, note, enough=effort.whole, sample=f"{BATCH * len(walls):,} entries"),
        SINGLE.measured(p50(singles) * 1e3, alone, enough=effort.whole, sample=f"{len(singles):,} entries"),
    ]


def _single(log: AuditLog, connection: Connection) -> float:
    with connection.begin():
        start = time.thread_time()
        log.append(connection, [write_draft()])
        return time.thread_time() - start


class _FloorLog:
    """A table of entries and nothing else, as durable as the log's."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", _FLOOR):
            self._database.execute(statement)
        made = encode_entry(write_draft(), urandom(32))
        self._row = (made.leaf_hash, made.header, made.salt, made.payload, "memory.write", 0)
        self._size = 0

    def append(self, count: int) -> float:
        """Insert so many rows in one commit and return the seconds that it took."""
        start = time.perf_counter()
        self._database.execute("BEGIN IMMEDIATE")
        rows = [(TENANT, self._size + nth, *self._row) for nth in range(count)]
        self._database.executemany("INSERT INTO leaf VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._database.execute("COMMIT")
        self._size += count
        return time.perf_counter() - start

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _proofs(path: Path, effort: LogEffort, step: Step) -> list[Figure]:
    engine = writer_engine(path)
    METADATA.create_all(engine)
    leaves, half = effort.leaves, effort.leaves // 2
    chosen = random.Random(7).sample(range(leaves), effort.proofs)  # noqa: S311  # places to measure at
    with engine.connect() as connection:
        edge = fill_tiles(connection, leaves, step)
        per_leaf = _bytes_of(connection) / leaves
        ends = {*_last_tile(leaves), *_last_tile(half)}
        add_leaves(connection, {*chosen, *ends})
        reader = LogReader()
        step("making proofs")
        root = edge.root()
        for index in chosen[:JUDGED_RUNS]:  # what is timed below is right
            proof = reader.inclusion_proof(connection, TENANT, index, leaves)
            verify_inclusion(index, leaves, number_leaf(index), proof, root)
        whole = timed([partial(reader.inclusion_proof, connection, TENANT, one, leaves) for one in chosen])
        early = [one for one in chosen if one < half]
        older = timed([partial(reader.inclusion_proof, connection, TENANT, one, half) for one in early])
        consistent = timed(
            [partial(reader.consistency_proof, connection, TENANT, one + 1, leaves) for one in chosen]
        )
    engine.dispose()
    beside = f"a wait of the wall, {len(chosen):,} leaves drawn at random; {whole.told}; {per_leaf:.0f} bytes a leaf of tiles"
    enough = leaves >= LogEffort().leaves and len(chosen) >= JUDGED_RUNS
    return [
        PROOF.measured(p95(whole.walls) * 1e3, beside, enough=enough, sample=f"{leaves:,} entries"),
        Figure(
            f"inclusion proof at {half:,} of {leaves:,}, p95",
            p95(older.walls) * 1e3,
            "ms",
            note=f"held against the log's own tree as well; {older.told}",
        ),
        Figure(
            f"consistency proof to {leaves:,}, p95", p95(consistent.walls) * 1e3, "ms", note=consistent.told
        ),
    ]


def _bytes_of(connection: Connection) -> int:
    """Return the size of the database, what still lies in its write-ahead log included."""
    pages, size = (
        connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size")
    )
    return int(pages) * int(size)


def _last_tile(size: int) -> range:
    """Return the leaves that a tree of this size has in no full tile."""
    return range(size // TILE_WIDTH * TILE_WIDTH, size)
