"""Organizing: proposals of `vault.pipeline.organize`, authorised, written and logged as one change.

An entry's payload is bounded, and a subject's links are not: what one entry does not hold stands in parts
right behind it, written in the same transaction. The first says how many `parts` follow, and each of these
which `part` it is; rows carry the index of the first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from audit.canonical import JsonValue
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import AccessTier, Action, Principal, Purpose
from vault.errors import KeyDestroyedError, KeyMissingError, TamperedError
from vault.grant import EVERY_MEMORY, Grant, authorise
from vault.journal import Call
from vault.model import EdgeKind, Receipt, TrustState
from vault.parts import Parts
from vault.pipeline.organize import Edge, Link, Proposal, Remembered, TrustChange, propose
from vault.storage.rows import StoredMemory
from vault.write_path import own_subject

PER_ENTRY: Final = 4_000
"""Links, and changes of trust, in one entry: about 180 bytes for one of each, of 1 MiB."""


@dataclass(frozen=True, slots=True)
class Organized:
    """What one call of organize did."""

    examined: int
    links: tuple[Link, ...]
    trust: tuple[TrustChange, ...]
    receipt: Receipt

    @property
    def leaf_index(self) -> int:
        """Audit leaf index of the entry."""
        return self.receipt.leaf_index


class Organizer:
    """Applies what the rules propose about one subject's memories.

    Args:
        parts: Of the vault.
        per_entry: Links, and changes of trust, that one entry names.
    """

    def __init__(self, parts: Parts, per_entry: int = PER_ENTRY) -> None:
        self._parts = parts
        self._per_entry = per_entry

    def organize(self, principal: Principal, subject: str | None, purpose: Purpose) -> Organized:
        """Link, supersede, verify and dispute within what the principal may organize.

        Raises:
            DeniedError: it may organize nothing for this purpose; the denial is logged.
            ConflictError: a memory was changed meanwhile: nothing was written, call again.
        """
        parts = self._parts
        grant = self._authorise(principal, purpose)
        (subject_id,) = parts.sealers.subject_ids(
            grant.tenant, (own_subject(principal) if subject is None else subject,)
        )
        with parts.store.read(grant) as unit:
            stored = {row.memory_id: row for row in unit.about(subject_id)}
            settled = unit.edges(list(stored))
        remembered = [memory for row in stored.values() if (memory := self._remember(grant, row))]
        remembered.sort(key=lambda memory: (stored[memory.id].recorded, memory.episode, memory.position))
        known = frozenset((EdgeKind(kind), source, target) for kind, source, target in settled)
        proposals = _proposed(remembered, stored, known)
        links = tuple(found for found in proposals if isinstance(found, Link))
        changes = tuple(found for found in proposals if isinstance(found, TrustChange))
        leaf = self._apply(grant, stored, links, changes)
        receipt = Receipt(
            memory_ids=tuple(change.memory for change in changes),
            episode_id=None,
            log_origin=parts.origin(grant.tenant),
            leaf_index=leaf.index,
            leaf_hash=leaf.hash,
            bundle_digest=grant.bundle_digest,
        )
        return Organized(len(remembered), links, changes, receipt)

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        try:
            return authorise(self._parts.policy, principal, Action.ORGANIZE, purpose, over=EVERY_MEMORY)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.ORGANIZE, purpose))
            raise

    def _remember(self, grant: Grant, row: StoredMemory) -> Remembered | None:
        try:
            opened = self._parts.sealers.open_memory(grant.tenant, row)
        except (TamperedError, KeyDestroyedError, KeyMissingError):
            return None  # law 12: a damaged row is the reader's and the verifier's to report
        return Remembered(
            id=row.memory_id,
            text=opened.text,
            role=opened.attributes.role,
            trust=row.trust,
            episode=row.episode_id,
            position=row.position,
            at=opened.attributes.at,
            speaker=opened.speaker,
        )

    def _apply(
        self,
        grant: Grant,
        stored: dict[str, StoredMemory],
        links: tuple[Link, ...],
        changes: tuple[TrustChange, ...],
    ) -> Leaf:
        parts = self._parts
        unit = parts.store.write(grant)
        unit.expect_present({end for link in links for end in (link.source, link.target)})
        for link in links:
            unit.add_edge(link.source, link.kind, link.target)
        for change in changes:
            unit.set_trust(change.memory, stored[change.memory].version, change.trust)
        for payload in _payloads(len(stored), links, changes, self._per_entry):
            unit.entry(parts.journal.allowed(grant, payload))

        def index() -> None:
            for change in changes:
                parts.indexes.set_trust(grant.tenant, change.memory, TrustState(change.trust))

        return unit.commit(finish=index)[0]


def _payloads(
    examined: int, links: Sequence[Link], changes: Sequence[TrustChange], size: int
) -> Iterator[dict[str, JsonValue]]:
    """Yield the payload of the entry, and of each part that follows it."""
    starts = range(0, max(len(links), len(changes), 1), size)
    for part, start in enumerate(starts):
        changed = changes[start : start + size]
        payload: dict[str, JsonValue] = {
            "links": [[link.kind.value, link.source, link.target] for link in links[start : start + size]],
            "memories": [change.memory for change in changed],
            "trust": [change.trust.value for change in changed],
            "reasons": [change.link.reason.value for change in changed],
        }
        if part:
            payload["part"] = part
        else:
            payload |= {"examined": examined, "edges": len(links)}
            if len(starts) > 1:
                payload["parts"] = len(starts) - 1
        yield payload


def _proposed(
    remembered: Sequence[Remembered], stored: Mapping[str, StoredMemory], known: frozenset[Edge]
) -> list[Proposal]:
    """Return proposals within each owner's memories of one access tier, and across none.

    Threat: what one owner says privately must neither show in the trust of another's memories nor
    dispute them.
    """
    scopes: dict[tuple[AccessTier, str], list[Remembered]] = {}
    for memory in remembered:
        row = stored[memory.id]
        scopes.setdefault((row.access_tier, row.owner), []).append(memory)
    return [proposal for scope in sorted(scopes) for proposal in propose(scopes[scope], known)]
