"""Write a new version of a memory; the older ones stay."""

from typing import Annotated

from pydantic import Field

from policies.model import Action
from vault.errors import ContractError
from vault.pipeline.contracts import Contract, MemoryId, Operator, Scope, Text


class Change(Contract):
    """What a memory is to say from now on."""

    memory: MemoryId
    text: Text
    expected_version: Annotated[int, Field(ge=1)] | None = None
    """None: whatever it has now."""


class Changed(Contract):
    """The memory that was changed."""

    memory: MemoryId


class Update(Operator[Change, Changed]):
    """The update path."""

    name, version = "update", 1
    actions = frozenset({Action.UPDATE})
    input, output = Change, Changed
    about = "Write a new version of a memory's text; older versions stay."

    def run(self, scope: Scope, value: Change) -> Changed:
        """Write."""
        receipt = scope.memory.update(value.memory, value.text, expected_version=value.expected_version)
        (memory,) = receipt.memory_ids
        return Changed(memory=memory)

    def after(self, value: Change, result: Changed) -> None:
        """It is the memory that was to be changed."""
        if result.memory != value.memory:
            raise ContractError("expected the memory that was to be changed")


OPERATOR = Update()
