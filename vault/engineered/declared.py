"""What a pipeline is declared to be: values, the same from YAML and from Python, and their digest.

    Pipeline(
        name="triage", version=1, purpose=Purpose.TREATMENT, about="Keep a note and say what is known.",
        inputs={"note": Input("text"), "patient": Input("subject")},
        steps=(
            Step("keep", "extract-text/1", {"text": From(None, "note"), "subject": From(None, "patient")}),
            Step("known", "retrieve/1", {"query": Literal("allergies"), "subject": From(None, "patient")}),
        ),
        outputs={"memories": From("known", "memories")},
    )

Owns the values, the types that an input may have, and the digest. It leaves YAML to `vault.engineered.reading`, and
whether it all fits to `vault.engineered.checking`. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field

from audit.canonical import MAX_INTEGER, JsonValue, canonical
from policies.model import AccessTier, Purpose
from vault.model import TrustState
from vault.pipeline.contracts import MemoryId, MemoryIds, SubjectName, Text

_FORM: Final = 1
"""Of the definition whose digest is logged."""
DEFAULT_SECONDS: Final = 60
MAX_STEPS: Final = 64
MAX_INPUTS: Final = 32
INPUT_TYPES: Final[Mapping[str, Any]] = {
    "text": Text,
    "texts": Annotated[tuple[Text, ...], Field(max_length=1_000)],
    "subject": SubjectName,
    "memory": MemoryId,
    "memories": MemoryIds,
    "integer": Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)],
    "truth": bool,
    "time": datetime,
    "access-tier": AccessTier,
    "trust": TrustState,
}
"""Types of what a run is given, by the name that a pipeline calls them."""


class Place(NamedTuple):
    """Where something stands."""

    file: str
    line: int = 0
    """From 1; 0: not in a file."""
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Literal(NamedTuple):
    """A value that the pipeline itself gives."""

    value: JsonValue


class From(NamedTuple):
    """A value that comes from elsewhere: an input, or a field of what a step gave."""

    step: str | None
    """None: from the run's inputs."""
    name: str

    def __str__(self) -> str:
        return f"${self.name}" if self.step is None else f"${self.step}.{self.name}"


Argument = Literal | From


class Input(NamedTuple):
    """Something that a run is given."""

    type: str
    """A key of `INPUT_TYPES`."""
    optional: bool = False
    """Whether it may be left out; whatever takes it then takes its own default."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operator, and where its input comes from."""

    name: str
    operator: str
    """`name/version`: a pipeline never takes whatever is newest."""
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    seconds: int = DEFAULT_SECONDS


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A declared list of steps; not checked yet."""

    name: str
    version: int
    purpose: Purpose
    steps: tuple[Step, ...]
    about: str = ""
    inputs: Mapping[str, Input] = field(default_factory=dict)
    outputs: Mapping[str, From] = field(default_factory=dict)
    places: Mapping[tuple[str, ...], Place] = field(default_factory=dict, compare=False, repr=False)
    """Where each part stands, by its path, e.g. `("steps", "keep", "with", "text")`."""

    def place(self, *path: str) -> Place:
        """Return where a part stands, or the nearest around it that is known."""
        for length in range(len(path), -1, -1):
            found = self.places.get(path[:length])
            if found is not None:
                return found
        return Place(".".join((self.name, *path)))


def definition_of(pipeline: Pipeline) -> str:
    """Return the digest of what a pipeline does: not of its words about itself, nor of how its file is laid out."""
    told: JsonValue = {
        "form": _FORM,
        "pipeline": pipeline.name,
        "version": pipeline.version,
        "purpose": pipeline.purpose.value,
        "inputs": {name: [one.type, one.optional] for name, one in pipeline.inputs.items()},
        "steps": [
            {
                "step": step.name,
                "operator": step.operator,
                "seconds": step.seconds,
                "with": {name: _argument(one) for name, one in step.arguments.items()},
            }
            for step in pipeline.steps
        ],
        "outputs": {name: _argument(one) for name, one in pipeline.outputs.items()},
    }
    return f"sha256:{sha256(canonical(told).encode()).hexdigest()}"


def _argument(argument: Argument) -> JsonValue:
    if isinstance(argument, Literal):
        return {"value": argument.value}
    return {"from": [argument.step, argument.name]}
