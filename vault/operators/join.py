"""Put two lists of memories together, each memory once, in the order in which they came."""

from typing import Annotated

from pydantic import Field

from vault.pipeline.contracts import MAX_IDS, Contract, MemoryIds, Operator, Scope


class Lists(Contract):
    """Two lists, and how many to keep."""

    first: MemoryIds
    second: MemoryIds
    at_most: Annotated[int, Field(ge=1, le=MAX_IDS)] = MAX_IDS


class Joined(Contract):
    """One list."""

    memories: MemoryIds


class Join(Operator[Lists, Joined]):
    """Works on ids alone: reads nothing."""

    name, version = "join", 1
    actions = frozenset()
    input, output = Lists, Joined
    about = "Put two lists of memories together, each memory once."

    def run(self, scope: Scope, value: Lists) -> Joined:  # noqa: ARG002  # ids alone
        """Join."""
        together = dict.fromkeys((*value.first, *value.second))
        return Joined(memories=tuple(together)[: value.at_most])


OPERATOR = Join()
