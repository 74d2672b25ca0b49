"""Memories that wait for somebody's decision, and the decisions: keep, compress, or expire now.

Owns who may decide and what a decision does. It leaves why memories come up to `vault.expiry` and `vault.staleness`,
the rows to `vault.storage.reviews`, and removing to `vault.storage.removal`.

Whoever decides answers for the rights of persons: a decision may remove for good (`erase` over the vault). Content is
not shown here; ids, reasons and classes are. A hold or a floor refuses an `expire`, and that is an entry.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType, Outcome
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from policies.privacy import EntityType
from vault.archiving import Archive, what_was_compressed
from vault.clock import microseconds
from vault.errors import ConflictError, HeldError, NotFoundError, RetainedError
from vault.grant import Grant, authorise
from vault.ids import IdKind, check_vault_id
from vault.journal import Call
from vault.parts import Parts
from vault.storage.consistency_rows import versions_of
from vault.storage.group_commit import Change, WriteSet
from vault.storage.removal import Removal
from vault.storage.reviews import Keep, Review, waiting_reviews
from vault.term_bounds import TermBounds

MAX_LISTED: Final = 1_000
FOLD_SECONDS: Final = 2.0
_VAULT: Final = SystemResource.VAULT.value
_EVENT: Final = EventType.MEMORY_REVIEW
_EVERY_KIND: Final = frozenset(EntityType)


class Verdict(StrEnum):
    """What somebody decides."""

    KEEP = "keep"
    """It stays, and is not asked about again for a while."""
    COMPRESS = "compress"
    """It goes to reference memory, compressed, out of daily use; it stays, as `keep` does."""
    EXPIRE = "expire"
    """It is removed for good."""


class Reviews:
    """What waits for a decision in one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def waiting(
        self, principal: Principal, purpose: Purpose, after: str = "", limit: int = MAX_LISTED
    ) -> list[Review]:
        """Return memories that wait for a decision, in order of their ids.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        grant = self._authorise(principal, purpose, None)
        with self._parts.store.log_connection(grant.tenant) as connection:
            found = waiting_reviews(connection, grant.tenant, after, min(limit, MAX_LISTED))
        told: dict[str, JsonValue] = {"count": len(found), "kind": "reviews"}
        self._parts.journal.note(grant, told, resource=_VAULT, event=EventType.VAULT_READ)
        return found

    def decide(self, principal: Principal, purpose: Purpose, memory_id: str, verdict: Verdict) -> Leaf:
        """Keep a memory that waits, compress it, or remove it for good; return where the entry stands.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: no such memory waits for a decision.
            HeldError: a hold forbids to remove it; the refusal is logged.
            RetainedError: a floor of the retention rules does; the refusal is logged.
            ConflictError: somebody decided, or changed it, meanwhile; or it cannot be opened to be compressed.
        """
        check_vault_id(IdKind.MEMORY, memory_id)
        grant = self._authorise(principal, purpose, memory_id)
        with self._parts.store.log_connection(grant.tenant) as connection:
            found = waiting_reviews(connection, grant.tenant, limit=1, memory_id=memory_id)
        if not found:
            self._parts.journal.note(grant, {}, resource=memory_id, outcome=Outcome.NOT_FOUND, event=_EVENT)
            raise NotFoundError("no such memory waits for a decision")
        if verdict is Verdict.KEEP:
            return self._keep(grant, found[0])
        if verdict is Verdict.COMPRESS:
            return self._compress(grant, found[0])
        return self._expire(grant, found[0])

    def _authorise(self, principal: Principal, purpose: Purpose, memory_id: str | None) -> Grant:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.ERASE, purpose, over=over)
        except DeniedError:
            call = Call(principal, Action.ERASE, purpose)
            self._parts.journal.deny(call, resource=memory_id or _VAULT, event=_EVENT)
            raise

    def _keep(self, grant: Grant, review: Review) -> Leaf:
        keep = Keep(grant.tenant, review.memory_id, microseconds(self._parts.clock()))
        told: dict[str, JsonValue] = {"memories": [review.memory_id], "reason": review.reason}
        draft = self._parts.journal.allowed(grant, told, resource=review.memory_id, event=_EVENT)
        return self._write(draft, review, Verdict.KEEP, [keep.change])

    def _compress(self, grant: Grant, review: Review) -> Leaf:
        archived = Archive(self._parts).of(grant.tenant, [review.memory_id])
        keep = Keep(grant.tenant, review.memory_id, microseconds(self._parts.clock()))
        told = what_was_compressed(archived, review.reason)
        draft = self._parts.journal.allowed(grant, told, resource=review.memory_id, event=_EVENT)
        return self._write(draft, review, Verdict.COMPRESS, [keep.change, archived.rewriting.change])

    def _expire(self, grant: Grant, review: Review) -> Leaf:
        parts, tenant = self._parts, grant.tenant
        self._expect_free(grant, review)
        tombstone = parts.sealers.tombstones(tenant).memory(review.memory_id)
        removal = Removal(tenant, [review.memory_id], [tombstone], microseconds(parts.clock()))
        told: dict[str, JsonValue] = {
            "gone": [review.memory_id],
            "count": 1,
            "class": review.retention,
            "reason": review.reason,
        }
        draft = parts.journal.allowed(grant, told, resource=review.memory_id, event=_EVENT)
        try:
            leaf = self._write(draft, review, Verdict.EXPIRE, [removal.change])
        except HeldError as error:
            held: dict[str, JsonValue] = {"held": list(error.memories), "holds": list(error.holds)}
            parts.journal.note(grant, held, resource=review.memory_id, outcome=Outcome.REFUSED, event=_EVENT)
            raise
        parts.indexes.remove(tenant, [review.memory_id])
        parts.embedding.forget(tenant, {review.memory_id})
        parts.store.fold(FOLD_SECONDS)
        return leaf

    def _expect_free(self, grant: Grant, review: Review) -> None:
        """See that no floor keeps it; where it cannot be opened, every floor over kinds may speak of it."""
        bounds, tenant, now = TermBounds(self._parts), grant.tenant, self._parts.clock()
        with self._parts.store.log_connection(tenant) as connection:
            rows = versions_of(connection, tenant, [review.memory_id])
        for stored in (row.stored for row in rows if row.stored is not None):
            kinds = bounds.kinds(tenant, stored)
            until = bounds.kept_by_floor(tenant, stored, _EVERY_KIND if kinds is None else kinds, now)
            if until is not None and until > now:
                kept: dict[str, JsonValue] = {"class": review.retention, "reason": "floor"}
                self._parts.journal.note(
                    grant, kept, resource=review.memory_id, outcome=Outcome.REFUSED, event=_EVENT
                )
                raise RetainedError(f"a floor keeps {review.memory_id} until {until.date().isoformat()}")

    def _write(self, draft: EntryDraft, review: Review, verdict: Verdict, work: Sequence[Change]) -> Leaf:
        check = partial(_expect_waiting, draft.tenant, review)
        named = replace(draft, action=verdict.value)
        (leaf,) = self._parts.store.submit(WriteSet(drafts=[named], changes=[check, *work]))
        return leaf


def _expect_waiting(tenant: str, review: Review, connection: Connection, _leaves: Sequence[Leaf]) -> None:
    """See in the transaction that nobody decided, or changed the memory, meanwhile.

    Raises:
        ConflictError: somebody did.
    """
    if waiting_reviews(connection, tenant, limit=1, memory_id=review.memory_id) != [review]:
        raise ConflictError("somebody decided about this memory, or changed it, meanwhile")
