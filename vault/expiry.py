"""What becomes of memories at the end of their term, in small batches while the vault is in use.

A run goes through the classes of `retention.yaml`. For each:

1. The class, its floors and the clock give the bounds of what is over.
2. A page of what is due is read, by index.
3. What a hold or a floor keeps is left out; a refusal by a hold is an entry.
4. The rest is ended in one transaction, which asks again for holds, and whether each is still due.

Owns the going through and the counting. It leaves removing to `vault.storage.removal`, archiving and redacting to
`vault.renewal`, uses to `vault.usage`, the clock to `vault.clock_watch`, and deciding about what is asked to
`vault.review`.

Each batch is durable by itself: whoever is killed between two leaves the rest due, and the next run goes on. What
one cannot read is left and counted. A class that the rules do not know any more ends nothing.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from audit.log import Leaf
from policies.retention_model import EndAction, RetentionClass, StartPoint
from vault.clock import microseconds
from vault.clock_watch import ClockWatch
from vault.errors import ConflictError, HeldError, LeaseLostError, StorageError
from vault.ledger_mirror import mirror
from vault.parts import Parts
from vault.renewal import Renewal
from vault.storage.due import ANY_LEAF, FIRST, Due, DueRow, count_behind, count_classes, due_page, still_due
from vault.storage.folding import fold_again, fold_aside
from vault.storage.group_commit import Change, WriteSet
from vault.storage.removal import MAX_REMOVED, Holding, Removal, held_memories
from vault.storage.reviews import AddReviews
from vault.term_bounds import TermBounds
from vault.usage import Usage, note_newest

_LOGGER: Final = logging.getLogger(__name__)
TRIES: Final = 3
"""How often a batch is tried when something in it changed meanwhile; then it is left to the next run."""
TERM_OVER: Final = "term-over"
"""Reason of a review: the term is over, and the class asks."""
FOLD_EVERY: Final = 1_000
"""Memories that are removed before their pages are folded in: some fifteen megabytes of write-ahead log."""
FOLD_SECONDS: Final = 2.0
"""How long is waited, at the end, for readers of an older state."""
BATCH_SECONDS: Final = 0.005
"""How long writers wait for one batch."""
LEAST_BATCH: Final = 64
"""Smaller ones would take longer altogether than they spare anybody."""
RENEWED: Final = 64
"""Memories of one batch at most that are archived or redacted."""


@dataclass(slots=True)
class Expired:
    """What a run did, in memories."""

    counts: dict[EndAction, int] = field(default_factory=lambda: dict.fromkeys(EndAction, 0))
    """Those that were ended, by how."""
    held: int = 0
    """Those that are due and that a hold keeps."""
    floored: int = 0
    """Those that are due by their class and that a floor keeps."""
    unreadable: int = 0
    """Those that are due and whose row or key says no kinds, so that no floor can be asked."""
    left: int = 0
    """Those that changed while they were to be ended, or are not what the log says."""
    behind: int = 0
    """Those that are due by their rows, and that the log knows to have been written later: the clock was behind."""
    unknown: int = 0
    """Those of classes that the rules do not know: they have no end."""
    clock_went_back: bool = False
    complete: bool = True
    """Whether all that is due was looked at."""

    def __getitem__(self, action: EndAction) -> int:
        return self.counts[action]


@dataclass(frozen=True, slots=True)
class _Run:
    tenant: str
    now: datetime
    may_go_on: Callable[[], bool]
    fence: Change | None
    done: Expired

    def fenced(self, *changes: Change) -> list[Change]:
        return [*changes] if self.fence is None else [self.fence, *changes]


class Pace:
    """How many memories go into a batch, so that writers wait for no longer than they are to.

    Args:
        seconds: Aim of one batch.
    """

    def __init__(self, seconds: float = BATCH_SECONDS) -> None:
        self._aim = seconds
        self._begun = 0.0
        self.size = LEAST_BATCH

    def begin(self, _connection: Connection, _leaves: Sequence[Leaf]) -> None:
        """Take the time, in the transaction; a `vault.storage.group_commit.Change`."""
        self._begun = perf_counter()

    def end(self, count: int) -> None:
        """Take note of how long it took for so many: half the way to what would have fitted."""
        spent = max(perf_counter() - self._begun, 1e-6)
        fitting = count * self._aim / spent
        self.size = int(min(max((self.size + fitting) / 2, LEAST_BATCH), MAX_REMOVED))


class Expiry:
    """Ends the terms of one vault's memories.

    Args:
        parts: Of the vault.
        pace: How large batches are.
    """

    def __init__(self, parts: Parts, pace: Pace | None = None) -> None:
        self._parts = parts
        self._pace = pace or Pace()
        self._usage = Usage(parts.store)
        self._bounds = TermBounds(parts)
        self._renewal = Renewal(parts)
        self._unfolded = 0

    def run(
        self,
        tenant: str,
        *,
        now: datetime | None = None,
        may_go_on: Callable[[], bool] = lambda: True,
        fence: Change | None = None,
    ) -> Expired:
        """Go through a tenant's classes and end what is due.

        Args:
            tenant: Whose.
            now: For the whole run; None asks the clock.
            may_go_on: Asked before each batch; what is left is for the next run.
            fence: Refuses in the transaction where whoever runs this may not any more.

        Raises:
            ClockUntrustedError: the clock went on by too much since the last run; nothing was ended.
            LeaseLostError: the fence refused; that batch was not ended.
            StorageError: or one of its kinds: that batch was not ended.
        """
        parts = self._parts
        run = _Run(tenant, now or parts.clock(), may_go_on, fence, Expired())
        watch = ClockWatch(parts.store, parts.journal, parts.retention)
        run.done.clock_went_back = watch.begin(tenant, run.now, fence)
        if any(one.start is StartPoint.LAST_USED for one in parts.retention.classes):
            self._usage.catch_up(tenant, fence)
        with self._folded_aside():
            for one in parts.retention.classes:
                run.done.complete = self._class(run, one) and run.done.complete
        if run.done[EndAction.EXPIRE]:
            parts.indexes.tidy(tenant)
            self._mirror(tenant)
        with parts.store.log_connection(tenant) as connection:
            counts = count_classes(connection, tenant)
        known = {one.id for one in parts.retention.classes}
        run.done.unknown = sum(count for name, count in counts.items() if name not in known)
        return run.done

    def _mirror(self, tenant: str) -> None:
        """Keep the tombstones beside the keys, too: an old snapshot knows nothing of them."""
        try:
            mirror(self._parts, tenant)
        except StorageError as error:
            _LOGGER.warning("tombstones of %s are mirrored when the vault is opened: %s", tenant, error)

    @contextmanager
    def _folded_aside(self) -> Iterator[None]:
        """Have what is removed folded into the database by this thread, not by whoever commits next.

        A batch overwrites hundreds of pages, and every few of them a commit would fold them in while all wait.
        """
        store = self._parts.store
        store.change(fold_aside)
        try:
            yield
        finally:
            store.change(fold_again)
            store.fold(FOLD_SECONDS)
            self._unfolded = 0

    def _class(self, run: _Run, one: RetentionClass) -> bool:
        """End what is due of one class; say whether all of it was looked at."""
        with self._parts.store.log_connection(run.tenant) as connection:
            due = self._bounds.due(connection, one, run.tenant, run.now)
            if due is None or one.then is None:
                return True
            run.done.behind += count_behind(connection, due)
        if due.used_leaf != ANY_LEAF:
            self._usage.note_behind(run.tenant, due.used_leaf, due.started, run.fence)
        place = FIRST
        while run.may_go_on():
            with self._parts.store.log_connection(run.tenant) as connection:
                rows = due_page(connection, due, place, self._size(one))
                held = self._held(connection, run, one, rows)
            if not rows:
                return True
            place = rows[-1].place
            self._refuse(run, one, held)
            kept = {holding.memory_id for holding in held}
            free = [row for row in rows if row.memory_id not in kept]
            if one.then in (EndAction.EXPIRE, EndAction.REDACT):
                free = self._let_go(run, one, free)
            self._end(run, one, due, [row.memory_id for row in free])
        return False

    def _size(self, one: RetentionClass) -> int:
        """Return how many go into one batch: what is sealed anew takes longer."""
        quick = one.then in (EndAction.EXPIRE, EndAction.ASK)
        return self._pace.size if quick else min(self._pace.size, RENEWED)

    def _held(
        self, connection: Connection, run: _Run, one: RetentionClass, rows: Sequence[DueRow]
    ) -> list[Holding]:
        if one.then not in (EndAction.EXPIRE, EndAction.REDACT):
            return []
        return held_memories(connection, run.tenant, [row.memory_id for row in rows])

    def _let_go(self, run: _Run, one: RetentionClass, rows: Sequence[DueRow]) -> list[DueRow]:
        """Return what no floor keeps that asks for kinds of personal data."""
        sorted_ = self._bounds.let_go(one, run.tenant, run.now, rows)
        run.done.floored += sorted_.floored
        run.done.unreadable += sorted_.unreadable
        return sorted_.free

    def _end(self, run: _Run, one: RetentionClass, due: Due, memory_ids: list[str]) -> None:
        """End memories; those that were held or changed meanwhile are left out, and the rest tried again."""
        for _ in range(TRIES):
            if not memory_ids:
                return
            try:
                count = self._commit(run, one, due, memory_ids)
            except LeaseLostError:
                raise
            except HeldError as error:
                with self._parts.store.log_connection(run.tenant) as connection:
                    held = held_memories(connection, run.tenant, error.memories)
                self._refuse(run, one, held)
                memory_ids = [memory for memory in memory_ids if memory not in error.memories]
            except ConflictError:
                with self._parts.store.log_connection(run.tenant) as connection:
                    standing = still_due(connection, due, memory_ids)
                run.done.left += len(memory_ids) - len(standing)
                if len(standing) == len(memory_ids) > 1:  # one that cannot be ended keeps no other
                    for memory in memory_ids:
                        self._end(run, one, due, [memory])
                    return
                memory_ids = [memory for memory in memory_ids if memory in standing]
            else:
                run.done.counts[one.then or EndAction.ASK] += count
                return
        run.done.left += len(memory_ids)

    def _commit(self, run: _Run, one: RetentionClass, due: Due, memory_ids: Sequence[str]) -> int:
        """End memories in one transaction and return how many were ended."""
        check = partial(_expect_due, due, memory_ids)
        if one.then is EndAction.EXPIRE:
            self._remove(run, one, check, memory_ids)
        elif one.then is EndAction.ASK:
            self._ask(run, one, due, memory_ids)
        else:
            return self._renewal.renew(run.tenant, one, memory_ids, run.now, run.fenced(check))
        return len(memory_ids)

    def _remove(self, run: _Run, one: RetentionClass, check: Change, memory_ids: Sequence[str]) -> None:
        parts, pace = self._parts, self._pace
        tombstones = parts.sealers.tombstones(run.tenant)
        removal = Removal(
            run.tenant, memory_ids, [tombstones.memory(one) for one in memory_ids], microseconds(run.now)
        )
        payload: dict[str, JsonValue] = {"gone": list(memory_ids), "count": len(memory_ids), "class": one.id}
        draft = parts.journal.event(EventType.MEMORY_EXPIRE, run.tenant, payload)
        changes = run.fenced(pace.begin, check, removal.change)
        parts.probe("expiring")
        parts.store.submit(
            WriteSet(drafts=[draft], changes=changes, finish=lambda: pace.end(len(memory_ids)))
        )
        parts.probe("expired")
        # Writers need not wait for this: nothing that is committed later can put a removed memory back.
        parts.indexes.remove(run.tenant, memory_ids, tidy=False)
        parts.embedding.forget(run.tenant, frozenset(memory_ids))
        self._unfolded += len(memory_ids)
        if self._unfolded >= FOLD_EVERY:
            self._unfolded = 0
            parts.store.fold_beside()

    def _ask(self, run: _Run, one: RetentionClass, due: Due, memory_ids: Sequence[str]) -> None:
        payload: dict[str, JsonValue] = {
            "memories": list(memory_ids),
            "count": len(memory_ids),
            "class": one.id,
            "reason": TERM_OVER,
        }
        draft = self._parts.journal.event(EventType.MEMORY_REVIEW, run.tenant, payload)
        asked = AddReviews(run.tenant, memory_ids, TERM_OVER, microseconds(run.now), due.started)
        self._parts.store.submit(
            WriteSet(drafts=[draft], changes=run.fenced(partial(_expect_due, due, memory_ids), asked.change))
        )

    def _refuse(self, run: _Run, one: RetentionClass, held: Sequence[Holding]) -> None:
        """Write down what holds kept."""
        if not held:
            return
        kept = sorted({holding.memory_id for holding in held})
        run.done.held += len(kept)
        payload: dict[str, JsonValue] = {
            "held": list[JsonValue](kept),
            "holds": list[JsonValue](sorted({holding.hold_id for holding in held})),
            "count": len(kept),
            "class": one.id,
        }
        draft = replace(
            self._parts.journal.event(EventType.MEMORY_EXPIRE, run.tenant, payload), outcome=Outcome.REFUSED
        )
        self._parts.store.submit(WriteSet(drafts=[draft], changes=run.fenced()))


def _expect_due(due: Due, memory_ids: Sequence[str], connection: Connection, _leaves: Sequence[Leaf]) -> None:
    """See in the transaction that all of these are due still.

    Raises:
        ConflictError: one was changed, used or asked about meanwhile.
    """
    if due.by_use:
        note_newest(connection, due.tenant)
    if len(still_due(connection, due, memory_ids)) != len(memory_ids):
        raise ConflictError("a memory is not due any more")
