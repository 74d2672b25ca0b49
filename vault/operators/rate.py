"""Say whether a memory is of use; one that is not comes up for review."""

from policies.model import Action
from vault.feedback import Rating
from vault.pipeline.contracts import Contract, MemoryId, Operator, Scope


class Use(Contract):
    """A memory, and whether it is of use."""

    memory: MemoryId
    rating: Rating


class Rated(Contract):
    """The memory that was rated."""

    memory: MemoryId


class Rate(Operator[Use, Rated]):
    """Feedback: changes nothing that the memory says."""

    name, version = "rate", 1
    actions = frozenset({Action.ORGANIZE})
    input, output = Use, Rated
    about = "Say whether a memory is of use; one that is not comes up for review."

    def run(self, scope: Scope, value: Use) -> Rated:
        """Rate."""
        scope.memory.rate(value.memory, value.rating)
        return Rated(memory=value.memory)


OPERATOR = Rate()
