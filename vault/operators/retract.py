"""Withdraw a memory: kept for the record, never found again."""

from policies.model import Action
from vault.pipeline.contracts import Contract, MemoryId, MemoryIds, Operator, Scope


class Which(Contract):
    """Id of a memory."""

    memory: MemoryId


class Retracted(Contract):
    """The memory, and those that are disputed because they were derived from it."""

    memory: MemoryId
    disputed: MemoryIds


class Retract(Operator[Which, Retracted]):
    """Feedback: out of everybody's reach from then on, so it is confirmed before a model's call does it."""

    name, version = "retract", 1
    actions = frozenset({Action.UPDATE})
    destructive = True
    input, output = Which, Retracted
    about = "Withdraw a memory: kept for the record, found no more; what was derived from it is disputed."

    def run(self, scope: Scope, value: Which) -> Retracted:
        """Retract."""
        judged = scope.memory.retract(value.memory)
        return Retracted(memory=value.memory, disputed=judged.disputed)


OPERATOR = Retract()
