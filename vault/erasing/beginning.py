"""Beginning an erasure: in one transaction it is seen that it may be, and from then on no write about the person passes.

Owns that transaction. It leaves what was confirmed to `vault.erasure`, and all later steps to `vault.erasing.run`.

Threat: whoever writes about a person all the time keeps the erasure from beginning for ever. So what came since the
plan does not stop it: it is the person's, too, and goes with the rest. What nobody confirmed does: a memory that is
about yet another person, one of others that was derived from it, a hold.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete

from audit.canonical import JsonValue
from audit.event import EventType
from audit.intent import intent_payload
from audit.log import Leaf
from vault.clock import microseconds
from vault.erasing.plan import ErasurePlan
from vault.erasing.record import ErasureRecord, State, StepName, Voice, inserted
from vault.errors import ConflictError
from vault.ids import IdKind, new_id
from vault.parts import Parts
from vault.selector import ERASURE, Belongings, came_since, pieces
from vault.storage.group_commit import Change, WriteSet
from vault.storage.removal import MAX_REMOVED, add_tombstones, expect_not_held
from vault.storage.schema import ERASURE as ERASURES


def begin(
    parts: Parts, voice: Voice, plan: ErasurePlan, found: Belongings, before: ErasureRecord | None = None
) -> tuple[ErasureRecord, Belongings | None]:
    """Begin an erasure, in one transaction.

    Args:
        parts: Of the vault.
        voice: How it is told.
        plan: What was confirmed.
        found: What it is made of.
        before: An erasure of the same person that is done, and that this one takes the place of.

    Returns:
        How it stands, and what it goes over: None where more came meanwhile, to be looked for again.

    Raises:
        HeldError: a legal hold forbids it; nothing was begun.
        ConflictError: it touches others than the plan said, or another erasure of the person was begun before.
    """
    record = ErasureRecord.beginning(voice, plan.subject, microseconds(parts.clock()))
    subjects: list[JsonValue] = [plan.subject]
    intent = voice.draft(EventType.EFFECT_INTENT, intent_payload(ERASURE, {"subjects": subjects}))
    matched: list[JsonValue] = [[kind, count] for kind, count in sorted(plan.counts.items())]
    begun = voice.step(StepName.BEGUN, {"subjects": subjects, "matched": matched, "others": plan.others})
    more: list[str] = []

    def expect(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        since = came_since(connection, voice.tenant, found)
        more[:] = since.memories
        for some in pieces((*found.everything, *since.memories), MAX_REMOVED):
            expect_not_held(connection, voice.tenant, some)
        expect_not_held(connection, voice.tenant, (), [plan.subject])
        if since.others or since.derived:
            raise ConflictError("what was written meanwhile touches others, too: plan again")

    def bury(connection: Connection, leaves: Sequence[Leaf]) -> None:
        tombstone = parts.sealers.tombstones(voice.tenant).subject(plan.subject)
        add_tombstones(connection, voice.tenant, [tombstone], record.begun, leaves[1].index)

    instead = [] if before is None else [_taken_from(before)]
    changes = [expect, *instead, inserted(record), bury]
    leaves = parts.store.submit(WriteSet(drafts=[intent, begun], changes=changes))
    parts.probe("erase-begun")
    return replace(record, intent_leaf=leaves[0].index), None if more else found


def new_erasure_id(parts: Parts) -> str:
    """Return the id of a new erasure."""
    return new_id(IdKind.ERASURE, parts.clock(), parts.entropy)


def _taken_from(before: ErasureRecord) -> Change:
    """Return the change that gives up the place of an erasure that is done; its entries stay in the log."""

    def give_up(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        this = delete(ERASURES).where(
            ERASURES.c.tenant_id == before.tenant,
            ERASURES.c.erasure_id == before.erasure_id,
            ERASURES.c.state == State.DONE.value,
        )
        if connection.execute(this).rowcount != 1:
            raise ConflictError("another erasure of the person was begun meanwhile")

    return give_up
