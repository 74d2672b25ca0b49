"""The ledger: what must not come back, outside the data and its backups (ARCHITECTURE, law 5).

Owns one table of `keys.db`: a mirror of tombstones and of holds, to which rows are only ever added. Whoever
restores the data from an old snapshot replays it before anything is served. It leaves what the rows mean, and
replaying them, to whom they belong (`vault.tombstones`, `vault.holds`, `vault.snapshots`), and the transaction to
the key store, whose file and connection it shares.

A body holds ids, times and fixed words: never a name, never content.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table, Text, bindparam, func, select, tuple_

from vault.crypto.key_store import KEYS_METADATA, SqlKeyStore

LEDGER: Final = Table(
    "ledger",
    KEYS_METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("digest", LargeBinary(32), primary_key=True),
    Column("body", Text, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
_ORDER: Final = (LEDGER.c.kind, LEDGER.c.digest)
_NEW: Final = {column.name: bindparam(f"new_{column.name}", type_=column.type) for column in LEDGER.c}
_STANDING: Final = (
    (LEDGER.c.tenant_id == _NEW["tenant_id"])
    & (LEDGER.c.kind == _NEW["kind"])
    & (LEDGER.c.digest == _NEW["digest"])
)
# Not by ON CONFLICT: the guard against replaced rows would refuse what is to be left alone.
_ADD: Final = LEDGER.insert().from_select(
    list(_NEW), select(*_NEW.values()).where(~select(LEDGER.c.kind).where(_STANDING).exists())
)
_PAGE: Final = 1000


class LedgerRow(NamedTuple):
    """One thing that must not come back, or that must be put back."""

    kind: str
    """A fixed word: what the digest is of."""
    digest: bytes
    """A keyed hash, or the hash of an id: what is known again."""
    body: str
    """What else is to be known when it is replayed; empty where that is nothing."""
    leaf_index: int
    """The entry of the tenant's log that told of it."""


class Ledger:
    """The ledger of one vault. Shared by threads; what is added is on the disk when the call returns."""

    def __init__(self, store: SqlKeyStore) -> None:
        self._store = store

    def add(self, tenant: str, rows: Sequence[LedgerRow]) -> None:
        """Add rows in one transaction; what stands under a kind and digest already stays as it is.

        Raises:
            StorageError: or one of its kinds: nothing was added.
        """
        if not rows:
            return
        values = [{f"new_{name}": value for name, value in row._asdict().items()} for row in rows]
        with self._store.transaction() as connection:
            connection.execute(_ADD, [{"new_tenant_id": tenant, **value} for value in values])

    def count(self, tenant: str, kinds: Sequence[str]) -> int:
        """Return how many rows of these kinds a tenant has."""
        found = select(func.count()).select_from(LEDGER)
        with self._store.transaction() as connection:
            return int(
                connection.execute(
                    found.where(LEDGER.c.tenant_id == tenant, LEDGER.c.kind.in_(kinds))
                ).scalar_one()
            )

    def rows(self, tenant: str, kind: str | None = None) -> Iterator[LedgerRow]:
        """Go through a tenant's rows, or those of one kind; no transaction stays open between pages."""
        page = select(LEDGER.c.kind, LEDGER.c.digest, LEDGER.c.body, LEDGER.c.leaf_index).where(
            LEDGER.c.tenant_id == tenant
        )
        if kind is not None:
            page = page.where(LEDGER.c.kind == kind)
        page = page.order_by(*_ORDER).limit(_PAGE)
        after: tuple[str, bytes] = ("", b"")
        while True:
            with self._store.transaction() as connection:
                found = [LedgerRow(*row) for row in connection.execute(page.where(tuple_(*_ORDER) > after))]
            if not found:
                return
            yield from found
            after = (found[-1].kind, found[-1].digest)
