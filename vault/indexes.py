"""All tenants' indexes: kept true by writes, rebuilt from sealed rows at open, searched within a grant.

Owns which scopes a grant opens, the figures that filters need (subjects, trust), and which index is stale.
It leaves ranking to `vault.search`, vectors to the embedding worker, building anew to `vault.rebuilding`, and
content to nobody: what stands here is ids, keyed hashes and vectors.

What changes an index comes after the commit. So it raises nothing: a write that is durable and seems to have
failed is written twice. An index that could not take a change is stale, and is not searched before it has been
built anew from sealed rows.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.model import AccessTier
from vault.errors import IndexStaleError
from vault.grant import Decider, Grant
from vault.model import TrustState
from vault.openness import Openness
from vault.search.embed import Embedder
from vault.search.index import Entry, Query, Scope, TenantIndex
from vault.search.lexical import PreparedQuery
from vault.search.record import TermRecord
from vault.storage.rows import StoredMemory
from vault.storage.store import IndexRow

_LOGGER: Final = logging.getLogger(__name__)

_REVOKED: Final = (TrustState.REVOKED,)
_UNSURE: Final = (TrustState.CANDIDATE, TrustState.DISPUTED)

Vector = NDArray[np.float32]
Take = Callable[[IndexRow, bytes, Vector | None], None]
"""Takes a row, its packed term record and its vector into an index that is being built."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """A memory as the index takes it."""

    stored: StoredMemory
    record: bytes
    """The packed term record."""
    embedding_text: str = field(repr=False)
    made: TermRecord | None = None
    """What the record was packed from, where it has just been made: spares the index reading it back."""


@dataclass(frozen=True, slots=True)
class Match:
    """A memory that fits, not opened yet."""

    memory_id: str
    score: float
    why: Mapping[str, float]


@dataclass(slots=True)
class _TenantState:
    index: TenantIndex
    scopes: set[Scope] = field(default_factory=set)
    subjects: dict[str, tuple[str, ...]] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    """Those on which nobody should stand: candidates and disputed ones."""
    openness: Openness = field(default_factory=Openness)

    def scope(self, access_tier: AccessTier, owner: str, subjects: Sequence[str]) -> Scope:
        """Return the scope in which a memory is searched."""
        whose = owner if access_tier is AccessTier.PRIVATE else None
        return Scope(access_tier, whose, self.openness.barred(subjects), self.openness.team(subjects))


class Indexes:
    """The open indexes of a vault; safe to share between threads."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._tenants: dict[str, _TenantState] = {}
        self._stale: set[str] = set()
        self._failures = 0
        self._lock = threading.Lock()

    def add(self, tenant: str, memories: Sequence[Indexed]) -> None:
        """Make memories searchable by their words, at once."""
        with self.following(tenant):
            state = self._state(tenant)
            for memory in memories:
                stored = memory.stored
                scope = self._note(state, stored)
                state.index.add(
                    scope, stored.memory_id, stored.episode_id, stored.position, memory.record, memory.made
                )

    def replace(self, tenant: str, memory: Indexed) -> None:
        """Put a memory's new version in place of the old."""
        with self.following(tenant):
            state, stored = self._state(tenant), memory.stored
            scope = self._note(state, stored)
            state.index.replace(scope, stored.memory_id, stored.episode_id, stored.position, memory.record)

    def add_vector(self, tenant: str, memory_id: str, vector: Vector) -> None:
        """Make a memory searchable by its meaning."""
        with self.following(tenant):
            self._state(tenant).index.add_vector(memory_id, vector)

    def remove(self, tenant: str, memory_ids: Sequence[str], *, tidy: bool = True) -> None:
        """Let memories be found no more, for good: their terms and vectors leave the index.

        Args:
            tenant: Whose.
            memory_ids: Those that are unknown are passed over.
            tidy: Whether to close the holes that this leaves; who removes many tidies at the end.
        """
        with self.following(tenant):
            state = self._state(tenant)
            state.index.remove_many(memory_ids)
            for memory_id in memory_ids:
                state.subjects.pop(memory_id, None)
                state.revoked.discard(memory_id)
                state.unsure.discard(memory_id)
            if tidy:
                state.index.close_holes()

    def tidy(self, tenant: str) -> None:
        """Close the holes that removals left, where they outnumber what is left."""
        with self.following(tenant):
            self._state(tenant).index.close_holes()

    def set_trust(self, tenant: str, memory_id: str, trust: TrustState) -> None:
        """Take note of a memory's trust; a revoked one is found no more."""
        with self.following(tenant):
            self._trust(self._state(tenant), memory_id, trust)

    @contextmanager
    def following(self, tenant: str) -> Iterator[None]:
        """Follow what is durable; where that fails, the tenant's index is stale, and the caller goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # whatever it is, the write is durable
            with self._lock:
                self._stale.add(tenant)
                self._failures += 1
            # A message of whatever went wrong may quote what was indexed.
            _LOGGER.warning("the index of %s is stale after %s", tenant, type(error).__name__)

    def distrust(self, tenant: str) -> None:
        """Have an index built anew from sealed rows before it is searched again."""
        with self._lock:
            self._stale.add(tenant)

    def fits(self, tenant: str, policy: Decider) -> bool:
        """Say whether an index has the scopes that the rules in force ask for."""
        return self._state(tenant).openness.fits(policy)

    def is_stale(self, tenant: str) -> bool:
        """Say whether an index lacks something that is durable."""
        return tenant in self._stale

    @property
    def failures(self) -> int:
        """How many changes no index took, since the vault was opened."""
        return self._failures

    @contextmanager
    def anew(self, tenant: str, openness: Openness) -> Iterator[Take]:
        """Build a tenant's index, which takes the place of the old one when the block ends well.

        Nothing may be committed meanwhile: call it while a vault is opened, or between two commits.
        """
        fresh = self._empty()
        fresh.openness = openness

        def take(row: IndexRow, record: bytes, vector: Vector | None) -> None:
            scope = fresh.scope(AccessTier(row.access_tier), row.owner, row.subjects)
            fresh.scopes.add(scope)
            fresh.subjects[row.memory_id] = row.subjects
            self._trust(fresh, row.memory_id, TrustState(row.trust))
            fresh.index.add_many([Entry(scope, row.memory_id, row.episode_id, row.position, record, vector)])

        yield take
        with self._lock:
            self._tenants[tenant] = fresh
            self._stale.discard(tenant)

    @contextmanager
    def regrouped(self, tenant: str) -> Iterator[tuple[Openness, Take]]:
        """Lend what is known of a tenant's persons, and take their memories again into the scopes of now.

        For what changes in the order of commits: the thread that commits calls it. Each memory that is given has
        been in the index before; one that has not, such as a bad row, is taken, too.
        """
        with self.following(tenant):
            state = self._state(tenant)

            def take(row: IndexRow, record: bytes, vector: Vector | None) -> None:
                scope = state.scope(AccessTier(row.access_tier), row.owner, row.subjects)
                if state.index.scope_of(row.memory_id) == scope:
                    return  # a hole in the scope would cost every later search
                state.scopes.add(scope)
                state.index.replace(scope, row.memory_id, row.episode_id, row.position, record)
                if vector is not None:
                    state.index.add_vector(row.memory_id, vector)

            yield state.openness, take

    def search(
        self,
        grant: Grant,
        prepared: PreparedQuery,
        *,
        subjects: frozenset[str],
        k: int,
        verified: bool = False,
    ) -> list[Match]:
        """Return the memories within the grant's reach that fit best, best first.

        Args:
            grant: Whose reach.
            prepared: What is asked.
            subjects: Only memories about these; none means all.
            k: How many.
            verified: Whether to leave out what is a candidate or disputed.

        Raises:
            IndexStaleError: the index lacks something that is durable.
        """
        if self.is_stale(grant.tenant):
            raise IndexStaleError("the search index lacks a change: try again when it has been built anew")
        state = self._state(grant.tenant)
        scopes = frozenset(scope for scope in list(state.scopes) if _opens(grant, scope))
        if not scopes:
            return []
        vector = self._embedder.embed([prepared.embedding_text])[0]

        def accept(memory_id: str) -> bool:
            if memory_id in state.revoked or (verified and memory_id in state.unsure):
                return False
            return not subjects or not subjects.isdisjoint(state.subjects.get(memory_id, ()))

        found = state.index.search(Query(prepared, vector), scopes, k, accept)
        return [Match(one.memory_id, one.score, one.why) for one in found]

    def found_anywhere(self, tenant: str, prepared: PreparedQuery, k: int) -> list[str]:
        """Return the ids that fit best over all scopes: for the vault's own tests after an erasure, for no answer."""
        state = self._state(tenant)
        vector = self._embedder.embed([prepared.embedding_text])[0]
        found = state.index.search(Query(prepared, vector), frozenset(state.scopes), k, lambda _: True)
        return [one.memory_id for one in found]

    def load(self) -> None:
        """Load the embedder."""
        self._embedder.embed(["load"])

    def memory_ids(self, tenant: str) -> list[str]:
        """Return the ids of all that are searchable, or revoked."""
        return self._state(tenant).index.memory_ids()

    def size(self, tenant: str) -> int:
        """Return how many memories of a tenant are searchable."""
        return len(self._state(tenant).index)

    def _note(self, state: _TenantState, stored: StoredMemory) -> Scope:
        scope = state.scope(stored.access_tier, stored.owner, stored.subjects)
        state.scopes.add(scope)
        state.subjects[stored.memory_id] = stored.subjects
        self._trust(state, stored.memory_id, stored.trust)
        return scope

    def _trust(self, state: _TenantState, memory_id: str, trust: TrustState) -> None:
        for those, states in ((state.revoked, _REVOKED), (state.unsure, _UNSURE)):
            if trust in states:
                those.add(memory_id)
            else:
                those.discard(memory_id)

    def _state(self, tenant: str) -> _TenantState:
        state = self._tenants.get(tenant)
        if state is None:
            with self._lock:
                state = self._tenants.setdefault(tenant, self._empty())
        return state

    def _empty(self) -> _TenantState:
        return _TenantState(TenantIndex(self._embedder.dimensions))


def _opens(grant: Grant, scope: Scope) -> bool:
    """Say whether a grant opens a scope; institutional and public ones belong to nobody in particular."""
    return grant.purpose not in scope.barred and grant.covers(
        scope.access_tier, scope.owner or "", scope.team
    )
