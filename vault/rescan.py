"""Screening again: what a newer privacy gate finds in memories that an older one let pass is masked.

Owns the going through of rows whose stamp is not the present gate's, and the incident that follows where
something was found. It leaves finding to the gate, sealing to `vault.subject_sealer`, and writing rows in their
place to `vault.storage.rewriting`.

- All versions of a memory are screened, and what its episode is called: an older version shows the same value.
- Nothing is ever unmasked: tokens that stand stay, with their originals.
- A row that was screened again carries the present stamp, so a run that was cut short goes on where it was.
- An incident is opened from the log's own entries: one that was masked before a crash is told of after it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError
from audit.event import EntryDraft, EventType, parse_header
from audit.evidence import StoredEntry
from audit.selection import entries_of
from vault.clock import microseconds
from vault.embedding_worker import Pending
from vault.errors import (
    ConflictError,
    InputInvalidError,
    KeyAccessError,
    LeaseLostError,
    RootUnusableError,
    ScreeningRefusedError,
    TamperedError,
)
from vault.indexes import Indexed
from vault.model import Screened
from vault.parts import Parts
from vault.pipeline.annotate import annotate
from vault.privacy.kept import with_kept_tokens
from vault.privacy.names import screen_name
from vault.privacy.tokens import SubjectTokens
from vault.storage.group_commit import Change, WriteSet
from vault.storage.rewriting import Rewriting, VersionRow, episodes_after, versions_of_other_detector
from vault.storage.rows import StoredEpisode, StoredMemory, row_digest
from vault.storage.rows import episode_digest as digest_of_episode
from vault.subject_sealer import EpisodeContent, MemoryContent, RecordPlace, SubjectSealer

BATCH: Final = 64
"""Rows of one transaction: writers wait for no longer than that takes."""
MAX_NAMED: Final = 1_000
"""Memories that one incident names; more are counted."""
_READS: Final = (EventType.MEMORY_READ, EventType.MEMORY_SEARCH, EventType.MEMORY_REVEAL)
_UNREADABLE: Final = (
    TamperedError,
    KeyAccessError,
    InputInvalidError,
    ScreeningRefusedError,
    ValueError,
    TypeError,
)

Kinds = Counter[str]


@dataclass(slots=True)
class Rescanned:
    """What a run did."""

    screened: int = 0
    """Versions of memories that were looked at."""
    masked: int = 0
    """Those in which something was found."""
    episodes: int = 0
    """Episodes in whose names something was found."""
    unreadable: int = 0
    kinds: Kinds = field(default_factory=Counter)
    incident: int | None = None
    """Leaf index of the incident's entry."""
    complete: bool = False
    """Whether everything was looked at."""


@dataclass(frozen=True, slots=True)
class _Anew:
    """A version as it is to stand, and what was found in it."""

    before: StoredMemory
    after: Indexed
    is_current: bool
    kinds: Kinds


class Rescan:
    """Screens the memories of one vault again."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(
        self,
        tenant: str,
        *,
        may_go_on: Callable[[], bool] = lambda: True,
        fence: Change | None = None,
    ) -> Rescanned:
        """Go through a tenant's rows, batch by batch, and open an incident if anything was found.

        Args:
            tenant: Whose.
            may_go_on: Asked before each batch; what is left is for the next run.
            fence: Refuses in the transaction where whoever runs this may not any more.

        Raises:
            LeaseLostError: the fence refused; that batch was not written.
            RootUnusableError: no key can be had now.
            StorageError: or one of its kinds: that batch was not written.
        """
        done = Rescanned()
        done.complete = self._memories(tenant, done, may_go_on, fence) and self._episodes(
            tenant, done, may_go_on, fence
        )
        done.incident = self._incident(tenant, fence)
        return done

    def _memories(
        self, tenant: str, done: Rescanned, may_go_on: Callable[[], bool], fence: Change | None
    ) -> bool:
        stamp, after = self._parts.gate.stamp, ("", 0)
        while may_go_on():
            with self._parts.store.log_connection(tenant) as connection:
                rows, place = versions_of_other_detector(connection, tenant, stamp, after, BATCH)
            if place is None:
                return True
            after = place
            self._parts.sealers.lease(tenant, [(row.stored.subjects, row.stored.text) for row in rows])
            anew = [made for row in rows if (made := self._again(tenant, row, done)) is not None]
            self._write(tenant, anew, done, fence)
        return False

    def _again(self, tenant: str, row: VersionRow, done: Rescanned) -> _Anew | None:
        """Return a version as the present gate lets it through; None where it cannot be opened."""
        try:
            sealer = self._parts.sealers.of_row(tenant, row.stored)
            return self._screened(tenant, row, sealer)
        except RootUnusableError:
            raise  # says nothing of the row
        except _UNREADABLE:
            done.unreadable += 1  # the consistency job's to name
            return None

    def _screened(self, tenant: str, row: VersionRow, sealer: SubjectSealer) -> _Anew:
        stored = row.stored
        former = self._parts.sealers.screened_again(tenant, stored)
        text = self._screen(former.text, sealer.tokens)
        ref = None if former.ref is None else self._screen(former.ref, sealer.tokens)
        speaker = self._speaker(former.speaker, sealer.tokens)
        kinds = _found((former.text, text), (former.speaker, speaker))
        if ref is not None and former.ref is not None:
            kinds += _found((former.ref, ref))
        if not kinds:
            return _Anew(
                stored, Indexed(replace(stored, detector=text.detector), b"", ""), row.is_current, kinds
            )
        attributes = former.attributes
        place = RecordPlace(
            memory_id=stored.memory_id,
            version=stored.version,
            episode_id=stored.episode_id,
            position=stored.position,
            access_tier=stored.access_tier,
            memory_tier=stored.memory_tier,
            trust=stored.trust,
            recorded=stored.recorded,
            purpose=stored.purpose,
            retention=stored.retention,
        )
        content = MemoryContent(
            owner=attributes.owner,
            text=text,
            speaker=speaker,
            ref=ref,
            role=attributes.role,
            at=attributes.at,
            source=attributes.source,
            annotations=annotate(text.text, attributes.at),
            edited_by=attributes.edited_by,
        )
        return _Anew(stored, sealer.seal_memory(place, content), row.is_current, kinds)

    def _screen(self, before: Screened, tokens: SubjectTokens) -> Screened:
        return with_kept_tokens(self._parts.gate.screen(before.text, tokens), before)

    def _speaker(self, before: Screened, tokens: SubjectTokens) -> Screened:
        """Screen a speaker's name, unless it is a token already."""
        return before if before.replacements else screen_name(self._parts.gate, before.text, tokens)

    def _write(self, tenant: str, anew: Sequence[_Anew], done: Rescanned, fence: Change | None) -> None:
        """Write a batch; one whose row was changed meanwhile is left to the next run."""
        if not anew:
            return
        try:
            self._commit(tenant, anew, fence)
        except LeaseLostError:
            raise
        except ConflictError:
            for one in anew if len(anew) > 1 else ():
                self._write(tenant, [one], done, fence)
            return
        done.screened += len(anew)
        done.masked += sum(bool(one.kinds) for one in anew)
        for one in anew:
            done.kinds += one.kinds

    def _commit(self, tenant: str, anew: Sequence[_Anew], fence: Change | None) -> None:
        changed = [one for one in anew if one.kinds]
        current = [one.after for one in changed if one.is_current]
        rewriting = Rewriting(
            tenant,
            [(one.before, one.after.stored) for one in anew],
            texts_changed=[one.stored.memory_id for one in current],
        )
        payload: dict[str, JsonValue] = {
            "memories": [one.before.memory_id for one in anew],
            "versions": [one.before.version for one in anew],
            "digests": [row_digest(one.after.stored.row(tenant)) for one in anew],
            "gained": sorted({one.before.memory_id for one in changed}),
            "kinds": _told(sum((one.kinds for one in changed), Counter())),
            "since": min((one.before.recorded for one in changed), default=None),
        }
        draft = self._parts.journal.event(EventType.MEMORY_RESCREEN, tenant, payload)

        def index() -> None:
            for one in current:
                self._parts.indexes.replace(tenant, one)
            with self._parts.indexes.following(tenant):
                self._parts.embedding.put(
                    [Pending(tenant, one.stored, one.embedding_text) for one in current]
                )

        self._parts.store.submit(
            WriteSet(drafts=[draft], changes=[*_fenced(fence), rewriting.change], finish=index)
        )

    def _episodes(
        self, tenant: str, done: Rescanned, may_go_on: Callable[[], bool], fence: Change | None
    ) -> bool:
        after: str | None = ""
        while may_go_on():
            with self._parts.store.log_connection(tenant) as connection:
                rows, after = episodes_after(connection, tenant, after or "", BATCH)
            if after is None:
                return True
            for row in rows:
                self._episode(tenant, row, done, fence)
        return False

    def _episode(self, tenant: str, row: StoredEpisode, done: Rescanned, fence: Change | None) -> None:
        sealers, stamp = self._parts.sealers, self._parts.gate.stamp
        try:
            sealer = sealers.of_row(tenant, row)
            before = sealers.episode_screened_again(tenant, row, stamp)
            after = self._episode_again(before, sealer.tokens)
            kinds = _found(*zip(_fields(before), _fields(after), strict=True))
        except RootUnusableError:
            raise
        except _UNREADABLE:
            done.unreadable += 1
            return
        if not kinds:
            return
        stored = replace(row, attributes=sealer.seal_episode(row.episode_id, row.access_tier, after))
        payload: dict[str, JsonValue] = {
            "memories": [],
            "versions": [],
            "episodes": [row.episode_id],
            "episode_digests": [digest_of_episode(stored.row(tenant))],
            "gained": [row.episode_id],
            "kinds": _told(kinds),
            "since": row.recorded,
        }
        draft = self._parts.journal.event(EventType.MEMORY_RESCREEN, tenant, payload)
        rewriting = Rewriting(tenant, [], [(row, stored)])
        self._parts.store.submit(WriteSet(drafts=[draft], changes=[*_fenced(fence), rewriting.change]))
        done.episodes += 1
        done.kinds += kinds

    def _episode_again(self, before: EpisodeContent, tokens: SubjectTokens) -> EpisodeContent:
        return before._replace(
            title=self._screen(before.title, tokens),
            name=self._screen(before.name, tokens),
            tags=tuple(self._screen(tag, tokens) for tag in before.tags),
            metadata=tuple(
                (self._screen(key, tokens), self._screen(value, tokens)) for key, value in before.metadata
            ),
        )

    def _incident(self, tenant: str, fence: Change | None) -> int | None:
        """Open an incident for what was masked since the last one, from the log's own entries."""
        with self._parts.store.log_connection(tenant) as connection:
            told = _Exposure()
            for entry in entries_of(connection, tenant, (EventType.INCIDENT_OPEN, EventType.MEMORY_RESCREEN)):
                told.read(entry)
            if not told.exposed:
                return None
            readers = Counter[str]()
            for entry in entries_of(connection, tenant, _READS):
                readers.update(told.reader(entry))
        draft = self._draft(tenant, told, readers)
        (leaf,) = self._parts.store.submit(WriteSet(drafts=[draft], changes=_fenced(fence)))
        return leaf.index

    def _draft(self, tenant: str, told: "_Exposure", readers: Counter[str]) -> EntryDraft:
        payload: dict[str, JsonValue] = {
            "about": "personal-data-found-late",
            "count": len(told.exposed),
            "memories": sorted(told.exposed)[:MAX_NAMED],
            "kinds": _told(told.kinds),
            "since": told.since,
            "until": microseconds(self._parts.clock()),
            "readers": [[name, count] for name, count in sorted(readers.items())],
            "first": told.first,
            "stop": told.stop,
        }
        return self._parts.journal.event(EventType.INCIDENT_OPEN, tenant, payload)


@dataclass(slots=True)
class _Exposure:
    """What entries of screenings say that no incident has told of yet."""

    exposed: set[str] = field(default_factory=set)
    kinds: Kinds = field(default_factory=Counter)
    since: int | None = None
    first: int | None = None
    stop: int = 0

    def read(self, entry: StoredEntry) -> None:
        payload = _payload(entry)
        if entry.event == EventType.INCIDENT_OPEN:
            self.exposed, self.kinds, self.since, self.first = set(), Counter(), None, None
            return
        gained = payload.get("gained")
        if not isinstance(gained, list) or not gained:
            return
        self.exposed.update(str(one) for one in gained)
        self.kinds.update(_counts(payload.get("kinds")))
        since = payload.get("since")
        if isinstance(since, int):
            self.since = since if self.since is None else min(since, self.since)
        self.first = entry.index if self.first is None else self.first
        self.stop = entry.index + 1

    def reader(self, entry: StoredEntry) -> Iterable[str]:
        """Return who read something that was exposed, in an entry of a read before it was masked."""
        if entry.index >= self.stop:
            return ()
        header = parse_header(entry.header)
        named = _payload(entry).get("memories")
        read = {str(one) for one in named} if isinstance(named, list) else set()
        read.add(header.resource or "")
        return () if read.isdisjoint(self.exposed) else (header.principal,)


def _fenced(fence: Change | None) -> list[Change]:
    return [] if fence is None else [fence]


def _found(*pairs: tuple[Screened, Screened]) -> Kinds:
    """Return the kinds of what stands masked in the second of each pair and did not in the first."""
    found: Kinds = Counter()
    for before, after in pairs:
        stood = Counter(one.entity_type for one in before.replacements)
        found += Counter(one.entity_type for one in after.replacements) - stood
    return found


def _fields(content: EpisodeContent) -> list[Screened]:
    return [content.title, content.name, *content.tags, *(part for pair in content.metadata for part in pair)]


def _told(kinds: Mapping[str, int]) -> list[JsonValue]:
    return [[kind.lower().replace("_", "-"), count] for kind, count in sorted(kinds.items())]


def _counts(kinds: JsonValue) -> Kinds:
    counted: Kinds = Counter()
    for one in kinds if isinstance(kinds, list) else ():
        if isinstance(one, list) and len(one) == 2 and isinstance(one[1], int):  # noqa: PLR2004  # kind, count
            counted[str(one[0])] += one[1]
    return counted


def _payload(entry: StoredEntry) -> Mapping[str, JsonValue]:
    try:
        payload = None if entry.payload is None else parse_canonical(entry.payload)
    except MalformedError:
        return {}
    return payload if isinstance(payload, Mapping) else {}
