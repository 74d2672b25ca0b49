"""Runs checked pipelines: step after step by the executor, from the start or from where a run stopped.

    runner = Runner(parts, memory, built_in())
    report = runner.run(checked, {"note": "The left knee hurts.", "patient": "patient 17"})

Of what a run is given nothing is kept but a keyed digest: whoever goes on with a run gives the same again. Steps that
were done are not done again, and their values come from the run's rows; a step that failed or was under way is run
anew, and what it had written before is told to it instead of being written twice (`vault.engineered.marks`).

Owns the order, the values between steps, and the report.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from audit.canonical import JsonValue, canonical
from audit.event import EventType
from policies.model import AccessTier, Action, Emergency, Purpose, Relation, Request
from vault.clock import monotonic
from vault.engineered.checking import Checked
from vault.engineered.declared import INPUT_TYPES, Argument, From, Literal, Step
from vault.engineered.executor import Executor, OperatorCall, Run, RunTerms, StepResult
from vault.errors import ContractError, StepFailedError
from vault.grant import EVERY_MEMORY
from vault.operators.catalogue import Catalogue
from vault.parts import Parts
from vault.pipeline.contracts import is_shown
from vault.storage.run_rows import RunState, StepState, StoredStep

if TYPE_CHECKING:
    from vault.memos import MemOS

_JSON: Final = TypeAdapter(dict[str, Any])


@dataclass(frozen=True, slots=True)
class StepReport:
    """How a step of a run ended."""

    step: str
    operator: str
    state: StepState
    took: int
    """Microseconds."""
    leaf_index: int
    """Of its entry."""
    before: bool = False
    """Whether it was done before this run went on."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run that ended well."""

    run: str
    pipeline: str
    version: int
    definition: str
    steps: tuple[StepReport, ...]
    outputs: Mapping[str, object] = field(repr=False)
    """As the pipeline declares them; masked where they are content."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What the rules say of an action."""

    action: Action
    allowed: tuple[str, ...]
    """Access tier and relation, e.g. `private/owner`; empty: it would be denied."""
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What a step would do."""

    step: str
    operator: str
    takes: Mapping[str, str]
    """Where its input comes from: `input note`, `step keep: memories`, or `the pipeline`."""
    decisions: tuple[Decided, ...]
    seconds: int

    @property
    def allowed(self) -> bool:
        """Whether each of its actions is allowed somewhere."""
        return all(one.allowed for one in self.decisions)


class Runner:
    """Runs pipelines for one principal.

    Args:
        parts: Of the vault.
        memory: The principal's facade.
        catalogue: Operators.
        ticks: Seconds that never go back, for timings.
    """

    def __init__(
        self,
        parts: Parts,
        memory: "MemOS",
        catalogue: Catalogue,
        *,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self._parts, self._memory = parts, memory
        self._executor = Executor(parts, memory, catalogue, ticks=ticks)

    def run(self, checked: Checked, inputs: Mapping[str, object]) -> RunReport:
        """Run a pipeline from the start.

        Raises:
            ContractError: it is given what it does not take; nothing was begun.
            DeniedError: something that it does is not allowed; nothing was begun, the denial is logged.
            StepFailedError: a step failed; the run can go on from there.
        """
        given = self._given(checked, inputs)
        return self._carry(checked, given, self._executor.begin(self._terms(checked, given)))

    def resume(self, run_id: str, checked: Checked, inputs: Mapping[str, object]) -> RunReport:
        """Go on with a run of the same pipeline, given the same.

        Raises:
            NotFoundError: the principal has no such run.
            ConflictError: it ended, or the pipeline or what it is given is another.
            ContractError, DeniedError, StepFailedError: as for `run`.
        """
        given = self._given(checked, inputs)
        return self._carry(checked, given, self._executor.resume(run_id, self._terms(checked, given)))

    def dry_run(self, checked: Checked, inputs: Mapping[str, object]) -> tuple[PlannedStep, ...]:
        """Say what a run would call and what the rules would say, and do nothing; not an access, not logged.

        Raises:
            ContractError: it would be given what it does not take.
        """
        self._given(checked, inputs)
        purpose = checked.pipeline.purpose
        return tuple(
            PlannedStep(
                step=step.name,
                operator=step.operator,
                takes={name: _source(one) for name, one in step.arguments.items()},
                decisions=tuple(
                    self._decided(action, purpose) for action in sorted(checked.operators[step.name].actions)
                ),
                seconds=step.seconds,
            )
            for step in checked.pipeline.steps
        )

    def _decided(self, action: Action, purpose: Purpose) -> Decided:
        principal = self._memory.principal
        owned = tuple((tier, Relation.OWNER) for tier in AccessTier)
        decisions = [
            self._parts.policy.decide(
                Request(principal, principal.tenant, tier, relation, action, purpose, Emergency.NONE)
            )
            for tier, relation in (owned if action is Action.WRITE else EVERY_MEMORY)
        ]
        allowed = [one for one in decisions if one.allowed]
        return Decided(
            action,
            tuple(f"{one.request.resource}/{one.request.relation}" for one in allowed),
            tuple(dict.fromkeys(one.rule for one in allowed or decisions)),
        )

    def _given(self, checked: Checked, inputs: Mapping[str, object]) -> BaseModel:
        """Return what the run is given, as its pipeline declares it; the error repeats no value."""
        pipeline = checked.pipeline
        fields: dict[str, Any] = {
            name: (INPUT_TYPES[one.type] | None, None) if one.optional else (INPUT_TYPES[one.type], ...)
            for name, one in pipeline.inputs.items()
        }
        config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)
        contract: type[BaseModel] = create_model("Inputs", __config__=config, **fields)
        try:
            return contract.model_validate_json(_JSON.dump_json(dict(inputs)))
        except ValueError as error:
            wrong = sorted(
                {str(one["loc"][0]) for one in getattr(error, "errors", list)()}.intersection(pipeline.inputs)
            )
            takes = ", ".join(f"{name}: {one.type}" for name, one in pipeline.inputs.items()) or "nothing"
            raise ContractError(
                f"{pipeline.name} takes {takes}" + (f"; look at {', '.join(wrong)}" if wrong else "")
            ) from None

    def _terms(self, checked: Checked, given: BaseModel) -> RunTerms:
        pipeline = checked.pipeline
        told: dict[str, JsonValue] = given.model_dump(mode="json")
        return RunTerms(
            name=pipeline.name,
            version=pipeline.version,
            definition=checked.definition,
            purpose=pipeline.purpose,
            capability=checked.capability,
            needs=checked.needs,
            inputs=self._parts.sealers.query_digest(self._memory.principal.tenant, canonical(told)),
            event=EventType.PIPELINE_RUN,
            steps=len(pipeline.steps),
        )

    def _carry(self, checked: Checked, given: BaseModel, run: Run) -> RunReport:
        values: dict[str, Mapping[str, object]] = {}
        reports: list[StepReport] = []
        for step in checked.pipeline.steps:
            done = run.done.get(step.name)
            if done is not None and done.kept is not None:
                values[step.name] = self._known(checked, given, run, step, values)
                reports.append(_report(done))
                continue
            result = self._step(step, given, run, values)
            assert result.output is not None  # noqa: S101  # it was done
            values[step.name] = dict(result.output)
            reports.append(StepReport(step.name, step.operator, result.state, result.took, result.leaf_index))
        outputs = {
            name: values[source.step][source.name] if source.step else getattr(given, source.name)
            for name, source in checked.pipeline.outputs.items()
        }
        self._executor.end(run, RunState.DONE)
        pipeline = checked.pipeline
        return RunReport(run.id, pipeline.name, pipeline.version, checked.definition, tuple(reports), outputs)

    def _step(
        self, step: Step, given: BaseModel, run: Run, values: Mapping[str, Mapping[str, object]]
    ) -> StepResult:
        arguments = {
            name: value
            for name, one in step.arguments.items()
            if (value := _value(one, given, values)) is not None
        }
        call = OperatorCall(step.name, step.operator, arguments, float(step.seconds))
        result = self._executor.run(call, run)
        if result.state is not StepState.DONE:
            self._executor.end(run, RunState.FAILED)
            raise StepFailedError(run.id, step.name, result.reason) from result.error
        return result

    def _known(
        self,
        checked: Checked,
        given: BaseModel,
        run: Run,
        step: Step,
        values: Mapping[str, Mapping[str, object]],
    ) -> Mapping[str, object]:
        """Return what a step gave before; where an output shows what is not kept, it is asked again for that."""
        kept: dict[str, object] = dict(run.done[step.name].kept or {})
        if not checked.shown_again(step.name):
            return kept
        again = self._step(replace(step, name=f"{step.name}-r{run.place.token}"), given, run, values)
        fields = checked.operators[step.name].output.model_fields
        shown = {name: value for name, value in dict(again.output or ()).items() if is_shown(fields[name])}
        return {**shown, **kept}


def _report(done: StoredStep) -> StepReport:
    return StepReport(done.step, done.operator, done.state, done.took, done.leaf_index, before=True)


def _value(argument: Argument, given: BaseModel, values: Mapping[str, Mapping[str, object]]) -> object:
    if isinstance(argument, Literal):
        return argument.value
    return getattr(given, argument.name) if argument.step is None else values[argument.step][argument.name]


def _source(argument: Argument) -> str:
    if isinstance(argument, From):
        return f"input {argument.name}" if argument.step is None else f"step {argument.step}: {argument.name}"
    return "the pipeline"
