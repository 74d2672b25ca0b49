"""The command that opens a memory to the next wider access tier."""

from typing import Annotated

import typer

from api.cli.memories import IdArgument
from api.cli.options import Invocation, agent, called_by
from api.cli.output import print_json, say
from policies.model import AccessTier


@called_by(agent)
def promote(
    call: Invocation,
    *,
    memory_id: IdArgument,
    to: Annotated[AccessTier, typer.Option(help="Institutional, from private; public, from institutional.")],
    expect_version: Annotated[
        int | None, typer.Option(min=1, help="Only if it still has this version.")
    ] = None,
) -> None:
    """Open a memory wider, as its next version, screened afresh; public only without personal data."""
    from api.schemas.views import WrittenView  # noqa: PLC0415  # loads the vault; `--help` does not

    with call.session() as opened:
        receipt = opened.memory.promote(memory_id, to, expected_version=expect_version)
    if call.as_json:
        print_json(WrittenView.of(receipt))
        return
    say(f"{receipt.memory_ids[0]}  {to.value}  entry {receipt.leaf_index}")
