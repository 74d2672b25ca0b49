"""Find the memories that answer a question best."""

from typing import Annotated

from pydantic import Field

from policies.model import Action
from vault.pipeline.contracts import SHOWN, Contract, Kind, MemoryIds, Operator, Scope, SubjectName, Text


class Question(Contract):
    """A question, in any words."""

    query: Annotated[Text, Field(max_length=10_000)]
    subject: SubjectName | None = None
    k: Annotated[int, Field(ge=1, le=200)] = 10


class Found(Contract):
    """What was found, best first."""

    memories: MemoryIds
    texts: Annotated[tuple[Annotated[str, Kind.TEXT], ...], SHOWN]
    """Masked, in the same order."""


class Retrieve(Operator[Question, Found]):
    """The read path's search."""

    name, version = "retrieve", 1
    actions = frozenset({Action.SEARCH})
    input, output = Question, Found
    about = "Find the memories that answer a question best, masked."

    def run(self, scope: Scope, value: Question) -> Found:
        """Search."""
        answer = scope.memory.retrieve(value.query, k=value.k, subject=value.subject)
        return Found(
            memories=tuple(hit.memory.id for hit in answer.hits),
            texts=tuple(hit.memory.text for hit in answer.hits),
        )


OPERATOR = Retrieve()
