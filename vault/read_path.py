"""The read path, in six lines (ARCHITECTURE section 3).

1. Authorise: which tiers and relations may this principal search for this purpose.
2. Screen the query, so that it meets masked text and stands nowhere in clear.
3. Search only the indexes of the scopes that the decisions allow.
4. Open the best and check their binding.
5. Log what was read, durably, before the answer leaves.
6. Return it masked; originals only where the reveal action was allowed for that purpose.

A memory out of reach and one that never was are told apart by nobody: same error, same entry.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from audit.canonical import JsonValue
from audit.event import Outcome
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import AccessTier, Action, Principal, Purpose
from vault.clock import from_microseconds
from vault.content import EpisodeAttributes
from vault.emergencies import in_force
from vault.errors import (
    InputInvalidError,
    KeyDestroyedError,
    KeyMissingError,
    NotFoundError,
    TamperedError,
    VaultError,
)
from vault.grant import EVERY_MEMORY, Grant, authorise
from vault.guarding.labels import labels_of
from vault.ids import IdKind, check_vault_id
from vault.journal import Call
from vault.model import Answer, Hit, Memory, Provenance, Receipt
from vault.opened import OpenedMemory
from vault.parts import Parts
from vault.pipeline.limits import check_visible
from vault.rebuilding import freshen
from vault.search.lexical import prepare_query
from vault.storage.found import FoundRows
from vault.storage.rows import StoredEpisode, StoredMemory
from vault.subject_sealer import TokenScope

MAX_HITS: Final = 200


@dataclass(frozen=True, slots=True)
class Question:
    """What one call of retrieve asks for."""

    text: str = field(repr=False)
    k: int
    purpose: Purpose
    subjects: tuple[str, ...] = ()
    """Names of subjects; memories about any of them. None means whatever is within reach."""
    reveal: bool = False
    emergency: str | None = None
    """Id of the emergency under which it is asked."""
    verified: bool = False
    """Whether only what is verified may answer: no candidate, nothing disputed."""


class ReadPath:
    """Carries a question to an answer, and an id to its memory."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def retrieve(self, principal: Principal, question: Question) -> Answer:
        """Find the memories that fit a question best.

        Raises:
            DeniedError: the principal may search nothing for this purpose; the denial is logged.
            InputInvalidError: the query is empty, too long or no text, or `k` is out of range.
            IndexStaleError: the index lacks a change, and could not be built anew.
        """
        return self.together(principal, question, ())[0]

    def together(
        self, principal: Principal, question: Question, also: Sequence[str]
    ) -> tuple[Answer, Mapping[str, Memory]]:
        """Answer a question, and show memories that were shown before anew, by one look and one entry.

        Args:
            principal: Who asks.
            question: What is asked.
            also: Ids of memories that are to be read as well; what is out of reach now is left out.

        Returns:
            The answer, and every memory that was read, by id.

        Raises:
            VaultError: as `retrieve`.
        """
        parts = self._parts
        if type(question.k) is not int or not 1 <= question.k <= MAX_HITS:
            raise InputInvalidError(f"expected k from 1 to {MAX_HITS}")
        # 1. Authorise
        call = Call(principal, Action.SEARCH, question.purpose, question.emergency)
        grant = self.authorise(call)
        revealing = self.authorise(replace(call, action=Action.REVEAL)) if question.reveal else None
        # 2. Screen
        check_visible("query", question.text, parts.limits.query_chars)
        subject_ids = parts.sealers.subject_ids(grant.tenant, question.subjects)
        own = TokenScope(AccessTier.PRIVATE, principal.id)
        tokens = parts.sealers.query_tokens(grant.tenant, self._known(grant, subject_ids), own)
        screened = parts.gate.screen(question.text, tokens)
        # 3. Search
        prepared = prepare_query(parts.sealers.hasher(grant.tenant), screened)
        freshen(parts, grant.tenant)
        found = parts.indexes.search(
            grant, prepared, subjects=frozenset(subject_ids), k=question.k, verified=question.verified
        )
        # 4. Open
        ids = list(dict.fromkeys([match.memory_id for match in found] + list(also)))
        memories = self._open_found(grant, revealing, ids)
        hits = tuple(
            Hit(memories[match.memory_id], match.score, match.why)
            for match in found
            if match.memory_id in memories
        )
        # 5. Log
        read = [one for one in ids if one in memories]
        payload: dict[str, JsonValue] = {
            "memories": list(read),
            "count": len(read),
            "k": question.k,
            "query": parts.sealers.query_digest(grant.tenant, question.text),
        }
        leaf = parts.journal.note(grant, payload)
        if revealing is not None:
            shown = [one for one in read if memories[one].revealed]
            leaf = parts.journal.note(revealing, {"memories": list(shown), "count": len(shown)})
        # 6. Return
        return Answer(hits, screened.text, self.receipt(grant, read, leaf)), memories

    def get(self, call: Call, memory_id: str) -> Memory:
        """Return one memory by its id, masked or, where the call is to reveal, revealed.

        Raises:
            DeniedError: the principal may do this to no memory at all for this purpose.
            IdentifierInvalidError: not the form of a memory's id.
            NotFoundError: no such memory within reach.
        """
        check_vault_id(IdKind.MEMORY, memory_id)
        grant = self.authorise(call, resource=memory_id)
        rows = self._parts.store.found(grant, [memory_id])
        self._report(grant, rows.damaged)
        if rows.damaged:
            raise TamperedError(f"the row of {memory_id} is not what was written, and is not served")
        if not rows.memories:
            self._parts.journal.deny(call, resource=memory_id)
            raise NotFoundError("there is no such memory here")
        memories, failures = self._view(rows, grant, {memory_id} if call.action is Action.REVEAL else ())
        for failure in failures:
            raise failure
        memory = memories[memory_id]
        leaf = self._parts.journal.note(grant, {"memories": [memory_id], "count": 1}, resource=memory_id)
        return replace(memory, receipt=self.receipt(grant, [memory_id], leaf))

    def opened(self, grant: Grant, rows: FoundRows) -> tuple[Memory, ...]:
        """Return memories masked, in the order of their rows; what is damaged is left out and logged (law 12)."""
        self._report(grant, rows.damaged)
        return tuple(self._view(rows, grant, ())[0].values())

    def receipt(self, grant: Grant, memory_ids: Sequence[str], leaf: Leaf) -> Receipt:
        """Return the receipt of an entry that says what was read."""
        return Receipt(
            memory_ids=tuple(memory_ids),
            episode_id=None,
            log_origin=self._parts.origin(grant.tenant),
            leaf_index=leaf.index,
            leaf_hash=leaf.hash,
            bundle_digest=grant.bundle_digest,
        )

    def _known(self, grant: Grant, subject_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Return the one subject asked about, if the principal can read anything about it.

        Threat: a subject's own tokens in a masked query tell that the subject has a key, so that
        somebody out of reach has written about it.
        """
        if len(subject_ids) != 1:
            return ()
        with self._parts.store.read(grant) as unit:
            return subject_ids if unit.reaches(subject_ids[0]) else ()

    def authorise(self, call: Call, *, resource: str | None = None) -> Grant:
        """Return what a call is granted over all memories, under its emergency.

        Raises:
            DeniedError: nothing; the denial is logged.
        """
        parts, emergency = self._parts, call.emergency
        if emergency is not None:
            check_vault_id(IdKind.EMERGENCY, emergency)
        try:
            declared = None if emergency is None else in_force(parts, call, emergency)
            return authorise(
                parts.policy, call.principal, call.action, call.purpose, over=EVERY_MEMORY, emergency=declared
            )
        except DeniedError:
            parts.journal.deny(call, resource=resource)
            raise

    def _open_found(self, grant: Grant, revealing: Grant | None, ids: Sequence[str]) -> dict[str, Memory]:
        rows = self._parts.store.found(grant, ids)
        self._report(grant, rows.damaged)
        return self._view(rows, grant, self._revealable(revealing, rows))[0]

    def _revealable(self, revealing: Grant | None, rows: FoundRows) -> Collection[str]:
        """Return which of the memories that were found are within reach of the grant to reveal, too."""
        if revealing is None or not rows.memories:
            return ()
        with self._parts.store.read(revealing) as unit:
            return unit.memories(list(rows.memories)).keys()

    def _view(
        self, rows: FoundRows, grant: Grant, revealed: Collection[str]
    ) -> tuple[dict[str, Memory], list[VaultError]]:
        """Open rows for a principal; a damaged row is left out and logged, the others stand (law 12)."""
        episodes = self._episodes(grant, rows.episodes)
        memories: dict[str, Memory] = {}
        failures: list[VaultError] = []
        for row in rows.memories.values():
            reveal = row.memory_id in revealed
            try:
                opened = self._parts.sealers.open_memory(grant.tenant, row, reveal=reveal, at_hand=True)
            except (TamperedError, KeyDestroyedError, KeyMissingError) as error:
                self._report(grant, [row.memory_id])
                failures.append(error)
                continue
            memories[row.memory_id] = _memory(row, opened, episodes.get(row.episode_id))
        return memories, failures

    def _report(self, grant: Grant, unreadable: Sequence[str]) -> None:
        for memory_id in unreadable:
            self._parts.journal.note(grant, {"unreadable": [memory_id]}, outcome=Outcome.FAILED)

    def _episodes(self, grant: Grant, stored: Mapping[str, StoredEpisode]) -> Mapping[str, EpisodeAttributes]:
        opened: dict[str, EpisodeAttributes] = {}
        for episode_id, row in stored.items():
            with suppress(TamperedError, KeyDestroyedError, KeyMissingError):
                opened[episode_id] = self._parts.sealers.open_episode(grant.tenant, row, at_hand=True)
        return opened


def _memory(row: StoredMemory, opened: OpenedMemory, episode: EpisodeAttributes | None) -> Memory:
    attributes = opened.attributes
    return Memory(
        id=row.memory_id,
        version=row.version,
        text=opened.text,
        access_tier=row.access_tier,
        memory_tier=row.memory_tier,
        trust=row.trust,
        provenance=Provenance(
            episode_id=row.episode_id,
            position=row.position,
            source=attributes.source,
            speaker=opened.speaker,
            role=attributes.role,
            at=attributes.at,
            title=episode.title.text if episode else "",
            ref=opened.ref or None,
            name=episode.name.text if episode else "",
            edited_by=attributes.edited_by,
        ),
        annotations=attributes.annotations,
        tags=tuple(tag.text for tag in episode.tags) if episode else (),
        metadata={key.text: value.text for key, value in episode.metadata} if episode else {},
        recorded=from_microseconds(row.recorded),
        revealed=opened.revealed,
        written_in=row.leaf_index,
        labels=tuple([label.value for label in labels_of(opened.text)]),
    )
