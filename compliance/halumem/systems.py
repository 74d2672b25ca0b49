"""What is measured: the protocol of a memory system, the two baselines, and the reader that all of them share.

Owns no scoring. The vault's adapter is `vault_system`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

from compliance.halumem.asking import UNKNOWN
from compliance.halumem.judge import concepts_of
from compliance.halumem.schema import Session, User

_WORD: Final = re.compile(r"\w+")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")


class MemorySystem(Protocol):
    """One user at a time: begin, then session by session."""

    @property
    def label(self) -> str:
        """Name and mode, for reports."""

    def begin(self, user: User) -> None:
        """Forget what was, and start with this user."""

    def ingest(self, session: Session) -> Sequence[str]:
        """Take one session in, and return the memories that it made: what the system would later stand on."""

    def recall(self, query: str, k: int) -> Sequence[str]:
        """Return the memories that fit best, best first."""


class StoreNothing:
    """Remembers nothing: no false memory, and no other."""

    label: Final = "store nothing"

    def begin(self, user: User) -> None:
        """Do nothing."""

    def ingest(self, session: Session) -> Sequence[str]:  # noqa: ARG002  # the protocol's
        """Return nothing."""
        return ()

    def recall(self, query: str, k: int) -> Sequence[str]:  # noqa: ARG002  # the protocol's
        """Return nothing."""
        return ()


class StoreEverything:
    """Remembers every turn of both sides word for word; finds by shared words, rare ones weighing more."""

    label: str = "store everything"

    def __init__(self) -> None:
        self._kept: list[tuple[str, frozenset[str]]] = []
        self._count: Counter[str] = Counter()

    def begin(self, user: User) -> None:  # noqa: ARG002  # the protocol's
        """Forget everything."""
        self._kept.clear()
        self._count.clear()

    def _chosen(self, session: Session) -> Sequence[str]:
        return [turn.content for turn in session.dialogue]

    def ingest(self, session: Session) -> Sequence[str]:
        """Keep what this baseline keeps of a session."""
        made = self._chosen(session)
        for text in made:
            words = _words(text)
            self._kept.append((text, words))
            self._count.update(words)
        return made

    def recall(self, query: str, k: int) -> Sequence[str]:
        """Return what shares the rarest words; of equals, the newest."""
        asked = _words(query)
        ranked = sorted(
            (
                (sum(1 / self._count[word] for word in asked & words), place)
                for place, (_, words) in enumerate(self._kept)
            ),
            reverse=True,
        )
        return [self._kept[place][0] for score, place in ranked[:k] if score > 0]


class StoreUserTurns(StoreEverything):
    """Remembers what the user said, word for word: what a system has to beat before it may claim to extract."""

    label = "store every user turn"

    def _chosen(self, session: Session) -> Sequence[str]:
        return [turn.content for turn in session.dialogue if turn.role == "user"]


class StoreGold(StoreEverything):
    """Is given what is to be remembered: the ceiling that reader and retrieval by words leave."""

    label = "given gold (ceiling, sees the solution)"

    def _chosen(self, session: Session) -> Sequence[str]:
        return [point.memory_content for point in session.memory_points if not point.interferes]


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def read_out(question: str, evidence: Sequence[str]) -> str:
    """Answer from evidence alone, without a model: for each question asked, the best placed memory on its topic.

    The same for every system, so that answers differ by what was remembered and found. Nothing on the topic:
    says that it is not known.
    """
    replies: list[str] = []
    for one in (part for part in _SENTENCE.split(question) if part.rstrip().endswith("?")):
        asked = concepts_of(one)
        on_topic = [(len(asked & concepts_of(text)), -place) for place, text in enumerate(evidence)]
        score, place = max(on_topic, default=(0, 0))
        replies.append(evidence[-place] if score else UNKNOWN)
    return "\n".join(dict.fromkeys(replies)) or UNKNOWN
