"""Plaintext memory, looked at: one episode as it was written, masked, for debugging and audit.

Owns what of an episode somebody is shown: the first version of each of its memories, in order, a stretch at a time. It
leaves opening to `vault.read_path`. What is out of reach, restricted or in quarantine is left out like in every
answer; what was redacted, expired or erased since is not there any more: there is no second copy of it.
"""

from dataclasses import dataclass, field
from typing import Final

from policies.model import Action
from vault.errors import InputInvalidError, NotFoundError
from vault.ids import IdKind, check_vault_id
from vault.journal import Call
from vault.model import Memory, Receipt
from vault.parts import Parts
from vault.read_path import ReadPath
from vault.storage.found import FoundRows

MAX_STRETCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of one episode, masked."""

    id: str
    title: str = field(repr=False)
    turns: tuple[Memory, ...] = field(repr=False)
    """As they were first written, in order; their ids lead to what became of them."""
    start: int
    more: bool
    """Whether turns within reach follow."""
    receipt: Receipt
    """Of the entry that says what was read."""


class Episodes:
    """Reads episodes of one vault."""

    def __init__(self, parts: Parts, read: ReadPath) -> None:
        self._parts = parts
        self._read = read

    def get(self, call: Call, episode_id: str, start: int = 0, limit: int = MAX_STRETCH) -> Episode:
        """Return a stretch of an episode.

        Args:
            call: To read; originals are shown by nothing here.
            episode_id: Which.
            start: Position of the first turn.
            limit: Most turns.

        Raises:
            DeniedError: the principal may read nothing at all for this purpose.
            IdentifierInvalidError: not the form of an episode's id.
            InputInvalidError: the stretch is out of range.
            NotFoundError: none of it is within reach; the entry says so.
        """
        check_vault_id(IdKind.EPISODE, episode_id)
        if type(start) is not int or type(limit) is not int or start < 0 or not 1 <= limit <= MAX_STRETCH:
            raise InputInvalidError(f"expected a start from 0 and a limit from 1 to {MAX_STRETCH}")
        call = Call(call.principal, Action.READ, call.purpose, call.emergency)
        grant = self._read.authorise(call, resource=episode_id)
        with self._parts.store.read(grant) as unit:
            rows = unit.first_versions(episode_id, start, limit + 1)
            damaged = unit.damaged[:]
        if not rows and not damaged:
            self._parts.journal.deny(call, resource=episode_id)
            raise NotFoundError("there is no such episode here")
        episodes = self._parts.store.found(grant, [row.memory_id for row in rows[:1]]).episodes
        shown = FoundRows({row.memory_id: row for row in rows[:limit]}, episodes, damaged)
        turns = self._read.opened(grant, shown)
        ids = [turn.id for turn in turns]
        leaf = self._parts.journal.note(
            grant, {"memories": list(ids), "count": len(ids)}, resource=episode_id
        )
        receipt = self._read.receipt(grant, ids, leaf)
        title = turns[0].provenance.title if turns else ""
        return Episode(episode_id, title, turns, start, len(rows) > limit, receipt)
