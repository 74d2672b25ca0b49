"""Dense vectors, made after the commit: a writer never waits for the embedder.

Owns a queue and its threads. What was not embedded when the process ended is found again at the next
start by its missing row. A vector is sealed like the text it came from, since text can be had back
from it; it is derived from a memory that has its entry, and brings none of its own.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from audit.driver import BatchInsert
from audit.log import Leaf
from vault.errors import KeyAccessError, RootUnusableError, StorageFullError, VaultError
from vault.sealing import Sealers
from vault.search.embed import Embedder
from vault.storage.group_commit import WriteSet
from vault.storage.rows import StoredMemory
from vault.storage.schema import EMBEDDING, MEMORY
from vault.storage.store import Store

BATCH: Final = 32
_RETRY_SECONDS: Final = 1.0
_ADD_VECTORS: Final = BatchInsert(EMBEDDING)
_LOGGER: Final = logging.getLogger(__name__)

Vector = NDArray[np.float32]
Arrived = Callable[[str, str, Vector], None]
"""Told tenant, memory id and vector once the vector is durable."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A memory that waits for its vector."""

    tenant: str
    memory: StoredMemory
    text: str

    @property
    def place(self) -> tuple[str, str, int]:
        """Tenant, id and version of the memory."""
        return self.tenant, self.memory.memory_id, self.memory.version


class EmbeddingWorker:
    """Embeds in the background, in batches."""

    def __init__(
        self, embedder: Embedder, sealers: Sealers, store: Store, arrived: Arrived, *, threads: int = 1
    ) -> None:
        self._embedder = embedder
        self._sealers = sealers
        self._store = store
        self._arrived = arrived
        self._queue: deque[Pending] = deque()
        self._at_work: list[Pending] = []
        self._changed = threading.Condition()
        self._unfinished = 0
        self._failed = 0
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"embed-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def model(self) -> str:
        """Name of the model that makes the vectors."""
        return self._embedder.name

    @property
    def backlog(self) -> int:
        """How many memories wait for their vector."""
        return self._unfinished

    def backlog_of(self, tenant: str) -> int:
        """How many memories of a tenant wait for their vector."""
        with self._changed:
            return sum(one.tenant == tenant for one in (*self._queue, *self._at_work))

    @property
    def failed(self) -> int:
        """How many got none; words still find them."""
        return self._failed

    def put(self, pending: Sequence[Pending]) -> None:
        """Queue memories; returns at once."""
        with self._changed:
            self._queue.extend(pending)
            self._unfinished += len(pending)
            self._changed.notify_all()

    def put_missing(self, pending: Sequence[Pending]) -> None:
        """Queue those memories that are not queued or at work yet; a second vector would be refused."""
        with self._changed:
            held = {one.place for one in (*self._queue, *self._at_work)}
            self.put([one for one in pending if one.place not in held])

    def forget(self, tenant: str, memory_ids: Collection[str]) -> None:
        """Drop the texts of memories that wait for their vector: they were removed.

        One that is at work at this moment gets no vector either: its row is gone when it is to be added.
        """
        with self._changed:
            kept = [
                one for one in self._queue if one.tenant != tenant or one.memory.memory_id not in memory_ids
            ]
            self._unfinished -= len(self._queue) - len(kept)
            self._queue = deque(kept)
            self._changed.notify_all()

    def waiting(self, tenant: str, memory_ids: Collection[str]) -> int:
        """Return how many of these memories wait for their vector."""
        with self._changed:
            return sum(
                one.tenant == tenant and one.memory.memory_id in memory_ids
                for one in (*self._queue, *self._at_work)
            )

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left; say whether that happened in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._unfinished == 0, timeout)

    def close(self) -> None:
        """Stop after the batch at hand; what is left is found again at the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while batch := self._take():
            done = {one.place for one in batch}
            try:
                self._try(batch)
            finally:
                with self._changed:
                    self._at_work = [one for one in self._at_work if one.place not in done]
                    self._unfinished -= len(batch)
                    self._changed.notify_all()

    def _try(self, batch: list[Pending]) -> None:
        """Embed a batch, or as much of it as can be.

        Threat: a full disk, or a text that the encoder refuses, must end neither the worker nor the
        wait for it. The rows stay without vectors, words find them, and the next start tries again.
        """
        try:
            self._embed(batch)
        except Exception as error:  # noqa: BLE001  # an encoder's errors are its own
            if len(batch) > 1:
                for pending in batch:
                    self._try([pending])
                return
            memory_id, reason = batch[0].memory.memory_id, _reason(error)
            _LOGGER.warning("memory %s is durable; the next opening makes its vector: %s", memory_id, reason)
            self._failed += 1

    def _take(self) -> list[Pending]:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if self._closing:
                return []
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._at_work += batch
            return batch

    def _embed(self, batch: list[Pending]) -> None:
        vectors = self._embedder.embed([pending.text for pending in batch])
        sealed = [self._row(pending, vector) for pending, vector in zip(batch, vectors, strict=True)]
        kept: set[tuple[str, str]] = set()

        def insert(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            kept.clear()
            made = [row for row in sealed if row is not None]
            current = _current(connection, made)
            rows = [row for row in made if (row["tenant_id"], row["memory_id"], row["version"]) in current]
            kept.update((str(row["tenant_id"]), str(row["memory_id"])) for row in rows)
            if rows:
                _ADD_VECTORS.add(connection, rows)

        self._store.submit(WriteSet(changes=[insert]))
        for pending, vector in zip(batch, vectors, strict=True):
            if (pending.tenant, pending.memory.memory_id) in kept:
                self._arrived(pending.tenant, pending.memory.memory_id, vector)

    def _row(self, pending: Pending, vector: Vector) -> dict[str, object] | None:
        memory = pending.memory
        try:
            sealed = self._sealers.seal_vector(pending.tenant, memory, vector)
        except RootUnusableError:
            raise  # the subject is as it was: counted, and made at the next start
        except KeyAccessError:
            return None  # the subject was shredded meanwhile: there is nothing left to find
        return {
            "tenant_id": pending.tenant,
            "memory_id": memory.memory_id,
            "version": memory.version,
            "model": self._embedder.name,
            "vector": sealed,
        }


def _reason(error: Exception) -> str:
    """Return why there is no vector, as may be logged.

    An encoder's message may quote the text; a message of the vault never does. That of a full disk speaks of
    a write that was refused, and the memory was acknowledged.
    """
    if isinstance(error, StorageFullError):
        return "no space is left for the store"
    return str(error) if isinstance(error, VaultError) else type(error).__name__


def _current(connection: Connection, rows: Sequence[dict[str, object]]) -> set[tuple[object, ...]]:
    """Return which of these still are the current version; an update or an erasure may have overtaken us."""
    keys = (MEMORY.c.tenant_id, MEMORY.c.memory_id, MEMORY.c.version)
    found: set[tuple[object, ...]] = set()
    for tenant in {row["tenant_id"] for row in rows}:
        wanted = [row["memory_id"] for row in rows if row["tenant_id"] == tenant]
        query = select(*keys).where(
            MEMORY.c.tenant_id == tenant, MEMORY.c.memory_id.in_(wanted), MEMORY.c.is_current == 1
        )
        found.update(tuple(row) for row in connection.execute(query))
    return found
