"""Ask the privacy gate what it would do to a text; nothing of it is kept."""

from typing import Annotated

from pydantic import Field

from policies.model import Action
from vault.errors import ContractError
from vault.pipeline.contracts import Contract, Count, Operator, Scope, Text


class Draft(Contract):
    """A text, and how much of it may be personal data."""

    text: Text
    at_most: Annotated[int, Field(ge=0, le=1_000_000)] = 1_000_000
    """Runs of personal data with which the run goes on."""


class Screened(Contract):
    """What would become of it."""

    masked: Count
    kinds: Count


class Screen(Operator[Draft, Screened]):
    """A look by the gate alone: stops a run whose text would be refused, or has too much personal data."""

    name, version = "screen", 1
    actions = frozenset({Action.WRITE})
    stops = True
    input, output = Draft, Screened
    about = "Stop where the privacy gate would refuse a text or finds too much personal data in it."

    def run(self, scope: Scope, value: Draft) -> Screened:
        """Ask."""
        found = scope.memory.screen(value.text)
        if found.refused:
            raise ContractError("the privacy rules refuse the text")
        return Screened(masked=sum(found.kinds.values()), kinds=len(found.kinds))

    def after(self, value: Draft, result: Screened) -> None:
        """No more than may be."""
        if result.masked > value.at_most:
            raise ContractError("expected less personal data in the text")


OPERATOR = Screen()
