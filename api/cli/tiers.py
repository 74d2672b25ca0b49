"""Commands about memory tiers: how they stand, moves by hand, the context block, a raw episode."""

from enum import StrEnum
from typing import Annotated

import typer

from api.cli.memories import IdArgument, SubjectFileOption, SubjectOption, subjects_of
from api.cli.options import Invocation, administrator, agent, called_by
from api.cli.output import counted, flat, note, print_json, say

app = typer.Typer(
    help="Memory tiers: reference, activation and plaintext.", no_args_is_help=True, rich_markup_mode=None
)


class Tier(StrEnum):
    """A memory tier, as the command line names it."""

    REFERENCE = "reference"
    ACTIVATION = "activation"
    PLAINTEXT = "plaintext"


@app.command("status")
@called_by(administrator)
def status(call: Invocation) -> None:
    """Show how much stands in each tier, and what was spared since the vault was opened; no content."""
    from api.schemas.tier_views import TiersView  # noqa: PLC0415  # loads the vault; `--help` does not

    with call.session() as opened:
        found = TiersView.of(opened.memory.tiers())
    if call.as_json:
        print_json(found)
        return
    for one in found.tiers:
        say(f"{one.tier:<11} {counted(one.memories, 'memory', 'memories'):>16}  {one.bytes:>12} bytes")
    held, used = found.at_hand, found.context
    say(
        f"at hand     {held.items} fields, {held.bytes} bytes; {held.hits} hits, {held.misses} misses"
        f" ({held.hit_rate:.0%}), {held.evicted} evicted, {held.wiped} wiped"
    )
    say(f"context     {used.reused} of {used.tokens} tokens stood there before ({used.hit_rate:.0%})")


@app.command("move")
@called_by(administrator)
def move(
    call: Invocation, *, memory_id: IdArgument, to: Annotated[Tier, typer.Argument(help="Where to.")]
) -> None:
    """Move a memory to another tier by hand; the rules look at it again when they run next."""
    from api.schemas.log_views import LeafView  # noqa: PLC0415  # as above
    from vault.model import MemoryTier  # noqa: PLC0415

    with call.session() as opened:
        leaf = opened.memory.move_to_tier(memory_id, MemoryTier(to.value))
    if call.as_json:
        print_json(LeafView.of(leaf))
        return
    note(f"written at {leaf.index}")


@called_by(agent)
def context(
    call: Invocation,
    *,
    query: Annotated[str, typer.Argument(metavar="QUESTION", help="In any words.")],
    tokens: Annotated[int, typer.Option(min=1, help="Budget of the whole block.")] = 2_000,
    k: Annotated[int, typer.Option("-k", min=1, max=200, help="How many memories it may bring.")] = 8,
    subject: SubjectOption = None,
    subject_file: SubjectFileOption = None,
) -> None:
    """Show memories as a model is shown them: marked, in a stable order, within a budget."""
    from api.schemas.tier_views import ContextView  # noqa: PLC0415  # as above

    names = subjects_of(subject, subject_file, call.limits())
    with call.session() as opened:
        made = opened.memory.context(query, tokens=tokens, k=k, subject=names or None)
    if call.as_json:
        print_json(ContextView.of(made))
        return
    for line in made.block.text.splitlines():
        say(flat(line))
    note(
        f"{counted(len(made.block.memory_ids), 'memory', 'memories')}, {made.block.tokens} tokens,"
        f" {made.block.left_out} left out; entry {made.receipt.leaf_index}"
    )


@called_by(agent)
def episode(
    call: Invocation,
    *,
    episode_id: Annotated[str, typer.Argument(metavar="ID", help="An episode's id: epi_…")],
    start: Annotated[int, typer.Option(min=0, help="Position of the first turn.")] = 0,
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=1_000, help="How many turns.")] = 200,
) -> None:
    """Show an episode as it was written, masked, turn by turn; for debugging and audit."""
    from api.schemas.tier_views import EpisodeView  # noqa: PLC0415  # as above

    with call.session() as opened:
        found = opened.memory.episode(episode_id, start=start, limit=number)
    if call.as_json:
        print_json(EpisodeView.of(found))
        return
    for turn in found.turns:
        say(f"{turn.provenance.position:>5}  {turn.id}  {flat(turn.provenance.speaker)}: {flat(turn.text)}")
    more = "; more follow" if found.more else ""
    note(f"{counted(len(found.turns), 'turn', 'turns')}{more}; entry {found.receipt.leaf_index}")
