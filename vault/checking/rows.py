"""Each row by itself: it opens where it stands, and is what the log tells of it.

Owns memories, episodes and names of subjects, a page at a time. A version that is bad is put into quarantine; one
that is good again is let out. What can be derived from a good row is put right: whom it is about, its vector.

That a server of keys does not answer says nothing of a row: the run ends with that error, and finds nothing.
"""

import struct
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EventType
from audit.log import Leaf
from vault.checking.finding import Bounds, Check, Finding, Findings, Severity, shown
from vault.crypto.sealed import Sealed
from vault.embedding_worker import Pending
from vault.errors import (
    IdentifierInvalidError,
    InputInvalidError,
    KeyAccessError,
    KeyDestroyedError,
    KeyMissingError,
    RootUnusableError,
    TamperedError,
)
from vault.ids import IdKind, check_vault_id
from vault.parts import Parts
from vault.quarantine import BadVersion, Quarantine, QuarantineReason
from vault.row_word import RowWord
from vault.sealing import IndexPlace
from vault.search.lexical import embedding_text
from vault.storage.consistency_rows import (
    VersionRow,
    about_of,
    episodes_after,
    memory_ids_after,
    names_after,
    quarantined,
    set_about,
    tombstoned,
    vectors_of,
    version_at,
    versions_of,
)
from vault.storage.damaged_text import before_damage, is_damaged
from vault.storage.group_commit import WriteSet
from vault.storage.rows import StoredMemory, split_subjects

_UNREADABLE: Final = (
    TamperedError,
    KeyAccessError,
    IdentifierInvalidError,
    InputInvalidError,
    ValueError,
    TypeError,
    AttributeError,
    struct.error,
)
_OPENS: Final = "fields that open where they stand"


class RowChecks:
    """Checks the rows of one tenant."""

    def __init__(self, parts: Parts, tenant: str, bounds: Bounds, findings: Findings) -> None:
        self._parts = parts
        self._tenant = tenant
        self._bounds = bounds
        self._findings = findings
        self._quarantine = Quarantine(parts)
        self._classes = {one.id for one in parts.retention.classes}

    def memories(self, after: str) -> str | None:
        """Check the next memories with all their versions; return the last of them, None at the end."""
        store, tenant = self._parts.store, self._tenant
        with store.log_connection(tenant) as connection:
            ids = memory_ids_after(connection, tenant, after, self._bounds.batch)
            if not ids:
                return None
            rows = versions_of(connection, tenant, ids)
            word = RowWord(connection, tenant, [row.told for row in rows if type(row.told) is int])
            about = about_of(connection, tenant, ids)
            vectors = vectors_of(connection, tenant, ids)
            known = quarantined(connection, tenant, ids)
            gone = self._gone(connection, ids)
        self._lease(rows)
        self._findings.counts["rows"] += len(rows)
        for memory_id, versions in groupby(rows, key=attrgetter("memory_id")):
            group = list(versions)
            good = [self._version(row, word, known, str(memory_id) in gone) for row in group]
            if all(good):
                self._about(group, about.get(memory_id, set()))
            for row, is_good in zip(group, good, strict=True):
                if is_good and row.is_current and row.stored is not None:
                    self._retention(row.stored)
                    self._vector(row.stored, vectors.get((row.memory_id, row.version)))
        for one in ids:
            if isinstance(one, str) and is_damaged(one):  # its row is not found by it
                self._add(Check.ROW, shown(one), "a row of the form of a memory", "an id that is no text")
        return _following(ids[-1])

    def episodes(self, after: str) -> str | None:
        """Check the next episodes; return the last of them, None at the end."""
        store, tenant = self._parts.store, self._tenant
        with store.log_connection(tenant) as connection:
            rows = episodes_after(connection, tenant, after, self._bounds.batch)
            word = RowWord(connection, tenant, [row.told for row in rows if type(row.told) is int])
        if not rows:
            return None
        self._findings.counts["episodes"] += len(rows)
        held = [(row.stored.subjects, row.stored.attributes) for row in rows if row.stored is not None]
        self._parts.sealers.lease(tenant, held)
        for row in rows:
            where = shown(row.episode_id)
            if row.stored is None or type(row.told) is not int:
                self._add(Check.EPISODE, where, "a row of the form of an episode", "another form")
                continue
            try:
                self._parts.sealers.open_episode(tenant, row.stored)
                word.expect_episode(row.told, row.stored.episode_id, row.digest)
            except RootUnusableError:
                raise
            except KeyDestroyedError:
                self._shredded(Check.EPISODE, where)
            except _UNREADABLE as error:
                self._add(Check.EPISODE, where, _OPENS, type(error).__name__)
        return _following(rows[-1].episode_id)

    def names(self, after: str) -> str | None:
        """Check the next names of subjects: no entry of the log knows them."""
        tenant, sealers = self._tenant, self._parts.sealers
        with self._parts.store.log_connection(tenant) as connection:
            rows = names_after(connection, tenant, after, self._bounds.batch)
        if not rows:
            return None
        sealers.lease(tenant, [((subject,), name) for subject, name in rows])
        for subject, name in rows:
            try:
                sealers.check_name(tenant, subject, name)
            except RootUnusableError:
                raise
            except KeyDestroyedError:
                continue  # shredded: no name is left to be wrong
            except _UNREADABLE as error:
                self._add(
                    Check.NAME, shown(subject), "the name that its id was made of", type(error).__name__
                )
        return _following(rows[-1][0])

    def _gone(self, connection: Connection, ids: Sequence[object]) -> set[str]:
        tombstones = self._parts.sealers.tombstones(self._tenant)
        digests = {tombstones.memory(one).digest: one for one in ids if isinstance(one, str)}
        return tombstoned(connection, self._tenant, digests)

    def _lease(self, rows: Sequence[VersionRow]) -> None:
        held = [(row.stored.subjects, row.stored.text) for row in rows if row.stored is not None]
        self._parts.sealers.lease(self._tenant, held)

    def _version(
        self,
        row: VersionRow,
        word: RowWord,
        known: dict[tuple[str, int], str],
        is_gone: bool,  # noqa: FBT001
    ) -> bool:
        """Check a version; say whether it is good."""
        place = (str(row.memory_id), row.version if isinstance(row.version, int) else -1)
        reason, got = self._fault(row, word)
        if is_gone:
            self._add(Check.TOMBSTONE, shown(row.memory_id), "no row: it was removed for good", "a row")
            reason = QuarantineReason.REMOVED
        elif reason is not None:
            check = Check.WORD if reason is QuarantineReason.LOG else Check.ROW
            expected = "the row that the log tells of" if check is Check.WORD else _OPENS
            self._add(check, shown(row.memory_id), f"version {shown(row.version)}: {expected}", got)
        elif got:
            self._shredded(Check.ROW, shown(row.memory_id))
            return False
        if reason is None:
            if place in known and known[place] != QuarantineReason.UNSUPPORTED.value:
                self._release(row)
            return True
        if place in known:
            self._findings.counts["in-quarantine"] += 1
        elif self._bounds.repair:
            self._put(row, reason)
        return False

    def _fault(self, row: VersionRow, word: RowWord) -> tuple[QuarantineReason | None, str]:
        """Say what is wrong with a version; no reason, but a word, where its key was destroyed."""
        if row.stored is None or type(row.told) is not int:
            return QuarantineReason.FORM, "another form"
        stored, sealers = row.stored, self._parts.sealers
        try:
            sealers.open_memory(self._tenant, stored, reveal=True)
            sealers.open_terms(self._tenant, _place(stored), stored.terms)
        except RootUnusableError:
            raise
        except KeyDestroyedError:
            return None, "a key that was destroyed"
        except KeyMissingError:
            return QuarantineReason.KEY_MISSING, "no such key"
        except _UNREADABLE as error:
            return QuarantineReason.SEAL, type(error).__name__
        try:
            word.expect(row.told, stored.memory_id, stored.version, row.digest)
        except TamperedError:
            return QuarantineReason.LOG, f"another than entry {row.told} says"
        return None, ""

    def _put(self, row: VersionRow, reason: QuarantineReason) -> None:
        if not isinstance(row.version, int) or not isinstance(row.memory_id, str):
            return  # no id and version that anybody could ask for
        try:
            check_vault_id(IdKind.MEMORY, row.memory_id)
        except IdentifierInvalidError:
            return
        bad = BadVersion(row.memory_id, row.version, row.digest, reason)
        if self._quarantine.put(self._tenant, bad, self._bounds.fence):
            self._findings.counts["quarantined"] += 1

    def _release(self, row: VersionRow) -> None:
        if self._bounds.repair:
            self._quarantine.release(self._tenant, row, self._bounds.fence)
        self._findings.add(
            Finding(
                Check.QUARANTINE,
                Severity.NOTICE,
                shown(row.memory_id),
                "a row that is bad",
                f"version {shown(row.version)} is what was written: served again",
                self._bounds.repair,
            )
        )

    def _retention(self, stored: StoredMemory) -> None:
        if stored.retention.class_id not in self._classes:
            got = f"{shown(stored.retention.class_id)}: it never ends"
            self._add(Check.RETENTION, stored.memory_id, "a class of retention.yaml", got, Severity.WARNING)

    def _about(self, versions: Sequence[VersionRow], stored: set[object]) -> None:
        """Let `memory_subject` say what the rows say, which open: their seals are bound to whom they are about."""
        said = {one for row in versions for one in split_subjects(str(row.subjects))}
        missing, extra = sorted(said - stored), sorted(stored - said, key=repr)
        if not missing and not extra:
            return
        memory_id, tenant = str(versions[0].memory_id), self._tenant
        seen = {(row.version, row.digest) for row in versions}

        def put_right(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            now = versions_of(connection, tenant, [memory_id])
            if {(row.version, row.digest) for row in now} == seen:  # else it changed meanwhile, or was erased
                set_about(connection, tenant, memory_id, missing, extra)

        if self._bounds.repair:
            told: dict[str, JsonValue] = {"about": "subject-rows", "targets": [memory_id], "count": 1}
            draft = self._parts.journal.event(EventType.VAULT_REPAIR, tenant, told)
            self._parts.store.submit(WriteSet(drafts=[draft], changes=self._bounds.fenced(put_right)))
        got = f"{len(missing)} missing, {len(extra)} too many"
        self._add(
            Check.SUBJECT, memory_id, "what the memory's own row says", got, repaired=self._bounds.repair
        )

    def _vector(self, stored: StoredMemory, vector: Sealed | None) -> None:
        """See that a memory has a vector that opens, or waits for one."""
        embedding, tenant = self._parts.embedding, self._tenant
        got = "none"
        if vector is None:
            if embedding.waiting(tenant, [stored.memory_id]) or self._has_vector(stored):
                return
        else:
            try:
                self._parts.sealers.open_vector(tenant, _place(stored), vector)
            except RootUnusableError:
                raise
            except _UNREADABLE as error:
                got = type(error).__name__
            else:
                return
        if self._bounds.repair:
            if vector is not None:
                self._parts.store.drop_vector(tenant, stored.memory_id)
            told: dict[str, JsonValue] = {"about": "vectors", "targets": [stored.memory_id], "count": 1}
            draft = self._parts.journal.event(EventType.VAULT_REPAIR, tenant, told)
            self._parts.store.submit(WriteSet(drafts=[draft], changes=self._bounds.fenced()))
            text = self._parts.sealers.screened_again(tenant, stored).text
            embedding.put_missing([Pending(tenant, stored, embedding_text(text))])
        self._add(
            Check.VECTOR,
            stored.memory_id,
            "a vector that opens",
            got,
            Severity.WARNING,
            repaired=self._bounds.repair,
        )

    def _has_vector(self, stored: StoredMemory) -> bool:
        """Say whether it has one by now, or is another version: it may have come since the page was read."""
        with self._parts.store.log_connection(self._tenant) as connection:
            found = vectors_of(connection, self._tenant, [stored.memory_id])
            now = version_at(connection, self._tenant, stored.memory_id, stored.version)
        return (stored.memory_id, stored.version) in found or now is None or not now.is_current

    def _shredded(self, check: Check, where: str) -> None:
        got = "a row whose key was destroyed: an erasure is under way, or left it"
        self._add(check, where, "no row", got, Severity.WARNING)

    def _add(
        self,
        check: Check,
        where: str,
        expected: str,
        got: str,
        severity: Severity = Severity.ERROR,
        *,
        repaired: bool = False,
    ) -> None:
        self._findings.add(Finding(check, severity, where, expected, got, repaired))


def _following(last: object) -> str | None:
    """Return the place behind which the next page begins; None where no sound id can follow.

    The order is the database's, by bytes: behind a damaged id no sound one has what stands before its damage.
    """
    if not isinstance(last, str):
        return None
    sound = before_damage(last)
    if sound == last:
        return last
    return sound[:-1] + chr(ord(sound[-1]) + 1) if sound else None


def _place(stored: StoredMemory) -> IndexPlace:
    return IndexPlace(stored.memory_id, stored.version, stored.subjects, stored.access_tier)
