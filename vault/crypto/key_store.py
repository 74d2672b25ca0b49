"""The key store in SQL: the one table of `keys.db`, which has its own backup horizon.

Owns the table and its statements. It leaves the engine and its durability to `vault.storage.engine`
(WAL, `synchronous=FULL`, `secure_delete`), and wrapping to the root key: what is stored here opens
nothing by itself.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    and_,
    bindparam,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from vault.clock import from_microseconds, microseconds
from vault.crypto.key_record import KeyKind, KeyName, KeyRecord, KeyState
from vault.errors import StoreCorruptError
from vault.storage.faults import translated

KEYS_METADATA: Final = MetaData()

KEYS: Final = Table(
    "keys",
    KEYS_METADATA,
    Column("tenant_id", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("subject_id", String(40), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("fingerprint", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("seal_reserved", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),  # microseconds since 1970, UTC
    sqlite_with_rowid=False,
)

_ORDER: Final = (KEYS.c.tenant_id, KEYS.c.kind, KEYS.c.subject_id, KEYS.c.version)
_PAGE: Final = 1000


class SqlKeyStore:
    """Key records in a database.

    Args:
        engine: Of `keys.db`; each of its commits has to be on the disk when it returns. It may have a
            single connection: one transaction runs at a time.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._one_transaction = threading.Lock()
        self._insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert

    def find(self, name: KeyName) -> KeyRecord | None:
        """Return one version of a key."""
        with self._transaction() as connection:
            return _find(connection, name)

    def newest(self, tenant: str, kind: KeyKind, subject: str) -> KeyRecord | None:
        """Return the highest version, whatever its state."""
        same = (KEYS.c.tenant_id == tenant) & (KEYS.c.kind == kind) & (KEYS.c.subject_id == subject)
        with self._transaction() as connection:
            row = connection.execute(
                select(KEYS).where(same).order_by(KEYS.c.version.desc()).limit(1)
            ).first()
        return None if row is None else _record(row)

    def add(self, records: Sequence[KeyRecord]) -> list[KeyRecord]:
        """Store new keys in one transaction and return what now stands under their names."""
        with self._transaction() as connection:
            return self._add(connection, records)

    def succeed(self, successor: KeyRecord) -> KeyRecord:
        """Store the next version and retire the one before it, in one transaction; return what stands."""
        before = successor.name._replace(version=successor.name.version - 1)
        with self._transaction() as connection:
            retire = (
                update(KEYS)
                .where(_is(before), KEYS.c.state == KeyState.ACTIVE)
                .values(state=KeyState.RETIRED)
            )
            connection.execute(retire)
            return self._add(connection, [successor])[0]

    def reserve(self, name: KeyName, block: int, limit: int) -> int:
        """Raise a living key's count by up to `block`, not beyond `limit`; return by how much."""
        with self._transaction() as connection:
            record = _find(connection, name, for_update=True)
            if record is None or record.state is KeyState.DESTROYED:
                return 0
            granted = max(0, min(block, limit - record.seal_reserved))
            raised = update(KEYS).where(_is(name)).values(seal_reserved=record.seal_reserved + granted)
            connection.execute(raised)
        return granted

    def rewrap(self, changes: Sequence[tuple[KeyRecord, bytes]]) -> int:
        """Replace wrapped keys that are still as they were read, in one transaction; return how many.

        Threat: a key that was destroyed meanwhile would come back with its wrapping.
        """
        same = and_(
            *(column == bindparam(f"at_{column.name}") for column in _ORDER),
            KEYS.c.wrapped == bindparam("was"),
            KEYS.c.state != KeyState.DESTROYED,
        )
        renew = update(KEYS).where(same).values(wrapped=bindparam("renewed"))
        rows = [
            {f"at_{column.name}": part for column, part in zip(_ORDER, record.name, strict=True)}
            | {"was": record.wrapped, "renewed": renewed}
            for record, renewed in changes
        ]
        with self._transaction() as connection:
            return connection.execute(renew, rows).rowcount

    def records(self, tenant: str | None = None) -> Iterator[KeyRecord]:
        """Go through all keys, or a tenant's, in order of their names; no transaction stays open between pages."""
        page = select(KEYS).order_by(*_ORDER).limit(_PAGE)
        if tenant is not None:
            page = page.where(KEYS.c.tenant_id == tenant)
        after: tuple[str | int, ...] = ("", "", "", 0)
        while True:
            with self._transaction() as connection:
                rows = connection.execute(page.where(tuple_(*_ORDER) > after)).all()
            if not rows:
                return
            yield from map(_record, rows)
            after = tuple(rows[-1][:4])

    def _add(self, connection: Connection, records: Sequence[KeyRecord]) -> list[KeyRecord]:
        connection.execute(
            self._insert(KEYS).on_conflict_do_nothing(), [_values(record) for record in records]
        )
        return [_record(connection.execute(select(KEYS).where(_is(record.name))).one()) for record in records]

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._one_transaction, translated(), self._engine.begin() as connection:
            yield connection


def _is(name: KeyName) -> ColumnElement[bool]:
    return and_(*(column == value for column, value in zip(_ORDER, name, strict=True)))


def _find(connection: Connection, name: KeyName, *, for_update: bool = False) -> KeyRecord | None:
    query = select(KEYS).where(_is(name))
    row = connection.execute(query.with_for_update() if for_update else query).first()
    return None if row is None else _record(row)


def _record(row: Row[str, str, str, int, bytes, str, str, int, int]) -> KeyRecord:
    tenant, kind, subject, version, wrapped, fingerprint, state, reserved, created = row
    try:
        name, known_state = KeyName(tenant, KeyKind(kind), subject, version), KeyState(state)
    except ValueError:
        raise StoreCorruptError("a key record has an unknown kind or state") from None
    return KeyRecord(
        name=name,
        wrapped=wrapped,
        fingerprint=fingerprint,
        state=known_state,
        seal_reserved=reserved,
        created=from_microseconds(created),
    )


def _values(record: KeyRecord) -> dict[str, str | int | bytes]:
    tenant, kind, subject, version = record.name
    return {
        "tenant_id": tenant,
        "kind": kind,
        "subject_id": subject,
        "version": version,
        "wrapped": record.wrapped,
        "fingerprint": record.fingerprint,
        "state": record.state,
        "seal_reserved": record.seal_reserved,
        "created": microseconds(record.created),
    }
