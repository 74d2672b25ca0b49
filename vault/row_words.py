"""What the log says of rows: digests, trust, edges, credentials, and what was removed.

Owns remembering it while a log is read, in the order of its entries, and taking back what a restore took back. It
leaves reading entries, and comparing rows with them, to `vault.row_check`.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

Edge = tuple[str, str, str]
"""Kind, source and target."""


class Resealed(NamedTuple):
    """An entry that told of a re-encryption, and the digest it names."""

    leaf_index: int
    digest: str


class Told(NamedTuple):
    """What `Words` had at one time of what a restore takes back."""

    digests: dict[int, dict[str, str]]
    episodes: dict[int, tuple[str, str | None]]
    links: dict[int, frozenset[Edge]]
    counts: dict[int, int]
    trust: dict[str, str]
    former: dict[str, list[tuple[int, str | None]]]


@dataclass(slots=True)
class Words:
    """What entries say of rows, by the index of the entry."""

    digests: dict[int, dict[str, str]] = field(default_factory=dict)
    trust: dict[str, str] = field(default_factory=dict)
    """The last word on each memory."""
    former: dict[str, list[tuple[int, str | None]]] = field(default_factory=dict)
    """The words before it, each with the index of the entry that ended it: few memories have any."""
    trust_erased: bool = False
    """Whether an entry that may have changed any memory's trust was erased."""
    episodes: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    """Id and digest; None in entries of before there was one."""
    links: dict[int, frozenset[Edge]] = field(default_factory=dict)
    """By the entry that edges name; what its parts say is here, too."""
    parts: dict[int, int] = field(default_factory=dict)
    """How many entries right behind one go on with its links."""
    counts: dict[int, int] = field(default_factory=dict)
    """Number of edges in entries of before they were named."""
    credentials: dict[str, int] = field(default_factory=dict)
    """Those that stand, with the entry that made them."""
    revoked: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    """Memories that were removed for good, with the entry that says so."""
    resealed: dict[tuple[str, int], tuple[Resealed, ...]] = field(default_factory=dict)
    """By memory and version: what entries told of its re-encryptions, the last one last."""
    resealed_episodes: dict[str, tuple[Resealed, ...]] = field(default_factory=dict)
    unsaid: set[int] = field(default_factory=set)
    """Entries that were erased, or are not of the form of one."""
    untold: dict[int, int | None] = field(default_factory=dict)
    """Entries that wrote rows, and were erased, each with the entry that did it."""
    erasures: set[int] = field(default_factory=set)
    """Entries by which an erasure of a person drops what was said of rows that it had removed, and of no others."""

    restored: list[tuple[int, Told]] = field(default_factory=list)
    """Entries of restores, each with what was told before it."""
    kept: set[str] = field(default_factory=set)
    """Memories that the next restore left as they were, because of a hold."""

    def note_resealed(self, place: tuple[str, int], index: int, digest: str) -> None:
        """Take the word on a version that was sealed anew."""
        self.resealed[place] = (*self.resealed.get(place, ()), Resealed(index, digest))

    def note_resealed_episode(self, episode: str, index: int, digest: str) -> None:
        """Take the word on an episode that was sealed anew."""
        self.resealed_episodes[episode] = (
            *self.resealed_episodes.get(episode, ()),
            Resealed(index, digest),
        )

    def digests_of(self, memory_id: str, version: int, leaf_index: object) -> list[str]:
        """Return all digests that a version ever had by the log, the present one last; none: nobody can say."""
        written = None
        if isinstance(leaf_index, int):
            said = (self.digests, *(told.digests for _, told in self.restored))
            written = next(
                (words[leaf_index][memory_id] for words in said if memory_id in words.get(leaf_index, {})),
                None,
            )
        again = [one.digest for one in self.resealed.get((memory_id, version), ())]
        return again if written is None else [written, *again]

    def digests_of_episode(self, episode: str, leaf_index: object) -> list[str]:
        """Return all digests that an episode ever had by the log, like `digests_of`."""
        named: str = ""
        written: str | None = None
        if isinstance(leaf_index, int):
            said = (self.episodes, *(told.episodes for _, told in self.restored))
            named, written = next((words[leaf_index] for words in said if leaf_index in words), ("", None))
        again = [one.digest for one in self.resealed_episodes.get(episode, ())]
        return [written, *again] if written is not None and named == episode else again

    def rewind(self, size: int, index: int) -> None:
        """Go back to what was told when the log had a size, but for the memories that were kept.

        A snapshot of that size was restored by the entry at an index. Where it was made before an earlier restore,
        that is what was told before that one. What was removed for good stays so. So do the words of
        re-encryptions: a row that was sealed anew is not put back as it was before.
        """
        now = Told(
            dict(self.digests),
            dict(self.episodes),
            dict(self.links),
            dict(self.counts),
            dict(self.trust),
            {memory_id: words[:] for memory_id, words in self.former.items()},
        )
        then = next((told for at, told in self.restored if at >= size), now)
        self.restored.append((index, now))
        self._rewind_rows(size, now, then)
        self._rewind_trust(size, now, then)
        self.kept = set()

    def _rewind_rows(self, size: int, now: Told, then: Told) -> None:
        kept = self.kept
        self.digests = {
            entry: {one: word for one, word in words.items() if one not in kept} if kept else words
            for entry, words in then.digests.items()
            if entry < size
        }
        self.episodes = {entry: told for entry, told in then.episodes.items() if entry < size}
        self.links = {
            entry: frozenset(edge for edge in edges if not kept.issuperset(edge[1:]))
            for entry, edges in then.links.items()
            if entry < size
        }
        self.counts = {entry: count for entry, count in then.counts.items() if entry < size}
        for entry, words in now.digests.items() if kept else ():
            mine = {one: word for one, word in words.items() if one in kept}
            if mine:
                self.digests[entry] = {**self.digests.get(entry, {}), **mine}
                self.episodes.update({entry: now.episodes[entry]} if entry in now.episodes else {})
        for entry, edges in now.links.items() if kept else ():
            both = frozenset(edge for edge in edges if kept.issuperset(edge[1:]))
            self.links[entry] = self.links.get(entry, frozenset()) | both

    def _rewind_trust(self, size: int, now: Told, then: Told) -> None:
        self.trust = dict(then.trust)
        self.former = {memory_id: words[:] for memory_id, words in then.former.items()}
        for memory_id, words in then.former.items():
            first = next((place for place, (ended, _) in enumerate(words) if ended >= size), None)
            if first is not None:
                self._set_trust(memory_id, words[first][1], words[:first])
        for memory_id in self.kept:
            self._set_trust(memory_id, now.trust.get(memory_id), now.former.get(memory_id, []))

    def _set_trust(self, memory_id: str, word: str | None, former: list[tuple[int, str | None]]) -> None:
        self.trust.pop(memory_id, None)
        self.former.pop(memory_id, None)
        if word is not None:
            self.trust[memory_id] = word
        if former:
            self.former[memory_id] = former[:]

    def note_trust(self, index: int, memory_id: str, word: str) -> None:
        """Take an entry's word on a memory's current version."""
        before = self.trust.get(memory_id)
        if before != word and (before is not None or self.trust_erased):
            self.former.setdefault(memory_id, []).append((index, before))
        self.trust[memory_id] = word

    def forget_trust(self) -> None:
        """Rely on no word so far: the entry that was erased may have changed any memory's trust."""
        self.trust_erased = True
        self.trust.clear()
        self.former.clear()

    def trust_until(self, memory_id: str, index: object) -> str | None:
        """Return the last word on a memory before an entry, which ended a version; None: nobody can say.

        A change of trust is made to the current version alone, and the next one carries it on.
        """
        if isinstance(index, int):
            for ended, word in self.former.get(memory_id, ()):
                if ended > index:
                    return word
        return self.trust.get(memory_id)
