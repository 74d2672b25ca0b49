"""Rows of legal holds: adding them, marking them released, and what stands in their way (law 4).

Owns the statements, each for a write set's transaction. It leaves who may do what, and the entries, to
`vault.holds`, and asking whether something is held to `vault.storage.removal`.

An erasure that was begun wins over a hold that comes later: its keys may be destroyed any moment, outside this
transaction, and a hold over what cannot be kept would be false security. So such a hold is refused, and says why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, func, select, update

from audit.log import Leaf
from policies.errors import DeniedError
from vault.errors import ConflictError, HoldTooLateError, NotFoundError
from vault.hold_words import HoldRows, HoldScope, Target
from vault.storage.group_commit import Row
from vault.storage.removal import TargetKind
from vault.storage.schema import ERASURE, HOLD, HOLD_TARGET, MEMORY, MEMORY_SUBJECT, QUARANTINE

PIECE: Final = 500  # below SQLite's limit of bound parameters
_BEGUN: Final = "begun"
NOBODY_ASKED: Final[Mapping[str, object]] = {"asked_by": None, "asked": None}
"""Columns of a hold whose release nobody asks for: what was asked of a hold that has changed since counts no more."""
SECOND_PERSON: Final = "a hold is released by a second person, who neither placed it nor asked for its release, once that was asked"
"""The one answer to whoever may not release a hold, whyever."""


@dataclass(frozen=True, slots=True)
class TargetsOfEntry:
    """What one entry names."""

    place: int
    """Of the entry in its write set."""
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddTargets:
    """Adds targets to a hold; see `change`.

    Args:
        tenant: Whose.
        hold_id: Of the hold, which must be in force.
        scope: Of the hold.
        named: What each entry names.
        new: The hold's row, where it is placed with them.
    """

    tenant: str
    hold_id: str
    scope: HoldScope
    named: Sequence[TargetsOfEntry]
    new: Row | None = None

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Add in the caller's transaction.

        Raises:
            NotFoundError: a memory is not there.
            ConflictError: the hold was released.
            HoldTooLateError: an erasure of what it names was begun.
        """
        everything = [one for part in self.named for one in part.ids]
        memories = [one for one in everything if one.startswith("mem_")]
        subjects = [one for one in everything if not one.startswith("mem_")]
        _expect_living(connection, self.tenant, memories)
        _expect_not_erasing(connection, self.tenant, memories, subjects, self.scope)
        if self.new is not None:
            connection.execute(HOLD.insert(), [{**self.new, "leaf_index": leaves[0].index}])
        else:
            # Threat: whoever asked for the release had another hold in mind than the one that is released.
            MarkHold(self.tenant, self.hold_id, NOBODY_ASKED).change(connection, leaves)
        if self.scope is HoldScope.TENANT:
            self._insert(connection, leaves[0].index, [Target(TargetKind.TENANT.value, self.tenant)])
            return
        standing = {target for _, target, _ in target_rows(connection, self.tenant, self.hold_id)}
        for part in self.named:
            named = [_target(one) for one in part.ids]
            self._insert(connection, leaves[part.place].index, [one for one in named if one not in standing])
            standing.update(named)

    def _insert(self, connection: Connection, index: int, targets: Sequence[Target]) -> None:
        rows = [
            {
                "tenant_id": self.tenant,
                "hold_id": self.hold_id,
                "kind": target.kind,
                "target_id": target.id,
                "leaf_index": index,
            }
            for target in dict.fromkeys(targets)
        ]
        if rows:
            connection.execute(HOLD_TARGET.insert(), rows)


@dataclass(frozen=True, slots=True)
class MarkHold:
    """Changes what may change of a hold that is in force; see `change`.

    Args:
        tenant: Whose.
        hold_id: Of the hold.
        values: Columns, with their new values.
        second_person: Who releases: neither who placed it nor who asked for the release, after it was asked for.
    """

    tenant: str
    hold_id: str
    values: Mapping[str, object]
    second_person: str | None = None

    def change(self, connection: Connection, _leaves: Sequence[Leaf]) -> None:
        """Change in the caller's transaction.

        Raises:
            DeniedError: it takes another person.
            ConflictError: the hold was released meanwhile.
        """
        standing = and_(
            HOLD.c.tenant_id == self.tenant, HOLD.c.hold_id == self.hold_id, HOLD.c.released.is_(None)
        )
        if self.second_person is not None:
            # In the statement: between looking and changing, somebody else may have asked anew.
            standing = and_(
                standing, HOLD.c.asked_by != self.second_person, HOLD.c.placed_by != self.second_person
            )
        if connection.execute(update(HOLD).where(standing).values(dict(self.values))).rowcount != 1:
            if self.second_person is not None:
                raise DeniedError(SECOND_PERSON)
            raise ConflictError("the hold was released")


def hold_row(connection: Connection, tenant: str, hold_id: str) -> Mapping[str, object]:
    """Return the row of a hold.

    Raises:
        NotFoundError: there is none.
    """
    query = select(HOLD).where(HOLD.c.tenant_id == tenant, HOLD.c.hold_id == hold_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such hold here")
    return dict(row)


def hold_rows(connection: Connection, tenant: str) -> HoldRows:
    """Return all rows of a tenant's holds, to be read once while the connection is open."""
    query = select(HOLD).where(HOLD.c.tenant_id == tenant).order_by(HOLD.c.hold_id)
    return HoldRows(
        (dict(row) for row in connection.execute(query).mappings()), target_rows(connection, tenant)
    )


def target_rows(
    connection: Connection, tenant: str, hold_id: str | None = None
) -> Iterator[tuple[str, Target, int]]:
    """Yield hold, target and entry of the targets of one hold, or of all."""
    query = select(HOLD_TARGET).where(HOLD_TARGET.c.tenant_id == tenant)
    if hold_id is not None:
        query = query.where(HOLD_TARGET.c.hold_id == hold_id)
    for row in connection.execute(query.order_by(*HOLD_TARGET.primary_key)):
        yield row.hold_id, Target(row.kind, row.target_id), row.leaf_index


def target_counts(connection: Connection, tenant: str) -> dict[str, dict[str, int]]:
    """Return how many targets of each kind the holds have."""
    query = (
        select(HOLD_TARGET.c.hold_id, HOLD_TARGET.c.kind, func.count())
        .where(HOLD_TARGET.c.tenant_id == tenant)
        .group_by(HOLD_TARGET.c.hold_id, HOLD_TARGET.c.kind)
    )
    counts: dict[str, dict[str, int]] = {}
    for hold_id, kind, count in connection.execute(query):
        counts.setdefault(hold_id, {})[kind] = count
    return counts


def count_quarantined(connection: Connection, tenant: str) -> int:
    """Return how many memories are in quarantine."""
    query = select(func.count(QUARANTINE.c.memory_id.distinct())).where(QUARANTINE.c.tenant_id == tenant)
    return int(connection.execute(query).scalar_one())


def _target(one: str) -> Target:
    kind = TargetKind.MEMORY if one.startswith("mem_") else TargetKind.SUBJECT
    return Target(kind.value, one)


def _pieces(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), PIECE):
        yield ids[start : start + PIECE]


def _expect_living(connection: Connection, tenant: str, memories: Sequence[str]) -> None:
    """See that memories are there: a hold over what is gone would be false security.

    Raises:
        NotFoundError: one is not.
    """
    for some in _pieces(sorted(set(memories))):
        query = select(func.count(MEMORY.c.memory_id.distinct())).where(
            MEMORY.c.tenant_id == tenant, MEMORY.c.memory_id.in_(some)
        )
        if connection.execute(query).scalar_one() != len(some):
            raise NotFoundError("there is no such memory here")


def _expect_not_erasing(
    connection: Connection, tenant: str, memories: Sequence[str], subjects: Sequence[str], scope: HoldScope
) -> None:
    """See that no erasure of what is to be held was begun; what is shredded stays so.

    Raises:
        HoldTooLateError: one was.
    """
    of_tenant = ERASURE.c.tenant_id == tenant
    asked = [
        select(ERASURE.c.erasure_id).where(of_tenant, ERASURE.c.subject_id.in_(some))
        for some in _pieces(subjects)
    ]
    about = and_(
        MEMORY_SUBJECT.c.tenant_id == ERASURE.c.tenant_id, MEMORY_SUBJECT.c.subject_id == ERASURE.c.subject_id
    )
    asked += [
        select(ERASURE.c.erasure_id)
        .select_from(ERASURE.join(MEMORY_SUBJECT, about))
        .where(of_tenant, MEMORY_SUBJECT.c.memory_id.in_(some))
        for some in _pieces(memories)
    ]
    if scope is HoldScope.TENANT:
        # One that has shredded already takes nothing more that a hold could keep readable.
        asked.append(select(ERASURE.c.erasure_id).where(of_tenant, ERASURE.c.state == _BEGUN))
    if any(connection.execute(query.limit(1)).first() is not None for query in asked):
        raise HoldTooLateError("an erasure of what is to be held was begun before: it is not kept")
