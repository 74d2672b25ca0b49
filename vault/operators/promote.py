"""Open a memory to the next wider access tier; there is no way back."""

from policies.model import AccessTier, Action
from vault.errors import ContractError
from vault.pipeline.contracts import Contract, MemoryId, Operator, Scope


class Opening(Contract):
    """Which memory, and to whom."""

    memory: MemoryId
    to: AccessTier


class Opened(Contract):
    """The memory that was opened."""

    memory: MemoryId


class Promote(Operator[Opening, Opened]):
    """Promotion: what others have read is not taken back."""

    name, version = "promote", 1
    actions = frozenset({Action.PROMOTE})
    destructive = True
    input, output = Opening, Opened
    about = "Open a memory to the next wider access tier, after a look at its content; there is no way back."

    def before(self, value: Opening) -> None:
        """Nothing is promoted to private."""
        if value.to is AccessTier.PRIVATE:
            raise ContractError("expected the access tier institutional or public")

    def run(self, scope: Scope, value: Opening) -> Opened:
        """Promote."""
        scope.memory.promote(value.memory, value.to)
        return Opened(memory=value.memory)


OPERATOR = Promote()
