"""Make the context block for a model's prompt: memories within a budget of tokens, in a steady order."""

from typing import Annotated

from pydantic import Field

from policies.model import Action
from vault.errors import ContractError
from vault.pipeline.contracts import (
    SHOWN,
    Contract,
    Count,
    Digest,
    Kind,
    MemoryIds,
    Operator,
    Scope,
    SubjectName,
    Text,
)


class Wanted(Contract):
    """A question, and how much may be said."""

    query: Annotated[Text, Field(max_length=10_000)]
    subject: SubjectName | None = None
    tokens: Annotated[int, Field(ge=64, le=100_000)] = 2_000
    k: Annotated[int, Field(ge=1, le=200)] = 8


class Block(Contract):
    """The block, and what stands in it."""

    memories: MemoryIds
    tokens: Count
    left_out: Count
    digest: Digest
    block: Annotated[str, Kind.TEXT, SHOWN]
    """Masked; data for a model, never instructions."""


class ContextBlock(Operator[Wanted, Block]):
    """The context path, in a window that no other question had: the same run gives the same block."""

    name, version = "context", 1
    actions = frozenset({Action.SEARCH})
    input, output = Wanted, Block
    about = "Make a block of memories for a model's prompt, within a budget of tokens."

    def run(self, scope: Scope, value: Wanted) -> Block:
        """Compose."""
        made = scope.memory.context(value.query, tokens=value.tokens, k=value.k, subject=value.subject).block
        return Block(
            memories=made.memory_ids,
            tokens=made.tokens,
            left_out=made.left_out,
            digest=f"sha256:{made.digest}",
            block=made.text,
        )

    def after(self, value: Wanted, result: Block) -> None:
        """It is within its budget."""
        if result.tokens > value.tokens:
            raise ContractError("expected a block within its budget")


OPERATOR = ContextBlock()
