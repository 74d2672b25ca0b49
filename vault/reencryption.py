"""Re-encryption: what lies under an older version of a subject's key is opened and sealed anew under the newest.

Owns the going through of a tenant's rows and the proof at the end. It leaves finding rows to
`vault.storage.key_heads`, reading and writing them to `vault.storage.resealing`, keys to the keyring, and making newer
versions to `vault.key_life`.

- All sealed fields of a row change together: they open under the version that the head of its text names.
- A batch is one transaction with an entry that names each row and its new digest. Whoever changed a row meanwhile
  wins: the batch is read again. A run that is cut off goes on with what is still due.
- Threat: a row that somebody altered would get a digest of ours, and the log would vouch for it. So each row is seen
  to be the one that the log knows before it is sealed anew; one that is not stays as it is, and is told of.
- The end is an entry that says how many rows are left, counted in its own transaction. Only where that is none may
  the older versions be destroyed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType
from audit.log import Leaf
from audit.selection import latest_of
from policies.model import AccessTier
from vault.clock import Stock
from vault.crypto.aead import key_versions
from vault.crypto.key_record import KeyKind, KeyName, KeyState
from vault.crypto.keyring import TenantKeys
from vault.crypto.sealed import Sealed, SealedField
from vault.crypto.sealing_key import SealingKey
from vault.errors import (
    ConflictError,
    IdentifierInvalidError,
    InputInvalidError,
    KeyAccessError,
    LeaseLostError,
    RootUnusableError,
    TamperedError,
)
from vault.journal import VAULT_PRINCIPAL
from vault.log_stream import checked
from vault.parts import Parts
from vault.row_word import RowWord
from vault.storage.group_commit import Change, WriteSet
from vault.storage.key_heads import START, Newest, Place, RowKind, count_due, due_page
from vault.storage.resealing import (
    EpisodeRead,
    MemoryRead,
    NameRead,
    Resealing,
    RowRead,
    VectorRead,
    rows_at,
)
from vault.storage.rows import StoredEpisode, StoredMemory, episode_digest
from vault.subject_sealer import FIRST_VERSION

BATCH: Final = 64
"""Rows of one transaction: writers wait for no longer than that takes."""
MAX_NAMED: Final = 1_000
"""Fingerprints that the last entry names."""
TRIES: Final = 5
"""How often a batch is read again whose rows were changed meanwhile."""
_UNREADABLE: Final = (
    TamperedError,
    KeyAccessError,
    IdentifierInvalidError,
    InputInvalidError,
    ValueError,
    TypeError,
)
_TOLD: Final = (MemoryRead, EpisodeRead)
"""What the log knows by a digest."""


@dataclass(slots=True)
class Reencrypted:
    """How far a run is."""

    memories: int = 0
    """Versions of memories that were sealed anew."""
    embeddings: int = 0
    episodes: int = 0
    names: int = 0
    unreadable: list[str] = field(default_factory=list)
    """Ids of rows that stay as they are: not what the log says, or not to be opened."""
    remaining: int | None = None
    """Rows that are left under older versions, as the last entry says; None where the run came to no end."""
    idle: tuple[KeyName, ...] = ()
    """Retired versions under which nothing lies any more."""
    leaf_index: int | None = None
    """Of the last entry."""

    @property
    def rows(self) -> int:
        """Rows that were sealed anew."""
        return self.memories + self.embeddings + self.episodes + self.names

    def count(self, kind: RowKind, sealed: int, unreadable: Sequence[str]) -> None:
        """Take in what a batch did."""
        name = {
            RowKind.NAME: "names",
            RowKind.EPISODE: "episodes",
            RowKind.MEMORY: "memories",
            RowKind.EMBEDDING: "embeddings",
        }[kind]
        setattr(self, name, getattr(self, name) + sealed)
        self.unreadable += unreadable


class Reencryption:
    """Moves the rows of one tenant to the newest versions of their keys."""

    def __init__(self, parts: Parts, tenant: str) -> None:
        self._parts = parts
        self._tenant = tenant
        self._keys: TenantKeys = parts.keyring.tenant(tenant)

    def run(
        self,
        *,
        may_go_on: Callable[[], bool] = lambda: True,
        fence: Change | None = None,
        principal: str = VAULT_PRINCIPAL,
        unless_proven: bool = False,
    ) -> Iterator[Reencrypted]:
        """Seal anew what is due, batch by batch, and prove what is left; tell how far it is after each batch.

        Args:
            may_go_on: Asked before each batch; what is left is for the next run.
            fence: Refuses in the transaction where whoever runs this may not any more.
            principal: Who asked for it.
            unless_proven: Leave it where the last entry says of all older versions that nothing is left under them.

        Raises:
            LeaseLostError: the fence refused; that batch was not written.
            RootUnusableError: or one of its kinds: no key can be had now.
            StorageError: or one of its kinds: that batch was not written.
        """
        newest, retired = self._newest()
        if unless_proven and self._is_proven([mark for _, mark in retired]):
            yield Reencrypted(remaining=0, idle=tuple(name for name, _ in retired))
            return
        batch = _Batches(self._parts, self._keys, newest, fence, principal)
        done = Reencrypted()
        for kind in RowKind:
            after: Place | None = START
            while after is not None:
                with self._parts.store.log_connection(self._tenant) as connection:
                    due, after = due_page(connection, self._tenant, kind, newest, after)
                for start in range(0, len(due), BATCH):
                    if not may_go_on():
                        return
                    batch.seal(kind, due[start : start + BATCH], done)
                    yield done
        yield self._conclude(batch, done, newest, retired, principal)

    def _newest(self) -> tuple[Newest, list[tuple[KeyName, str]]]:
        """Return the newest versions, and the older ones that still live with their fingerprints."""
        versions: dict[str, int] = {}
        states: dict[str, KeyState] = {}
        retired: list[tuple[KeyName, str]] = []
        for record in self._keys.records():
            if record.name.kind is not KeyKind.SUBJECT:
                continue
            if record.name.version >= versions.get(record.name.subject, 0):
                versions[record.name.subject] = record.name.version
                states[record.name.subject] = record.state
            if record.state is KeyState.RETIRED:
                retired.append((record.name, record.fingerprint))
        destroyed = frozenset(one for one, state in states.items() if state is KeyState.DESTROYED)
        living = {subject: version for subject, version in versions.items() if subject not in destroyed}
        return Newest(living, destroyed), retired

    def _is_proven(self, retired: Sequence[str]) -> bool:
        """Say whether the last entry of an end names these versions, and nothing was left."""
        if not retired:
            return True
        with self._parts.store.log_connection(self._tenant) as connection:
            told = latest_of(connection, self._tenant, EventType.KEY_REENCRYPT, holding="", limit=1)
        for entry in told:
            _, payload = checked(entry, entry.index, self._tenant)
            if payload is not None and payload.get("remaining") == 0:
                return payload.get("fingerprints") == list(retired)
        return False

    def _conclude(
        self,
        batch: "_Batches",
        done: Reencrypted,
        newest: Newest,
        retired: Sequence[tuple[KeyName, str]],
        principal: str,
    ) -> Reencrypted:
        """Write the entry that says what is left, counted in its transaction."""
        for _ in range(TRIES):
            with self._parts.store.log_connection(self._tenant) as connection:
                left = count_due(connection, self._tenant, newest)

            def see(connection: Connection, _leaves: Sequence[Leaf], left: int = left) -> None:
                if count_due(connection, self._tenant, newest) != left:
                    raise ConflictError("rows changed while they were counted")

            payload: dict[str, JsonValue] = {
                "remaining": left,
                "count": done.memories,
                "rows": done.rows,
                "unreadable": len(done.unreadable),
                "keys": len(retired),
                "fingerprints": [mark for _, mark in retired[:MAX_NAMED]],
            }
            draft = self._parts.journal.event(
                EventType.KEY_REENCRYPT, self._tenant, payload, principal=principal
            )
            try:
                leaf = batch.submit(draft, see)
            except LeaseLostError:
                raise
            except ConflictError:
                continue
            done.remaining, done.leaf_index = left, leaf.index
            done.idle = tuple(name for name, _ in retired) if left == 0 else ()
            return done
        raise ConflictError("rows change faster than they are counted: run it again")


class _Batches:
    """Seals one batch after another anew."""

    def __init__(
        self, parts: Parts, keys: TenantKeys, newest: Newest, fence: Change | None, principal: str
    ) -> None:
        self._parts = parts
        self._keys = keys
        self._tenant = keys.tenant
        self._newest = newest
        self._fence = [] if fence is None else [fence]
        self._principal = principal
        self._stock = Stock(parts.entropy)
        self._pairs: dict[tuple[tuple[str, ...], tuple[int, ...]], tuple[SealingKey, SealingKey]] = {}
        """Of the batch at hand: what its rows lie under, with what they are to lie under."""

    def seal(self, kind: RowKind, due: Sequence[Place], done: Reencrypted) -> None:
        """Seal some rows of a kind anew.

        Raises:
            ConflictError: they were changed each time that they were read; or a lease was lost.
        """
        for _ in range(TRIES - 1):
            with suppress(ConflictError):
                self._seal(kind, due, done)
                return
        self._seal(kind, due, done)

    def submit(self, draft: EntryDraft, *changes: Change) -> Leaf:
        """Write an entry, and what it tells of, in one transaction."""
        (leaf,) = self._parts.store.submit(WriteSet(drafts=[draft], changes=[*self._fence, *changes]))
        return leaf

    def _seal(self, kind: RowKind, due: Sequence[Place], done: Reencrypted) -> None:
        with self._parts.store.log_connection(self._tenant) as connection:
            reads = list(rows_at(connection, self._tenant, kind, due))
            told = RowWord(connection, self._tenant, [one.told_at for one in reads if isinstance(one, _TOLD)])
        self._pairs.clear()
        self._stock = Stock(self._parts.entropy)
        self._lease(read.value for read in reads if not isinstance(read, Place))
        anew, unreadable = _Anew(), []
        for read in reads:
            try:
                if isinstance(read, Place):
                    raise TamperedError("a row is not of the form of one")
                self._add(anew, read, told)
            except RootUnusableError:
                raise  # says nothing of the row
            except _UNREADABLE:
                unreadable.append(read.row_id)
        if anew:
            payload = _told(kind, self._tenant, anew)
            draft = self._parts.journal.event(
                EventType.KEY_REENCRYPT, self._tenant, payload, principal=self._principal
            )
            self.submit(draft, anew.resealing(self._tenant).change)
        done.count(kind, len(anew), unreadable)

    def _add(self, anew: "_Anew", read: RowRead, told: RowWord) -> None:
        """Seal one row anew."""
        if isinstance(read, MemoryRead):
            told.expect(read.told_at, read.row_id, read.stored.version, read.digest)
            anew.memories.append((read, self._memory(read.stored)))
        elif isinstance(read, EpisodeRead):
            told.expect_episode(read.told_at, read.row_id, read.digest)
            row = read.stored
            move = self._mover(read.value, row.episode_id, FIRST_VERSION, row.access_tier)
            attributes = move(SealedField.EPISODE, row.attributes)
            anew.episodes.append((read, replace(row, attributes=attributes)))
        elif isinstance(read, VectorRead):
            move = self._mover(read.value, read.row_id, read.version, read.access_tier)
            anew.vectors.append((read, move(SealedField.EMBEDDING, read.vector)))
        else:
            move = self._mover(read.value, read.row_id, FIRST_VERSION, AccessTier.PRIVATE)
            anew.names.append((read, move(SealedField.SUBJECT_NAME, read.name)))

    def _memory(self, row: StoredMemory) -> StoredMemory:
        move = self._mover((row.subjects, row.text), row.memory_id, row.version, row.access_tier)
        return replace(
            row,
            text=move(SealedField.TEXT, row.text),
            attributes=move(SealedField.ATTRIBUTES, row.attributes),
            originals=None if row.originals is None else move(SealedField.ORIGINALS, row.originals),
            terms=move(SealedField.TERMS, row.terms),
        )

    def _mover(
        self, value: tuple[tuple[str, ...], Sealed], record: str, version: int, tier: AccessTier
    ) -> Callable[[SealedField, Sealed], Sealed]:
        """Return what opens a field of a row under its present keys and seals it under the newest."""
        subjects, sealed = value
        under = subjects, key_versions(sealed)
        if under not in self._pairs:
            opening = self._keys.opening_key(*under)
            self._pairs[under] = opening, self._keys.sealing_key(subjects, create=False)
        before, after = self._pairs[under]
        old, new = before.bind(record, version, tier), after.bind(record, version, tier, self._stock)
        return lambda name, field: new.seal(name, old.open(name, field))

    def _lease(self, values: Iterable[tuple[tuple[str, ...], Sealed]]) -> None:
        """Have the keys of a batch unwrapped together, old and new: each by itself may be a call to a server."""
        places: set[tuple[tuple[str, ...], tuple[int, ...]]] = set()
        for subjects, sealed in values:
            places.add((subjects, tuple(self._newest.versions.get(one, 0) for one in subjects)))
            with suppress(TamperedError):  # told of when it is opened
                places.add((subjects, key_versions(sealed)))
        self._keys.lease(places)


@dataclass(slots=True)
class _Anew:
    """Rows that were read, each with what is to take its place; of one kind."""

    memories: list[tuple[MemoryRead, StoredMemory]] = field(default_factory=list)
    episodes: list[tuple[EpisodeRead, StoredEpisode]] = field(default_factory=list)
    vectors: list[tuple[VectorRead, Sealed]] = field(default_factory=list)
    names: list[tuple[NameRead, Sealed]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.memories) + len(self.episodes) + len(self.vectors) + len(self.names)

    def resealing(self, tenant: str) -> Resealing:
        """Return what writes them."""
        return Resealing(tenant, self.memories, self.episodes, self.vectors, self.names)


def _told(kind: RowKind, tenant: str, anew: _Anew) -> dict[str, JsonValue]:
    """Return what the entry says: each row that the log knows by a digest, with the one that it has now."""
    return {
        "kind": kind.value,
        "rows": len(anew),
        "memories": [after.memory_id for _, after in anew.memories],
        "versions": [after.version for _, after in anew.memories],
        "digests": [after.digest() for _, after in anew.memories],
        "episodes": [after.episode_id for _, after in anew.episodes],
        "episode_digests": [episode_digest(after.row(tenant)) for _, after in anew.episodes],
    }
