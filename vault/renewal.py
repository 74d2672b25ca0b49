"""Memories that live on: archived to reference memory, with personal data redacted, or under newer keys.

Owns what becomes of a memory's rows at the end of such a term: every version is written anew in its place, so that
no former version keeps what the present one lost. It leaves which memories to `vault.expiry` and `vault.review`, the
writing to `vault.storage.rewriting` and the redaction of a text to `vault.privacy.kept`.

What an episode is called (title, file name, tags) is not the memory's: it stays with the episode.

- Threat: a row that somebody altered would get a digest of ours, and the log would vouch for it. So each row is seen
  to be the one that the log knows before it is written anew.
- To re-encrypt is to rotate the keys of the subjects, unless that was done within the term, and to begin the term
  again; the rows are sealed under the newer keys by the job that does so for all (`vault.reencryption`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EventType
from audit.log import Leaf
from policies.retention_model import EndAction, RetentionClass
from vault.archiving import UNREADABLE, Archive
from vault.clock import microseconds
from vault.crypto.key_record import KeyState
from vault.embedding_worker import Pending
from vault.errors import ConflictError, RootUnusableError, TamperedError
from vault.indexes import Indexed
from vault.model import Retention
from vault.parts import Parts
from vault.pipeline.annotate import annotate
from vault.privacy.kept import without_originals
from vault.row_word import RowWord
from vault.storage.due import VersionRead, all_versions
from vault.storage.group_commit import Change, WriteSet
from vault.storage.removal import expect_not_held
from vault.storage.rewriting import Rewriting
from vault.storage.rows import StoredMemory, row_digest
from vault.subject_sealer import MemoryContent, RecordPlace


@dataclass(frozen=True, slots=True)
class _Anew:
    before: StoredMemory
    after: Indexed
    is_current: bool


class Renewal:
    """Puts memories of one vault under the class that follows theirs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._archive = Archive(parts)

    def renew(
        self,
        tenant: str,
        ended: RetentionClass,
        memory_ids: Sequence[str],
        now: datetime,
        changes: Sequence[Change] = (),
    ) -> int:
        """Archive, redact or re-encrypt memories, as their class says, in one transaction; return how many.

        Args:
            tenant: Whose.
            ended: Their class, with `archive`, `redact` or `re-encrypt` at its end.
            memory_ids: A few hundred at most.
            now: When the term of the class that follows begins.
            changes: Checks that come first in the transaction.

        Raises:
            HeldError: a hold forbids redacting.
            ConflictError: a row changed meanwhile, is not what the log says, or cannot be opened.
        """
        with self._parts.store.log_connection(tenant) as connection:
            try:
                rows = all_versions(connection, tenant, memory_ids)
            except TamperedError as error:
                raise ConflictError(str(error)) from None
            told = RowWord(connection, tenant, [row.told_at for row in rows])
        anew = [self._anew(tenant, ended, row, told, microseconds(now)) for row in rows]
        if ended.then is EndAction.RE_ENCRYPT:
            self._rotate(tenant, ended, {subject for row in rows for subject in row.stored.subjects}, now)
        redacts = ended.then is EndAction.REDACT
        first: list[Change] = [partial(_expect_free, tenant, memory_ids)] if redacts else []
        self._write(tenant, ended, anew, [*changes, *first])
        return len(memory_ids)

    def _anew(self, tenant: str, ended: RetentionClass, row: VersionRead, told: RowWord, now: int) -> _Anew:
        """Return a version as it is to stand.

        Raises:
            ConflictError: it cannot be opened, or is not what the log says.
        """
        stored = row.stored
        following = Retention(ended.next or ended.id, stored.retention.rule, now)
        try:
            told.expect(row.told_at, stored.memory_id, stored.version, row.digest)
            if ended.then is EndAction.REDACT:
                return _Anew(stored, self._redacted(tenant, stored, following), row.is_current)
            archives = ended.then is EndAction.ARCHIVE
            archived = self._archive.compressed(tenant, stored) if archives else stored
        except RootUnusableError:
            raise  # says nothing of the row
        except UNREADABLE:
            raise ConflictError(f"{stored.memory_id} is not what was written, or cannot be opened") from None
        after = replace(archived, retention=following)
        return _Anew(stored, Indexed(after, b"", ""), row.is_current)

    def _rotate(self, tenant: str, ended: RetentionClass, subjects: set[str], now: datetime) -> None:
        """Give subjects newer keys, unless theirs are younger than the term.

        Killed before the entry, the key is there and the term runs on: the next run finds it young enough.
        """
        keys = self._parts.keyring.tenant(tenant)
        active = {one.name.subject: one.created for one in keys.records() if one.state is KeyState.ACTIVE}
        old = [
            subject
            for subject in sorted(subjects)
            if subject in active and ended.term is not None and ended.term.after(active[subject]) <= now
        ]
        if old:
            versions = [keys.rotate(subject) for subject in old]
            payload: dict[str, JsonValue] = {
                "subjects": list[JsonValue](old),
                "versions": list[JsonValue](versions),
            }
            self._parts.journal.write([self._parts.journal.event(EventType.KEY_ROTATE, tenant, payload)])

    def _redacted(self, tenant: str, stored: StoredMemory, following: Retention) -> Indexed:
        sealers = self._parts.sealers
        former = sealers.screened_again(tenant, stored)
        text, attributes = without_originals(former.text), former.attributes
        content = MemoryContent(
            owner=attributes.owner,
            text=text,
            speaker=without_originals(former.speaker),
            ref=None if former.ref is None else without_originals(former.ref),
            role=attributes.role,
            at=attributes.at,
            source=attributes.source,
            annotations=annotate(text.text, attributes.at),
            edited_by=attributes.edited_by,
        )
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
            retention=following,
        )
        return sealers.of_row(tenant, stored).seal_memory(place, content)

    def _write(
        self, tenant: str, ended: RetentionClass, anew: Sequence[_Anew], changes: Sequence[Change]
    ) -> None:
        redacted = [one.after for one in anew if one.is_current and ended.then is EndAction.REDACT]
        rewriting = Rewriting(
            tenant,
            [(one.before, one.after.stored) for one in anew],
            texts_changed=[one.stored.memory_id for one in redacted],
        )
        draft = self._parts.journal.event(EventType.MEMORY_EXPIRE, tenant, _told(tenant, ended, anew))

        def index() -> None:
            for one in redacted:
                self._parts.indexes.replace(tenant, one)
            with self._parts.indexes.following(tenant):
                self._parts.embedding.forget(tenant, {one.stored.memory_id for one in redacted})
                self._parts.embedding.put(
                    [Pending(tenant, one.stored, one.embedding_text) for one in redacted]
                )

        self._parts.store.submit(WriteSet(drafts=[draft], changes=[*changes, rewriting.change], finish=index))


def _told(tenant: str, ended: RetentionClass, anew: Sequence[_Anew]) -> dict[str, JsonValue]:
    """Return what the entry says: by the digests the log knows the rows again."""
    return {
        "memories": [one.before.memory_id for one in anew],
        "versions": [one.before.version for one in anew],
        "digests": [row_digest(one.after.stored.row(tenant)) for one in anew],
        "count": sum(one.is_current for one in anew),
        "class": ended.id,
        "classes": [ended.next or ended.id],
        "reason": None if ended.then is None else ended.then.value,
    }


def _expect_free(
    tenant: str, memory_ids: Sequence[str], connection: Connection, _leaves: Sequence[Leaf]
) -> None:
    """See in the transaction that no hold forbids to redact these."""
    expect_not_held(connection, tenant, memory_ids)
