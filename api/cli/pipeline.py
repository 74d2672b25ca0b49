"""Commands about pipelines: list and check them, run them, dry or from where a run stopped, and look at runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from api.cli.options import Invocation, JsonOption, agent, called_by
from api.cli.output import counted, print_json, reported, say

if TYPE_CHECKING:
    from vault.engineered.declared import Pipeline
    from vault.engineered.runner import RunReport
    from vault.storage.run_rows import StoredRun, StoredStep

STDIN: Final = "-"
_MILLISECOND: Final = 1_000

app = typer.Typer(help="Engineered pipelines: declared, checked, versioned.", no_args_is_help=True)

PipelineArgument = Annotated[
    str,
    typer.Argument(metavar="PIPELINE", help="Name of a ready pipeline, or a YAML file (with a / or .yaml)."),
]
InputsOption = Annotated[
    str,
    typer.Option(
        "--inputs",
        metavar="FILE",
        help="What it is given, as a JSON object; - is standard input. Never in argv.",
    ),
]


@app.command("list")
def list_(
    *,
    operators: Annotated[bool, typer.Option("--operators", help="List operators instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the ready pipelines, or the operators that pipelines are made of; needs no vault."""
    from api.cli.pipeline_shapes import ListedOperators, ListedPipelines  # noqa: PLC0415  # loads the vault
    from vault.engineered.reading import ready_pipeline, ready_pipelines  # noqa: PLC0415
    from vault.operators.catalogue import built_in  # noqa: PLC0415

    if operators:
        known = built_in()
        if as_json:
            print_json(ListedOperators(operators=known.schema()))
            return
        for one in known:
            say(f"{one.reference:18}  {one.about}")
        return
    found = [ready_pipeline(name) for name in ready_pipelines()]
    if as_json:
        print_json(ListedPipelines.of(found))
        return
    for pipeline in found:
        say(f"{pipeline.name:18}  {pipeline.version}  {pipeline.about}")


@app.command("check")
def check_(pipeline: PipelineArgument, *, as_json: JsonOption = False) -> None:
    """Say whether a pipeline fits together, or where it does not; needs no vault."""
    with reported(as_json=as_json):
        from api.cli.pipeline_shapes import CheckedView  # noqa: PLC0415  # loads the vault
        from vault.engineered.checking import check  # noqa: PLC0415
        from vault.operators.catalogue import built_in  # noqa: PLC0415

        checked = check(_pipeline(pipeline), built_in())
        if as_json:
            print_json(CheckedView.of(checked))
            return
        one = checked.pipeline
        steps = counted(len(one.steps), "step", "steps")
        say(f"{one.name} version {one.version}: {steps} for {one.purpose}, {checked.definition}")


@app.command("run")
@called_by(agent, without=("purpose",))
def run(call: Invocation, *, pipeline: PipelineArgument, inputs: InputsOption) -> None:
    """Run a pipeline, for the purpose that it declares."""
    declared, given = _pipeline(pipeline), _inputs(call, inputs)
    with call.session() as opened:
        report = opened.memory.run_pipeline(declared, given)
        _tell(report, as_json=call.as_json)


@app.command("resume")
@called_by(agent, without=("purpose",))
def resume(
    call: Invocation,
    *,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A run's id: run_…")],
    pipeline: PipelineArgument,
    inputs: InputsOption,
) -> None:
    """Go on with a run that failed or was interrupted, with the same pipeline, given the same."""
    declared, given = _pipeline(pipeline), _inputs(call, inputs)
    with call.session() as opened:
        report = opened.memory.resume_pipeline(run_id, declared, given)
        _tell(report, as_json=call.as_json)


@app.command("dry-run")
@called_by(agent, without=("purpose",))
def dry_run(call: Invocation, *, pipeline: PipelineArgument, inputs: InputsOption) -> None:
    """Say what a run would call and what the rules would say; nothing is read, written or logged."""
    from api.cli.pipeline_shapes import DryRunView  # noqa: PLC0415  # loads the vault; `--help` does not

    declared, given = _pipeline(pipeline), _inputs(call, inputs)
    with call.session() as opened:
        steps = opened.memory.dry_run_pipeline(declared, given)
    if call.as_json:
        print_json(DryRunView.of(steps))
        return
    for step in steps:
        say(f"{step.step:16}  {step.operator:16}  {'allowed' if step.allowed else 'denied'}")
        for one in step.decisions:
            say(f"    {one.action}: {', '.join(one.allowed) or 'nowhere'}  ({', '.join(one.rules)})")
        for name, source in step.takes.items():
            say(f"    {name} from {source}")


@app.command("runs")
@called_by(agent)
def runs(
    call: Invocation,
    *,
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Show the steps of this one.")] = None,
    limit: Annotated[int, typer.Option("-n", min=1, max=200, help="How many of the newest.")] = 20,
) -> None:
    """List the caller's runs, newest first, or the steps of one."""
    from api.cli.pipeline_shapes import RunsView, RunView  # noqa: PLC0415  # loads the vault; `--help` does not

    with call.session() as opened:
        if run_id is None:
            found = opened.memory.pipeline_runs(limit=limit, purpose=call.caller.purpose)
        else:
            shown = opened.memory.pipeline_run(run_id, purpose=call.caller.purpose)
    if run_id is None:
        if call.as_json:
            print_json(RunsView(runs=[RunView.of(one) for one in found]))
            return
        for one in found:
            _say_run(one)
        return
    if call.as_json:
        print_json(RunView.of(shown.run, shown.steps))
        return
    _say_run(shown.run)
    for step in shown.steps:
        _say_step(step)


def _say_run(one: "StoredRun") -> None:
    from vault.clock import from_microseconds  # noqa: PLC0415  # loads the vault; `--help` does not

    started = from_microseconds(one.started).isoformat(timespec="seconds")
    say(f"{one.run_id}  {one.state:8}  {started}  {one.name} {one.version}")


def _say_step(step: "StoredStep") -> None:
    reason = f"  {step.reason}" if step.reason else ""
    took = f"{step.took / _MILLISECOND:.1f} ms"
    say(
        f"    {step.step:16}  {step.operator:16}  {step.state:9}  {took:>12}  entry {step.leaf_index}{reason}"
    )


def _tell(report: "RunReport", *, as_json: bool) -> None:
    from api.cli.pipeline_shapes import ReportView  # noqa: PLC0415  # loads the vault; `--help` does not

    if as_json:
        print_json(ReportView.of(report))
        return
    say(f"{report.run}  {report.pipeline} {report.version}  done")
    for step in report.steps:
        before = "  before" if step.before else ""
        took = f"{step.took / _MILLISECOND:.1f} ms"
        say(f"    {step.step:16}  {step.operator:16}  {took:>12}  entry {step.leaf_index}{before}")
    for name, value in report.outputs.items():
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        say(f"{name}: {shown}")


def _pipeline(named: str) -> "Pipeline":
    """Return a ready pipeline by its name, or one from a file, read before the vault is opened."""
    from vault.engineered.reading import read_pipeline_file, ready_pipeline  # noqa: PLC0415  # loads the vault

    is_file = "/" in named or named.endswith((".yaml", ".yml"))
    return read_pipeline_file(Path(named)) if is_file else ready_pipeline(named)


def _inputs(call: Invocation, file: str) -> dict[str, Any]:
    """Return what a run is given, read before the vault is opened."""
    from api.cli.sources import read_bytes, read_stream  # noqa: PLC0415  # loads the vault; `--help` does not
    from api.errors import RequestUnreadableError  # noqa: PLC0415
    from api.strict_json import parse_json  # noqa: PLC0415

    limits = call.limits()
    content = read_stream(sys.stdin.buffer, limits) if file == STDIN else read_bytes(Path(file), limits)
    given = parse_json(content)
    if not isinstance(given, dict):
        raise RequestUnreadableError("expected the inputs as a JSON object")
    return given
