"""Placement: memories move between memory tiers by rule, or by hand, each move an entry with its reason.

Owns a run over a tenant's memories, and the move of one by an administrator. It leaves the rules to
`policies.placement`, the form of archived content to `vault.archiving`, the rows to `vault.storage.placing`, and what
activation memory does with its tier to `vault.tiers.warming`.

Nothing is lost by a move, so a hold does not stand against it. An erasure does: what is about somebody who is being
erased stays where it is until it is gone. Bad rows stay, too (law 12).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType, Outcome
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from policies.placement import PlacedMemory, PlacementAt
from vault.archiving import Archive, Archived, what_was_compressed
from vault.clock import from_microseconds
from vault.errors import ConflictError, LeaseLostError, NotFoundError
from vault.grant import authorise
from vault.ids import IdKind, check_vault_id
from vault.journal import Call
from vault.model import MemoryTier
from vault.parts import Parts
from vault.storage.group_commit import Change, WriteSet
from vault.storage.placing import MoveRows, TierRow, expect_unerased, tier_page, tier_row
from vault.usage import Usage

BATCH: Final = 500
"""Memories that are looked at in one step."""
_MOVED_AT_ONCE: Final = 100
"""Memories of one transaction: writers wait for no longer than that takes."""
BY_HAND: Final = "by-hand"
_VAULT: Final = SystemResource.VAULT.value
_EVENT: Final = EventType.MEMORY_MOVE
Save = Callable[[str], Change]
"""Returns the change that keeps a place to go on from."""


@dataclass(slots=True)
class Placed:
    """What a run did."""

    moved: dict[MemoryTier, int] = field(default_factory=lambda: dict.fromkeys(MemoryTier, 0))
    """Memories by the tier that they came to."""
    unmoved: int = 0
    """Memories that could not be: changed meanwhile, or not to be opened."""
    complete: bool = True


@dataclass(frozen=True, slots=True)
class _Move:
    """Memories that go to one tier for one reason."""

    tenant: str
    rows: tuple[TierRow, ...]
    to: MemoryTier
    reason: str

    @property
    def ids(self) -> list[str]:
        return [row.memory_id for row in self.rows]

    @property
    def changes_form(self) -> bool:
        tiers = {self.to.value, *(row.memory_tier for row in self.rows)}
        return MemoryTier.REFERENCE.value in tiers


class Placement:
    """Moves memories of one vault between memory tiers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(
        self,
        tenant: str,
        *,
        now: datetime | None = None,
        after: str = "",
        may_go_on: Callable[[], bool] = lambda: True,
        fence: Change | None = None,
        save: Save | None = None,
    ) -> Placed:
        """Move what the rules say; what is where it belongs stays.

        Args:
            tenant: Whose.
            now: For the whole run; None asks the clock.
            after: Where an earlier run stopped.
            may_go_on: Asked before each step.
            fence: Refuses in the transaction where whoever runs this may not any more.
            save: Keeps the place after each step.

        Raises:
            LeaseLostError: the fence refused; that batch was not moved.
            RootUnusableError: no key can be had now.
            StorageError: or one of its kinds.
        """
        rules = self._parts.retention.placement
        done = Placed()
        if not rules:
            return done
        Usage(self._parts.store).catch_up(tenant, fence)
        at = PlacementAt(rules, now or self._parts.clock())
        while may_go_on():
            with self._parts.store.log_connection(tenant) as connection:
                page = tier_page(connection, tenant, after, BATCH)
            for move in _moves(tenant, at, page):
                self._move_or_each(move, fence, done)
            if not page:
                return done
            after = page[-1].memory_id
            if save is not None:
                changes = [save(after)] if fence is None else [fence, save(after)]
                self._parts.store.submit(WriteSet(changes=changes))
        done.complete = False
        return done

    def move(self, principal: Principal, purpose: Purpose, memory_id: str, to: MemoryTier) -> Leaf:
        """Move one memory by hand; the rules look at it again when they run next.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: there is no such memory, or it is in quarantine or being erased; the entry says so.
            ConflictError: it is there already, was changed meanwhile, or cannot be opened.
        """
        check_vault_id(IdKind.MEMORY, memory_id)
        parts = self._parts
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            grant = authorise(parts.policy, principal, Action.ADMINISTER, purpose, over=over)
        except DeniedError:
            parts.journal.deny(Call(principal, Action.ADMINISTER, purpose), resource=memory_id, event=_EVENT)
            raise
        with parts.store.log_connection(grant.tenant) as connection:
            row = tier_row(connection, grant.tenant, memory_id)
        if row is None:
            parts.journal.note(grant, {}, resource=memory_id, outcome=Outcome.NOT_FOUND, event=_EVENT)
            raise NotFoundError("there is no such memory here")
        if row.memory_tier == to.value:
            raise ConflictError(f"the memory is in the tier {to} already")
        move = _Move(grant.tenant, (row,), to, BY_HAND)
        archived, changes = self._changes(move)
        draft = parts.journal.allowed(grant, _told(move, archived), resource=memory_id, event=_EVENT)
        return self._submit(draft, changes)

    def _move_or_each(self, move: _Move, fence: Change | None, done: Placed) -> None:
        """Move a batch, or as much of it as can be: one bad row must not keep the others (law 12)."""
        try:
            archived, changes = self._changes(move)
            draft = self._parts.journal.event(_EVENT, move.tenant, _told(move, archived))
            self._submit(draft, changes if fence is None else [fence, *changes])
        except LeaseLostError:
            raise
        except ConflictError:
            if len(move.rows) == 1:
                done.unmoved += 1
                return
            for row in move.rows:
                self._move_or_each(_Move(move.tenant, (row,), move.to, move.reason), fence, done)
            return
        done.moved[move.to] += len(move.rows)

    def _changes(self, move: _Move) -> tuple[Archived | None, list[Change]]:
        """Return what moves some, with what is written anew for it where the content gets another form."""
        if not move.changes_form:
            return None, [MoveRows(move.tenant, move.rows, move.to).change]
        archived = Archive(self._parts).of(move.tenant, move.ids, move.to)
        return archived, [_still_there(move), archived.rewriting.change]

    def _submit(self, draft: EntryDraft, changes: Sequence[Change]) -> Leaf:
        return self._parts.store.submit(WriteSet(drafts=[draft], changes=list(changes)))[0]


def _moves(tenant: str, at: PlacementAt, page: Sequence[TierRow]) -> list[_Move]:
    """Return what moves of a page, in batches of one reason each."""
    found: dict[tuple[str, str, bool], list[TierRow]] = {}
    for row in page:
        used = None if row.last_used is None else from_microseconds(row.last_used)
        memory = PlacedMemory(row.memory_tier, row.retention, from_microseconds(row.recorded), used)
        rule = at.choose(memory)
        if rule is not None:
            archived = row.memory_tier == MemoryTier.REFERENCE.value
            found.setdefault((rule.id, rule.to, archived), []).append(row)
    return [
        _Move(tenant, tuple(rows[start : start + _MOVED_AT_ONCE]), MemoryTier(to), reason)
        for (reason, to, _), rows in found.items()
        for start in range(0, len(rows), _MOVED_AT_ONCE)
    ]


def _told(move: _Move, archived: Archived | None) -> dict[str, JsonValue]:
    """Return what the entry of a move says: of what was written anew, the digests by which the log knows it again."""
    told: dict[str, JsonValue] = {"memories": list(move.ids), "count": len(move.rows), "reason": move.reason}
    if archived is not None:
        told = what_was_compressed(archived, move.reason)
    told["tier"] = move.to.value
    return told


def _still_there(move: _Move) -> Change:
    def expect(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        expect_unerased(move.tenant, move.ids, connection)

    return expect
