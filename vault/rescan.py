"""Screening again: what a newer privacy gate finds in memories that an older one let pass is masked.

Owns the going through of rows whose stamp is not the present gate's. It leaves finding to the gate, sealing to
`vault.subject_sealer`, writing rows in their place to `vault.storage.rewriting`, and the incident that follows where
something was found to `vault.incidents`.

- All versions of a memory are screened, and what its episode is called: an older version shows the same value.
- Nothing is ever unmasked: tokens that stand stay, with their originals.
- What the rules take out for good is masked under a legal hold, too, and its original is kept sealed: a hold lets
  nothing be lost (law 4). It is asked again in the transaction.
- A row that was screened again carries the present stamp, so a run that was cut short goes on where it was.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EventType
from audit.log import Leaf
from policies.model import AccessTier
from vault.embedding_worker import Pending
from vault.errors import (
    ConflictError,
    HeldError,
    InputInvalidError,
    KeyAccessError,
    LeaseLostError,
    RootUnusableError,
    ScreeningRefusedError,
    TamperedError,
)
from vault.incidents import Kinds, open_incident, told_kinds
from vault.indexes import Indexed
from vault.model import Screened
from vault.parts import Parts
from vault.pipeline.annotate import annotate
from vault.privacy.gate import PrivacyGate
from vault.privacy.kept import with_kept_originals, with_kept_tokens, without_originals
from vault.privacy.names import screen_name
from vault.privacy.tokens import SubjectTokens
from vault.storage.group_commit import Change, WriteSet
from vault.storage.removal import expect_not_held, held_memories
from vault.storage.rewriting import (
    Rewriting,
    VersionRow,
    episodes_after,
    memories_of_episode,
    versions_of_other_detector,
)
from vault.storage.rows import StoredEpisode, StoredMemory, row_digest
from vault.storage.rows import episode_digest as digest_of_episode
from vault.subject_sealer import EpisodeContent, MemoryContent, RecordPlace, SubjectSealer

BATCH: Final = 64
"""Rows of one transaction: writers wait for no longer than that takes."""
_UNREADABLE: Final = (
    TamperedError,
    KeyAccessError,
    InputInvalidError,
    ScreeningRefusedError,
    ValueError,
    TypeError,
)


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
    lost: bool = False
    """Whether an original is taken out for good."""


@dataclass(slots=True)
class _Screen:
    """Screens the fields of one row again.

    Args:
        gate: The present one.
        tokens: Of the row's subject and scope.
        keeping: Whether the row is under a hold, so that no original may be lost.
        public: Whether it is public, where no original goes along (`vault.privacy.public`).
    """

    gate: PrivacyGate
    tokens: SubjectTokens
    keeping: bool
    public: bool = False
    lost: bool = False
    """Whether an original was taken out for good."""

    def again(self, before: Screened) -> Screened:
        """Screen a text; what stood as a token stays."""
        screened = self.gate.screen(before.text, self.tokens)
        if any(one.original is None for one in screened.replacements):
            if self.keeping:
                screened = with_kept_originals(screened, before.text)
            else:
                self.lost = True
        return self._as_open(with_kept_tokens(screened, before))

    def speaker(self, before: Screened) -> Screened:
        """Screen a speaker's name, unless it is a token already."""
        if before.replacements:
            return before
        return self._as_open(screen_name(self.gate, before.text, self.tokens))

    def _as_open(self, screened: Screened) -> Screened:
        """Return a text as its access tier takes it; what a hold keeps has its originals still, until it ends."""
        if not self.public or self.keeping:
            return screened
        self.lost |= any(one.original is not None for one in screened.replacements)
        return without_originals(screened)


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
        done.incident = open_incident(self._parts, tenant, _fenced(fence))
        return done

    def _memories(
        self, tenant: str, done: Rescanned, may_go_on: Callable[[], bool], fence: Change | None
    ) -> bool:
        stamp, after = self._parts.gate.stamp, ("", 0)
        while may_go_on():
            with self._parts.store.log_connection(tenant) as connection:
                rows, place = versions_of_other_detector(connection, tenant, stamp, after, BATCH)
                held = held_memories(connection, tenant, [row.stored.memory_id for row in rows])
            if place is None:
                return True
            after = place
            self._parts.sealers.lease(tenant, [(row.stored.subjects, row.stored.text) for row in rows])
            kept = {one.memory_id for one in held}
            anew = [made for row in rows if (made := self._again(tenant, row, kept, done)) is not None]
            self._write(tenant, anew, done, fence)
        return False

    def _again(self, tenant: str, row: VersionRow, held: Collection[str], done: Rescanned) -> _Anew | None:
        """Return a version as the present gate lets it through; None where it cannot be opened."""
        try:
            sealer = self._parts.sealers.of_row(tenant, row.stored)
            keeping = row.stored.memory_id in held
            public = row.stored.access_tier is AccessTier.PUBLIC
            screen = _Screen(self._parts.gate, sealer.tokens, keeping, public)
            return self._screened(tenant, row, screen, sealer)
        except RootUnusableError:
            raise  # says nothing of the row
        except _UNREADABLE:
            done.unreadable += 1  # the consistency job's to name
            return None

    def _screened(self, tenant: str, row: VersionRow, screen: "_Screen", sealer: SubjectSealer) -> _Anew:
        stored = row.stored
        former = self._parts.sealers.screened_again(tenant, stored)
        text = screen.again(former.text)
        ref = None if former.ref is None else screen.again(former.ref)
        speaker = screen.speaker(former.speaker)
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
        return _Anew(stored, sealer.seal_memory(place, content), row.is_current, kinds, lost=screen.lost)

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
        losing = [one.before.memory_id for one in changed if one.lost]
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
            "kinds": told_kinds(sum((one.kinds for one in changed), Counter())),
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
            WriteSet(
                drafts=[draft],
                changes=[*_fenced(fence), _losing(tenant, losing), rewriting.change],
                finish=index,
            )
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
            with self._parts.store.log_connection(tenant) as connection:
                memories = memories_of_episode(connection, tenant, row.episode_id)
                held = bool(held_memories(connection, tenant, memories))
            screen = _Screen(self._parts.gate, sealer.tokens, held, row.access_tier is AccessTier.PUBLIC)
            after = _episode_again(before, screen)
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
            "kinds": told_kinds(kinds),
            "since": row.recorded,
        }
        draft = self._parts.journal.event(EventType.MEMORY_RESCREEN, tenant, payload)
        rewriting = Rewriting(tenant, [], [(row, stored)])
        changes = [*_fenced(fence), _losing(tenant, memories if screen.lost else ()), rewriting.change]
        try:
            self._parts.store.submit(WriteSet(drafts=[draft], changes=changes))
        except HeldError:
            return  # a hold came between: the next run keeps what it would have lost
        done.episodes += 1
        done.kinds += kinds


def _episode_again(before: EpisodeContent, screen: _Screen) -> EpisodeContent:
    return before._replace(
        title=screen.again(before.title),
        name=screen.again(before.name),
        tags=tuple(screen.again(tag) for tag in before.tags),
        metadata=tuple((screen.again(key), screen.again(value)) for key, value in before.metadata),
    )


def _losing(tenant: str, memories: Sequence[str]) -> Change:
    """Return the change that sees that no hold came over memories of which something is taken out for good."""

    def expect(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        if memories:
            expect_not_held(connection, tenant, memories)

    return expect


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
