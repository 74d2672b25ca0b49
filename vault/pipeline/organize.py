"""Organize: what a subject's memories say about each other, proposed as edges and trust changes.

Owns the proposals, from rules alone: the same input gives the same proposals, each with its reason
and the memory that it follows from. It changes nothing: the facade authorises, writes and logs what
it accepts, and passes as `settled` the edges that exist, so that a second run proposes nothing twice
and never overturns a later decision. Reads masked text only. Linear in the number of memories but
for sorting: each memory is compared with a bounded number of others.

1. A repetition supports the first memory that says the same; the user repeating the assistant verifies it.
2. The user confirms the assistant's last turn: it becomes verified. The user denies it: disputed.
3. The user corrects an earlier memory with which the turn shares a rare term: superseded and disputed.
4. Memories that hold the same token are about the same entity: each is linked to the one before.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import ceil, log
from typing import Final

from vault.model import EdgeKind, SpeakerRole, TrustState
from vault.pipeline.sentences import split_statements
from vault.pipeline.stances import Stance, is_strong, opens_with_no, rejected, stance
from vault.pipeline.terms import conflict, terms_of, tokens_of, weighty, words_of

_NEAR: Final = 0.85
"""Least Jaccard similarity of the words of two near-duplicates."""
_LEAST_TERMS: Final = 3
"""Telling words that a text needs before its repetition says anything: "thanks so much" does not."""
_BUCKET: Final = 16
"""Memories that share a rare word and are looked at, the latest."""
_REACH_BACK: Final = 3
"""Turns within which an answer refers to the assistant's turn."""
_WEAK_REACH: Final = 8
"""Turns within which a soft "actually" corrects."""
_RARE_SHARE: Final = 0.05
_RARE_COUNT: Final = 12
_MAX_SUPERSEDED: Final = 3
_MAX_TOKENS: Final = 8
"""Tokens of one memory that are linked."""


class Reason(StrEnum):
    """Why a change is proposed."""

    EXACT_REPETITION = "exact-repetition"
    NEAR_REPETITION = "near-repetition"
    USER_REPEATS = "user-repeats"
    USER_CONFIRMS = "user-confirms"
    USER_DENIES = "user-denies"
    USER_CORRECTS = "user-corrects"
    USER_RETRACTS = "user-retracts"
    SAME_TOKEN = "same-token"  # noqa: S105 - a reason, not a secret


@dataclass(frozen=True, slots=True)
class Remembered:
    """What organize reads of one memory."""

    id: str
    text: str = field(repr=False)
    """Masked."""
    role: SpeakerRole
    trust: TrustState
    episode: str
    position: int
    at: datetime | None = None
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A proposed edge, from the later memory to the earlier one."""

    kind: EdgeKind
    source: str
    target: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class TrustChange:
    """A proposed trust state; it stands on `link`, which is proposed with it."""

    memory: str
    trust: TrustState
    link: Link


Proposal = Link | TrustChange
Edge = tuple[EdgeKind, str, str]


def propose(memories: Sequence[Remembered], settled: AbstractSet[Edge] = frozenset()) -> tuple[Proposal, ...]:
    """Propose edges and trust changes among the memories of one subject.

    Args:
        memories: in the order in which they were said; revoked ones are left out of everything.
        settled: edges that exist, as (kind, source, target): nothing that rests on one is proposed again.

    Returns:
        Links in the order of their source, then the trust changes that follow from them: one a memory
        at most, the last word, and none where the memory is in that state already.
    """
    live = [_Read.of(memory) for memory in memories if memory.trust is not TrustState.REVOKED]
    found = [*_repetitions(live), *_answers(live), *_corrections(live), *_same_tokens(live)]
    order = {read.memory.id: place for place, read in enumerate(live)}
    links = {
        (link.kind, link.source, link.target): link
        for link in sorted(found, key=lambda link: order[link.source])
    }
    fresh = [link for edge, link in links.items() if edge not in settled]
    return (*fresh, *_trust_changes(fresh, {read.memory.id: read.memory for read in live}))


@dataclass(frozen=True, slots=True)
class _Read:
    """A memory with its words."""

    memory: Remembered
    words: frozenset[str]
    terms: frozenset[str]
    claims: bool
    """Whether it states anything, not only asks."""
    asks: bool
    """Whether it ends with a question."""

    @classmethod
    def of(cls, memory: Remembered) -> "_Read":
        questions = [statement.question for statement in split_statements(memory.text)]
        asks = bool(questions) and questions[-1]
        return cls(memory, frozenset(words_of(memory.text)), terms_of(memory.text), not all(questions), asks)

    @property
    def from_user(self) -> bool:
        return self.memory.role is SpeakerRole.USER


def _repetitions(reads: Sequence[_Read]) -> Iterator[Link]:
    """Link each memory to the first one that says the same, or nearly.

    Near-duplicates are found by prefix filtering (Chaudhuri, Ganti, Kaushik 2006): two sets that are
    similar enough share one of their rarest words, so only those are indexed. Texts that differ in a
    number, a token, a side, a day or a negation are never near.
    """
    frequency = Counter(word for read in reads for word in read.words)
    buckets: dict[str, deque[_Read]] = defaultdict(lambda: deque(maxlen=_BUCKET))
    first_with: dict[tuple[str, ...], _Read] = {}
    for read in reads:
        if len(read.terms) < _LEAST_TERMS:
            continue
        exact = first_with.setdefault(words_of(read.memory.text), read)
        if exact is not read:
            yield _repetition(read, exact, Reason.EXACT_REPETITION)
            continue
        rarest = sorted(read.words, key=lambda word: (frequency[word], word))
        prefix = rarest[: len(rarest) - ceil(_NEAR * len(rarest)) + 1]
        near = next((other for word in prefix for other in buckets[word] if _is_near(read, other)), None)
        if near:
            yield _repetition(read, near, Reason.NEAR_REPETITION)
        for word in prefix:
            buckets[word].append(read)


def _is_near(one: _Read, other: _Read) -> bool:
    shared = len(one.words & other.words)
    return shared >= _NEAR * len(one.words | other.words) and not any(map(weighty, one.words ^ other.words))


def _repetition(later: _Read, earlier: _Read, reason: Reason) -> Link:
    by_user = later.from_user and later.claims and earlier.memory.role is SpeakerRole.ASSISTANT
    return Link(
        EdgeKind.SUPPORTS, later.memory.id, earlier.memory.id, Reason.USER_REPEATS if by_user else reason
    )


def _answers(reads: Sequence[_Read]) -> Iterator[Link]:
    """Link a user's plain "that's right" or "that's wrong" to the assistant's last turn."""
    for place, read in enumerate(reads):
        if not read.from_user:
            continue
        said = stance(read.memory.text)
        if said not in (Stance.CONFIRMS, Stance.DENIES):
            continue
        target = next(_recent(reads, place, SpeakerRole.ASSISTANT, _REACH_BACK), None)
        if target is None:
            continue
        if said is Stance.DENIES:
            yield Link(EdgeKind.CONTRADICTS, read.memory.id, target.memory.id, Reason.USER_DENIES)
        elif target.terms:
            yield Link(EdgeKind.SUPPORTS, read.memory.id, target.memory.id, Reason.USER_CONFIRMS)


def _recent(reads: Sequence[_Read], place: int, role: SpeakerRole, reach: int) -> Iterator[_Read]:
    """Yield the memories of a role just before a place in the same episode, the latest first."""
    for read in reversed(reads[max(0, place - reach) : place]):
        if read.memory.episode == reads[place].memory.episode and read.memory.role is role:
            yield read


def _corrections(reads: Sequence[_Read]) -> Iterator[Link]:
    """Link a user's correction to the memories that it corrects."""
    seen = _Seen(reads)
    for place, read in enumerate(reads):
        said = stance(read.memory.text) if read.from_user else Stance.NEUTRAL
        if said is Stance.RETRACTS:
            earlier = next(_recent(reads, place, SpeakerRole.USER, _REACH_BACK), None)
            if earlier:
                yield Link(EdgeKind.SUPERSEDES, read.memory.id, earlier.memory.id, Reason.USER_RETRACTS)
        elif said is Stance.CORRECTS and read.claims and not _answers_no(reads, place):
            for earlier in _corrected(reads, place, seen):
                yield Link(EdgeKind.SUPERSEDES, read.memory.id, earlier.memory.id, Reason.USER_CORRECTS)
        seen.add(place)


def _answers_no(reads: Sequence[_Read], place: int) -> bool:
    """Tell whether a "no" only answers the question just asked, and so corrects nothing."""
    before = reads[place - 1] if place else None
    asked = before is not None and before.asks and before.memory.episode == reads[place].memory.episode
    return asked and opens_with_no(reads[place].memory.text)


class _Seen:
    """The earlier memories by their terms, and how rare each term is among all."""

    def __init__(self, reads: Sequence[_Read]) -> None:
        self._frequency = Counter(term for read in reads for term in read.terms)
        self._reads = reads
        self._rare = max(_RARE_COUNT, int(_RARE_SHARE * len(reads)))
        self._holders: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=_BUCKET))

    def add(self, place: int) -> None:
        for term in self._reads[place].terms:
            self._holders[term].append(place)

    def is_rare(self, term: str) -> bool:
        return self._frequency[term] <= self._rare

    def weight(self, terms: Iterable[str]) -> float:
        """Return how telling the terms are together."""
        return sum(log(1 + len(self._reads) / self._frequency[term]) for term in sorted(terms))

    def sharing_a_rare_term(self, terms: Iterable[str]) -> set[int]:
        return {place for term in terms if self.is_rare(term) for place in self._holders[term]}


def _corrected(reads: Sequence[_Read], place: int, seen: _Seen) -> list[_Read]:
    """Choose what a correction supersedes: what clashes with it, else the best match just before it.

    A plain correction may reach back to any memory with which it shares two terms, one of them rare;
    a soft one only to the last turns of its episode, where one term is enough.
    """
    read = reads[place]
    near = {
        other
        for other in range(max(0, place - _WEAK_REACH), place)
        if reads[other].memory.episode == read.memory.episode
    }
    far = seen.sharing_a_rare_term(read.terms) if is_strong(read.memory.text) else set()
    shared = {other: read.terms & reads[other].terms for other in near | far if reads[other].claims}
    close = [other for other, terms in shared.items() if terms and (other in near or len(terms) > 1)]
    ranked = sorted(close, key=lambda other: (-seen.weight(shared[other]), -other))
    not_so = terms_of(rejected(read.memory.text))
    clashing = [reads[other] for other in ranked if _clash(read.terms, reads[other].terms, not_so)]
    matching = [reads[other] for other in ranked if other in near and any(map(seen.is_rare, shared[other]))]
    return clashing[:_MAX_SUPERSEDED] or matching[:1]


def _clash(later: frozenset[str], earlier: frozenset[str], not_so: frozenset[str]) -> bool:
    """Tell whether the earlier memory says what the later one rejects, or else something it excludes."""
    return bool(not_so & earlier) if not_so else conflict(later, earlier)


def _same_tokens(reads: Sequence[_Read]) -> Iterator[Link]:
    """Link each memory to the last one with the same token: a chain, so edges stay linear."""
    last: dict[str, str] = {}
    for read in reads:
        for token in tokens_of(read.memory.text)[:_MAX_TOKENS]:
            if token in last:
                yield Link(EdgeKind.SAME_ENTITY, read.memory.id, last[token], Reason.SAME_TOKEN)
            last[token] = read.memory.id


_TRUST_AFTER: Final = {
    Reason.USER_REPEATS: TrustState.VERIFIED,
    Reason.USER_CONFIRMS: TrustState.VERIFIED,
    Reason.USER_DENIES: TrustState.DISPUTED,
    Reason.USER_CORRECTS: TrustState.DISPUTED,
    Reason.USER_RETRACTS: TrustState.DISPUTED,
}


def _trust_changes(links: Iterable[Link], memories: dict[str, Remembered]) -> Iterator[TrustChange]:
    """Return the last word on each memory, where it is news."""
    last = {link.target: link for link in links if link.reason in _TRUST_AFTER}
    for target, link in last.items():
        if memories[target].trust is not _TRUST_AFTER[link.reason]:
            yield TrustChange(target, _TRUST_AFTER[link.reason], link)
