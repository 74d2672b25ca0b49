"""The index of one tenant: every access scope apart, searched together as far as the caller may.

Owns the lock, the map from memory ids to rows, and the order of a search. It decides nothing about access:
the caller names the scopes that the policy allowed, and no other scope is opened, counted or timed; figures
such as rarities and means are taken over the named scopes alone. Nothing here is written to disk.

    index = TenantIndex()
    scope = Scope(AccessTier.PRIVATE, "ward-agent")
    index.add(scope, memory_id, episode_id, position, pack(record))   # found by words from now on
    index.add_vector(memory_id, vector)                                # and by meaning
    index.search(Query.of(prepared, vector), frozenset({scope}), k=10)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from time import sleep
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.model import AccessTier
from vault.search.fuse import ARMS, TUNED, Weights, keep_first_hits, ranked, shares, summed
from vault.search.lexical import PreparedQuery
from vault.search.partition import Moving, Partition
from vault.search.record import TermRecord, unpack
from vault.search.signs import Candidates, gather
from vault.search.view import joined

DIMENSIONS: Final = 384
MAX_RESULTS: Final = 1_000
_REMOVED_AT_ONCE: Final = 16
"""Memories that are taken out under one hold of the lock."""
_TURN_SECONDS: Final = 0.000_2
"""What is left to others between: without a pause whoever waits for the interpreter gets it after 5 ms at best."""


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """Whose memories: one owner's private ones, the institution's, or the public."""

    access_tier: AccessTier
    owner: str | None = None
    """Principal id; None for institutional and public."""
    barred: tuple[str, ...] = ()
    """Purposes for which it is not to be searched, in order: somebody whom its memories are about asked so."""
    team: tuple[str, ...] = ()
    """Ids of those who are on the care teams of everyone whom its memories are about, in order."""

    def __post_init__(self) -> None:
        if (self.owner is not None) != (self.access_tier is AccessTier.PRIVATE):
            raise ValueError("expected an owner for a private scope and none for any other")


@dataclass(frozen=True, slots=True)
class Entry:
    """One memory for the index."""

    scope: Scope
    memory_id: str
    episode_key: str
    position: int
    """0-based place in the episode."""
    record: bytes
    """A packed term record."""
    vector: NDArray[np.float32] | NDArray[np.float16] | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A prepared question and its vector."""

    prepared: PreparedQuery
    vector: NDArray[np.float32] | None = None
    """Unit length; None searches by words alone."""
    since: int | None = None
    """Only memories said at this time or later, in seconds since 1970."""
    until: int | None = None
    """Only memories said before this time."""


@dataclass(frozen=True, slots=True)
class Found:
    """A memory that fits, not opened yet."""

    memory_id: str
    score: float
    why: Mapping[str, float]
    """Each sign's share of the score."""


class TenantIndex:
    """In-memory search over one tenant's memories. Safe for concurrent searches and writes.

    Args:
        dimensions: length of the vectors.
        weights: of the fusion.
    """

    def __init__(self, dimensions: int = DIMENSIONS, weights: Weights = TUNED) -> None:
        self._dimensions = dimensions
        self._weights = weights
        self._lock = Lock()
        self._partitions: dict[Scope, Partition] = {}
        self._rows: dict[str, tuple[Scope, int]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, memory_id: str) -> bool:
        return memory_id in self._rows

    def add(  # noqa: PLR0917  # where it belongs, and its two forms
        self,
        scope: Scope,
        memory_id: str,
        episode_key: str,
        position: int,
        record: bytes,
        made: TermRecord | None = None,
    ) -> None:
        """Make a memory searchable by its words, at once.

        Args:
            scope: whose it is.
            memory_id: its id.
            episode_key: its episode.
            position: its 0-based place there.
            record: its packed term record.
            made: what `record` was packed from, where the caller has just made it; spares the reading.

        Raises:
            ValueError: the id is in the index already: use `replace`.
            TamperedError: not a packed term record.
        """
        with self._lock:
            self._add(scope, memory_id, episode_key, position, record, made)

    def add_many(self, entries: Iterable[Entry]) -> None:
        """Add memories with what vectors they have; for opening a vault and for bulk writes."""
        for entry in entries:
            with self._lock:
                self._add(entry.scope, entry.memory_id, entry.episode_key, entry.position, entry.record)
                if entry.vector is not None:
                    self._put_vector(entry.memory_id, entry.vector)

    def add_vector(self, memory_id: str, vector: NDArray[np.float32] | NDArray[np.float16]) -> bool:
        """Make a memory searchable by its meaning; False if it is not in the index (any more)."""
        with self._lock:
            return self._put_vector(memory_id, vector)

    def replace(self, scope: Scope, memory_id: str, episode_key: str, position: int, record: bytes) -> None:
        """Put a memory's new version in place of the old; its vector is to be added anew."""
        unpack(record)  # before the old version goes
        with self._lock:
            self._remove(memory_id)
            self._add(scope, memory_id, episode_key, position, record)

    def remove(self, memory_id: str) -> bool:
        """Take a memory out for good; False if it was not there."""
        with self._lock:
            return self._remove(memory_id)

    def remove_many(self, memory_ids: Sequence[str]) -> None:
        """Take memories out for good, a few at a time, so that writers and searches get their turn between.

        Their holes stay: whoever removes many closes them at the end.
        """
        for start in range(0, len(memory_ids), _REMOVED_AT_ONCE):
            with self._lock:
                self._remove_some(memory_ids[start : start + _REMOVED_AT_ONCE])
            if start + _REMOVED_AT_ONCE < len(memory_ids):
                sleep(_TURN_SECONDS)

    def close_holes(self) -> None:
        """Move the memories of a scope together where holes outnumber them, while it is searched and written to."""
        with self._lock:
            holey = [scope for scope, partition in self._partitions.items() if partition.wants_compaction()]
        for scope in holey:
            self._compact_beside(scope)

    def memory_ids(self) -> list[str]:
        """Return the ids of all memories in it."""
        with self._lock:
            return list(self._rows)

    def scope_of(self, memory_id: str) -> Scope | None:
        """Return the scope in which a memory is; None where it is in none."""
        place = self._rows.get(memory_id)
        return None if place is None else place[0]

    def without_vector(self) -> list[str]:
        """Ids of memories that wait for their vector."""
        with self._lock:
            return [
                memory_id
                for memory_id, (scope, row) in self._rows.items()
                if not self._partitions[scope].has_vector(row)
            ]

    def search(
        self,
        query: Query,
        scopes: frozenset[Scope],
        k: int,
        accept: Callable[[str], bool] | None = None,
    ) -> list[Found]:
        """Return the `k` memories that fit best, best first.

        Args:
            query: the question.
            scopes: what the policy allows; nothing else is touched.
            k: how many, at most 1,000.
            accept: says of a memory id whether it may be returned (subjects, trust states). Asked in order
                of rank until `k` are found; not a means of access control.

        Raises:
            ValueError: `k` out of range, or a vector of another length.
        """
        if not 1 <= k <= MAX_RESULTS:
            raise ValueError(f"expected k of 1 to {MAX_RESULTS}, got {k}")
        if query.vector is not None and query.vector.shape != (self._dimensions,):
            raise ValueError(f"expected a query vector of {self._dimensions} numbers")
        prepared = query.prepared
        with self._lock:  # 1. copy what the writers may change
            partitions = [self._partitions[scope] for scope in sorted(scopes) if scope in self._partitions]
            views = [
                part.view(prepared.terms, prepared.names, prepared.dates) for part in partitions if len(part)
            ]
        if not views:
            return []
        candidates = gather(joined(views), query.vector)  # 2. signs of every living memory
        share = shares(candidates.signs, self._weights)  # 3. weigh
        total = summed(share.values())
        chosen = _Choice(candidates, candidates.said_between(query.since, query.until), accept)
        firsts = [first for arm in ARMS for first in chosen.first_hit(getattr(candidates.signs, arm))]
        places = keep_first_hits(chosen.best(total, k), firsts, k)  # 4. rank, and keep each arm's first hit
        scores = total[places].tolist()
        parts = zip(*(values[places].tolist() for values in share.values()), strict=True)
        return [
            Found(memory_id, score, dict(zip(share, part, strict=True)))
            for place, score, part in zip(places, scores, parts, strict=True)
            if (memory_id := candidates.memory_id(place)) is not None
        ]

    def _add(  # noqa: PLR0917  # as `add`
        self,
        scope: Scope,
        memory_id: str,
        episode_key: str,
        position: int,
        record: bytes,
        made: TermRecord | None = None,
    ) -> None:
        if memory_id in self._rows:
            raise ValueError("expected a memory that is not in the index yet")
        partition = self._partitions.get(scope)
        if partition is None:
            partition = self._partitions[scope] = Partition(self._dimensions)
        self._rows[memory_id] = (scope, partition.add(memory_id, episode_key, position, record, made))

    def _put_vector(self, memory_id: str, vector: NDArray[np.float32] | NDArray[np.float16]) -> bool:
        if vector.shape != (self._dimensions,):
            raise ValueError(f"expected a vector of {self._dimensions} numbers")
        place = self._rows.get(memory_id)
        if place is None:
            return False
        self._partitions[place[0]].put_vector(place[1], vector)
        return True

    def _remove(self, memory_id: str) -> bool:
        place = self._rows.pop(memory_id, None)
        if place is None:
            return False
        scope, row = place
        partition = self._partitions[scope]
        partition.remove(row)
        if not len(partition):
            del self._partitions[scope]
        elif partition.wants_compaction():
            self._compact(scope)
        return True

    def _remove_some(self, memory_ids: Sequence[str]) -> None:
        """Take memories out, under the lock."""
        rows: dict[Scope, list[int]] = {}
        for memory_id in memory_ids:
            place = self._rows.pop(memory_id, None)
            if place is not None:
                rows.setdefault(place[0], []).append(place[1])
        for scope, gone in rows.items():
            partition = self._partitions[scope]
            partition.remove_many(gone)
            if not len(partition):
                del self._partitions[scope]

    def _compact(self, scope: Scope) -> None:
        self._take(scope, self._partitions[scope].compacted())

    def _compact_beside(self, scope: Scope) -> None:
        """Move what is left of a scope together while it is searched and changed; take its place at the end."""
        with self._lock:
            old = self._partitions.get(scope)
            until = 0 if old is None else len(old.ids)
        if old is None:
            return
        moving = Moving(self._dimensions)
        moving.copy(old, until)
        with self._lock:
            if self._partitions.get(scope) is old:  # else it is gone, or somebody was faster
                moving.follow(old)
                self._take(scope, moving.fresh)

    def _take(self, scope: Scope, fresh: Partition) -> None:
        """Put a partition in the place of the one whose memories it holds."""
        self._partitions[scope] = fresh
        self._rows.update((moved, (scope, row)) for row, moved in enumerate(fresh.ids) if moved is not None)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which candidates may be returned."""

    candidates: Candidates
    eligible: NDArray[np.bool_] | None
    accept: Callable[[str], bool] | None

    def first_hit(self, values: NDArray[np.float32]) -> list[int]:
        """Place of the best positive value, if any."""
        return [place for place in self.best(values, 1) if values[place] > 0]

    def best(self, values: NDArray[np.float32], most: int) -> list[int]:
        """Places of the best values that may be returned, best first."""
        if np.isnan(values.max(initial=-np.inf)):
            values = np.where(np.isnan(values), np.float32(-np.inf), values)
        if self.eligible is not None:
            values = np.where(self.eligible, values, np.float32(-np.inf))
        found: list[int] = []
        looked_at, depth = 0, most
        while len(found) < most and looked_at < len(values):
            for place in map(int, ranked(values, depth)[looked_at:]):
                if values[place] == -np.inf:
                    return found  # nor may any behind it be returned
                if self._accepts(place):
                    found.append(place)
                    if len(found) == most:
                        return found
            looked_at, depth = depth, 4 * depth
        return found

    def _accepts(self, place: int) -> bool:
        if self.accept is None:
            return True
        memory_id = self.candidates.memory_id(place)
        return memory_id is not None and self.accept(memory_id)
