"""Commands about effects outside the database: which intents have no outcome, and closing one."""

from enum import StrEnum
from typing import Annotated

import typer

from api.cli.options import Invocation, administrator, auditor, called_by
from api.cli.output import note, print_json, say

intents = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


class Reviewed(StrEnum):
    """What a person found."""

    OK = "ok"
    FAILED = "failed"


@intents.callback()
@called_by(auditor)
def open_intents(call: Invocation, *, context: typer.Context) -> None:
    """List intents of effects outside the database that have no outcome: nobody knows what became of them."""
    if context.invoked_subcommand is not None:
        return
    from api.schemas.log_views import IntentsView, IntentView  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.intents import Effects  # noqa: PLC0415

    with call.session() as opened:
        found = Effects(opened.vault.parts).open_intents(opened.principal, opened.caller.purpose)
    if call.as_json:
        print_json(IntentsView(intents=[IntentView.of(intent) for intent in found]))
        return
    for one in found:
        say(
            f"{one.index:>6}  {one.time:%Y-%m-%d %H:%M:%S}  {one.kind:<14} {one.principal:<16} {one.resource or '-'}"
        )
    if not found:
        note("every intent has its outcome")


@intents.command("close")
@called_by(administrator)
def close(
    call: Invocation,
    *,
    index: Annotated[int, typer.Argument(min=0, max=2**53 - 1, metavar="INDEX", help="Of the intent.")],
    outcome: Annotated[Reviewed, typer.Option(help="What became of it, as you found.")],
) -> None:
    """Write the outcome of an intent that a crash left without one, after looking what it left behind."""
    from api.schemas.log_views import LeafView  # noqa: PLC0415
    from audit.event import Outcome  # noqa: PLC0415
    from vault.intents import Effects  # noqa: PLC0415

    with call.session() as opened:
        leaf = Effects(opened.vault.parts).close(
            opened.principal, opened.caller.purpose, index, Outcome(outcome.value)
        )
    if call.as_json:
        print_json(LeafView.of(leaf))
        return
    note(f"written at {leaf.index}")
