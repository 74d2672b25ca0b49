"""The vault as a memory system, through its public facade alone.

Owns the translation: each session is one `Chat`, a memory counts as what the vault stands on when it is verified,
not when it is a candidate, disputed or revoked. Originals are revealed, as gold holds names; the caller's
principal needs the right to.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from compliance.halumem.schema import TIME_FORMAT, Session, User
from policies.model import Purpose
from vault.memos import MemOS
from vault.model import Chat, Memory, SpeakerRole, TrustState, Turn

MAX_QUERY: Final = 1_000


class VaultSystem:
    """One user is one subject of one open vault.

    Args:
        memory: Facade of a principal that may write, organize, search and reveal.
        purpose: Why.
    """

    label: Final = "vault (verified memories, organized by rule)"

    def __init__(self, memory: MemOS, purpose: Purpose = Purpose.OPERATIONS) -> None:
        self._memory = memory
        self._purpose = purpose
        self._subject = ""

    def begin(self, user: User) -> None:
        """Go on with another subject."""
        self._subject = f"halumem {user.uuid}"

    def ingest(self, session: Session) -> Sequence[str]:
        """Extract, organize, and return what is verified of what was written."""
        if not session.dialogue:
            return ()
        turns = tuple(
            _turn(turn.role, turn.content, turn.timestamp)
            for turn in session.dialogue
            if turn.content.strip()
        )
        started = session.started
        chat = Chat(turns=turns, started=started.replace(tzinfo=UTC) if started else None)
        receipt = self._memory.extract(chat, subject=self._subject, purpose=self._purpose)
        self._memory.organize(subject=self._subject, purpose=self._purpose)
        written = (self._memory.reveal(one, purpose=self._purpose) for one in receipt.memory_ids)
        return [memory.text for memory in written if _stands(memory)]

    def recall(self, query: str, k: int) -> Sequence[str]:
        """Return the verified ones among what is found."""
        answer = self._memory.retrieve(
            query[:MAX_QUERY], k=k, subject=self._subject, purpose=self._purpose, reveal=True, verified=True
        )
        return [hit.memory.text for hit in answer.hits if _stands(hit.memory)]


def _stands(memory: Memory) -> bool:
    return memory.trust is TrustState.VERIFIED


def _turn(role: str, text: str, stamp: str) -> Turn:
    try:
        at = datetime.strptime(stamp, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        at = None
    return Turn(role, text, SpeakerRole.USER if role == "user" else SpeakerRole.ASSISTANT, at)
