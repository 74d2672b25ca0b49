"""Commands by which a person says what is right: confirm, correct, retract, rate."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.memories import STDIN, IdArgument, piped_text
from api.cli.options import Invocation, agent, called_by
from api.cli.output import counted, note, print_json

if TYPE_CHECKING:
    from vault.feedback import Verdict

app = typer.Typer(help="Feedback on memories.", no_args_is_help=True, rich_markup_mode=None)


class Use(StrEnum):
    """A rating, as the command line names it."""

    USEFUL = "useful"
    USELESS = "useless"


@app.command("confirm")
@called_by(agent)
def confirm(call: Invocation, *, memory_id: IdArgument) -> None:
    """Say that a memory is right: it is verified."""
    with call.session() as opened:
        verdict = opened.memory.feedback.confirm(memory_id)
    _tell(call, verdict)


@app.command("correct")
@called_by(agent)
def correct(
    call: Invocation,
    *,
    memory_id: IdArgument,
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="What is right; - reads it from standard input.")
    ] = STDIN,
    expect_version: Annotated[
        int | None, typer.Option(min=1, help="Only if it still has this version.")
    ] = None,
) -> None:
    """Say what is right instead: the old version stays on record, what was derived from it is disputed."""
    right = piped_text(call.limits()) if text == STDIN else text
    with call.session() as opened:
        verdict = opened.memory.feedback.correct(memory_id, right, expected_version=expect_version)
    _tell(call, verdict)


@app.command("retract")
@called_by(agent)
def retract(call: Invocation, *, memory_id: IdArgument) -> None:
    """Withdraw a memory: found no more, kept for the record; what was derived from it is disputed."""
    with call.session() as opened:
        verdict = opened.memory.feedback.retract(memory_id)
    _tell(call, verdict)


@app.command("rate")
@called_by(agent)
def rate(
    call: Invocation, *, memory_id: IdArgument, use: Annotated[Use, typer.Argument(help="Of what use it is.")]
) -> None:
    """Say whether a memory is of use; one that is not comes up for review."""
    from vault.feedback import Rating  # noqa: PLC0415  # loads the vault; `--help` does not

    with call.session() as opened:
        verdict = opened.memory.feedback.rate(memory_id, Rating(use.value))
    _tell(call, verdict)


def _tell(call: Invocation, verdict: "Verdict") -> None:
    from api.schemas.feedback_views import VerdictView  # noqa: PLC0415  # as above

    view = VerdictView.of(verdict)
    if call.as_json:
        print_json(view)
        return
    derived = counted(len(view.disputed), "derived memory is", "derived memories are")
    more = "" if view.complete else ", and there are more"
    note(f"written at {view.leaf_index}" + (f"; {derived} disputed{more}" if view.disputed else ""))
