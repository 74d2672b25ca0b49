"""Read one memory, masked."""

from typing import Annotated

from policies.model import AccessTier, Action
from vault.model import MemoryTier, TrustState
from vault.pipeline.contracts import SHOWN, Contract, Count, EpisodeId, Kind, MemoryId, Operator, Scope


class Which(Contract):
    """Id of a memory."""

    memory: MemoryId


class Read(Contract):
    """A memory."""

    memory: MemoryId
    version: Count
    episode: EpisodeId
    trust: TrustState
    access_tier: AccessTier
    memory_tier: MemoryTier
    text: Annotated[str, Kind.TEXT, SHOWN]
    """Masked."""


class Get(Operator[Which, Read]):
    """The read path, by id."""

    name, version = "get", 1
    actions = frozenset({Action.READ})
    input, output = Which, Read
    about = "Read one memory by its id, masked."

    def run(self, scope: Scope, value: Which) -> Read:
        """Read."""
        memory = scope.memory.get(value.memory)
        return Read(
            memory=memory.id,
            version=memory.version,
            episode=memory.provenance.episode_id,
            trust=memory.trust,
            access_tier=memory.access_tier,
            memory_tier=memory.memory_tier,
            text=memory.text,
        )


OPERATOR = Get()
