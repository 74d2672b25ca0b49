"""What the generated people's lives consist of: slots, how gold says them, and each split's phrases.

Owns the catalogue and the strict reading of `phrases/*.yaml`. Gold is worded the same in both splits; what
people and assistants say is not: `dev` is for tuning, `report` for the figures that are published.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field

from compliance.halumem.schema import MemoryType


class Split(StrEnum):
    """Which phrases: those to tune on, or those that are reported."""

    DEV = "dev"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Slot:
    """One thing to know about a person."""

    name: str
    domain: str
    kind: MemoryType
    gold: str
    """With `{who}`, `{v}` and, where dated, `{d}`."""
    question: str
    importance: float
    changes: bool
    """Whether a later value takes the place of an earlier one; otherwise each stands for itself."""


_P, _E, _R = MemoryType.PERSONA, MemoryType.EVENT, MemoryType.RELATIONSHIP
SLOTS: Final = (
    Slot("medication", "health", _P, "{who} takes the medication {v}", "Which medication does {who} take?", 1.0, changes=True),
    Slot("allergy", "health", _P, "{who} has an allergy to {v}", "Which allergy does {who} have?", 1.0, changes=False),
    Slot("weight", "health", _P, "{who} weighs {v} kg", "How much does {who} weigh?", 0.5, changes=True),
    Slot("employer", "work", _P, "{who} is employed by {v}", "Who employs {who}?", 0.75, changes=True),
    Slot("role", "work", _P, "{who} has the job {v}", "Which job does {who} have?", 0.75, changes=True),
    Slot("city", "family", _P, "{who} has a home in {v}", "Where does {who} live?", 0.75, changes=True),
    Slot("partner", "family", _R, "{who} has the partner {v}", "Who is the partner of {who}?", 1.0, changes=False),
    Slot("pet", "family", _R, "{who} has a pet named {v}", "What is the pet of {who} called?", 0.5, changes=False),
    Slot("food", "preferences", _P, "{who} has the favourite food {v}", "Which food is the favourite of {who}?", 0.5, changes=True),
    Slot("hobby", "preferences", _P, "{who} has the hobby {v}", "Which hobby does {who} have?", 0.5, changes=True),
    Slot("trip", "plans", _E, "{who} travels to {v} on {d}", "Where does {who} travel, and when?", 0.75, changes=True),
    Slot("appointment", "plans", _E, "{who} has an appointment with the {v} on {d}", "Which appointment does {who} have?", 1.0, changes=True),
    Slot("run", "health", _E, "{who} ran {v} km on {d}", "How far did {who} run on {d}?", 0.25, changes=False),
    Slot("purchase", "plans", _E, "{who} bought a {v} on {d}", "What did {who} buy on {d}?", 0.25, changes=False),
    Slot("visit", "plans", _E, "{who} visited the {v} on {d}", "What did {who} visit on {d}?", 0.25, changes=False),
)  # fmt: skip

Texts = Annotated[tuple[str, ...], Field(min_length=2)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SlotPhrases(_Strict):
    """How one slot is spoken of."""

    values: Annotated[tuple[str, ...], Field(min_length=4, strict=False)]
    facts: Annotated[tuple[str, ...], Field(min_length=4, strict=False)]
    third: str
    """Of somebody else."""
    hypo: str
    """Hypothetical."""
    claim: str
    """Asserted by the assistant."""
    dated: bool = False


class Phrases(BaseModel):
    """All phrases of one split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_names: Texts
    surnames: Texts
    people: Texts
    kin: Texts
    fillers: Texts
    asides: Texts
    replies: Texts
    openers: Texts
    changes: Texts
    corrections: Texts
    rejects: Texts
    confirms: Texts
    slots: dict[str, SlotPhrases]


@cache
def phrases(split: Split) -> Phrases:
    """Return a split's phrases, read once."""
    text = (Path(__file__).parent / "phrases" / f"{split}.yaml").read_text(encoding="utf-8")
    return Phrases.model_validate(yaml.safe_load(text))
