"""Stop a run that has not found enough."""

from typing import Annotated

from pydantic import Field

from vault.errors import ContractError
from vault.pipeline.contracts import MAX_IDS, Contract, Count, MemoryIds, Operator, Scope


class Needed(Contract):
    """Memories, and how many there have to be."""

    memories: MemoryIds
    at_least: Annotated[int, Field(ge=1, le=MAX_IDS)] = 1


class Enough(Contract):
    """How many there are."""

    count: Count


class Require(Operator[Needed, Enough]):
    """A check between steps: reads nothing."""

    name, version = "require", 1
    actions = frozenset()
    stops = True
    input, output = Needed, Enough
    about = "Stop where fewer memories were found than are needed."

    def before(self, value: Needed) -> None:
        """There are enough."""
        if len(value.memories) < value.at_least:
            raise ContractError("expected more memories")

    def run(self, scope: Scope, value: Needed) -> Enough:  # noqa: ARG002  # ids alone
        """Count."""
        return Enough(count=len(value.memories))


OPERATOR = Require()
