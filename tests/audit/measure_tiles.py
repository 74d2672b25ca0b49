"""Measure what tiles cost: `python -m tests.audit.measure_tiles [LEAVES]` prints the figures of its guide.

Owns throw-away databases: one in memory, one on disk with the vault's durability settings, and one of
tiles made from numbers, ten million leaves unless told otherwise. It asserts nothing.
"""

import random
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from os import urandom
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event, insert
from sqlalchemy.pool import StaticPool

from audit.log import AuditLog
from audit.merkle import CompactRange, verify_inclusion
from audit.reader import LogReader
from audit.signing import LogKeys
from audit.store import HEAD, LEAF, METADATA
from audit.tile_store import StoredTiles
from audit.tiles import TILE_WIDTH, grow
from tests.audit.measure_log import write_draft
from tests.simulators.small_deployment import LOG_KEY, START, draft

BATCH: Final = 128
ENTRIES: Final = 50_000
LEAVES: Final = 10_000_000
PROOFS: Final = 2_000
TENANT: Final = "clinic-a"
_STEP: Final = TILE_WIDTH * TILE_WIDTH


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


def make_log() -> AuditLog:
    """Return a log with real salts."""
    return AuditLog(LogKeys(LOG_KEY), salt_source=urandom, clock=lambda: START)


def durable(path: Path) -> Engine:
    """Return an engine with the vault's settings."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "cache_size=-32768"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def in_milliseconds(times: list[float]) -> str:
    """Return p50, p95 and the largest."""
    cut = quantiles(times, n=20)
    return f"p50 {median(times) * 1e3:.3f} ms, p95 {cut[18] * 1e3:.3f} ms, max {max(times) * 1e3:.3f} ms"


def timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the seconds that `work` took."""
    start = clock()
    work()
    return clock() - start


def measure_batches(name: str, engine: Engine) -> None:
    """Print how many entries a second are appended in batches, commits included."""
    METADATA.create_all(engine)
    log, batch = make_log(), [write_draft(TENANT)] * BATCH
    with engine.connect() as connection:

        def append() -> None:
            for _ in range(ENTRIES // BATCH):
                log.append(connection, batch)
                connection.commit()

        processor, wall = process_time(), perf_counter()
        append()
        processor, wall = process_time() - processor, perf_counter() - wall
        count = ENTRIES // BATCH * BATCH
        say(
            f"{name}, {BATCH} in a batch: {count / processor:,.0f} entries/s of processor, {count / wall:,.0f} of time"
        )


def measure_single(engine: Engine) -> None:
    """Print what one entry of its own costs, commit not included."""
    log, one = make_log(), [draft(tenant=TENANT, payload={"written": ["mem_01k9v3c0aq8m4n6r2t5w7x9y0z"]})]
    with engine.connect() as connection:
        times = []
        for _ in range(4 * TILE_WIDTH):
            times.append(timed(lambda: log.append(connection, one), process_time))
            connection.commit()
    say(f"one entry, commit not: {in_milliseconds(times)} (every 256th stores a tile)")


def fill(connection: Connection, leaves: int) -> CompactRange:
    """Store the tiles of a log whose leaf hashes are those of numbers, and the leaves of the last tile."""
    edge, stored = CompactRange(), StoredTiles(connection, TENANT)
    while edge.size < leaves:
        count = min(_STEP, leaves - edge.size)
        added = [sha256(nth.to_bytes(8)).digest() for nth in range(edge.size, edge.size + count)]
        growth = grow(edge, added, stored.hashes)
        stored.add(growth.tiles)
        edge = growth.edge
        connection.commit()
    return edge


def leaf_row(index: int) -> dict[str, object]:
    """Return a row that has the right leaf hash, and nothing behind it."""
    leaf = sha256(index.to_bytes(8)).digest()
    filled = {"header": "{}", "salt": bytes(32), "payload": "{}", "event": "memory.write", "time_us": 0}
    return {"tenant_id": TENANT, "leaf_index": index, "leaf_hash": leaf, "erased_by": None} | filled


def measure_proofs(path: Path, leaves: int) -> None:
    """Print what proofs cost in a log of so many leaves, and in a tree of half its size."""
    engine = durable(path)
    METADATA.create_all(engine)
    chosen = sorted(random.Random(7).sample(range(leaves), PROOFS))  # noqa: S311 - places to measure at
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_leaf_append")
        edge = fill(connection, leaves)
        tail = range(leaves // TILE_WIDTH * TILE_WIDTH, leaves)
        half = leaves // 2
        rows = sorted({*chosen, *tail, *range(half // TILE_WIDTH * TILE_WIDTH, half)})
        connection.execute(insert(LEAF), [leaf_row(index) for index in rows])
        connection.execute(insert(HEAD), {"tenant_id": TENANT, "size": edge.size, "nodes": edge.encode()})
        connection.commit()
        say(f"a table of tiles of {leaves:,} leaves: {path.stat().st_size / leaves:.1f} bytes a leaf")
        reader, order = LogReader(), chosen[:]
        random.Random(8).shuffle(order)  # noqa: S311 - as above
        for name, size, clock in (
            ("inclusion, at the log's size", leaves, perf_counter),
            ("the same, of processor", leaves, process_time),
            ("inclusion, in the tree of half the size, of processor", half, process_time),
        ):
            inside = [index for index in order if index < size]
            times = [
                timed(lambda: reader.inclusion_proof(connection, TENANT, index, size), clock)  # noqa: B023 - called at once
                for index in inside
            ]
            say(f"proof of {name}: {in_milliseconds(times)}")
        times = [
            timed(lambda: reader.consistency_proof(connection, TENANT, first + 1, leaves), process_time)  # noqa: B023 - called at once
            for first in order
        ]
        say(f"proof of consistency, of processor: {in_milliseconds(times)}")
        index = order[0]
        proof = reader.inclusion_proof(connection, TENANT, index, leaves)
        verify_inclusion(index, leaves, sha256(index.to_bytes(8)).digest(), proof, edge.root())
    engine.dispose()


def main(leaves: int) -> None:
    """Run all measurements."""
    memory = create_engine("sqlite://", poolclass=StaticPool)
    measure_batches("in memory", memory)
    measure_single(memory)
    memory.dispose()
    with tempfile.TemporaryDirectory() as name:
        disk = durable(Path(name) / "log.db")
        measure_batches("durable", disk)
        measure_single(disk)
        disk.dispose()
        measure_proofs(Path(name) / "tiles.db", leaves)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else LEAVES)
