"""The floor beside the write path: the same cryptography and the same rows in a bare script.

Owns a loop without policy, without objects, without concurrency: five seals, one canonical leaf, six rows
and a FULL commit in SQLite, alone or 32 to a commit. What the vault takes beyond it is its own cost.
"""

import json
import sqlite3
import time
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Final

from vault.clock import system_entropy
from vault.crypto.aead import CommittingAead
from vault.crypto.xaes import KEY_BYTES, NONCE_BYTES

_SEALS: Final = 5
_TABLES: Final = ("memory", "episode", "memory_subject", "leaf", "embedding")
_SCHEMA: Final = "CREATE TABLE {} (tenant TEXT, id TEXT, first BLOB, second BLOB, PRIMARY KEY (tenant, id))"
_FIELD: Final = bytes(180)
_HEADER: Final = "h" * 400


class Floor:
    """The bare script over one database file.

    Args:
        path: Of a new database.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            self._database.execute(f"PRAGMA {pragma}")
        for table in _TABLES:
            self._database.execute(_SCHEMA.format(table))
        self._database.execute("CREATE TABLE head (tenant TEXT PRIMARY KEY, size INTEGER, nodes BLOB)")
        self._database.execute("INSERT INTO head VALUES ('t', 0, x'')")
        self._aead = CommittingAead(system_entropy(KEY_BYTES))
        self._written = 0

    def write(self, count: int = 1) -> float:
        """Write so many memories in one commit and return the seconds that it took."""
        start = time.perf_counter()
        self._database.execute("BEGIN IMMEDIATE")
        for _ in range(count):
            self._one()
        self._database.execute("COMMIT")
        return time.perf_counter() - start

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _one(self) -> None:
        key = f"{self._written:020}"
        self._written += 1
        bound = f"associated data of the memory {key}, its version, subject, tier and field".encode()
        seals = [self._aead.encrypt(system_entropy(NONCE_BYTES), _FIELD, bound) for _ in range(_SEALS)]
        digest = sha256(b"".join(seals)).hexdigest()
        leaf = json.dumps({"digest": digest, "header": _HEADER, "index": self._written}, sort_keys=True)
        node = sha256(b"\x00" + leaf.encode()).digest()
        rows = (
            (seals[0], seals[1] + seals[2]),
            (seals[3], None),
            (None, None),
            (node, leaf),
            (seals[4], None),
        )
        for table, row in zip(_TABLES, rows, strict=True):
            self._database.execute(f"INSERT INTO {table} VALUES ('t', ?, ?, ?)", (key, *row))  # noqa: S608  # our own names
        self._database.execute(
            "UPDATE head SET size = ?, nodes = ? WHERE tenant = 't'", (self._written, node * 8)
        )


def floor_rate(path: Path, batches: int, batch: int = 32) -> float:
    """Return memories a second with `batch` to a commit: the median over the batches."""
    with closing(Floor(path)) as floor:
        taken = sorted(floor.write(batch) for _ in range(batches))
    return batch / taken[len(taken) // 2]
