"""Say what is right instead of what a memory says; what was derived from it is disputed."""

from typing import Annotated

from pydantic import Field

from policies.model import Action
from vault.pipeline.contracts import Contract, MemoryId, MemoryIds, Operator, Scope, Text


class Correction(Contract):
    """A memory, and what it is to say."""

    memory: MemoryId
    text: Text
    expected_version: Annotated[int, Field(ge=1)] | None = None


class Corrected(Contract):
    """The memory, verified, and those that are disputed because they were derived from it."""

    memory: MemoryId
    disputed: MemoryIds


class Correct(Operator[Correction, Corrected]):
    """Feedback: history stays, and the old statement does not come back from an old source."""

    name, version = "correct", 1
    actions = frozenset({Action.UPDATE})
    input, output = Correction, Corrected
    about = (
        "Say what is right instead: a new version, verified; what was derived from the old one is disputed."
    )

    def run(self, scope: Scope, value: Correction) -> Corrected:
        """Correct."""
        judged = scope.memory.correct(value.memory, value.text, expected_version=value.expected_version)
        return Corrected(memory=value.memory, disputed=judged.disputed)


OPERATOR = Correct()
