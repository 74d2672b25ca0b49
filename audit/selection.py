"""Reading entries by what they are rather than where they stand.

Owns the SELECTs for entries of some events, at some indexes, for entries in which one of some texts stands, and for how
many of an event there were since a time. It leaves ranges and proofs to `audit.reader`. What is read is
evidence, not truth; the caller checks what it relies on.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, func, or_, select

from audit.event import EventType
from audit.evidence import StoredEntry
from audit.store import LEAF

_PAGE: Final = 1_000
_CHUNK: Final = 500  # below SQLite's limit of bound parameters
_COLUMNS: Final = (
    LEAF.c.leaf_index,
    LEAF.c.header,
    LEAF.c.salt,
    LEAF.c.payload,
    LEAF.c.leaf_hash,
    LEAF.c.event,
    LEAF.c.time_us,
    LEAF.c.erased_by,
)
_OF_EVENTS: Final = (
    select(*_COLUMNS)
    .where(LEAF.c.tenant_id == bindparam("tenant"), LEAF.c.event.in_(bindparam("events", expanding=True)))
    .order_by(LEAF.c.leaf_index)
)
_SINCE: Final = select(func.count()).where(
    LEAF.c.tenant_id == bindparam("tenant"),
    LEAF.c.time_us >= bindparam("time_us"),
    LEAF.c.event == bindparam("event"),
)
_ERASERS: Final = (
    select(LEAF.c.erased_by)
    .distinct()
    .where(
        LEAF.c.tenant_id == bindparam("tenant"),
        LEAF.c.leaf_index >= bindparam("start"),
        LEAF.c.leaf_index < bindparam("stop"),
        LEAF.c.payload.is_(None),
        LEAF.c.erased_by >= bindparam("stop"),
        LEAF.c.erased_by < bindparam("size"),
    )
    .order_by(LEAF.c.erased_by)
    .limit(bindparam("limit"))
)
_ERASED: Final = select(func.count()).where(
    LEAF.c.tenant_id == bindparam("tenant"),
    LEAF.c.leaf_index >= bindparam("start"),
    LEAF.c.leaf_index < bindparam("stop"),
    LEAF.c.payload.is_(None),
)


def entries_of(connection: Connection, tenant: str, events: Sequence[EventType]) -> Iterator[StoredEntry]:
    """Yield all entries of some events, in order."""
    values = {"tenant": tenant, "events": [event.value for event in events]}
    for row in connection.execute(_OF_EVENTS, values, execution_options={"yield_per": _PAGE}):
        yield StoredEntry(*row)


def latest_of(
    connection: Connection, tenant: str, event: EventType, *, holding: str, limit: int
) -> list[StoredEntry]:
    """Return the newest entries of an event in whose header a text stands, newest first."""
    query = (
        select(*_COLUMNS)
        .where(
            LEAF.c.tenant_id == tenant, LEAF.c.event == event.value, func.instr(LEAF.c.header, holding) > 0
        )
        .order_by(LEAF.c.leaf_index.desc())
        .limit(limit)
    )
    return [StoredEntry(*row) for row in connection.execute(query)]


def entries_at(connection: Connection, tenant: str, indexes: Sequence[int]) -> Iterator[StoredEntry]:
    """Yield entries by their indexes."""
    for start in range(0, len(indexes), _CHUNK):
        some = list(indexes[start : start + _CHUNK])
        query = select(*_COLUMNS).where(LEAF.c.tenant_id == tenant, LEAF.c.leaf_index.in_(some))
        for row in connection.execute(query):
            yield StoredEntry(*row)


def entries_holding(
    connection: Connection, tenant: str, texts: Sequence[str], span: range, limit: int
) -> list[StoredEntry]:
    """Return the first entries in a span of indexes in whose header or payload one of the texts stands."""
    columns = (LEAF.c.header, LEAF.c.payload)
    anywhere = [func.instr(column, text) > 0 for column in columns for text in texts]
    query = (
        select(*_COLUMNS)
        .where(
            LEAF.c.tenant_id == tenant,
            LEAF.c.leaf_index >= span.start,
            LEAF.c.leaf_index < span.stop,
            or_(*anywhere),
        )
        .order_by(LEAF.c.leaf_index)
        .limit(limit)
    )
    return [StoredEntry(*row) for row in connection.execute(query)]


def count_erased(connection: Connection, tenant: str, span: range) -> int:
    """Return how many payloads in a span of indexes were erased."""
    values = {"tenant": tenant, "start": span.start, "stop": span.stop}
    return int(connection.execute(_ERASED, values).scalar_one())


def erasers_behind(connection: Connection, tenant: str, span: range, *, size: int, limit: int) -> list[int]:
    """Return the indexes of the first entries behind a span, below `size`, that erased payloads in it."""
    values = {"tenant": tenant, "start": span.start, "stop": span.stop, "size": size, "limit": limit}
    return [int(index) for index in connection.execute(_ERASERS, values).scalars()]


def count_since(connection: Connection, tenant: str, event: EventType, time_us: int) -> int:
    """Return how many entries of an event are no older than a time, in microseconds since 1970."""
    values = {"tenant": tenant, "event": event.value, "time_us": time_us}
    return int(connection.execute(_SINCE, values).scalar_one())
