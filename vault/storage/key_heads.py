"""Under which key versions rows lie: what is due to be sealed anew, and the count that nothing is left.

Owns the statements that look at the heads of sealed values, which name the key versions in clear. It leaves reading
and replacing whole rows to `vault.storage.resealing`. A head is not authenticated: one that lies is found when its
value is opened, and until then counts as what it says.

Each kind of row is walked in the order of its key, page by page, so that a run can be cut off and go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, Table, and_, bindparam, func, select, tuple_

from vault.crypto.aead import MAX_SUBJECTS, header, key_versions
from vault.crypto.sealed import Sealed
from vault.errors import TamperedError
from vault.storage.rows import split_subjects
from vault.storage.schema import EMBEDDING, EPISODE, MEMORY, SUBJECT

HEAD_BYTES: Final = 2 + 4 * MAX_SUBJECTS
"""Longest clear head of a sealed value."""
_PAGE: Final = 4_096


class RowKind(StrEnum):
    """What is sealed under subjects' keys, in the order in which it is sealed anew."""

    NAME = "name"
    EPISODE = "episode"
    MEMORY = "memory"
    EMBEDDING = "embedding"


class Place(NamedTuple):
    """A row, by id and version; the version of what has none is 0."""

    row_id: str
    version: int


START: Final = Place("", -1)


@dataclass(slots=True)
class Newest:
    """The newest living key version of each subject of a tenant: what rows are to lie under.

    Args:
        versions: By subject. A subject that is not among them has no key that lives.
        destroyed: Subjects whose key was destroyed: what is about them opens nowhere, whatever it lies under.
    """

    versions: Mapping[str, int]
    destroyed: frozenset[str] = frozenset()
    _heads: dict[str, bytes | None] = field(default_factory=dict)

    def is_due(self, subjects: object, head: object) -> bool:
        """Say whether a row about these subjects lies under an older key than the newest, and can be moved."""
        about = str(subjects)
        if about not in self._heads:
            self._heads[about] = self._head(split_subjects(about))
        wanted = self._heads[about]
        if wanted is None or (isinstance(head, bytes) and head.startswith(wanted)):
            return False
        try:
            named = key_versions(Sealed(head if isinstance(head, bytes) else b""))
        except TamperedError:
            return True  # to be looked at, and told of as what cannot be opened
        newest = (self.versions.get(subject, 0) for subject in split_subjects(about))
        return any(version < least for version, least in zip(named, newest, strict=False))

    def _head(self, subjects: tuple[str, ...]) -> bytes | None:
        """Return how a value about these subjects begins that is not due; None where one of them was shredded."""
        if not self.destroyed.isdisjoint(subjects):
            return None
        fits = 1 <= len(subjects) <= MAX_SUBJECTS
        return header(tuple(self.versions.get(subject, 0) for subject in subjects)) if fits else b"none"


OF_MEMORY: Final = and_(
    MEMORY.c.tenant_id == EMBEDDING.c.tenant_id,
    MEMORY.c.memory_id == EMBEDDING.c.memory_id,
    MEMORY.c.version == EMBEDDING.c.version,
)


def _heads(kind: RowKind) -> Select[Any]:
    """Return the statement for id, version, subjects and head of rows of a kind, from after a place."""
    sealed, table = _SEALED[kind], _SEALED[kind].table
    assert isinstance(table, Table)  # noqa: S101  # narrows
    head = func.substr(sealed, 1, HEAD_BYTES)
    tenant = table.c.tenant_id == bindparam("tenant")
    if kind in {RowKind.NAME, RowKind.EPISODE}:
        key = table.c.subject_id if kind is RowKind.NAME else table.c.episode_id
        about = table.c.subject_id if kind is RowKind.NAME else table.c.subjects
        query = select(key, func.abs(0), about, head).where(tenant, key > bindparam("after_id"))
        return query.order_by(key).limit(bindparam("limit"))
    keys = (table.c.memory_id, table.c.version)
    query = select(*keys, MEMORY.c.subjects, head)
    if kind is RowKind.EMBEDDING:
        query = query.select_from(EMBEDDING.join(MEMORY, OF_MEMORY))
    after = tuple_(bindparam("after_id"), bindparam("after_version"))
    return query.where(tenant, tuple_(*keys) > after).order_by(*keys).limit(bindparam("limit"))


_SEALED: Final = {
    RowKind.NAME: SUBJECT.c.name,
    RowKind.EPISODE: EPISODE.c.attributes,
    RowKind.MEMORY: MEMORY.c.text,
    RowKind.EMBEDDING: EMBEDDING.c.vector,
}
_HEADS: Final = {kind: _heads(kind) for kind in RowKind}


def due_page(
    connection: Connection, tenant: str, kind: RowKind, newest: Newest, after: Place
) -> tuple[list[Place], Place | None]:
    """Return those of the next rows of a kind that are due, and the place to go on from; None at the end."""
    values = {"tenant": tenant, "after_id": after.row_id, "after_version": after.version, "limit": _PAGE}
    if kind in {RowKind.NAME, RowKind.EPISODE}:
        del values["after_version"]
    rows = connection.execute(_HEADS[kind], values).all()
    due = [
        Place(row_id, version) for row_id, version, subjects, head in rows if newest.is_due(subjects, head)
    ]
    return due, Place(rows[-1][0], rows[-1][1]) if len(rows) == _PAGE else None


def count_due(connection: Connection, tenant: str, newest: Newest) -> int:
    """Count the rows of all kinds that are due; within a transaction, that is what it leaves."""
    count = 0
    for kind in RowKind:
        after: Place | None = START
        while after is not None:
            due, after = due_page(connection, tenant, kind, newest, after)
            count += len(due)
    return count
