"""Say that a memory is right: it is verified."""

from policies.model import Action
from vault.pipeline.contracts import Contract, MemoryId, Operator, Scope


class Which(Contract):
    """Id of a memory."""

    memory: MemoryId


class Confirmed(Contract):
    """The memory that is verified."""

    memory: MemoryId


class Confirm(Operator[Which, Confirmed]):
    """Feedback: a person, or whoever speaks for one, confirms."""

    name, version = "confirm", 1
    actions = frozenset({Action.ORGANIZE})
    input, output = Which, Confirmed
    about = "Say that a memory is right: it is verified from then on."

    def run(self, scope: Scope, value: Which) -> Confirmed:
        """Confirm."""
        scope.memory.confirm(value.memory)
        return Confirmed(memory=value.memory)


OPERATOR = Confirm()
