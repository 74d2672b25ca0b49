"""The derived indexes of all tenants' logs: one file each, apart from the store, and kept up with it.

Owns where the files lie and when they are caught up: when somebody asks, and now and then for the logs that
somebody asked before, so that the next question finds little to do. Never on the write path. What is in a
file is `audit.query.index`'s. A file for each tenant is a wall by construction: no query can reach over it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from audit.errors import LogDamagedError
from audit.evidence import StoredEntry
from audit.log import AuditLog
from audit.query.examine import Examined, examine
from audit.query.index import IndexUnusableError, LogIndex
from vault.errors import TamperedError, VaultError
from vault.storage.faults import translated
from vault.storage.store import Store

FOLDER: Final = "log-index"
QUERY_SECONDS: Final = 20.0
"""How long a question waits for its index to be made; after that it answers as far as it can."""
TURN_SECONDS: Final = 0.5
"""How long one log is caught up in the background before it is another's turn, or the vault may close."""


@dataclass(frozen=True, slots=True)
class TenantLog:
    """One state of one tenant's log, as an index reads it."""

    connection: Connection
    log: AuditLog
    tenant: str
    size: int

    def entries(self, start: int, stop: int) -> Iterator[StoredEntry]:
        """Yield entries; what the store says goes out in the vault's own errors, never as the index's."""
        with translated():
            yield from self.log.entries(self.connection, self.tenant, start, stop)


class LogIndexes:
    """The indexes of one vault's logs.

    Args:
        vault: The vault's directory.
        store: Where the logs lie.
        log: What reads them.
        max_pages: Largest size of one file in SQLite's pages; None is no limit.
    """

    def __init__(self, vault: Path, store: Store, log: AuditLog, *, max_pages: int | None = None) -> None:
        self._folder = vault / FOLDER
        self._store = store
        self._log = log
        self._max_pages = max_pages
        self._open: dict[str, LogIndex] = {}
        self._lock = threading.Lock()

    def of(self, tenant: str) -> LogIndex:
        """Return a tenant's index; its file is made when it is first caught up."""
        with self._lock:
            if tenant not in self._open:
                # A tenant's id is letters, digits and . _ - between them: no path leads out of the folder.
                self._open[tenant] = LogIndex(
                    self._folder / f"{tenant}.db", tenant, max_pages=self._max_pages
                )
            return self._open[tenant]

    @contextmanager
    def log_of(self, tenant: str) -> Iterator[TenantLog]:
        """Lend one state of a tenant's log.

        Raises:
            TamperedError: its head is none.
        """
        with self._store.log_connection(tenant) as connection:
            try:
                size = self._log.head(connection, tenant).size
            except LogDamagedError as error:
                raise TamperedError(str(error)) from None
            yield TenantLog(connection, self._log, tenant, size)

    def examine(self, tenant: str) -> Examined | None:
        """Hold a tenant's index against the log without mending it; None where nobody has asked that log yet.

        Raises:
            TamperedError: the log's head is none.
            OSError: the file cannot be looked at.
        """
        with self.log_of(tenant) as log:
            return examine(self._folder / f"{tenant}.db", log)

    def keep_up(self) -> None:
        """Catch up with the logs that somebody asked before; what fails is tried again at the next question."""
        with suppress(VaultError):
            for tenant in self._store.tenants():
                if self.of(tenant).exists:
                    with suppress(VaultError, IndexUnusableError), self.log_of(tenant) as log:
                        self.of(tenant).catch_up(log, seconds=TURN_SECONDS)

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            for index in self._open.values():
                index.close()
            self._open.clear()
