"""Feedback on memories: confirm, correct, retract, rate, each authorised, written and logged as one change.

Owns what a verdict does: to the memory, to what was derived from it, and to the same statement when it comes again.
It leaves writing a corrected text to `vault.update_path`, digests to `vault.tombstones`, and rows to storage.

- *Confirm*: verified. *Correct*: a new version, verified; the old ones stay. *Retract*: revoked, kept for the record,
  found no more. *Rate*: an entry; a memory that is rated useless comes up for review.
- What was derived from a memory that is corrected or retracted, and from that, and so on, is disputed and comes up for
  review: cycles and all, at most `MAX_CASCADE` of them, within the principal's reach. Threat: what hangs on it out
  of reach must not tell of itself, so nothing of it is counted.
- Each statement that stands no more is known by a keyed digest from then on (`Tombstones.echoes`).
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

from audit.canonical import JsonValue
from audit.event import Outcome
from policies.errors import DeniedError
from vault.clock import microseconds
from vault.errors import InputInvalidError, NotFoundError, TamperedError
from vault.grant import EVERY_MEMORY, Grant, authorise
from vault.ids import IdKind, check_vault_id
from vault.journal import Call
from vault.model import Receipt, Screened, TrustState
from vault.parts import Parts
from vault.storage.echoes import take_back
from vault.storage.read_unit import ReadUnit
from vault.storage.reviews import AddReviews
from vault.storage.rows import StoredMemory
from vault.storage.write_unit import WriteUnit
from vault.tombstones import EchoScope
from vault.update_path import Change, UpdatePath

MAX_CASCADE: Final = 2_000
"""Derived memories that one verdict disputes: its entry and its transaction are bounded."""
_DERIVED: Final = "derived"
_USELESS: Final = "rated-useless"


class Rating(StrEnum):
    """What somebody says of a memory's use."""

    USEFUL = "useful"
    USELESS = "useless"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A receipt of feedback, and what it came to."""

    receipt: Receipt
    disputed: tuple[str, ...] = ()
    """Ids of derived memories that are disputed since."""
    complete: bool = True
    """Whether all that was derived within reach is."""


@dataclass(frozen=True, slots=True)
class _Cascade:
    rows: tuple[StoredMemory, ...]
    """What was derived, and is not disputed or revoked already."""
    complete: bool


class Feedback:
    """Takes verdicts on memories of one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def confirm(self, call: Call, memory_id: str) -> Verdict:
        """Verify a memory.

        Raises:
            DeniedError: nothing may be organized for this purpose; the denial is logged.
            NotFoundError: there is none of this id within reach; the entry says so.
            ConflictError: it was changed meanwhile.
        """
        grant, stored = self._present(call, memory_id)
        return self._settle(grant, stored, TrustState.VERIFIED, "user-confirms")

    def retract(self, call: Call, memory_id: str) -> Verdict:
        """Withdraw a memory: kept for the record, never found again.

        Raises:
            VaultError: as `confirm`.
        """
        grant, stored = self._present(call, memory_id)
        text = self._parts.sealers.screened_again(grant.tenant, stored).text
        return self._settle(grant, stored, TrustState.REVOKED, "user-retracts", taken_back=text)

    def correct(self, call: Call, memory_id: str, text: str, expected_version: int | None = None) -> Verdict:
        """Write what is right as the next version, verified; what was derived from the old one is disputed.

        Raises:
            VaultError: as `vault.update_path.UpdatePath.update`.
        """
        told: list[_Cascade] = []

        def also(
            grant: Grant, unit: WriteUnit, before: StoredMemory, old: Screened, new: Screened
        ) -> dict[str, JsonValue]:
            with self._parts.store.read(grant) as reading:
                cascade = _derived(reading, before.memory_id)
            told[:] = [cascade]
            self._dispute(grant, unit, cascade)
            self._remember(grant, unit, before, old, but=new)
            return _cascaded(before, cascade, TrustState.VERIFIED)

        change = Change(memory_id, text, expected_version, call.purpose, "user-corrects", TrustState.VERIFIED)
        receipt = UpdatePath(self._parts).update(call.principal, change, also)
        self._index(call.principal.tenant, told[0])
        return _verdict(receipt, told[0])

    def rate(self, call: Call, memory_id: str, rating: Rating) -> Verdict:
        """Say whether a memory is of use; one that is not comes up for review.

        Raises:
            VaultError: as `confirm`.
        """
        if type(rating) is not Rating:
            raise InputInvalidError("expected a rating: useful or useless")
        grant, stored = self._present(call, memory_id)
        unit = self._parts.store.write(grant)
        unit.expect_present({memory_id})
        if rating is Rating.USELESS:
            unit.also(self._review(grant, [memory_id], _USELESS))
        payload: dict[str, JsonValue] = {"memories": [memory_id], "reason": f"rated-{rating.value}"}
        unit.entry(self._parts.journal.allowed(grant, payload, resource=memory_id))
        return Verdict(self._commit(grant, stored, unit, _Cascade((), complete=True)))

    def _present(self, call: Call, memory_id: str) -> tuple[Grant, StoredMemory]:
        check_vault_id(IdKind.MEMORY, memory_id)
        parts = self._parts
        try:
            grant = authorise(parts.policy, call.principal, call.action, call.purpose, over=EVERY_MEMORY)
        except DeniedError:
            parts.journal.deny(call, resource=memory_id)
            raise
        with parts.store.read(grant) as unit:
            stored = unit.memories([memory_id]).get(memory_id)
        if unit.damaged:
            parts.journal.note(grant, {"unreadable": list(unit.damaged)}, outcome=Outcome.FAILED)
            raise TamperedError(f"the row of {memory_id} is not of the form of a memory")
        # A retracted one is out of everybody's reach, as one that never was.
        if stored is None or stored.trust is TrustState.REVOKED:
            parts.journal.deny(call, resource=memory_id)
            raise NotFoundError("there is no such memory here")
        return grant, stored

    def _settle(
        self,
        grant: Grant,
        stored: StoredMemory,
        trust: TrustState,
        reason: str,
        taken_back: Screened | None = None,
    ) -> Verdict:
        parts, cascade = self._parts, _Cascade((), complete=True)
        unit = parts.store.write(grant)
        if taken_back is None:
            unit.set_trust(stored.memory_id, stored.version, trust)
        else:
            unit.distrust(stored.memory_id, stored.version, trust)
            with parts.store.read(grant) as reading:
                cascade = _derived(reading, stored.memory_id)
            self._dispute(grant, unit, cascade)
            self._remember(grant, unit, stored, taken_back)
        payload: dict[str, JsonValue] = {"reason": reason, **_cascaded(stored, cascade, trust)}
        unit.entry(parts.journal.allowed(grant, payload, resource=stored.memory_id))
        receipt = self._commit(grant, stored, unit, cascade, trust)
        return _verdict(receipt, cascade)

    def _dispute(self, grant: Grant, unit: WriteUnit, cascade: _Cascade) -> None:
        if not cascade.rows:
            return
        for row in cascade.rows:
            unit.distrust(row.memory_id, row.version, TrustState.DISPUTED)
        unit.also(self._review(grant, [row.memory_id for row in cascade.rows], _DERIVED))

    def _review(self, grant: Grant, memory_ids: list[str], reason: str) -> "partial[None]":
        now = microseconds(self._parts.clock())
        return partial(AddReviews(grant.tenant, memory_ids, reason, now, kept_since=now).change)

    def _remember(
        self, grant: Grant, unit: WriteUnit, stored: StoredMemory, old: Screened, but: Screened | None = None
    ) -> None:
        """Let what stands no more be known again; what the correction says, too, stands."""
        known_by = partial(
            self._parts.sealers.tombstones(grant.tenant).echoes,
            EchoScope(stored.access_tier, stored.owner),
            stored.subjects,
        )
        kept = set() if but is None else {one.digest for one in known_by(but)}
        echoes = [one for one in known_by(old) if one.digest not in kept]
        unit.also(take_back(grant.tenant, echoes, microseconds(self._parts.clock())))

    def _commit(
        self,
        grant: Grant,
        stored: StoredMemory,
        unit: WriteUnit,
        cascade: _Cascade,
        trust: TrustState | None = None,
    ) -> Receipt:
        parts = self._parts

        def index() -> None:
            if trust is not None:
                parts.indexes.set_trust(grant.tenant, stored.memory_id, trust)
            self._index(grant.tenant, cascade)

        leaf = unit.commit(finish=index)[0]
        return Receipt(
            memory_ids=(stored.memory_id,),
            episode_id=stored.episode_id,
            log_origin=parts.origin(grant.tenant),
            leaf_index=leaf.index,
            leaf_hash=leaf.hash,
            bundle_digest=grant.bundle_digest,
        )

    def _index(self, tenant: str, cascade: _Cascade) -> None:
        for row in cascade.rows:
            self._parts.indexes.set_trust(tenant, row.memory_id, TrustState.DISPUTED)


def _derived(unit: ReadUnit, memory_id: str) -> _Cascade:
    """Return what was derived from a memory, step by step, each once; it ends in cycles, too."""
    seen, fresh = {memory_id}, [memory_id]
    rows: list[StoredMemory] = []
    while fresh:
        wanted = [one for one in unit.derived_from(fresh) if one not in seen]
        seen.update(wanted)
        reached = unit.memories(wanted)
        for one in reached.values():
            if one.trust not in {TrustState.DISPUTED, TrustState.REVOKED}:
                if len(rows) == MAX_CASCADE:
                    return _Cascade(tuple(rows), complete=False)
                rows.append(one)
        fresh = sorted(reached)
    return _Cascade(tuple(rows), complete=True)


def _cascaded(stored: StoredMemory, cascade: _Cascade, trust: TrustState) -> dict[str, JsonValue]:
    """Return what an entry says of the memory first, then of what was derived."""
    told: dict[str, JsonValue] = {
        "memories": [stored.memory_id, *(row.memory_id for row in cascade.rows)],
        "trust": [trust.value, *(TrustState.DISPUTED.value for _ in cascade.rows)],
    }
    if not cascade.complete:
        told["complete"] = False
    return told


def _verdict(receipt: Receipt, cascade: _Cascade) -> Verdict:
    return Verdict(receipt, tuple(row.memory_id for row in cascade.rows), cascade.complete)
