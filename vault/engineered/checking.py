"""Whether a pipeline fits together, before anything of it runs.

    checked = check(pipeline, built_in())

Refused, with file, line and column where it was read from a file: an operator that is not known, an input that is
missing, unknown or of another type, a value that its contract does not take, a step that waits for itself or for a
later one, and what nobody uses. What is shown and not kept is no input of a step: it would not be there when a run
goes on after a crash. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, NoReturn

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from policies.model import AccessTier, Action
from vault.engineered.declared import (
    INPUT_TYPES,
    MAX_INPUTS,
    MAX_STEPS,
    Argument,
    From,
    Literal,
    Pipeline,
    Place,
    Step,
    definition_of,
)
from vault.errors import PipelineInvalidError
from vault.operators.catalogue import Catalogue
from vault.pipeline.contracts import EFFECTS, AnyOperator, Capability, Type, fits, is_shown, type_of

MAX_VERSION: Final = 9_999
MAX_STEP_SECONDS: Final = 3_600
_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,23}(?:-[a-z0-9]{1,24}){0,3}", re.ASCII)
_PINNED: Final = re.compile(r"[a-z-]+/[0-9]{1,3}", re.ASCII)
_ANY: Final = TypeAdapter(Any)


@dataclass(frozen=True, slots=True)
class Checked:
    """A pipeline that fits together, with the operators that it names."""

    pipeline: Pipeline
    definition: str
    """Its digest."""
    operators: Mapping[str, AnyOperator]
    """By step."""

    @property
    def needs(self) -> frozenset[Action]:
        """All that its steps do."""
        return frozenset(action for one in self.operators.values() for action in one.actions)

    @property
    def capability(self) -> Capability:
        """What a run of it may do: what it declares, and no more."""
        return Capability(
            operators=frozenset(one.reference for one in self.operators.values()),
            access_tiers=frozenset(AccessTier),
            destructive=True,  # whoever wrote the pipeline asked for it, and a reviewer read it
        )

    def shown_again(self, step: str) -> bool:
        """Say whether a step that was done has to be asked again for what it shows: it reads, and an output shows it."""
        operator = self.operators[step]
        return not operator.actions & EFFECTS and any(
            is_shown(operator.output.model_fields[one.name])
            for one in self.pipeline.outputs.values()
            if one.step == step
        )


def check(pipeline: Pipeline, catalogue: Catalogue) -> Checked:
    """Return a pipeline as one that may run.

    Raises:
        PipelineInvalidError: with the place of the first thing that does not fit.
    """
    if not all(_NAME.fullmatch(name) for name in (pipeline.name, *(step.name for step in pipeline.steps))):
        _refuse(pipeline.place(), "expected names of lower-case letters and digits, joined by -")
    if not 1 <= len(pipeline.steps) <= MAX_STEPS or len(pipeline.inputs) > MAX_INPUTS:
        _refuse(pipeline.place(), f"expected 1 to {MAX_STEPS} steps, and at most {MAX_INPUTS} inputs")
    if not 1 <= pipeline.version <= MAX_VERSION:
        _refuse(pipeline.place("version"), f"expected a version from 1 to {MAX_VERSION}")
    for name, given in pipeline.inputs.items():
        if given.type not in INPUT_TYPES:
            _refuse(pipeline.place("inputs", name), f"expected a type: one of {', '.join(INPUT_TYPES)}")
    operators = {step.name: _operator(pipeline, step, catalogue) for step in pipeline.steps}
    if len(operators) != len(pipeline.steps):
        _refuse(pipeline.place("steps"), "expected each step's name once")
    checked = Checked(pipeline, definition_of(pipeline), operators)
    _expect_order(pipeline)
    for step in pipeline.steps:
        _expect_fit(checked, step)
    for name, source in pipeline.outputs.items():
        _given_type(checked, source, pipeline.place("outputs", name), shown=True)
    _expect_used(checked)
    if not checked.needs:
        _refuse(pipeline.place("steps"), "expected at least one step that reads or writes")
    return checked


def _operator(pipeline: Pipeline, step: Step, catalogue: Catalogue) -> AnyOperator:
    place = pipeline.place("steps", step.name, "operator")
    if not _PINNED.fullmatch(step.operator):
        _refuse(place, "expected an operator and its version, e.g. retrieve/1")
    operator = catalogue.get(step.operator)
    if operator is None:
        _refuse(place, f"expected a known operator, got {step.operator}")
    if not 1 <= step.seconds <= MAX_STEP_SECONDS:
        _refuse(pipeline.place("steps", step.name, "seconds"), f"expected 1 to {MAX_STEP_SECONDS} seconds")
    return operator


def _expect_order(pipeline: Pipeline) -> None:
    """See that each step takes from earlier ones alone; a ring of steps is named as one."""
    order = {step.name: number for number, step in enumerate(pipeline.steps)}
    waits = {
        step.name: {one.step for one in step.arguments.values() if isinstance(one, From) and one.step}
        for step in pipeline.steps
    }
    for step in pipeline.steps:
        for name, source in step.arguments.items():
            if not isinstance(source, From) or source.step is None:
                continue
            place = pipeline.place("steps", step.name, "with", name)
            if source.step not in order:
                _refuse(place, f"expected a step of this pipeline, got {source}")
            if order[source.step] >= order[step.name]:
                ring = step.name in _reached(source.step, waits)
                what = "steps wait for each other" if ring else "the step comes later"
                _refuse(place, f"{what}: {step.name} takes {source}")


def _reached(start: str, waits: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    open_ = [start]
    while open_:
        one = open_.pop()
        if one not in found:
            found.add(one)
            open_.extend(waits.get(one, ()))
    return found


def _expect_fit(checked: Checked, step: Step) -> None:
    pipeline, fields = checked.pipeline, checked.operators[step.name].input.model_fields
    for name, argument in step.arguments.items():
        place = pipeline.place("steps", step.name, "with", name)
        if name not in fields:
            _refuse(place, f"{step.operator} takes no {name}: it takes {_or_nothing(fields)}")
        wanted = fields[name]
        if isinstance(argument, Literal):
            _expect_value(argument, wanted, place)
            continue
        given = _given_type(checked, argument, place, shown=False)
        if given.optional and not wanted.is_required():
            given = Type(given.base, given.kind, given.many)  # left out, the operator takes its own default
        if not fits(given, type_of(wanted)):
            _refuse(place, f"{step.operator} takes {name} as {type_of(wanted)}, {argument} is {given}")
    missing = [name for name, one in fields.items() if one.is_required() and name not in step.arguments]
    if missing:
        _refuse(pipeline.place("steps", step.name), f"{step.operator} needs {', '.join(missing)}")


def _expect_value(argument: Literal, wanted: FieldInfo, place: Place) -> None:
    annotation: Any = wanted.annotation
    adapter = TypeAdapter(Annotated[(annotation, *wanted.metadata)] if wanted.metadata else annotation)
    try:
        adapter.validate_json(_ANY.dump_json(argument.value), strict=True)
    except ValueError:
        _refuse(place, f"expected {type_of(wanted)} as the operator's contract says")


def _given_type(checked: Checked, source: Argument, place: Place, *, shown: bool) -> Type:
    assert isinstance(source, From)  # noqa: S101  # literals are checked by value
    if source.step is None:
        given = checked.pipeline.inputs.get(source.name)
        if given is None:
            _refuse(place, f"expected an input of this pipeline, got {source}")
        adapted = FieldInfo.from_annotation(INPUT_TYPES[given.type])
        found = type_of(adapted)
        return Type(found.base, found.kind, found.many, optional=given.optional)
    operator = checked.operators.get(source.step)
    if operator is None:
        _refuse(place, f"expected a step of this pipeline, got {source}")
    fields = operator.output.model_fields
    if source.name not in fields:
        _refuse(place, f"{operator.reference} gives no {source.name}: it gives {_or_nothing(fields)}")
    if not shown and is_shown(fields[source.name]):
        _refuse(place, f"{source} is shown and kept nowhere: take the memory's id, and read it")
    return type_of(fields[source.name])


def _expect_used(checked: Checked) -> None:
    pipeline = checked.pipeline
    sources = [one for step in pipeline.steps for one in step.arguments.values() if isinstance(one, From)]
    sources += pipeline.outputs.values()
    for name in pipeline.inputs:
        if not any(one.step is None and one.name == name for one in sources):
            _refuse(pipeline.place("inputs", name), f"nothing uses the input {name}")
    for step in pipeline.steps:
        operator = checked.operators[step.name]
        idle = not operator.actions & EFFECTS and not operator.stops
        if idle and not any(one.step == step.name for one in sources):
            _refuse(pipeline.place("steps", step.name), f"nothing uses what {step.name} gives")


def _or_nothing(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(names) or "nothing"


def _refuse(place: Place, what: str) -> NoReturn:
    raise PipelineInvalidError(f"{place}: {what}")
