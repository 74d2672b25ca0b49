"""What an erasure would take, and what would stay: counted, with a digest that a confirmation repeats.

The digest stands for who is erased and whom else that touches: the person, other persons of joint memories, memories
of others that were derived, holds, and an erasure from before. It does not stand for each memory of the person: whoever
is written about all the time could never be erased, and what came since the plan is the person's, too.

Owns the plan's values. It leaves finding to `vault.selector`, holds to `vault.storage.removal`, and who may ask
to `vault.erasure`. Nothing here writes.

A plan of a name that nobody here has is of the same shape, with nothing in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, select

from audit.canonical import canonical
from vault.crypto.key_record import KeyState
from vault.parts import Parts
from vault.selector import Belongings, Told, belongings, pieces, told
from vault.snapshots import KnownSnapshot, known_snapshots
from vault.storage.removal import MAX_REMOVED, Holding, held_memories, held_subjects
from vault.storage.schema import ERASURE

NOTHING: Final = "nothing here belongs to that name"


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What an erasure would take."""

    subject: str
    """Vault id of the person."""
    counts: Mapping[str, int]
    """What would be removed, by kind."""
    others: int
    """Other persons for whom joint memories would be shredded, too."""
    keys: int
    """Versions of the person's key that would be destroyed."""
    waiting: int
    """Texts that wait in memory for their vector."""
    holds: tuple[str, ...]
    """Legal holds that forbid it; empty where none does."""
    held: tuple[str, ...]
    """Ids of the memories under one of them."""
    entries: Told | None
    """What the log says of the person; None where it was not gone through."""
    backup_horizon_days: int | None
    """How long backups are kept, as was configured; None: nobody said."""
    snapshots: tuple[KnownSnapshot, ...]
    """Snapshots that may still lie somewhere, oldest first."""
    erasure: str | None
    """The erasure that was begun or done before; None where there is none."""
    digest: str
    """What a confirmation repeats: another one means that somebody else is touched, or that a hold came or went."""

    @property
    def found(self) -> bool:
        """Whether anything belongs to the person."""
        return bool(self.counts) or bool(self.keys)


def plan_of(
    parts: Parts, tenant: str, subject: str, *, with_log: bool = True
) -> tuple[ErasurePlan, Belongings]:
    """Return the plan of one state of the tenant's rows, and what it is made of.

    Args:
        parts: Of the vault.
        tenant: Whose.
        subject: Vault id of the person.
        with_log: Whether to go through the log, too.

    Raises:
        StorageError: or one of its kinds.
    """
    keys = sum(
        record.state is not KeyState.DESTROYED for record in parts.sealers.subject_keys(tenant, subject)
    )
    with parts.store.log_connection(tenant) as connection:
        found = belongings(connection, tenant, subject)
        about = (*found.everything, *found.episodes)
        entries = told(connection, tenant, subject, about) if with_log else None
        holdings, holds = _holds(connection, tenant, subject, found.everything)
        before = connection.execute(
            select(ERASURE.c.erasure_id).where(ERASURE.c.tenant_id == tenant, ERASURE.c.subject_id == subject)
        ).scalar_one_or_none()
    basis = canonical(
        {
            "derived": list(found.derived),
            "erasure": before,
            "found": bool(found.found or keys),
            "holds": list(holds),
            "others": sorted(found.other_subjects),
            "subject": subject,
        }
    )
    plan = ErasurePlan(
        subject=subject,
        counts=found.counts,
        others=len(found.other_subjects),
        keys=keys,
        waiting=parts.embedding.waiting(tenant, frozenset(found.everything)),
        holds=holds,
        held=tuple(sorted({one.memory_id for one in holdings})),
        entries=entries,
        backup_horizon_days=parts.backup_horizon_days,
        snapshots=tuple(known_snapshots(parts)),
        erasure=before,
        digest=sha256(basis.encode()).hexdigest(),
    )
    return plan, found


def _holds(
    connection: Connection, tenant: str, subject: str, memories: Sequence[str]
) -> tuple[list[Holding], tuple[str, ...]]:
    found = [one for some in pieces(memories, MAX_REMOVED) for one in held_memories(connection, tenant, some)]
    over = {one.hold_id for one in found} | set(held_subjects(connection, tenant, [subject]))
    return found, tuple(sorted(over))
