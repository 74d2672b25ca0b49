"""Effects outside the database: an intent before, an outcome after, and what is left over after a crash.

    with Effects(parts).intended(grant, "audit.export", _LOG, {"format": "bundle"}) as effect:
        write_the_file()

Owns the order: the intent is durable before the effect begins; the outcome is durable before the caller
goes on, `ok` or, where the effect raised, `failed`. It leaves the pairing to `audit.intent`, and looking
into what an unmatched intent left behind to a person, who closes it with a reviewed outcome.

Killed in between, the log holds an intent without an outcome: the effect may have happened wholly, partly
or not at all. That is reported by `memvault doctor`, by `memvault audit intents` and by the verifier.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Final

from audit.canonical import JsonValue
from audit.errors import AuditError
from audit.event import EntryDraft, EventType, Outcome
from audit.intent import Intent, intent_payload, outcome_payload, unmatched_intents
from audit.log import Leaf
from audit.selection import entries_of
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.errors import ConflictError, NotFoundError, VaultError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.log_stream import checked
from vault.parts import Parts

EFFECTS: Final = (EventType.EFFECT_INTENT, EventType.EFFECT_OUTCOME)
OUTCOMES: Final = (Outcome.OK, Outcome.FAILED)
"""What an effect may come to."""


@dataclass(slots=True)
class Effect:
    """An effect that is under way."""

    intent: Intent
    also: list[EntryDraft] = field(default_factory=list)
    """Entries to be written with the outcome, in one transaction, where it ends well."""
    told: dict[str, JsonValue] = field(default_factory=dict)
    """What the outcome says beside the intent: ids, counts, digests."""


class Effects:
    """Writes intents and outcomes of one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @contextmanager
    def intended(
        self, grant: Grant, kind: str, resource: str | None, payload: Mapping[str, JsonValue]
    ) -> Iterator[Effect]:
        """Write an intent, let the effect happen, write what became of it.

        Args:
            grant: What allowed it.
            kind: What is about to be done, as `area.verb`.
            resource: What it is about, for the header, which stays for ever.
            payload: Ids, counts and fixed words.

        Raises:
            StorageError: or one of its kinds: the intent is not durable and nothing was begun, or the
                outcome is not and the intent stays unmatched.
        """
        draft = self._draft(grant, EventType.EFFECT_INTENT, intent_payload(kind, payload), resource)
        (leaf,) = self._parts.journal.write([draft])
        self._parts.probe("intended")
        effect = Effect(Intent(leaf.index, kind, resource, grant.principal.id, draft.time))
        try:
            yield effect
        except BaseException:
            # What went wrong is the caller's to know; an outcome that cannot be written leaves the
            # intent unmatched, which tells the same.
            with suppress(VaultError, AuditError):
                self._conclude(grant, effect, Outcome.FAILED)
            raise
        self._parts.probe("effected")
        self._conclude(grant, effect, Outcome.OK)
        self._parts.probe("concluded")

    def unmatched(self, tenant: str) -> tuple[Intent, ...]:
        """Return the intents of a log that have no outcome, oldest first; not an access, not logged.

        Raises:
            TamperedError: an entry of an effect is not what its leaf says.
        """
        with self._parts.store.log_connection(tenant) as connection:
            found = entries_of(connection, tenant, EFFECTS)
            return unmatched_intents((entry.index, *checked(entry, entry.index, tenant)) for entry in found)

    def open_intents(self, principal: Principal, purpose: Purpose) -> tuple[Intent, ...]:
        """Return the unmatched intents of the principal's log, for who may see the log; that is an entry.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        log = SystemResource.AUDIT_LOG
        grant = self._authorise(principal, Action.AUDIT, purpose, log)
        found = self.unmatched(grant.tenant)
        self._parts.journal.note(grant, {"count": len(found), "kind": "intents"}, resource=log.value)
        return found

    def close(self, principal: Principal, purpose: Purpose, index: int, outcome: Outcome) -> Leaf:
        """Write a reviewed outcome for an unmatched intent: a person looked, and says what became of it.

        Raises:
            DeniedError: who calls may not administer the vault; the denial is logged.
            NotFoundError: there is no such intent.
            ConflictError: it has its outcome already, or the outcome is none that an effect may have.
        """
        grant = self._authorise(principal, Action.ADMINISTER, purpose, SystemResource.VAULT)
        if outcome not in OUTCOMES:
            raise ConflictError("expected an outcome of ok or failed")
        open_ = {intent.index: intent for intent in self.unmatched(grant.tenant)}
        if index not in open_:
            if self._is_intent(grant.tenant, index):
                raise ConflictError(f"the intent at {index} has its outcome already")
            raise NotFoundError("there is no such intent here")
        payload = outcome_payload(open_[index], {}, reviewed=True)
        draft = self._draft(grant, EventType.EFFECT_OUTCOME, payload, open_[index].resource, outcome)
        return self._parts.journal.write([draft])[0]

    def _is_intent(self, tenant: str, index: int) -> bool:
        with self._parts.store.log_connection(tenant) as connection:
            return any(entry.index == index for entry in entries_of(connection, tenant, EFFECTS[:1]))

    def _conclude(self, grant: Grant, effect: Effect, outcome: Outcome) -> None:
        payload = outcome_payload(effect.intent, effect.told)
        draft = self._draft(grant, EventType.EFFECT_OUTCOME, payload, effect.intent.resource, outcome)
        self._parts.journal.write([draft, *(effect.also if outcome is Outcome.OK else ())])

    def _draft(
        self,
        grant: Grant,
        event: EventType,
        payload: Mapping[str, JsonValue],
        resource: str | None,
        outcome: Outcome = Outcome.OK,
    ) -> EntryDraft:
        drafted = self._parts.journal.allowed(grant, payload, resource=resource, outcome=outcome)
        return replace(drafted, event=event)

    def _authorise(
        self, principal: Principal, action: Action, purpose: Purpose, resource: SystemResource
    ) -> Grant:
        try:
            return authorise(
                self._parts.policy, principal, action, purpose, over=((resource, Relation.INSTITUTION),)
            )
        except DeniedError:
            self._parts.journal.deny(Call(principal, action, purpose), resource=resource.value)
            raise
