"""The key store in SQL: the table `keys` of `keys.db`, which has its own backup horizon.

Owns the table and its statements. It leaves the engine and its durability to `vault.storage.engine`
(WAL, `synchronous=FULL`, `secure_delete`), what stands beside the keys to `vault.crypto.ledger`, and wrapping to
the root key: what is stored here opens nothing by itself.

While the vault moves to another root, `staged` holds each key under that one, until one transaction puts them
all into the place of the old wrappings. The state of a destroyed key is for ever: the guards say so, too (`vault.crypto.key_guards`).
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
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
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from vault.clock import from_microseconds, microseconds
from vault.crypto.key_record import KeyKind, KeyName, KeyRecord, KeyState
from vault.errors import ConflictError, KeyDestroyedError, StoreCorruptError
from vault.storage.faults import translated
from vault.storage.folding import fold

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
    Column("staged", LargeBinary, nullable=True),
    sqlite_with_rowid=False,
)

_ORDER: Final = (KEYS.c.tenant_id, KEYS.c.kind, KEYS.c.subject_id, KEYS.c.version)
_COLUMNS: Final = tuple(column for column in KEYS.c if column.name != "staged")
_LIVING: Final = KEYS.c.state != KeyState.DESTROYED
_DESTROYED: Final = {"state": KeyState.DESTROYED, "wrapped": b"", "staged": None}
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
        self._root = b""
        """Name of the root that the keys were moved to; nothing else is checked while they were not."""
        self._insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert

    def find(self, name: KeyName) -> KeyRecord | None:
        """Return one version of a key."""
        with self.transaction() as connection:
            return _find(connection, name)

    def newest(self, tenant: str, kind: KeyKind, subject: str) -> KeyRecord | None:
        """Return the highest version, whatever its state."""
        same = (KEYS.c.tenant_id == tenant) & (KEYS.c.kind == kind) & (KEYS.c.subject_id == subject)
        with self.transaction() as connection:
            row = connection.execute(
                select(*_COLUMNS).where(same).order_by(KEYS.c.version.desc()).limit(1)
            ).first()
        return None if row is None else _record(row)

    def add(self, records: Sequence[KeyRecord]) -> list[KeyRecord]:
        """Store new keys in one transaction and return what now stands under their names."""
        with self.transaction() as connection:
            return self._add(connection, records)

    def succeed(self, successor: KeyRecord) -> KeyRecord:
        """Store the next version and retire the one before it, in one transaction; return what stands.

        Threat: the key was destroyed while its successor was being wrapped: the person would have a key again.

        Raises:
            KeyDestroyedError: the version before it was destroyed.
        """
        before = successor.name._replace(version=successor.name.version - 1)
        with self.transaction() as connection:
            standing = _find(connection, before, for_update=True)
            if standing is None or standing.state is KeyState.DESTROYED:
                raise KeyDestroyedError(f"the {before} was destroyed")
            retire = (
                update(KEYS)
                .where(_is(before), KEYS.c.state == KeyState.ACTIVE)
                .values(state=KeyState.RETIRED)
            )
            connection.execute(retire)
            return self._add(connection, [successor])[0]

    def reserve(self, name: KeyName, block: int, limit: int) -> int:
        """Raise a living key's count by up to `block`, not beyond `limit`; return by how much."""
        with self.transaction() as connection:
            record = _find(connection, name, for_update=True)
            if record is None or record.state is KeyState.DESTROYED:
                return 0
            granted = max(0, min(block, limit - record.seal_reserved))
            raised = update(KEYS).where(_is(name)).values(seal_reserved=record.seal_reserved + granted)
            connection.execute(raised)
        return granted

    def destroy(self, tenant: str, subject: str, bury: datetime | None = None) -> list[KeyRecord]:
        """Destroy all versions of a subject's key in one transaction; return all that stand destroyed now.

        Args:
            tenant: Whose.
            subject: Vault id.
            bury: When, where a subject without a key is to get a tombstone, so that it never has one.
        """
        same = (
            (KEYS.c.tenant_id == tenant) & (KEYS.c.kind == KeyKind.SUBJECT) & (KEYS.c.subject_id == subject)
        )
        grave = KeyName(tenant, KeyKind.SUBJECT, subject, 1)
        with self.transaction() as connection:
            if bury is not None:
                tombstone = _values(KeyRecord(grave, b"", "", KeyState.DESTROYED, 0, bury))
                connection.execute(self._insert(KEYS).on_conflict_do_nothing(), [tombstone])
            connection.execute(update(KEYS).where(same).values(_DESTROYED))
            found = connection.execute(select(*_COLUMNS).where(same).order_by(KEYS.c.version)).all()
        return [_record(row) for row in found]

    def destroy_retired(self, names: Sequence[KeyName]) -> list[KeyRecord]:
        """Destroy versions that are retired, in one transaction; return those that it destroyed."""
        gone: list[KeyRecord] = []
        with self.transaction() as connection:
            for name in names:
                record = _find(connection, name, for_update=True)
                if record is not None and record.state is KeyState.RETIRED:
                    connection.execute(update(KEYS).where(_is(name)).values(_DESTROYED))
                    gone.append(record)
        return gone

    def fold(self, seconds: float) -> bool:
        """Leave no byte of what was destroyed in the write-ahead log; say whether that was done within the time."""
        path = self._engine.url.database
        return path is not None and fold(Path(path), seconds)

    def rewrap(self, changes: Sequence[tuple[KeyRecord, bytes]]) -> int:
        """Replace wrapped keys that are still as they were read, in one transaction; return how many.

        Threat: a key that was destroyed meanwhile would come back with its wrapping.
        """
        same = and_(
            *(column == bindparam(f"at_{column.name}") for column in _ORDER),
            KEYS.c.wrapped == bindparam("was"),
            _LIVING,
        )
        renew = update(KEYS).where(same).values(wrapped=bindparam("renewed"))
        rows = [
            {f"at_{column.name}": part for column, part in zip(_ORDER, record.name, strict=True)}
            | {"was": record.wrapped, "renewed": renewed}
            for record, renewed in changes
        ]
        with self.transaction() as connection:
            return connection.execute(renew, rows).rowcount

    def unstaged(self, root: bytes) -> Iterator[KeyRecord]:
        """Go through the living keys that are not staged under the root of this name."""
        return self._paged(and_(_LIVING, ~_under(KEYS.c.staged, root)))

    def stage(self, changes: Sequence[tuple[KeyRecord, bytes]]) -> None:
        """Keep keys under the next root beside their present wrapping, in one transaction; one destroyed, not."""
        same = and_(*(column == bindparam(f"at_{column.name}") for column in _ORDER), _LIVING)
        rows = [
            {f"at_{column.name}": part for column, part in zip(_ORDER, record.name, strict=True)}
            | {"renewed": box}
            for record, box in changes
        ]
        with self.transaction() as connection:
            connection.execute(update(KEYS).where(same).values(staged=bindparam("renewed")), rows)

    def switch(self, root: bytes) -> int:
        """Put all that is staged under a root into the place of the old wrappings, in one transaction.

        From then on nothing is stored that is wrapped under another one: a key that was wrapped under the old root
        before, and comes now, would be lost with it.

        Raises:
            ConflictError: a living key is not staged under it; nothing was changed.
        """
        with self.transaction() as connection:
            left = select(func.count()).select_from(KEYS).where(_LIVING, ~_under(KEYS.c.staged, root))
            if connection.execute(left).scalar_one():
                raise ConflictError("a key came to be while keys were wrapped under the next root")
            moved = connection.execute(
                update(KEYS).where(_LIVING).values(wrapped=KEYS.c.staged, staged=None)
            ).rowcount
            self._root = root
        return moved

    def count_under(self, root: bytes) -> tuple[int, int]:
        """Return how many living keys are wrapped under the root of this name, and how many live."""
        under = func.coalesce(func.sum(_under(KEYS.c.wrapped, root).cast(Integer)), 0)
        with self.transaction() as connection:
            row = connection.execute(select(under, func.count()).select_from(KEYS).where(_LIVING)).one()
        return int(row[0]), int(row[1])

    def records(self, tenant: str | None = None) -> Iterator[KeyRecord]:
        """Go through all keys, or a tenant's, in order of their names; no transaction stays open between pages."""
        return self._paged(literal(value=True) if tenant is None else KEYS.c.tenant_id == tenant)

    def _paged(self, wanted: ColumnElement[bool]) -> Iterator[KeyRecord]:
        page = select(*_COLUMNS).where(wanted).order_by(*_ORDER).limit(_PAGE)
        after: tuple[str | int, ...] = ("", "", "", 0)
        while True:
            with self.transaction() as connection:
                rows = connection.execute(page.where(tuple_(*_ORDER) > after)).all()
            if not rows:
                return
            yield from map(_record, rows)
            after = tuple(rows[-1][:4])

    def _add(self, connection: Connection, records: Sequence[KeyRecord]) -> list[KeyRecord]:
        if not all(record.wrapped.startswith(self._root) for record in records):
            raise ConflictError("the vault got another root meanwhile: try again")
        connection.execute(
            self._insert(KEYS).on_conflict_do_nothing(), [_values(record) for record in records]
        )
        return [
            _record(connection.execute(select(*_COLUMNS).where(_is(record.name))).one()) for record in records
        ]

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Lend the connection for one transaction."""
        with self._one_transaction, translated(), self._engine.begin() as connection:
            yield connection


def _under(wrapping: Column[bytes], root: bytes) -> ColumnElement[bool]:
    """Say of a wrapping, or of none, whether it begins with the name of a root."""
    return func.coalesce(func.substr(wrapping, 1, len(root)) == root, literal(value=False))


def _is(name: KeyName) -> ColumnElement[bool]:
    return and_(*(column == value for column, value in zip(_ORDER, name, strict=True)))


def _find(connection: Connection, name: KeyName, *, for_update: bool = False) -> KeyRecord | None:
    query = select(*_COLUMNS).where(_is(name))
    row = connection.execute(query.with_for_update() if for_update else query).first()
    return None if row is None else _record(row)


def _record(row: Row[str, str, str, int, bytes | str, str, str, int, int]) -> KeyRecord:
    tenant, kind, subject, version, wrapped, fingerprint, state, reserved, created = row
    try:
        name, known_state = KeyName(tenant, KeyKind(kind), subject, version), KeyState(state)
    except ValueError:
        raise StoreCorruptError("a key record has an unknown kind or state") from None
    return KeyRecord(
        name=name,
        # SQLite keeps whatever type was put there: text is no wrapped key, and opens as none.
        wrapped=wrapped if isinstance(wrapped, bytes) else b"",
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
