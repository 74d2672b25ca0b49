"""The memory tiers' part of the facade: raw episodes, how tiers stand, and moves between them.

Owns the methods alone; each decides and logs in the part that it calls: `vault.episodes`, `vault.tiers.status` and
`vault.tiers.placement`.
"""

from abc import abstractmethod

from audit.log import Leaf
from policies.model import Action, Purpose
from vault.episodes import MAX_STRETCH, Episode, Episodes
from vault.journal import Call
from vault.log_view import LogView
from vault.model import MemoryTier
from vault.read_path import ReadPath
from vault.tiers.placement import Placement
from vault.tiers.status import TiersStatus, tiers_status


class TierView(LogView):
    """One principal's view of the memory tiers."""

    @abstractmethod
    def _call(self, action: Action, purpose: Purpose | None) -> Call: ...

    def episode(
        self, episode_id: str, *, start: int = 0, limit: int = MAX_STRETCH, purpose: Purpose | None = None
    ) -> Episode:
        """Return an episode as it was written, masked: plaintext memory, for debugging and audit.

        Args:
            episode_id: Which; a receipt of `extract` and each memory's provenance name it.
            start: Position of the first turn.
            limit: Most turns.
            purpose: Why it is read.

        Raises:
            NotFoundError: none of it is within reach; the entry says so.
            DeniedError: nothing may be read for this purpose.
            InputInvalidError: the id or the stretch is not acceptable.
        """
        parts = self._parts
        return Episodes(parts, ReadPath(parts)).get(
            self._call(Action.READ, purpose), episode_id, start, limit
        )

    def tiers(self, *, purpose: Purpose | None = None) -> TiersStatus:
        """Return how the tenant's memory tiers stand, in numbers.

        Raises:
            DeniedError: the principal does not run the vault; the denial is logged.
        """
        call = self._call(Action.ADMINISTER, purpose)
        return tiers_status(self._parts, call.principal, call.purpose)

    def move_to_tier(self, memory_id: str, to: MemoryTier, *, purpose: Purpose | None = None) -> Leaf:
        """Move a memory to another memory tier by hand.

        Raises:
            DeniedError: the principal does not run the vault; the denial is logged.
            NotFoundError: there is no such memory.
            ConflictError: it is there already, was changed meanwhile, or cannot be opened.
        """
        call = self._call(Action.ADMINISTER, purpose)
        return Placement(self._parts).move(call.principal, call.purpose, memory_id, to)
