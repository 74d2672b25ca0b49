"""Erasing a person, step by step: each may be done twice, so that a crash anywhere is finished later.

1. Begin, of `vault.erasing.beginning`: from then on no write about the person passes.
2. Facts: every text is opened once more, and what it said is remembered as keyed digests, so that it is known
   again when it comes back.
3. Shred: the person's keys are destroyed. From then on nothing of the person opens: here, in copies, in backups
   of the rows.
4. Rows: memories, vectors, edges, the name: removed in batches, each with an entry that names what is gone.
5. Payloads: what the log said of the person alone is dropped, now that its rows are gone.
6. Fold: no old page stands beside the databases.
7. Tests: what was erased is tried to be got back. Only where nothing came back is the outcome written.

Owns the order. It leaves beginning to `vault.erasing.beginning`, certifying to `vault.erasing.certifying`, the tests to `vault.erasing.negative`, and who
may ask for an erasure to `vault.erasure`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from audit.canonical import JsonValue
from audit.certificate import Ran
from audit.erasure import erase_payloads
from audit.event import EventType, Outcome
from audit.intent import Intent, outcome_payload
from audit.log import Leaf
from vault.clock import microseconds
from vault.crypto.key_record import KeyState
from vault.erasing.negative import Samples, run_tests
from vault.erasing.record import (
    ErasureRecord,
    State,
    StepName,
    Voice,
    entries_of_erasure,
    moved,
)
from vault.errors import (
    ErasureIncompleteError,
    KeyAccessError,
    RootUnusableError,
    TamperedError,
)
from vault.ledger_mirror import mirror
from vault.parts import Parts
from vault.payload_erasure import ErasureReason
from vault.selector import ERASURE, Belongings, belongings, pieces, told
from vault.snapshots import known_snapshots
from vault.storage.group_commit import Change, WriteSet
from vault.storage.removal import MAX_REMOVED, Removal, Tombstone, add_tombstones, expect_not_held
from vault.storage.rows import StoredMemory, stored_memory
from vault.storage.schema import MEMORY

FOLD_SECONDS: Final = 10.0
_TEXTS: Final = 200
"""Versions of memories that are opened before their digests are committed."""
_BATCH: Final = 200
"""Memories of one transaction: fewer than may be, so that who writes beside it does not wait for long."""
_PAYLOADS: Final = 250
"""Payloads of one transaction, for the same reason."""
_ROUNDS: Final = 3
"""How often it is looked for rows that are left."""


@dataclass(slots=True)
class ErasureRun:
    """What carries an erasure that was begun to its end.

    Args:
        parts: Of the vault.
        voice: How it is told.
        record: How it stands.
        fence: A change put first into each write set: refuses where a job's lease is not ours any more.
    """

    parts: Parts
    voice: Voice
    record: ErasureRecord
    fence: Change | None = None
    found: Belongings | None = None
    """What the erasure has just begun over; None looks again."""
    samples: Samples = field(default_factory=Samples)
    unopened: int = 0
    """Versions that could not be opened: what they said is not known again."""

    def finish(self) -> None:
        """Do all that is left to do.

        Raises:
            HeldError: a hold was placed meanwhile, before the keys were destroyed or over rows that are left.
            ErasureIncompleteError: a test got something back: the erasure is not done.
            VaultError: whatever else kept a step from being done; a later run goes on there.
        """
        with self.parts.store.log_connection(self.record.tenant) as connection:
            found = self.found or belongings(connection, self.record.tenant, self.record.subject)
            # Of our own: one that a person wrote over an intent that was left open concludes nothing here.
            concluded = any(
                one.header.event is EventType.EFFECT_OUTCOME and "erasure" in one.payload
                for one in entries_of_erasure(connection, self.record)
            )
        if concluded:
            return
        if self.record.state is State.BEGUN:
            if not self._destroyed():
                self._remember_facts(found)
            self._shred()
        self._evict(found.everything)
        self._remove_rows(found)
        mirror(self.parts, self.record.tenant)  # outside the data: an old snapshot knows nothing of it
        self._erase_payloads()
        folded = self._fold()
        self._conclude(folded=folded)

    def _evict(self, memories: Sequence[str]) -> None:
        """Let nobody find any more what opens no more; after the keys, as this takes longer than destroying them."""
        for some in pieces(memories, _BATCH):  # others write between
            self.parts.indexes.remove(self.record.tenant, some)
        self.parts.embedding.forget(self.record.tenant, frozenset(memories))

    def _remember_facts(self, found: Belongings) -> None:
        tenant, sealers = self.record.tenant, self.parts.sealers
        tombstones, hasher = sealers.tombstones(tenant), sealers.hasher(tenant)
        for some in pieces(found.everything, _TEXTS):
            with self.parts.store.log_connection(tenant) as connection:
                rows, damaged = _versions(connection, tenant, some)
            self.unopened += damaged
            sealers.lease(tenant, [(row.subjects, row.text) for row in rows])
            made: list[Tombstone] = []
            for row in rows:
                try:
                    text = sealers.fact(tenant, row)
                except RootUnusableError:
                    raise  # says nothing of the row: the erasure goes on when the root can be used again
                except (TamperedError, KeyAccessError, ValueError, TypeError, AttributeError):
                    self.unopened += 1
                    continue
                made += tombstones.facts(row.subjects, text)
                self.samples.take(row, text, hasher)
            self._submit(WriteSet(changes=[partial(self._add_facts, made)]))
        self._tell_facts(found)

    def _add_facts(self, made: Sequence[Tombstone], connection: Connection, _leaves: Sequence[Leaf]) -> None:
        record = self.record
        add_tombstones(connection, record.tenant, made, record.begun, record.begun_leaf)

    def _destroyed(self) -> bool:
        """Say whether an interrupted run had come as far as to destroy the keys: then nothing can be read any more."""
        with self.parts.store.log_connection(self.record.tenant) as connection:
            entries = list(entries_of_erasure(connection, self.record))
        keys = self.parts.sealers.subject_keys(self.record.tenant, self.record.subject)
        return any(one.payload.get("step") == StepName.FACTS.value for one in entries) and all(
            key.state is KeyState.DESTROYED for key in keys
        )

    def _tell_facts(self, found: Belongings) -> None:
        """Tell that all is remembered; a hold that came between the beginning and now keeps the keys."""
        tenant, subject = self.record.tenant, self.record.subject

        def expect(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            for some in pieces(found.everything, MAX_REMOVED):
                expect_not_held(connection, tenant, some)
            expect_not_held(connection, tenant, (), [subject])

        matched: list[JsonValue] = [[kind, count] for kind, count in sorted(found.counts.items())]
        told: dict[str, JsonValue] = {
            "subjects": [subject],
            "unreadable": self.unopened,
            # Once more: what came between the plan and the beginning is among it now.
            "matched": matched,
            "others": len(found.other_subjects),
        }
        step = self.voice.step(StepName.FACTS, told)
        self._submit(WriteSet(drafts=[step], changes=[expect]))
        self.parts.probe("erase-facts")

    def _shred(self) -> None:
        """Destroy the keys: from here on nothing of the person opens."""
        tenant, subject, sealers = self.record.tenant, self.record.subject, self.parts.sealers
        self.samples.wrapped += [record.wrapped for record in sealers.subject_keys(tenant, subject)]
        keys = sealers.destroy(tenant, subject)
        self.parts.probe("erase-destroyed")
        destroyed = self.voice.draft(
            EventType.KEY_DESTROY,
            {
                "subjects": [subject],
                "fingerprints": [key.fingerprint for key in keys],
                "versions": [key.version for key in keys],
            },
        )
        step = self.voice.step(StepName.SHREDDED, {"subjects": [subject]})
        self.record = replace(self.record, state=State.SHREDDED)
        drafts = [destroyed] if keys else []
        self._submit(WriteSet(drafts=[*drafts, step], changes=[moved(self.record)]))
        self.parts.probe("erase-shredded")

    def _remove_rows(self, found: Belongings) -> None:
        tenant, subject = self.record.tenant, self.record.subject
        tombstones = self.parts.sealers.tombstones(tenant)
        for _ in range(_ROUNDS):
            batches = [*pieces(found.everything, _BATCH)] or [()]
            for nth, some in enumerate(batches if found.found else ()):
                last = some is batches[-1]
                episodes = found.episodes[nth * _BATCH : None if last else (nth + 1) * _BATCH]
                removal = Removal(
                    tenant=tenant,
                    memory_ids=some,
                    tombstones=[tombstones.memory(memory) for memory in some],
                    recorded=microseconds(self.parts.clock()),
                    subjects=(subject,) if last else (),
                    episodes=episodes,
                )
                step: dict[str, JsonValue] = {
                    "gone": list(some),
                    "count": len(some),
                    "episodes": list(episodes),
                }
                self._submit(
                    WriteSet(drafts=[self.voice.step(StepName.ROWS, step)], changes=[removal.change])
                )
                self.parts.probe("erase-rows")
            with self.parts.store.log_connection(tenant) as connection:
                found = belongings(connection, tenant, subject)
            if not found.found:
                return
            self._evict(found.everything)

    def _erase_payloads(self) -> None:
        record = self.record
        with self.parts.store.log_connection(record.tenant) as connection:
            about = self._named(connection, "gone") | self._named(connection, "episodes")
            entries = told(connection, record.tenant, record.subject, about)
        for some in pieces(entries.alone, _PAYLOADS):
            chosen: list[JsonValue] = list(some)
            draft = self.voice.draft(
                EventType.PAYLOAD_ERASE,
                {"entries": chosen, "log": record.tenant, "reason": ErasureReason.ERASURE_REQUEST.value},
            )

            def drop(connection: Connection, leaves: Sequence[Leaf], some: Sequence[int] = some) -> None:
                erase_payloads(connection, record.tenant, some, by=leaves[0].index)

            self._submit(WriteSet(drafts=[draft], changes=[drop]))
            self.parts.probe("erase-payloads")

    def _fold(self) -> bool:
        """Leave no old page beside the databases, and no derived index of the log; say whether all is folded."""
        index = self.parts.log_indexes.of(self.record.tenant)
        if index.exists:
            index.discard()  # its words of access tiers come from payloads
        keys = self.parts.sealers.fold_keys(FOLD_SECONDS)
        rows = self.parts.store.fold(FOLD_SECONDS)
        self.parts.probe("erase-folded")
        return keys and rows

    def _conclude(self, *, folded: bool) -> None:
        record = self.record
        with self.parts.store.log_connection(record.tenant) as connection:
            gone = self._named(connection, "gone")
            about = gone | self._named(connection, "episodes")
            entries = told(connection, record.tenant, record.subject, about)
            facts = [
                one.payload.get("unreadable")
                for one in entries_of_erasure(connection, record)
                if one.payload.get("step") == StepName.FACTS.value
            ]
        tests = run_tests(self.parts, record, gone, self.samples, folded=folded)
        left = {
            "log-headers": entries.headers,
            "log-payloads-of-kinds-that-stay": len(entries.fixed),
            "log-payloads-about-others-too": len(entries.shared) + len(entries.alone),
            "tombstones": len(gone) + 1,
            "texts-not-opened": max((one for one in facts if isinstance(one, int)), default=0),
            "old-pages": int(not folded),
            "snapshots": len(known_snapshots(self.parts)),
        }
        got_back = [one.name for one in tests if one.result is Ran.FAILED]
        payload: dict[str, JsonValue] = {
            "tests": [[one.name, one.result.value, one.things, one.reason] for one in tests],
            "left": [[kind, count] for kind, count in left.items()],
        }
        tested = self.voice.step(StepName.TESTED, payload, Outcome.FAILED if got_back else Outcome.OK)
        if got_back:
            self._submit(WriteSet(drafts=[tested]))
            raise ErasureIncompleteError(f"erased, and got back by: {', '.join(got_back)}")
        intent = Intent(record.intent_leaf, ERASURE, record.erasure_id, "", self.parts.clock())
        outcome = self.voice.draft(EventType.EFFECT_OUTCOME, outcome_payload(intent, {}))
        self._submit(WriteSet(drafts=[tested, outcome]))
        self.parts.probe("erase-concluded")

    def _named(self, connection: Connection, key: str) -> set[str]:
        """Return the ids of all memories, or episodes, that this erasure removed, as its entries tell."""
        found: set[str] = set()
        for one in entries_of_erasure(connection, self.record):
            named = one.payload.get(key)
            if one.payload.get("step") == StepName.ROWS.value and isinstance(named, list):
                found.update(map(str, named))
        return found

    def _submit(self, work: WriteSet) -> list[Leaf]:
        if self.fence is not None:
            work.changes.insert(0, self.fence)
        return self.parts.store.submit(work)


def _versions(connection: Connection, tenant: str, memories: Sequence[str]) -> tuple[list[StoredMemory], int]:
    """Return all versions of memories, and how many rows are not of the form of one.

    Threat: a row that not even the database's driver can read stops no erasure; it is looked for alone.
    """
    query = select(MEMORY).where(MEMORY.c.tenant_id == tenant, MEMORY.c.memory_id.in_(list(memories)))
    rows, damaged = [], 0
    try:
        found = connection.execute(query).all()
    except OperationalError:
        if len(memories) == 1:
            return [], 1
        each = [_versions(connection, tenant, [memory]) for memory in memories]
        return [row for some, _ in each for row in some], sum(count for _, count in each)
    for row in found:
        try:
            rows.append(stored_memory(row))
        except TamperedError:
            damaged += 1
    return rows, damaged
