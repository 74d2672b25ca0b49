"""Erasures that the log lost with its disk: begun anew by the restore, to be finished like one that was interrupted.

Owns whom they are about, and their first entries. It leaves the other steps, tests and certificate to
`vault.erasing`, and the transaction to `vault.restoration`.

Threat: an old snapshot takes the place of a lost disk. Its log says of erased persons again what had been dropped,
and knows neither of their erasure nor that their keys were destroyed. `keys.db` does, which is kept apart: only an
erasure destroys all versions of a person's key.

What the first erasure did, and when, stands nowhere any more but in its certificate; the new one says when it was
done anew.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType
from audit.intent import intent_payload
from audit.log import Leaf
from vault.clock import microseconds
from vault.crypto.key_record import KeyKind, KeyState
from vault.erasing.beginning import new_erasure_id
from vault.erasing.record import ErasureRecord, StepName, Voice, inserted
from vault.ledger_mirror import known_gone
from vault.parts import Parts
from vault.selector import ERASURE as EFFECT
from vault.selector import Belongings, belongings
from vault.storage.removal import Tombstone, add_tombstones
from vault.storage.schema import ERASURE

_NAMED: Final = 5_000
"""Ids of one entry: far below the bound of a payload."""


@dataclass(frozen=True, slots=True)
class LostErasure:
    """One that is begun anew."""

    record: ErasureRecord
    drafts: Sequence[EntryDraft]
    """Intent, beginning, and which rows the restore leaves out."""
    tombstone: Tombstone
    """Of the person; a crash may have kept it from the ledger."""

    def begin(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Add its row, in the transaction of its entries."""
        inserted(self.record)(connection, leaves)
        add_tombstones(connection, self.record.tenant, [self.tombstone], self.record.begun, leaves[1].index)


def lost_erasures(parts: Parts, tenant: str, snapshot_id: str, gone: Collection[str]) -> list[LostErasure]:
    """Return the erasures of a tenant that its keys tell of, and its tables and log do not.

    Args:
        parts: Of a vault whose rows are a snapshot's, since its own were lost.
        tenant: Whose.
        snapshot_id: Of the snapshot.
        gone: Memories that the restore leaves out.
    """
    destroyed = _destroyed_keys(parts, tenant)
    mirrored = known_gone(parts.ledger.rows(tenant)).keys()
    anew: list[LostErasure] = []
    with parts.store.log_connection(tenant) as connection:
        known = set(
            connection.execute(select(ERASURE.c.subject_id).where(ERASURE.c.tenant_id == tenant)).scalars()
        )
        for subject in sorted(destroyed.keys() - known):
            found, keys = belongings(connection, tenant, subject), destroyed[subject]
            # Where nothing of the person was ever sealed, and nothing came back, the tombstone is all there is.
            if found.counts or keys:
                voice = Voice(parts.journal, tenant, new_erasure_id(parts))
                tombstone = parts.sealers.tombstones(tenant).subject(subject)
                # What the texts said is remembered by the ledger, if the person is.
                unopened = 0 if tombstone.digest in mirrored else found.counts.get("versions", 0)
                drafts = _drafts(voice, found, snapshot_id, keys=keys, unopened=unopened, gone=gone)
                record = ErasureRecord.beginning(voice, subject, microseconds(parts.clock()))
                anew.append(LostErasure(record, drafts, tombstone))
    return anew


def _destroyed_keys(parts: Parts, tenant: str) -> dict[str, int]:
    """Return the persons whose key is destroyed in all its versions, with how many had been made."""
    made: dict[str, int] = {}
    living: set[str] = set()
    for record in parts.sealers.key_records(tenant):
        if record.name.kind is not KeyKind.SUBJECT:
            continue
        if record.state is not KeyState.DESTROYED:
            living.add(record.name.subject)
        # A grave of somebody who never had a key has no fingerprint.
        made[record.name.subject] = made.get(record.name.subject, 0) + bool(record.fingerprint)
    return {subject: count for subject, count in made.items() if subject not in living}


def _drafts(
    voice: Voice, found: Belongings, snapshot_id: str, *, keys: int, unopened: int, gone: Collection[str]
) -> list[EntryDraft]:
    subjects: list[JsonValue] = [found.subject]
    counts = found.counts or {"keys": keys}
    matched: list[JsonValue] = [[kind, count] for kind, count in sorted(counts.items())]
    others = len(found.other_subjects)
    begun: dict[str, JsonValue] = {
        "subjects": subjects,
        "matched": matched,
        "others": others,
        "snapshot": snapshot_id,
    }
    # The keys are destroyed: nothing can be read any more, and the rows go in this very transaction.
    facts: dict[str, JsonValue] = {
        "subjects": subjects,
        "unreadable": unopened,
        "matched": matched,
        "others": others,
    }
    return [
        voice.draft(EventType.EFFECT_INTENT, intent_payload(EFFECT, {"subjects": subjects})),
        voice.step(StepName.BEGUN, begun),
        voice.step(StepName.FACTS, facts),
        *_rows(voice, sorted(set(found.everything).intersection(gone)), found.episodes),
    ]


def _rows(voice: Voice, gone: Sequence[str], episodes: Sequence[str]) -> Iterator[EntryDraft]:
    """Tell what the restore leaves out: by these ids it is known which payloads speak of the person."""
    for start in range(0, max(len(gone), len(episodes)), _NAMED):
        some = list(gone[start : start + _NAMED])
        step: dict[str, JsonValue] = {
            "gone": list(some),
            "count": len(some),
            "episodes": list(episodes[start : start + _NAMED]),
        }
        yield voice.step(StepName.ROWS, step)
