"""Commands about work that was put off: how the queue stands, dead tasks, and a round of work by hand."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.memories import IdArgument, SubjectFileOption, subjects_of
from api.cli.options import Invocation, administrator, agent, called_by
from api.cli.output import counted, note, print_json, say

if TYPE_CHECKING:
    from vault.queueing.desk import TaskVerdict

app = typer.Typer(
    help="Work that is done off the write path: its durable queue.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Task = Annotated[str, typer.Argument(metavar="ID", help="A dead task's id: see `queue dead`.")]


class Work(StrEnum):
    """Work that may be put off, as the command line names it."""

    ORGANIZE = "organize"
    DISTIL = "distil"


class Urgency(StrEnum):
    """How urgent it is."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@app.command("put")
@called_by(agent)
def put(
    call: Invocation,
    *,
    work: Annotated[Work, typer.Argument(help="What is to be done.")],
    subject: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whom it is about; none is your own notes.")
    ] = None,
    subject_file: SubjectFileOption = None,
    priority: Annotated[Urgency, typer.Option(help="How urgent it is.")] = Urgency.NORMAL,
    key: Annotated[str | None, typer.Option(help="The same key puts the same work off once.")] = None,
) -> None:
    """Put work off: link and verify what is known about a subject, or put its near-duplicates together."""
    from api.schemas.tier_views import PutOffView  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.queueing.task import Priority  # noqa: PLC0415

    names = subjects_of([subject] if subject else None, subject_file, call.limits())
    about, urgency = names[0] if names else None, Priority(priority.value)
    with call.session() as opened:
        memory = opened.memory
        later = memory.distil_later if work is Work.DISTIL else memory.organize_later
        found = later(subject=about, priority=urgency, key=key)
    if call.as_json:
        print_json(PutOffView.of(found))
        return
    say(found.task_id)
    note(f"written at {found.leaf_index}")


@app.command("take-back")
@called_by(agent)
def take_back(call: Invocation, *, memory_id: IdArgument) -> None:
    """Have the sources of a distilled memory back, and revoke it."""
    from api.schemas.tier_views import TakenBackView  # noqa: PLC0415  # as above

    with call.session() as opened:
        found = opened.memory.take_back_distilled(memory_id)
    if call.as_json:
        print_json(TakenBackView(memories=list(found)))
        return
    for one in found:
        say(one)


@app.command("status")
@called_by(administrator)
def status(call: Invocation) -> None:
    """Show how many tasks of each kind wait, run, are done or dead."""
    from api.schemas.tier_views import QueueView  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.queueing.desk import QueueDesk  # noqa: PLC0415

    with call.session() as opened:
        desk = QueueDesk(opened.vault.parts)
        found = QueueView.of(desk.status(opened.principal, opened.caller.purpose))
    if call.as_json:
        print_json(found)
        return
    for one in found.counts:
        say(f"{one.kind:<10} {one.state:<8} {one.tasks:>8}")
    note(f"{found.open} of at most {found.depth} wait or run; {found.embeddings} vectors to be made")


@app.command("dead")
@called_by(administrator)
def dead(call: Invocation) -> None:
    """Show the tasks that failed too often, or can never be done."""
    from api.schemas.tier_views import DeadTasksView, DeadTaskView  # noqa: PLC0415  # as above
    from vault.queueing.desk import QueueDesk  # noqa: PLC0415

    with call.session() as opened:
        found = QueueDesk(opened.vault.parts).dead(opened.principal, opened.caller.purpose)
    if call.as_json:
        print_json(DeadTasksView(tasks=[DeadTaskView.of(one) for one in found]))
        return
    for one in found:
        say(
            f"{one.id}  {one.kind:<9} {one.subject}  by {one.principal}: {one.reason},"
            f" {counted(one.attempts, 'attempt', 'attempts')}, queued {one.queued:%Y-%m-%d %H:%M:%S}"
        )
    if not found:
        note("no task is dead")


@app.command("retry")
@called_by(administrator)
def retry(call: Invocation, *, task: _Task) -> None:
    """Have a dead task tried again."""
    from vault.queueing.desk import TaskVerdict  # noqa: PLC0415

    _decide(call, task, TaskVerdict.RETRY)


@app.command("discard")
@called_by(administrator)
def discard(call: Invocation, *, task: _Task) -> None:
    """Drop a dead task; what it was to do is left undone."""
    from vault.queueing.desk import TaskVerdict  # noqa: PLC0415

    _decide(call, task, TaskVerdict.DISCARD)


@app.command("run")
@called_by(administrator)
def run(
    call: Invocation,
    *,
    seconds: Annotated[int, typer.Option(min=1, max=3_600, help="Stop after so long.")] = 60,
) -> None:
    """Queue what follows from what was written, and do what is due, now."""
    from api.schemas.tier_views import WorkedView  # noqa: PLC0415  # as above
    from vault.queueing.desk import QueueDesk  # noqa: PLC0415

    with call.session() as opened:
        done = QueueDesk(opened.vault.parts).work(opened.principal, opened.caller.purpose, seconds)
    if call.as_json:
        print_json(WorkedView(done=done))
        return
    note(f"{counted(done, 'task', 'tasks')} done")


def _decide(call: Invocation, task: str, verdict: "TaskVerdict") -> None:
    from api.schemas.log_views import LeafView  # noqa: PLC0415  # as above
    from vault.queueing.desk import QueueDesk  # noqa: PLC0415

    with call.session() as opened:
        desk = QueueDesk(opened.vault.parts)
        leaf = desk.decide(opened.principal, opened.caller.purpose, task, verdict)
    if call.as_json:
        print_json(LeafView.of(leaf))
        return
    note(f"written at {leaf.index}")
