"""Rows against the log: what the entries say was written, and what lies in the tables.

Owns the comparison alone, without content and without a key: rows are known by the digest of their
sealed bytes. Hashes and signatures of the log are `audit.verify`'s; an entry that is not as it was
written is its finding, and what such an entry says is not relied on here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError
from audit.event import EventType, Outcome, parse_header
from audit.evidence import StoredEntry
from audit.verify import MAX_FINDINGS, Finding
from vault.hold_words import HoldRows, HoldWords
from vault.model import TrustState
from vault.row_words import Edge, Words
from vault.storage.store import EdgePlace, EpisodeDigest, RowDigest

ROW_DIGEST: Final = "row against log"
ROW_PRESENT: Final = "row of an entry"
ROW_GONE: Final = "removed rows stay away"
ROW_CURRENT: Final = "newest version is the current one"
ROW_TRUST: Final = "trust of a version"
ROW_SUBJECT: Final = "subjects of a memory"
ROW_EDGE: Final = "edge against log"
ROW_CREDENTIAL: Final = "credential against log"
ROW_HOLD: Final = "legal hold against log"
ENTRY_FORM: Final = "entry that names rows"
ROWS_UNTOLD: Final = "rows of erased entries"
_TRUST: Final = {trust.value[0]: trust.value for trust in TrustState}
"""Write entries name the trust of each memory by its first letter."""
_NAMING: Final = re.compile('"(?:digests|episode_digests|trust|links|edges|gone)":')
_OF_PRINCIPALS: Final = '"event":"principal.'
_OF_HOLDS: Final = '"event":"hold.'
_WROTE: Final = re.compile('"event":"memory[.](?:organize|promote|update|write)","outcome":"ok"')
"""In a header, whose keys are sorted and whose strings are of no such letters."""
_OF_ERASURE: Final = re.compile('"event":"payload[.]erase","outcome":"ok"')
_ORGANIZED: Final = '"event":"memory.organize","outcome":"ok"'
_RESTORED: Final = '"event":"snapshot.restore","outcome":"ok"'
_SHOWABLE: Final = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one tenant, of the same state of the database as the log's entries."""

    memories: Iterable[RowDigest]
    """A memory's versions together and oldest first."""
    episodes: Iterable[EpisodeDigest]
    about: Iterable[tuple[str, str]]
    """Subject and memory, from `memory_subject`."""
    edges: Iterable[EdgePlace]
    credentials: Iterable[str] = ()
    """Ids."""
    holds: HoldRows | None = None
    """Legal holds; None: not compared."""


class RowComparison(NamedTuple):
    """What rows and log say of each other."""

    findings: tuple[Finding, ...]
    more: int
    """Findings beyond those kept."""
    checked: int
    """Rows of memories that were compared."""
    warnings: tuple[Finding, ...] = ()
    """What cannot be compared any more."""


def compare_rows(tenant: str, entries: Iterable[StoredEntry], rows: Rows) -> RowComparison:
    """Compare rows with what the entries say that wrote them.

    Each row of memories and episodes has the digest that its entry names, each row that an entry names
    is there, of each memory the newest version is the current one, and the trust of each version is what was
    last logged before the next one came; `memory_subject` says of each memory what its digested row says; edges are those that
    entries name; credentials are those that were made and not revoked. A row whose entry was erased is not compared: the erasure took
    the digest with it. That it cannot be is a warning, as such a row could be gone, or another.

    Args:
        tenant: Whose.
        entries: The whole log.
        rows: All of the tenant.
    """
    check = _Comparison(tenant, Words(), HoldWords(tenant))
    for entry in entries:
        check.read(entry)
    subjects = check.memories(rows.memories)
    check.episodes(rows.episodes)
    check.subjects(subjects, set(rows.about))
    check.edges(rows.edges)
    check.credentials(rows.credentials)
    check.holds(rows.holds)
    return RowComparison(tuple(check.found), check.more, check.checked, check.untold())


def words_of(tenant: str, entries: Iterable[StoredEntry]) -> Words:
    """Return what the entries of a log say of rows; one that is not of its form says nothing."""
    check = _Comparison(tenant, Words(), HoldWords(tenant))
    for entry in entries:
        check.read(entry)
    return check.logged


@dataclass(slots=True)
class _Comparison:
    tenant: str
    logged: Words
    of_holds: HoldWords
    found: list[Finding] = field(default_factory=list)
    more: int = 0
    checked: int = 0

    def add(self, index: object, check: str, expected: str, got: str) -> None:
        if len(self.found) < MAX_FINDINGS:
            place = index if isinstance(index, int) else None
            self.found.append(Finding(self.tenant, place, check, expected, got))
        else:
            self.more += 1

    def read(self, entry: StoredEntry) -> None:
        """Take an entry's word."""
        if _OF_PRINCIPALS in entry.header:
            self._note_credential(entry)
        elif _OF_HOLDS in entry.header:
            try:
                self.of_holds.read(entry)
            except (ValueError, KeyError):
                self.add(entry.index, ENTRY_FORM, "a hold, its targets and its review", "another form")
            return
        if entry.payload is None:
            self.logged.unsaid.add(entry.index)
            if _WROTE.search(entry.header):
                self.logged.untold[entry.index] = entry.erased_by
            if _ORGANIZED in entry.header:
                self.logged.forget_trust()
        elif _OF_ERASURE.search(entry.header) and '"erasure":"' in entry.payload:
            self.logged.erasures.add(entry.index)
        elif _NAMING.search(entry.payload) or _RESTORED in entry.header:
            try:
                self._note(entry, parse_canonical(entry.payload))
            except (MalformedError, _FormError):
                self.logged.unsaid.add(entry.index)
                self.add(entry.index, ENTRY_FORM, "ids, digests and words of trust", "another form")

    def untold(self) -> tuple[Finding, ...]:
        """Return the warning that rows of erased entries are not compared.

        Threat: whoever may erase a payload takes the digests of living rows out of the log, and whoever
        writes the store deletes or changes them unseen. That it was erased, and by whom, stays in the log. What
        the erasure of a person drops is about rows that are gone: there is nothing to compare.
        """
        untold = [index for index in self.logged.untold if not self._was_removed(index)]
        count = len(untold)
        if not count:
            return ()
        expected = f"the digests of what {count} {'entry' if count == 1 else 'entries'} wrote"
        got = "none: what they wrote could be gone, or another"
        return (Finding(self.tenant, untold[0], ROWS_UNTOLD, expected, got),)

    def _was_removed(self, index: object) -> bool:
        """Say whether all that an entry wrote was removed with the person that it was about."""
        return isinstance(index, int) and self.logged.untold.get(index) in self.logged.erasures

    def _note_credential(self, entry: StoredEntry) -> None:
        """Take the header's word, which no erasure takes away."""
        try:
            header = parse_header(entry.header)
        except MalformedError:
            return  # the log's own check says so
        if header.outcome is not Outcome.OK or header.resource is None:
            return
        if header.event is EventType.PRINCIPAL_CREATE:
            self.logged.credentials[header.resource] = entry.index
        elif header.event is EventType.PRINCIPAL_REVOKE:
            self.logged.credentials.pop(header.resource, None)
            self.logged.revoked[header.resource] = entry.index

    def _note(self, entry: StoredEntry, payload: JsonValue) -> None:
        if not isinstance(payload, Mapping):
            raise _FormError
        logged, index = self.logged, entry.index
        if _RESTORED in entry.header:
            self._note_restored(index, payload)
        logged.gone.update(dict.fromkeys(_texts(payload.get("gone", [])), index))
        if "versions" in payload:
            self._note_resealed(index, payload)
            return
        written = _texts(payload.get("written", []))
        named = written or _texts(payload.get("memories", []))
        digests, trust = _texts(payload.get("digests", [])), _words(payload.get("trust", []))
        links, count = payload.get("links"), payload.get("edges", 0)
        edges = None if links is None else frozenset(_edges(links))
        part, parts = payload.get("part", 0), payload.get("parts", 0)
        if not isinstance(count, int) or not isinstance(part, int) or not isinstance(parts, int):
            raise _FormError
        episode = payload.get("episode")
        if not isinstance(episode, str | None):
            raise _FormError
        if written:
            logged.episodes[index] = (parse_header(entry.header).resource or "", episode)
        logged.digests[index] = dict(zip(named, digests, strict=False))
        for memory_id, word in zip(named, (_TRUST.get(word, word) for word in trust), strict=False):
            logged.note_trust(index, memory_id, word)
        if edges is None:
            logged.counts[index] = count
        else:
            logged.links[index - part] = logged.links.get(index - part, frozenset()) | edges
            logged.parts[index] = parts

    def _note_restored(self, index: int, payload: Mapping[str, JsonValue]) -> None:
        """Take the word of a restore: what was written since its snapshot was made is no more, but what was held."""
        self.logged.kept.update(_texts(payload.get("held", [])))
        size = payload.get("size")
        if isinstance(size, int):
            self.logged.rewind(size, index)
        try:
            self.of_holds.take_back(payload.get("replayed", []))
        except ValueError:
            raise _FormError from None

    def _note_resealed(self, index: int, payload: Mapping[str, JsonValue]) -> None:
        """Take the word of an entry of a re-encryption, which named what it sealed anew."""
        versions = payload.get("versions")
        if not isinstance(versions, list):
            raise _FormError
        places = zip(_texts(payload.get("memories", [])), versions, strict=False)
        digests = _texts(payload.get("digests", []))
        for (memory_id, version), digest in zip(places, digests, strict=False):
            if not isinstance(version, int):
                raise _FormError
            self.logged.note_resealed((memory_id, version), index, digest)
        episodes = _texts(payload.get("episodes", []))
        told = zip(episodes, _texts(payload.get("episode_digests", [])), strict=False)
        for episode, digest in told:
            self.logged.note_resealed_episode(episode, index, digest)

    def memories(self, rows: Iterable[RowDigest]) -> set[tuple[str, str]]:
        """Compare memories; return what their rows say that they are about."""
        subjects: set[tuple[str, str]] = set()
        unseen = {(index, memory) for index, named in self.logged.digests.items() for memory in named}
        for memory_id, group in groupby(rows, key=attrgetter("memory_id")):
            versions = list(group)
            if memory_id in self.logged.gone:
                self.add(self.logged.gone[memory_id], ROW_GONE, "no row", f"a row of {_shown(memory_id)}")
            for row in versions:
                unseen.discard((row.leaf_index, memory_id))
                subjects.update((subject, memory_id) for subject in row.subjects)
                self._memory(row)
            self._newest(versions)
        for index, memory_id in sorted(unseen):
            if memory_id not in self.logged.gone:
                self.add(index, ROW_PRESENT, f"a row of {_shown(memory_id)}", "none")
        return subjects

    def _memory(self, row: RowDigest) -> None:
        resealed = self.logged.resealed.get((row.memory_id, row.version))
        if self._was_removed(row.leaf_index) and row.memory_id not in self.logged.gone:
            got = f"a row of {_shown(row.memory_id)}"
            self.add(row.leaf_index, ROW_GONE, "no row of an entry whose person was erased", got)
        if resealed is None and row.leaf_index in self.logged.unsaid:
            return
        self.checked += 1
        named = self.logged.digests.get(row.leaf_index, {})
        expected = named.get(row.memory_id, "an entry that wrote this row")
        if resealed is not None:
            expected = resealed[-1].digest
        if expected != row.digest:
            got = f"{row.digest} in version {_shown(row.version)} of {_shown(row.memory_id)}"
            self.add(row.leaf_index, ROW_DIGEST, expected, got)

    def _newest(self, versions: list[RowDigest]) -> None:
        last = versions[-1]
        current = [row.version for row in versions if row.is_current]
        if current != [last.version]:
            expected = f"version {_shown(last.version)} of {_shown(last.memory_id)}"
            got = f"versions {[_shown(version) for version in current]}"
            self.add(None, ROW_CURRENT, expected, got)
        for row, following in zip(versions, [*versions[1:], None], strict=True):
            until = None if following is None else following.leaf_index
            logged = self.logged.trust_until(row.memory_id, until)
            if logged is not None and row.trust != logged:
                expected = f"{logged} for version {_shown(row.version)} of {_shown(row.memory_id)}"
                self.add(None, ROW_TRUST, expected, repr(row.trust[:16]))

    def episodes(self, rows: Iterable[EpisodeDigest]) -> None:
        unseen = {episode: index for index, (episode, _) in self.logged.episodes.items()}
        for row in rows:
            if unseen.get(row.episode_id) == row.leaf_index:
                del unseen[row.episode_id]
            episode, digest = self.logged.episodes.get(row.leaf_index, ("", None))
            anew = self.logged.resealed_episodes.get(row.episode_id)
            if anew is not None:
                episode, digest = row.episode_id, anew[-1].digest
            elif row.leaf_index in self.logged.unsaid:
                continue
            if episode != row.episode_id:
                got = f"{row.digest} of {_shown(row.episode_id)}"
                self.add(row.leaf_index, ROW_DIGEST, "an entry that wrote this row", got)
            elif digest not in (None, row.digest):
                self.add(row.leaf_index, ROW_DIGEST, str(digest), f"{row.digest} of {_shown(episode)}")
        for episode, index in sorted(unseen.items()):
            # One of which no memory is left goes with the last of them.
            if not self.logged.digests.get(index, {}).keys() <= self.logged.gone.keys():
                self.add(index, ROW_PRESENT, f"a row of {_shown(episode)}", "none")

    def subjects(self, expected: set[tuple[str, str]], stored: set[tuple[str, str]]) -> None:
        for subject, memory in sorted(expected - stored, key=repr):
            self.add(None, ROW_SUBJECT, f"{_shown(memory)} about {_shown(subject)}", "no such row")
        for subject, memory in sorted(stored - expected, key=repr):
            got = f"{_shown(memory)} about {_shown(subject)}"
            self.add(None, ROW_SUBJECT, "what the memory's own row says", got)

    def edges(self, rows: Iterable[EdgePlace]) -> None:
        unseen = {edge: index for index, links in self.logged.links.items() for edge in links}
        unsaid = self.logged.unsaid | {
            first
            for first, count in self.logged.parts.items()
            if count and any(first < index <= first + count for index in self.logged.unsaid)
        }
        for row in rows:
            edge, index = (row.kind, row.source_id, row.target_id), row.leaf_index
            if self._touches_gone(edge):
                self.add(index, ROW_GONE, "no edge of a memory that was removed", _shown_edge(edge))
            unseen.pop(edge, None)
            if index in unsaid:
                continue
            self.logged.counts[index] = self.logged.counts.get(index, 0) - 1
            named = edge in self.logged.links.get(index, ())
            if not named and self.logged.counts[index] < 0:
                self.add(index, ROW_EDGE, "an entry that names this edge", _shown_edge(edge))
        for edge, index in sorted(unseen.items()):
            if not self._touches_gone(edge):
                self.add(index, ROW_PRESENT, f"the edge {_shown_edge(edge)}", "none")

    def _touches_gone(self, edge: Edge) -> bool:
        return edge[1] in self.logged.gone or edge[2] in self.logged.gone

    def credentials(self, rows: Iterable[str]) -> None:
        """Compare credentials: one that was revoked and put back would open its door again."""
        unseen = dict(self.logged.credentials)
        for credential_id in rows:
            if unseen.pop(credential_id, None) is None:
                index = self.logged.revoked.get(credential_id)
                expected = "an entry that made it" if index is None else "none, as this entry revoked it"
                self.add(index, ROW_CREDENTIAL, expected, f"a row of {_shown(credential_id)}")
        for credential_id, index in sorted(unseen.items()):
            self.add(index, ROW_PRESENT, f"a row of {_shown(credential_id)}", "none")

    def holds(self, rows: HoldRows | None) -> None:
        """Compare legal holds: one that is lost, or marked as released, lets go what it is to keep."""
        for one in () if rows is None else self.of_holds.differences(rows):
            self.add(one.entry, ROW_HOLD, one.expected, one.got)


class _FormError(Exception):
    """A payload's values are not of the types that the vault writes."""


def _texts(value: JsonValue) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _FormError
    return list(value)


def _words(value: JsonValue) -> list[str]:
    return list(value) if isinstance(value, str) else _texts(value)


def _edges(value: JsonValue) -> Iterator[Edge]:
    if not isinstance(value, list):
        raise _FormError
    for item in value:
        parts = _texts(item)
        if len(parts) != len(EdgePlace._fields) - 1:
            raise _FormError
        yield parts[0], parts[1], parts[2]


def _shown(value: object) -> str:
    """Return a value for a finding: findings go to terminals, and a column may hold anything."""
    text = str(value)
    return text if _SHOWABLE.fullmatch(text) else "something unnamed"


def _shown_edge(edge: Edge) -> str:
    return " ".join(_shown(part) for part in edge)
