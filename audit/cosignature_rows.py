"""Rows of cosignatures: what witnesses signed of a checkpoint, added once and never changed.

Owns writing them, and the few questions that finality and the check at opening ask. It leaves verifying
to `audit.cosignature`: a row is a claim, whoever writes the database can add one.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, func, insert, select

from audit.cosignature import parse_cosignatures
from audit.errors import NoteMalformedError
from audit.note import Signature
from audit.store import CHECKPOINT, COSIGNATURE

_ROW: Final = COSIGNATURE.c
_OF_TENANT: Final = _ROW.tenant_id == bindparam("tenant")
_AT_SIZE: Final = _ROW.tree_size == bindparam("size")
_READ_KNOWN: Final = select(_ROW.line).where(_OF_TENANT, _AT_SIZE, _ROW.witness == bindparam("witness"))
_READ_LINES: Final = select(_ROW.line).where(_OF_TENANT, _AT_SIZE).order_by(_ROW.witness)
_READ_LARGEST: Final = select(func.max(_ROW.tree_size)).where(_OF_TENANT)
_READ_LARGEST_BY: Final = _READ_LARGEST.where(_ROW.witness == bindparam("witness"))
_COUNT: Final = func.count(_ROW.witness)
_READ_CLAIMS: Final = (
    select(_ROW.tree_size, _COUNT)
    .where(
        _OF_TENANT,
        _ROW.tree_size > bindparam("index"),
        _ROW.witness.in_(bindparam("witnesses", expanding=True)),
        select(CHECKPOINT.c.tree_size)
        .where(CHECKPOINT.c.tenant_id == _ROW.tenant_id, CHECKPOINT.c.tree_size == _ROW.tree_size)
        .exists(),
    )
    .group_by(_ROW.tree_size)
    .order_by(_COUNT.desc(), _ROW.tree_size.desc())
    .limit(bindparam("limit"))
)
_READ_NOTE: Final = select(CHECKPOINT.c.note).where(
    CHECKPOINT.c.tenant_id == bindparam("tenant"), CHECKPOINT.c.tree_size == bindparam("size")
)
_READ_NOTES_FROM: Final = (
    select(CHECKPOINT.c.note)
    .where(CHECKPOINT.c.tenant_id == bindparam("tenant"), CHECKPOINT.c.tree_size > bindparam("size"))
    .order_by(CHECKPOINT.c.tree_size)
    .limit(bindparam("limit"))
)


def add_cosignature(
    connection: Connection, tenant: str, size: int, signature: Signature, received_us: int
) -> None:
    """Keep a witness's cosignature of a checkpoint, once; a later one of the same adds nothing."""
    key = {"tenant": tenant, "size": size, "witness": signature.name}
    if connection.execute(_READ_KNOWN, key).first() is None:
        row = {
            "tenant_id": tenant,
            "tree_size": size,
            "witness": signature.name,
            "line": str(signature),
            "received_us": received_us,
        }
        connection.execute(insert(COSIGNATURE), row)


def lines_at(connection: Connection, tenant: str, size: int) -> tuple[Signature, ...]:
    """Return the signature lines of a checkpoint that are in their form, not verified."""
    found: list[Signature] = []
    for line in connection.execute(_READ_LINES, {"tenant": tenant, "size": size}).scalars():
        try:
            found += parse_cosignatures(str(line).encode())
        except (NoteMalformedError, UnicodeEncodeError):
            continue
    return tuple(found)


def largest_cosigned(connection: Connection, tenant: str, witness: str | None = None) -> int:
    """Return the largest size that a witness, or any, is said to have cosigned; 0 where none has."""
    query, values = _READ_LARGEST, {"tenant": tenant}
    if witness is not None:
        query, values = _READ_LARGEST_BY, {"tenant": tenant, "witness": witness}
    found = connection.execute(query, values).scalar()
    return found if isinstance(found, int) else 0


def claims_beyond(
    connection: Connection, tenant: str, index: int, witnesses: Sequence[str], limit: int
) -> list[tuple[int, int]]:
    """Return sizes of stored checkpoints that cover an entry and how many of these witnesses are said to have cosigned."""
    values = {"tenant": tenant, "index": index, "witnesses": list(witnesses), "limit": limit}
    rows = connection.execute(_READ_CLAIMS, values)
    return [(size, count) for size, count in rows if isinstance(size, int)]


def note_at(connection: Connection, tenant: str, size: int) -> bytes | None:
    """Return the stored checkpoint of a size, not verified; None where there is none."""
    note: object = connection.execute(_READ_NOTE, {"tenant": tenant, "size": size}).scalar_one_or_none()
    return note.encode() if isinstance(note, str) else None


def notes_beyond(connection: Connection, tenant: str, size: int, limit: int) -> list[bytes]:
    """Return stored checkpoints that are larger than a size, the smallest first, not verified."""
    rows = connection.execute(_READ_NOTES_FROM, {"tenant": tenant, "size": size, "limit": limit}).scalars()
    return [note.encode() for note in rows if isinstance(note, str)]
