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


@dataclass(slots=True)
class Taken:
    """What a restore took back."""

    index: int
    """Of its entry."""
    digests: dict[int, dict[str, str]] = field(default_factory=dict)
    episodes: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    links: dict[int, frozenset[Edge]] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    trust: dict[str, tuple[list[tuple[int, str | None]], str | None]] = field(default_factory=dict)


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

    taken: list["Taken"] = field(default_factory=list)
    """What restores took back, one after another."""
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
            told = (self.digests, *(one.digests for one in self.taken))
            written = next(
                (words[leaf_index][memory_id] for words in told if memory_id in words.get(leaf_index, {})),
                None,
            )
        again = [one.digest for one in self.resealed.get((memory_id, version), ())]
        return again if written is None else [written, *again]

    def digests_of_episode(self, episode: str, leaf_index: object) -> list[str]:
        """Return all digests that an episode ever had by the log, like `digests_of`."""
        named: str = ""
        written: str | None = None
        if isinstance(leaf_index, int):
            told = (self.episodes, *(one.episodes for one in self.taken))
            named, written = next((words[leaf_index] for words in told if leaf_index in words), ("", None))
        again = [one.digest for one in self.resealed_episodes.get(episode, ())]
        return [written, *again] if written is not None and named == episode else again

    def rewind(self, size: int, index: int) -> None:
        """Take back what entries behind a size of the log said, but of the memories that were kept.

        A snapshot of that size was restored by the entry at an index. What was removed for good stays so. So do the
        words of re-encryptions: a row that was sealed anew is not put back as it was before.
        """
        while self.taken and self.taken[-1].index >= size:  # that restore is taken back, too
            self._give_back(self.taken.pop())
        taken = Taken(index)
        kept = self.kept
        for entry in [one for one in self.digests if one >= size]:
            taken.digests[entry] = self.digests.pop(entry)
            if entry in self.episodes:
                taken.episodes[entry] = self.episodes.pop(entry)
            self._say_again(taken, entry, kept)
        for entry in [one for one in self.links if one >= size]:
            taken.links[entry] = self.links[entry]
            self.links[entry] = frozenset(edge for edge in self.links[entry] if kept.issuperset(edge[1:]))
        for entry in [one for one in self.counts if one >= size]:
            taken.counts[entry] = self.counts.pop(entry)
        for memory_id in [one for one, words in self.former.items() if words[-1][0] >= size]:
            if memory_id not in kept:
                taken.trust[memory_id] = (self.former[memory_id][:], self.trust.get(memory_id))
                self._rewind_trust(memory_id, size)
        self.taken.append(taken)
        self.kept = set()

    def _say_again(self, taken: "Taken", entry: int, kept: set[str]) -> None:
        """Keep an entry's words on memories that a hold kept."""
        words = {one: word for one, word in taken.digests[entry].items() if one in kept}
        if words:
            self.digests[entry] = words
            if entry in taken.episodes:
                self.episodes[entry] = taken.episodes[entry]

    def _give_back(self, taken: "Taken") -> None:
        """Rely again on what an earlier restore took, but for what it says of memories that were kept now."""
        kept = self.kept
        for entry, words in taken.digests.items():
            back = {one: word for one, word in words.items() if one not in kept}
            if back:
                self.digests[entry] = {**self.digests.get(entry, {}), **back}
                if entry in taken.episodes:
                    self.episodes[entry] = taken.episodes[entry]
        for entry, edges in taken.links.items():
            back_again = (edge for edge in edges if not kept.issuperset(edge[1:]))
            self.links[entry] = self.links[entry].union(back_again)
        self.counts.update(taken.counts)
        for memory_id, (former, word) in taken.trust.items():
            if memory_id not in kept:
                self.former[memory_id] = former
                self._set_trust(memory_id, word)

    def _rewind_trust(self, memory_id: str, size: int) -> None:
        words = self.former[memory_id]
        first = next(place for place, (ended, _) in enumerate(words) if ended >= size)
        self._set_trust(memory_id, words[first][1])
        del words[first:]
        if not words:
            del self.former[memory_id]

    def _set_trust(self, memory_id: str, word: str | None) -> None:
        if word is None:
            self.trust.pop(memory_id, None)
        else:
            self.trust[memory_id] = word

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
