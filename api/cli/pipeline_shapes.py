"""What the commands about pipelines print as JSON. Fields are added over time, never renamed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field

from api.schemas.views import View
from vault.clock import from_microseconds
from vault.engineered.checking import Checked
from vault.engineered.declared import Pipeline
from vault.engineered.runner import PlannedStep, RunReport
from vault.storage.run_rows import StoredRun, StoredStep


class PipelineView(View):
    """A pipeline that comes with the vault."""

    pipeline: str
    version: int
    purpose: str
    about: str
    inputs: Annotated[dict[str, str], Field(description="type by name")]
    steps: list[str]
    outputs: list[str]

    @classmethod
    def of(cls, pipeline: Pipeline) -> Self:
        """Return the view of a pipeline."""
        return cls(
            pipeline=pipeline.name,
            version=pipeline.version,
            purpose=pipeline.purpose,
            about=pipeline.about,
            inputs={
                name: f"{one.type}, optional" if one.optional else one.type
                for name, one in pipeline.inputs.items()
            },
            steps=[f"{step.name}: {step.operator}" for step in pipeline.steps],
            outputs=list(pipeline.outputs),
        )


class ListedPipelines(View):
    """The pipelines that come with the vault."""

    pipelines: list[PipelineView]

    @classmethod
    def of(cls, pipelines: Iterable[Pipeline]) -> Self:
        """Return the view of these."""
        return cls(pipelines=[PipelineView.of(one) for one in pipelines])


class ListedOperators(View):
    """The operators, with the JSON Schemas of what goes in and what comes out."""

    operators: list[dict[str, Any]]


class CheckedView(View):
    """A pipeline that fits together."""

    pipeline: str
    version: int
    purpose: str
    definition: Annotated[str, Field(description="digest, as each entry of a run names it")]
    steps: int
    actions: Annotated[list[str], Field(description="all that its steps do")]

    @classmethod
    def of(cls, checked: Checked) -> Self:
        """Return the view of a checked pipeline."""
        one = checked.pipeline
        return cls(
            pipeline=one.name,
            version=one.version,
            purpose=one.purpose,
            definition=checked.definition,
            steps=len(one.steps),
            actions=sorted(checked.needs),
        )


class DecisionView(View):
    """What the rules would say of an action."""

    action: str
    allowed: Annotated[list[str], Field(description="access tier and relation; empty: denied")]
    rules: list[str]


class PlannedView(View):
    """What a step would do."""

    step: str
    operator: str
    allowed: bool
    takes: Mapping[str, str]
    decisions: list[DecisionView]
    seconds: int


class DryRunView(View):
    """What a run would do."""

    steps: list[PlannedView]

    @classmethod
    def of(cls, steps: Sequence[PlannedStep]) -> Self:
        """Return the view of a dry run."""
        return cls(
            steps=[
                PlannedView(
                    step=one.step,
                    operator=one.operator,
                    allowed=one.allowed,
                    takes=one.takes,
                    decisions=[
                        DecisionView(action=each.action, allowed=list(each.allowed), rules=list(each.rules))
                        for each in one.decisions
                    ],
                    seconds=one.seconds,
                )
                for one in steps
            ]
        )


class StepView(View):
    """A step of a run that ended."""

    step: str
    operator: str
    state: str
    reason: str | None = None
    microseconds: int
    entry: Annotated[int, Field(description="audit leaf index")]
    before: Annotated[bool, Field(description="done before the run went on")] = False


class RunView(View):
    """A run."""

    run: str
    pipeline: str
    version: int
    definition: str
    purpose: str
    state: str
    started: str
    finished: str | None
    steps: Annotated[list[StepView] | None, Field(description="null in a list of runs")] = None

    @classmethod
    def of(cls, run: StoredRun, steps: Sequence[StoredStep] | None = None) -> Self:
        """Return the view of a run."""
        return cls(
            run=run.run_id,
            pipeline=run.name,
            version=run.version,
            definition=run.definition,
            purpose=run.purpose,
            state=run.state,
            started=from_microseconds(run.started).isoformat(),
            finished=None if run.finished is None else from_microseconds(run.finished).isoformat(),
            steps=None if steps is None else [_step(one) for one in steps],
        )


class RunsView(View):
    """The caller's runs."""

    runs: list[RunView]


class ReportView(View):
    """A run that ended well."""

    run: str
    pipeline: str
    version: int
    definition: str
    steps: list[StepView]
    outputs: Annotated[dict[str, Any], Field(description="as the pipeline declares them, masked")]

    @classmethod
    def of(cls, report: RunReport) -> Self:
        """Return the view of a report."""
        return cls(
            run=report.run,
            pipeline=report.pipeline,
            version=report.version,
            definition=report.definition,
            steps=[
                StepView(
                    step=one.step,
                    operator=one.operator,
                    state=one.state,
                    microseconds=one.took,
                    entry=one.leaf_index,
                    before=one.before,
                )
                for one in report.steps
            ],
            outputs=dict(report.outputs),
        )


def _step(step: StoredStep) -> StepView:
    return StepView(
        step=step.step,
        operator=step.operator,
        state=step.state,
        reason=step.reason,
        microseconds=step.took,
        entry=step.leaf_index,
    )
