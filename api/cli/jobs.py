"""Commands about the timetable: what runs when, what it did, run now, pause and resume."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import Invocation, administrator, called_by
from api.cli.output import note, print_json, say

if TYPE_CHECKING:
    from api.cli.session import Session
    from lifecycle.control import JobControl
    from lifecycle.running import Ran

app = typer.Typer(
    help="What time does to the vault: its jobs and their timetable.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Job = Annotated[str, typer.Argument(metavar="JOB", help="Its name: see `jobs list`.")]


@app.command("list")
@called_by(administrator)
def list_(call: Invocation) -> None:
    """Show when each job runs next, and what its last run came to."""
    from api.cli.job_shapes import JobsView, JobView  # noqa: PLC0415  # loads the vault; `--help` does not

    with call.session() as opened:
        tenant = opened.tenant
        found = _control(opened).list(opened.principal, opened.caller.purpose)
    if call.as_json:
        print_json(JobsView(tenant=tenant, jobs=[JobView.of(one) for one in found]))
        return
    for one in found:
        due = "paused" if one.paused else _time(one.due)
        failed = f", failed {one.failures} times" if one.failures else ""
        say(
            f"{one.name:<12} {one.term:<16} next {due:<19}  last {_time(one.finished)} {one.outcome or '-'}"
            f"{failed}  {_counts(one.counts)}"
        )
        say(f"             {one.about}")


@app.command("run")
@called_by(administrator)
def run(call: Invocation, *, job: _Job) -> None:
    """Run a job now, until nothing is left; one that is paused, too.

    Ends with 0 where all is well or merely worth a warning, 3 where it found an error, 1 where it failed, and 7
    where it runs already.
    """
    from api.cli.job_shapes import RunsView, RunView  # noqa: PLC0415

    done = []
    with call.session() as opened:
        for ran in _control(opened).run(opened.principal, opened.caller.purpose, job):
            done.append(ran)
            if not call.as_json:
                _show(ran)
    if call.as_json:
        print_json(RunsView(runs=[RunView.of(ran) for ran in done]))
    raise typer.Exit(_exit(done))


@app.command("pause")
@called_by(administrator)
def pause(call: Invocation, *, job: _Job) -> None:
    """Let a job rest until it is resumed."""
    _switch(call, job, paused=True)


@app.command("resume")
@called_by(administrator)
def resume(call: Invocation, *, job: _Job) -> None:
    """Let a job go on; a run that it missed is caught up once."""
    _switch(call, job, paused=False)


@app.command("history")
@called_by(administrator)
def history(
    call: Invocation,
    *,
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; all if none is named.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=1_000, help="How many.")] = 20,
) -> None:
    """Show past runs, newest first, as the log tells of them."""
    from api.cli.job_shapes import HistoryView, PastRunView  # noqa: PLC0415

    with call.session() as opened:
        found = _control(opened).history(opened.principal, opened.caller.purpose, job, limit=number)
    if call.as_json:
        print_json(HistoryView(runs=[PastRunView.of(one) for one in found]))
        return
    for one in found:
        say(
            f"{one.index:>6}  {_time(one.time)}  {one.job:<12} {one.outcome:<9} {one.reason or '':<16} "
            f"{one.by:<16} {_counts(one.counts)}"
        )
    if not found:
        note("no job ran yet")


def _control(opened: "Session") -> "JobControl":
    from api.assembly import jobs_of  # noqa: PLC0415
    from lifecycle.control import JobControl  # noqa: PLC0415

    return JobControl(opened.vault.parts, jobs_of(opened.settings))


def _switch(call: Invocation, job: str, *, paused: bool) -> None:
    from api.schemas.log_views import LeafView  # noqa: PLC0415

    with call.session() as opened:
        control = _control(opened)
        switch = control.pause if paused else control.resume
        leaf = switch(opened.principal, opened.caller.purpose, job)
    if call.as_json:
        print_json(LeafView.of(leaf))
        return
    note(f"written at {leaf.index}")


def _show(ran: "Ran") -> None:
    for one in ran.findings:
        repaired = " (put right)" if one.repaired else ""
        say(
            f"{one.severity:<8} {one.where:<31} {one.check}: expected {one.expected}, got {one.got}{repaired}"
        )
    reason = f" ({ran.reason})" if ran.reason else ""
    note(f"{ran.job}: {ran.outcome}{reason}, entry {ran.leaf_index}: {_counts(ran.counts)}")


def _exit(done: "list[Ran]") -> int:
    from api.problems import Exit  # noqa: PLC0415
    from lifecycle.running import RunOutcome  # noqa: PLC0415
    from vault.consistency import Severity  # noqa: PLC0415

    outcomes = {ran.outcome for ran in done}
    if RunOutcome.LOST in outcomes:
        return Exit.CONFLICT
    if RunOutcome.FAILED in outcomes:
        return Exit.ERROR
    errors = sum(ran.counts.get(f"{Severity.ERROR}s", 0) for ran in done)
    return Exit.VERIFICATION_FAILED if errors else Exit.OK


def _time(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()) if count)
