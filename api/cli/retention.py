"""Commands about retention: how long memories are kept and why, what waits for a decision, and the clock."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli.options import Invocation, administrator, called_by, officer
from api.cli.output import counted, note, print_json, say

if TYPE_CHECKING:
    from api.cli.retention_view import ClassView

app = typer.Typer(
    help="How long memories are kept, and what becomes of them then.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_VERDICTS: Final = ("keep", "compress", "expire")
MemoryArgument = Annotated[str, typer.Argument(metavar="MEMORY_ID", help="The memory's id, mem_….")]


@app.command("list")
@called_by(administrator)
def list_(call: Invocation) -> None:
    """Show the classes, how many memories have each, and how many of them are due."""
    for one in _classes(call):
        runs = one.term if one.starts is None else f"{one.term} from {one.starts}, then {one.then}"
        if one.next is not None:
            runs = f"{runs} to {one.next}"
        say(
            f"{one.retention_class:<20} {one.memories:>8}  due {one.due:>6}  {runs or 'not in the rules: no end'}"
        )
        if one.description:
            say(f"                     {one.description}")


@app.command("due")
@called_by(administrator)
def due(call: Invocation) -> None:
    """Show the classes in which memories are due; the job `expiry` ends their terms."""
    found = [one for one in _classes(call, only_due=True) if one.due]
    for one in found:
        say(f"{one.retention_class:<20} {one.due:>8}  then {one.then}")
    if not found and not call.as_json:
        note("nothing is due")


@app.command("explain")
@called_by(administrator)
def explain(call: Invocation, *, memory_id: MemoryArgument) -> None:
    """Say which class a memory has, which rule gave it, when its term ends and why."""
    from api.cli.retention_view import ExplanationView  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.retention_desk import RetentionDesk  # noqa: PLC0415

    with call.session() as opened:
        found = RetentionDesk(opened.vault.parts).explain(opened.principal, opened.caller.purpose, memory_id)
    view = ExplanationView.of(found)
    if call.as_json:
        print_json(view)
        return
    say(f"memory        {view.memory_id}")
    say(f"class         {view.retention_class}{'' if view.term is None else f', {view.term}'}")
    say(f"rule          {view.rule}")
    say(f"recorded      {view.recorded}")
    say(f"runs from     {view.start}")
    if view.last_used is not None:
        say(f"last used     {view.last_used}")
    say(f"ends          {view.ends or 'never'}{'' if view.then is None else f', then {view.then}'}")
    for floor in view.floors:
        say(f"floor         {floor.floor}: not before {floor.until}, if it speaks of what the memory holds")
    for hold in view.holds:
        say(f"hold          {hold}: nothing removes it")


@app.command("review")
@called_by(officer)
def review(call: Invocation) -> None:
    """Show the memories that wait for a decision, and why."""
    from api.cli.retention_view import ReviewsView, ReviewView  # noqa: PLC0415
    from vault.review import MAX_LISTED, Reviews  # noqa: PLC0415

    with call.session() as opened:
        tenant = opened.tenant
        found = Reviews(opened.vault.parts).waiting(opened.principal, opened.caller.purpose)
    views = [ReviewView.of(one) for one in found]
    if call.as_json:
        print_json(ReviewsView(tenant=tenant, reviews=views))
        return
    for one in views:
        say(f"{one.memory_id}  {one.reason:<12} since {one.since[:10]}  {one.retention_class}")
    if len(views) == MAX_LISTED:
        note(f"the first {MAX_LISTED} are shown")
    note(f"{counted(len(views), 'memory waits', 'memories wait')} for a decision")


@app.command("decide")
@called_by(officer)
def decide(
    call: Invocation,
    *,
    memory_id: MemoryArgument,
    decision: Annotated[str, typer.Argument(metavar="DECISION", help=f"One of {', '.join(_VERDICTS)}.")],
) -> None:
    """Decide about a memory that waits: keep it, compress it, or remove it for good."""
    if decision not in _VERDICTS:
        raise typer.BadParameter(f"expected one of {', '.join(_VERDICTS)}", param_hint="DECISION")
    from api.cli.retention_view import DecidedView  # noqa: PLC0415
    from vault.review import Reviews, Verdict  # noqa: PLC0415

    with call.session() as opened:
        leaf = Reviews(opened.vault.parts).decide(
            opened.principal, opened.caller.purpose, memory_id, Verdict(decision)
        )
    if call.as_json:
        print_json(DecidedView(memory_id=memory_id, decision=decision, entry=leaf.index))
    else:
        note(f"{memory_id}: {decision}, entry {leaf.index}")


@app.command("confirm-clock")
@called_by(administrator)
def confirm_clock(call: Invocation) -> None:
    """Say that this machine's clock is right after a jump: expiry goes on from the present time."""
    from api.cli.retention_view import DecidedView  # noqa: PLC0415
    from vault.retention_desk import RetentionDesk  # noqa: PLC0415

    with call.session() as opened:
        leaf = RetentionDesk(opened.vault.parts).confirm_clock(opened.principal, opened.caller.purpose)
    if call.as_json:
        print_json(DecidedView(memory_id=None, decision="confirm-clock", entry=leaf.index))
    else:
        note(f"the clock is confirmed, entry {leaf.index}; the job `expiry` goes on")


def _classes(call: Invocation, *, only_due: bool = False) -> "list[ClassView]":
    """Return the classes to be shown; with `--json` they are printed, and none is left to show."""
    from api.cli.retention_view import ClassesView, ClassView  # noqa: PLC0415
    from vault.retention_desk import RetentionDesk  # noqa: PLC0415

    with call.session() as opened:
        tenant = opened.tenant
        found = RetentionDesk(opened.vault.parts).classes(opened.principal, opened.caller.purpose)
    views = [ClassView.of(one) for one in found if one.due or not only_due]
    if call.as_json:
        print_json(ClassesView(tenant=tenant, classes=views))
        return []
    return views
