"""Putting a snapshot's rows into an open store: the plan of each tenant, the entries, one transaction.

Owns what a restore tells the log, and that rows and entries are of one transaction. It leaves which rows change to
`vault.restore_plan`, the statements to `vault.storage.restoring`, and opening the vault to `vault.restoring`; the
restore drill runs the same over a copy.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar, cast

from sqlalchemy import Connection, Engine

from audit.canonical import JsonValue
from audit.errors import RangeInvalidError, VerificationError
from audit.event import EntryDraft, EventType, Outcome
from audit.evidence import SYSTEM_LOG
from audit.intent import outcome_payload
from audit.log import Leaf
from audit.merkle import verify_consistency
from policies.model import Principal, Purpose
from vault.clock import microseconds
from vault.erasing.record import unfinished
from vault.errors import (
    ConflictError,
    HeldError,
    NotFoundError,
    SnapshotForeignError,
)
from vault.grant import Grant
from vault.intents import Effects
from vault.ledger_mirror import known_gone, lost_holds, mirror, replay
from vault.lost_erasures import LostErasure, lost_erasures
from vault.parts import Parts
from vault.restore_plan import Departed, Planner, TenantPlan, destroyed_keys
from vault.row_check import words_of
from vault.snapshot_files import SnapshotFolder
from vault.snapshot_manifest import LogHead, Manifest
from vault.snapshots import CREATE, authorise_over_vault
from vault.storage.engine import reader_engine, reading, writer_engine
from vault.storage.faults import translated
from vault.storage.group_commit import WriteSet
from vault.storage.migrate import upgrade
from vault.storage.removal import add_tombstones, held_memories
from vault.storage.schema import TOMBSTONE

_One = TypeVar("_One")
NAMED: Final = 5_000
"""Ids of one entry: far below the bound of a payload."""
FOLD_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class RestoreTerms:
    """What may differ between two restores of one snapshot."""

    tenants: frozenset[str] | None = None
    """None: all that the snapshot has."""
    keep_held: bool = False
    """Whether what a hold protects stays as it is, while all else is restored; otherwise the restore is refused."""
    plan_only: bool = False
    """Whether nothing is changed, and it is only said what would be."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did, or would do."""

    snapshot_id: str
    tenants: tuple[TenantPlan, ...]
    replayed: int
    """Tombstones and holds that the tables lacked, and the ledger had."""
    rows_were_lost: bool
    """Whether there was no `vault.db`, and the snapshot's took its place."""
    erasures: int = 0
    """Erasures that the log lost with its disk, and that were begun anew."""
    masked: int = 0
    """Versions in which the present gate found what an older one had let pass."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """Puts a snapshot's rows into the store of an open vault that serves nobody.

    Args:
        parts: Of the vault. Its indexes are not kept up: it is closed afterwards.
        folder: Of the snapshot.
        manifest: Of the snapshot, verified.
        terms: What was asked.
        copy: Where a working copy of the snapshot's rows may lie.
        lost: Whether the rows that are there are the snapshot's own, since the vault's were lost.
    """

    parts: Parts
    folder: SnapshotFolder
    manifest: Manifest
    terms: RestoreTerms
    copy: Path
    lost: bool = False

    def run(self, principal: Principal) -> Restored:
        """Restore for a principal.

        Raises:
            DeniedError: not allowed; the denial is logged.
            VaultError: see `restore_snapshot`.
        """
        event = EventType.SNAPSHOT_RESTORE
        restored = self.put_back(authorise_over_vault(self.parts, principal, Purpose.OPERATIONS, event))
        if not self.terms.plan_only:
            for plan in restored.tenants:
                mirror(self.parts, plan.tenant)
            self.parts.store.fold(FOLD_SECONDS)
        return restored

    def put_back(self, grant: Grant | None) -> Restored:
        """Restore under a grant, or as the vault itself."""
        with self._opened() as engine:
            plans = [self._plan(engine, head) for head in self._heads()]
            held = tuple(sorted(one for plan in plans for one in plan.held))
            if held and not self.terms.keep_held:
                self._refuse(plans, grant)
            replayed, erasures = (0, 0) if self.terms.plan_only else self._commit(engine, plans, grant)
        return Restored(
            self.manifest.snapshot_id, tuple(plans), replayed, rows_were_lost=self.lost, erasures=erasures
        )

    @contextmanager
    def _opened(self) -> Iterator[Engine]:
        """Lend a reading engine over a working copy: the very bytes that were verified, in the present schema."""
        self.folder.copy_rows(self.copy, self.manifest)
        self.parts.probe("restore-copied")
        try:
            writer = writer_engine(self.copy)
            try:
                with translated():
                    upgrade(writer, "rows")
            finally:
                writer.dispose()
            engine = reader_engine(self.copy)
            try:
                yield engine
            finally:
                engine.dispose()
        finally:
            for leftover in self.copy.parent.glob(f"{self.copy.name}*"):
                leftover.unlink(missing_ok=True)

    def _heads(self) -> list[LogHead]:
        """Return the logs of the tenants to be restored, each seen to be the beginning of the present one.

        Raises:
            NotFoundError: a tenant that was named is not in the snapshot.
            SnapshotForeignError: a log is another, or was longer.
        """
        there = set(self.parts.store.tenants())
        named = {head.tenant for head in self.manifest.logs if head.tenant != SYSTEM_LOG}
        wanted = named if self.terms.tenants is None else self.terms.tenants
        if not wanted <= named & there:
            raise NotFoundError("the snapshot, or the vault, has no such tenant")
        for head in self.manifest.logs:
            self._expect_beginning(head)
        return [head for head in self.manifest.logs if head.tenant in wanted]

    def _expect_beginning(self, head: LogHead) -> None:
        log = self.parts.log
        with self.parts.store.log_connection(head.tenant) as connection:
            now = log.head(connection, head.tenant)
            try:
                proof = log.consistency_proof(connection, head.tenant, head.size, now.size)
                verify_consistency(head.size, now.size, proof, bytes.fromhex(head.root), now.root())
            except (RangeInvalidError, VerificationError) as error:
                raise SnapshotForeignError(
                    f"the log of {head.tenant} in the snapshot is not the beginning of the vault's: {error}"
                ) from None

    def _plan(self, engine: Engine, head: LogHead) -> TenantPlan:
        parts, tenant = self.parts, head.tenant
        with parts.store.log_connection(tenant) as now, reading(engine, tenant) as then:
            # Of a lost disk it is the snapshot's own: it goes on when the vault is opened.
            if unfinished(now, tenant) and not self.lost and parts.log.head(now, tenant).size > head.size:
                raise ConflictError("an erasure was begun and is not done: finish it, then restore")
            present = parts.log.head(now, tenant).size
            words = words_of(tenant, parts.log.entries(now, tenant, 0, present))
            ledger = list(parts.ledger.rows(tenant))
            known = known_gone(ledger).keys() | set(
                now.execute(
                    TOMBSTONE.select()
                    .with_only_columns(TOMBSTONE.c.digest)
                    .where(TOMBSTONE.c.tenant_id == tenant)
                ).scalars()
            )
            departed = Departed(
                parts.sealers.tombstones(tenant),
                frozenset(known),
                frozenset(words.gone),
                destroyed_keys(parts.sealers.key_records(tenant)),
            )
            plan = Planner(tenant, now, then, words, departed).plan(head.size, present)
            plan.replayed = lost_holds(now, tenant, ledger)
            return plan

    def _refuse(self, plans: Sequence[TenantPlan], grant: Grant | None) -> None:
        """Write the refusals, and refuse.

        Raises:
            HeldError: always.
        """
        held, holds, drafts = [], set(), []
        for plan in plans:
            if not plan.held:
                continue
            with self.parts.store.log_connection(plan.tenant) as connection:
                found = {one.hold_id for one in held_memories(connection, plan.tenant, plan.held[:NAMED])}
            payload: dict[str, JsonValue] = {
                "reason": "held",
                "holds": sorted(found),
                "held": sorted(plan.held)[:NAMED],
            }
            drafts.append(self._draft(plan.tenant, grant, payload, Outcome.REFUSED))
            held += plan.held
            holds |= found
        self.parts.journal.write(drafts)
        raise HeldError(tuple(sorted(held)), tuple(sorted(holds)))

    def _commit(self, engine: Engine, plans: Sequence[TenantPlan], grant: Grant | None) -> tuple[int, int]:
        """Write rows and entries; return how much of the ledger was put back, and how many erasures were begun anew."""
        drafts = {plan.tenant: self._drafts(plan, grant) for plan in plans}
        anew = {plan.tenant: self._lost_erasures(plan) for plan in plans}
        ledgers = {plan.tenant: list(self.parts.ledger.rows(plan.tenant)) for plan in plans}
        recorded = microseconds(self.parts.clock())
        replayed: list[int] = []

        def put_back(connection: Connection, leaves: Sequence[Leaf]) -> None:
            at = 0
            for plan in plans:
                first = leaves[at]
                begun_at = at = at + len(drafts[plan.tenant])
                at += sum(len(one.drafts) for one in anew[plan.tenant])
                if first.index != plan.present:
                    raise ConflictError("something was written while the restore was planned: restore again")
                replayed.append(replay(connection, plan.tenant, ledgers[plan.tenant]))
                departed = self.parts.sealers.tombstones(plan.tenant)
                tombstones = [departed.memory(one) for one in plan.gone]
                add_tombstones(connection, plan.tenant, tombstones, recorded, first.index)
                for one in anew[plan.tenant]:
                    one.begin(connection, leaves[begun_at:])
                    begun_at += len(one.drafts)
                plan.replacement.apply(connection, engine)
                self.parts.probe("restore-applied")

        written = [
            draft for plan in plans for draft in (*drafts[plan.tenant], *_beginnings(anew[plan.tenant]))
        ]
        self.parts.store.submit(WriteSet(drafts=written + self._concluded(), changes=[put_back]))
        self.parts.probe("restored")
        return sum(replayed), sum(map(len, anew.values()))

    def _lost_erasures(self, plan: TenantPlan) -> list[LostErasure]:
        if not self.lost:
            return []
        return lost_erasures(self.parts, plan.tenant, self.manifest.snapshot_id, plan.gone)

    def _concluded(self) -> list[EntryDraft]:
        """Draft the outcome of the snapshot's own making: where the rows were lost, what was copied lacks it."""
        parts, effects = self.parts, Effects(self.parts)
        drafted: list[EntryDraft] = []
        for log in (SYSTEM_LOG, *parts.store.tenants()):
            for intent in effects.unmatched(log):
                if intent.kind == CREATE and intent.resource == self.manifest.snapshot_id:
                    told = parts.journal.event(EventType.EFFECT_OUTCOME, log, outcome_payload(intent, {}))
                    known = parts.journal.event(EventType.SNAPSHOT_CREATE, SYSTEM_LOG, {})
                    drafted += [replace(one, resource=intent.resource) for one in (told, known)]
        return drafted

    def _drafts(self, plan: TenantPlan, grant: Grant | None) -> list[EntryDraft]:
        """Draft the entries: what a hold kept first, then how far the log's words are taken back."""
        drafted: list[dict[str, JsonValue]] = [{"held": some} for some in _named(plan.held)]
        drafted += [
            {
                "size": plan.size,
                "root": self.manifest.file_root,
                "rows": plan.put_back,
                "count": plan.lost,
                "suppressed": plan.suppressed,
            }
        ]
        drafted += [{"gone": some, "count": len(some)} for some in _named(plan.gone)]
        drafted += [
            {
                "memories": [place.memory_id for place, _ in some],
                "versions": [place.version for place, _ in some],
                "digests": [digest for _, digest in some],
            }
            for some in _named(plan.older)
        ]
        drafted += [
            {
                "memories": [],
                "versions": [],
                "episodes": [episode for episode, _ in some],
                "episode_digests": [digest for _, digest in some],
            }
            for some in _named(plan.older_episodes)
        ]
        drafted += [
            {"replayed": [{**hold, "targets": some}]}
            for hold in plan.replayed
            for some in _named(cast("list[JsonValue]", hold["targets"])) or [[]]
        ]
        drafts: list[EntryDraft] = []
        for payload in drafted:
            drafts.append(self._draft(plan.tenant, grant, payload))  # noqa: PERF401  # a test follows names, not comprehensions
        return drafts

    def _draft(
        self, tenant: str, grant: Grant | None, payload: dict[str, JsonValue], outcome: Outcome = Outcome.OK
    ) -> EntryDraft:
        event, told = EventType.SNAPSHOT_RESTORE, {**payload, "snapshot": self.manifest.snapshot_id}
        resource = self.manifest.snapshot_id
        if grant is not None and grant.tenant == tenant:
            return self.parts.journal.allowed(grant, told, resource=resource, event=event, outcome=outcome)
        principal = {} if grant is None else {"principal": grant.principal.id}
        return replace(
            self.parts.journal.event(event, tenant, told, **principal), resource=resource, outcome=outcome
        )


def _beginnings(erasures: Iterable[LostErasure]) -> Iterator[EntryDraft]:
    for one in erasures:
        yield from one.drafts


def _named(values: Sequence[_One]) -> list[list[_One]]:
    return [list(values[start : start + NAMED]) for start in range(0, len(values), NAMED)]
