"""Link one memory to others by a typed edge."""

from typing import Annotated

from pydantic import Field

from policies.model import Action
from vault.model import EdgeKind
from vault.pipeline.contracts import Contract, Count, MemoryId, Operator, Scope


class Edge(Contract):
    """From where, by what, to where."""

    source: MemoryId
    kind: EdgeKind
    targets: Annotated[tuple[MemoryId, ...], Field(min_length=1, max_length=200)]


class Linked(Contract):
    """How many edges there are now."""

    edges: Count


class Link(Operator[Edge, Linked]):
    """Edges stay within one owner's memories of one access tier."""

    name, version = "link", 1
    actions = frozenset({Action.ORGANIZE})
    input, output = Edge, Linked
    about = "Link one memory to others: supports, contradicts, supersedes, derived-from, same-entity."

    def run(self, scope: Scope, value: Edge) -> Linked:
        """Link."""
        scope.memory.link(value.source, value.kind, value.targets)
        return Linked(edges=len(set(value.targets)))


OPERATOR = Link()
