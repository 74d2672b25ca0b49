"""Commands of the guard: whether a draft is borne out, and what is held back because nothing bears it out."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.memories import STDIN, IdArgument, SubjectFileOption, SubjectOption, piped_text, subjects_of
from api.cli.new_file import write_new
from api.cli.options import Invocation, agent, called_by, officer
from api.cli.output import counted, note, print_json, say

app = typer.Typer(
    help="What the guard holds back: derived memories that nothing bears out.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@called_by(agent)
def supported(
    call: Invocation,
    *,
    draft: Annotated[
        str, typer.Argument(metavar="DRAFT", help="A drafted answer; - reads it from standard input.")
    ],
    k: Annotated[
        int, typer.Option("-k", min=1, max=200, help="How many memories each statement is held against.")
    ] = 10,
    subject: SubjectOption = None,
    subject_file: SubjectFileOption = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw it as SVG into this new file, too.")
    ] = None,
) -> None:
    """Say of each statement of a draft which memory bears it out, and where; or what is missing."""
    from api.schemas.feedback_views import SupportView  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.graph.picture import picture as drawn  # noqa: PLC0415  # as above

    limits = call.limits()
    names = subjects_of(subject, subject_file, limits)
    text = piped_text(limits) if draft == STDIN else draft
    with call.session() as opened:
        found = opened.memory.supported(text, k=k, subject=names)
    if picture is not None:
        write_new(picture, drawn(found).encode())
    view = SupportView.of(found)
    if call.as_json:
        print_json(view)
        return
    for one in view.statements:
        borne = f"{one.memory_id} {one.source_start}-{one.source_end}" if one.memory_id else "unsupported"
        say(f"{borne}  {one.text}")
        if one.missing:
            say(f"    missing: {', '.join(one.missing)}")
    stand = sum(1 for one in view.statements if one.memory_id)
    note(f"{stand} of {counted(len(view.statements), 'statement', 'statements')} borne out")


@app.command("list")
@called_by(officer)
def held(call: Invocation) -> None:
    """List derived memories that nothing bears out and that nobody is served; no content."""
    from api.schemas.feedback_views import HeldView  # noqa: PLC0415  # as above

    with call.session() as opened:
        view = HeldView.of(opened.memory.held_back())
    if call.as_json:
        print_json(view)
        return
    for one in view.held:
        say(f"{one.memory_id}  version {one.version}  since {one.since}")
    note(f"{counted(len(view.held), 'memory is', 'memories are')} held back")


@app.command("release")
@called_by(officer)
def release(call: Invocation, *, memory_id: IdArgument) -> None:
    """Serve a memory that was held back, on your word; its trust stays what it was."""
    from api.schemas.log_views import LeafView  # noqa: PLC0415  # as above

    with call.session() as opened:
        leaf = opened.memory.release_held_back(memory_id)
    if call.as_json:
        print_json(LeafView.of(leaf))
        return
    note(f"written at {leaf.index}")
