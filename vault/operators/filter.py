"""Keep those memories that are trusted, recent or of an access tier, in the order in which they came."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from policies.model import AccessTier, Action
from vault.errors import ContractError
from vault.model import TrustState
from vault.pipeline.contracts import Contract, Count, MemoryId, Operator, Scope

MAX_READ = 500


class Sieve(Contract):
    """Memories, and which of them to keep; what is not given keeps all."""

    memories: Annotated[tuple[MemoryId, ...], Field(max_length=MAX_READ)]
    trust: tuple[TrustState, ...] = (TrustState.CANDIDATE, TrustState.VERIFIED, TrustState.DISPUTED)
    access_tier: AccessTier | None = None
    since: datetime | None = None
    """Said, written, or else recorded at this time or later."""
    until: datetime | None = None
    """Before this time."""


class Left(Contract):
    """Those that were kept."""

    memories: Annotated[tuple[MemoryId, ...], Field(max_length=MAX_READ)]
    dropped: Count


class Filter(Operator[Sieve, Left]):
    """Reads each memory, which is an entry, and looks at what stands beside its text."""

    name, version = "filter", 1
    actions = frozenset({Action.READ})
    input, output = Sieve, Left
    about = "Keep memories by trust, access tier and time."

    def before(self, value: Sieve) -> None:
        """Times can be compared."""
        for at in (value.since, value.until):
            if at is not None and at.tzinfo is None:
                raise ContractError("expected times with their zone")

    def run(self, scope: Scope, value: Sieve) -> Left:
        """Read and keep."""
        kept = []
        for memory_id in value.memories:
            memory = scope.memory.get(memory_id)
            said = memory.provenance.at
            at = said if said is not None and said.tzinfo is not None else memory.recorded
            if (
                memory.trust in value.trust
                and value.access_tier in {None, memory.access_tier}
                and (value.since is None or at >= value.since)
                and (value.until is None or at < value.until)
            ):
                kept.append(memory_id)
        return Left(memories=tuple(kept), dropped=len(value.memories) - len(kept))

    def after(self, value: Sieve, result: Left) -> None:
        """Nothing came to it."""
        if not set(result.memories) <= set(value.memories):
            raise ContractError("expected no other memories than were given")


OPERATOR = Filter()
