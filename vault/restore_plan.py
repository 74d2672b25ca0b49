"""What a restore changes: the tables as they are, held against a snapshot, the log and what must not come back.

Owns the rules by which a row stays, goes or comes back. It leaves statements to `vault.storage.restoring`, and the
restore itself to `vault.restoring`. Nothing is written here, and nothing opened.

- What was removed for good does not come back: a memory with a tombstone, one that the log says is gone, one about an
  erased person, one whose key was destroyed.
- What was written since the snapshot goes, unless a hold is over it.
- A version that is there as the log last had it stays as it is, also where the snapshot has it in an older sealing:
  a newer one is under a newer key, or was masked by a newer gate.
- What the snapshot has and the tables lack, or have otherwise than the log says, comes from the snapshot. Where that
  is an older sealing, the entry of the restore says so.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Table, select

from audit.canonical import JsonValue
from vault.crypto.aead import key_versions
from vault.crypto.key_record import KeyKind, KeyRecord, KeyState
from vault.errors import TamperedError
from vault.row_words import Words
from vault.storage.removal import held_memories
from vault.storage.restoring import Edge, Replacement, Standing, VersionPlace
from vault.storage.rows import episode_digest, row_digest
from vault.storage.schema import EDGE, EMBEDDING, EPISODE, MEMORY, SUBJECT
from vault.tombstones import Tombstones

_STANDING: Final = ("is_current", "trust", "memory_tier")
_AT_ONCE: Final = 500
_Row = Row[Any]


@dataclass(frozen=True, slots=True)
class Departed:
    """What of a tenant must not come back."""

    tombstones: Tombstones
    digests: frozenset[bytes]
    """Tombstones of the tables, and those of the ledger."""
    gone: frozenset[str]
    """Memories that the log says were removed for good."""
    destroyed: frozenset[tuple[str, int]]
    """Subjects and versions of keys that were destroyed."""

    def memory(self, memory_id: str) -> bool:
        """Say whether a memory was removed for good."""
        return memory_id in self.gone or self.tombstones.memory(memory_id).digest in self.digests

    def subject(self, subject_id: str) -> bool:
        """Say whether a person was erased."""
        return self.tombstones.subject(subject_id).digest in self.digests

    def sealed(self, row: _Row) -> bool:
        """Say whether a row can never be opened again."""
        try:
            places = zip(str(row.subjects).split(), key_versions(row.text), strict=True)
            return any(place in self.destroyed for place in places)
        except (TamperedError, ValueError):
            return False  # a bad row comes back as it is: the verifier's to report (law 12)


def destroyed_keys(records: Iterable[KeyRecord]) -> frozenset[tuple[str, int]]:
    """Return the versions of subjects' keys that were destroyed."""
    return frozenset(
        (record.name.subject, record.name.version)
        for record in records
        if record.name.kind is KeyKind.SUBJECT and record.state is KeyState.DESTROYED
    )


@dataclass(slots=True)
class TenantPlan:
    """What a restore does to one tenant."""

    tenant: str
    size: int
    """Of the log when the snapshot was made."""
    present: int
    """Of the log now."""
    replacement: Replacement
    gone: list[str] = field(default_factory=list)
    """Memories of the snapshot that are not put back, and of which the log did not say so yet."""
    suppressed: int = 0
    """All memories of the snapshot that are not put back."""
    lost: int = 0
    """Memories that were written since, and go."""
    held: list[str] = field(default_factory=list)
    """Memories under a hold that the restore would change: they stay as they are, or nothing happens at all."""
    older: list[tuple[VersionPlace, str]] = field(default_factory=list)
    """Versions that come back in an older sealing, with their digest."""
    older_episodes: list[tuple[str, str]] = field(default_factory=list)
    replayed: list[dict[str, JsonValue]] = field(default_factory=list)
    """Legal holds that the tables lack, and the ledger has."""

    @property
    def put_back(self) -> int:
        """Number of versions that come from the snapshot."""
        return len(self.replacement.put)


@dataclass(slots=True)
class Planner:
    """Makes the plan of one tenant.

    Args:
        tenant: Whose.
        now: A connection that sees the tables as they are.
        then: One that sees the snapshot's.
        words: What the log says.
        departed: What must not come back.
    """

    tenant: str
    now: Connection
    then: Connection
    words: Words
    departed: Departed
    final: set[str] = field(default_factory=set)
    """Memories that there will be."""
    episodes: set[str] = field(default_factory=set)
    """Episodes that they are in."""
    erased: dict[str, bool] = field(default_factory=dict)

    def plan(self, size: int, present: int) -> TenantPlan:
        """Return what is to be done.

        Args:
            size: Of the log when the snapshot was made.
            present: Of the log now.
        """
        plan = TenantPlan(self.tenant, size, present, Replacement(self.tenant))
        changes: list[_Change] = []
        for memory_id, now, then in self._pairs(MEMORY, "memory_id", "version"):
            changes += self._memory(plan, str(memory_id), now, then)
            if len(changes) >= _AT_ONCE:
                self._settle(plan, changes)
                changes = []
        self._settle(plan, changes)
        self._episodes(plan)
        self._edges(plan)
        self._subjects(plan)
        self._vectors(plan)
        return plan

    def _pairs(self, table: Table, *order: str) -> Iterator[tuple[object, list[_Row], list[_Row]]]:
        """Go through two tables side by side, by their first column."""
        query = (
            select(table).where(table.c.tenant_id == self.tenant).order_by(*(table.c[name] for name in order))
        )
        sides = enumerate((self.now, self.then))
        both = merge(*(_stream(rows, query, order[0], side) for side, rows in sides), key=itemgetter(0, 1))
        for key, group in groupby(both, key=itemgetter(0)):
            found: tuple[list[_Row], list[_Row]] = ([], [])
            for _, side, row in group:
                found[side].append(row)
            yield key, *found

    def _memory(self, plan: TenantPlan, memory_id: str, now: list[_Row], then: list[_Row]) -> "list[_Change]":
        """Decide about one memory; return what would change, unless nothing does."""
        if self._is_departed(memory_id, [*now, *then]):
            plan.suppressed += bool(then)
            if then and memory_id not in self.departed.gone:
                plan.gone.append(memory_id)
            plan.replacement.suppressed += _places(now)
            return []
        change = _Change(memory_id, now, then)
        there = {row.version: row for row in now}
        for row in then:
            self._version(change, there.pop(row.version, None), row)
        change.dropped = [VersionPlace(memory_id, version) for version in there]
        if change.dropped or change.put or change.standing:
            return [change]
        self._stays(memory_id, then)
        return []

    def _is_departed(self, memory_id: str, rows: list[_Row]) -> bool:
        if self.departed.memory(memory_id):
            return True
        subjects = {subject for row in rows for subject in str(row.subjects).split()}
        current = next((row for row in rows if row.is_current == 1), None)
        return any(map(self._is_erased, subjects)) or (current is not None and self.departed.sealed(current))

    def _is_erased(self, subject: str) -> bool:
        if subject not in self.erased:
            self.erased[subject] = self.departed.subject(subject)
        return self.erased[subject]

    def _version(self, change: "_Change", now: _Row | None, then: _Row) -> None:
        place = VersionPlace(then.memory_id, then.version)
        if now is not None and self._is_as_logged(now, then):
            standing = _standing(then)
            if standing != _standing(now):
                change.standing.append((place, standing))
                if standing.is_current and _same(now, then, _STANDING):
                    change.vectors.append(place)
            return
        change.put.append(place)
        digest = row_digest(_fields(then))
        words = self.words.digests_of(*place, then.leaf_index)
        if words and words[-1] == digest:
            change.vectors.append(place)
        elif digest in words:  # what the log never said is not told again: the verifier is to find it
            change.older.append((place, digest))

    def _is_as_logged(self, now: _Row, then: _Row) -> bool:
        if _same(now, then, _STANDING):
            return True
        words = self.words.digests_of(now.memory_id, now.version, now.leaf_index)
        return words[-1] == row_digest(_fields(now)) if words else now.leaf_index in self.words.unsaid

    def _settle(self, plan: TenantPlan, changes: "list[_Change]") -> None:
        """Take changes into the plan, but for those that a hold forbids."""
        ids = [one.memory_id for one in changes if one.takes]
        held = {one.memory_id for one in held_memories(self.now, self.tenant, ids)} if ids else set()
        for one in changes:
            if one.memory_id in held:
                plan.held.append(one.memory_id)
                self._stays(one.memory_id, one.now)
                continue
            plan.lost += not one.then
            plan.replacement.dropped += one.dropped
            plan.replacement.put += one.put
            plan.replacement.vectors += one.vectors
            plan.replacement.standing += one.standing
            plan.older += one.older
            if one.then:
                self._stays(one.memory_id, one.then)

    def _stays(self, memory_id: str, rows: list[_Row]) -> None:
        self.final.add(memory_id)
        self.episodes.update(row.episode_id for row in rows)

    def _episodes(self, plan: TenantPlan) -> None:
        for episode_id, now, then in self._pairs(EPISODE, "episode_id"):
            episode = str(episode_id)
            if episode not in self.episodes:
                plan.replacement.episodes_dropped += [episode] if now else []
                continue
            if not then or (now and (_same(now[0], then[0]) or self._is_episode_as_logged(now[0]))):
                continue
            plan.replacement.episodes_put.append(episode)
            digest = episode_digest(_fields(then[0]))
            words = self.words.digests_of_episode(episode, then[0].leaf_index)
            if digest in words[:-1] and words[-1] != digest:
                plan.older_episodes.append((episode, digest))

    def _is_episode_as_logged(self, row: _Row) -> bool:
        words = self.words.digests_of_episode(row.episode_id, row.leaf_index)
        return words[-1] == episode_digest(_fields(row)) if words else row.leaf_index in self.words.unsaid

    def _edges(self, plan: TenantPlan) -> None:
        now, then = (self._edge_rows(connection) for connection in (self.now, self.then))
        held = set(plan.held)
        keep = {edge: index for edge, index in then.items() if self.final.issuperset((edge[0], edge[2]))} | {
            edge: index for edge, index in now.items() if held.issuperset((edge[0], edge[2]))
        }
        plan.replacement.edges_dropped = sorted(edge for edge in now if keep.get(edge) != now[edge])
        plan.replacement.edges_put = sorted(edge for edge in keep if now.get(edge) != keep[edge])

    def _edge_rows(self, connection: Connection) -> Mapping[Edge, int]:
        rows = connection.execute(select(EDGE).where(EDGE.c.tenant_id == self.tenant))
        return {(row.source_id, row.kind, row.target_id): row.leaf_index for row in rows}

    def _subjects(self, plan: TenantPlan) -> None:
        for subject_id, now, then in self._pairs(SUBJECT, "subject_id"):
            if self._is_erased(str(subject_id)):
                plan.replacement.subjects_dropped += [str(subject_id)] if now else []
            elif then and not now:
                plan.replacement.subjects_put.append(str(subject_id))

    def _vectors(self, plan: TenantPlan) -> None:
        """Have vectors come back only where the row that they are of does as it last was."""
        there = self._vector_places()
        plan.replacement.vectors = [place for place in plan.replacement.vectors if place in there]

    def _vector_places(self) -> set[VersionPlace]:
        query = select(EMBEDDING.c.memory_id, EMBEDDING.c.version).where(EMBEDDING.c.tenant_id == self.tenant)
        return {VersionPlace(*row) for row in self.then.execute(query)}


@dataclass(slots=True)
class _Change:
    """What would change in one memory."""

    memory_id: str
    now: list[_Row]
    then: list[_Row]
    dropped: list[VersionPlace] = field(default_factory=list)
    put: list[VersionPlace] = field(default_factory=list)
    vectors: list[VersionPlace] = field(default_factory=list)
    standing: list[tuple[VersionPlace, Standing]] = field(default_factory=list)
    older: list[tuple[VersionPlace, str]] = field(default_factory=list)

    @property
    def takes(self) -> bool:
        """Whether anything goes that was there: a hold forbids that, not a repair."""
        return bool(self.dropped or self.standing)


def _places(rows: Iterable[_Row]) -> list[VersionPlace]:
    return [VersionPlace(row.memory_id, row.version) for row in rows]


def _stream(
    connection: Connection, query: Select[Any], key: str, side: int
) -> Iterator[tuple[str, int, _Row]]:
    for row in connection.execute(query, execution_options={"yield_per": 1000}):
        yield str(getattr(row, key)), side, row


def _fields(row: _Row) -> dict[str, object]:
    return dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name


def _standing(row: _Row) -> Standing:
    return Standing(row.is_current, row.trust, row.memory_tier)


def _same(one: _Row, other: _Row, but: Iterable[str] = ()) -> bool:
    """Say whether two rows are the same in all columns but some."""
    left, right = _fields(one), _fields(other)
    for name in but:
        left[name] = right[name] = None
    return left == right
