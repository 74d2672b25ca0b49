"""`memvault audit finality`: what a receipt is worth now."""

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Annotated

import typer

from api.cli.options import Invocation, agent, called_by
from api.cli.output import print_json, say


@called_by(agent)
def finality(
    call: Invocation,
    *,
    index: Annotated[int, typer.Argument(metavar="INDEX", min=0, help="leaf_index of the receipt.")],
    leaf_hash: Annotated[str, typer.Argument(metavar="HASH", help="leaf_hash of the receipt, in base64.")],
) -> None:
    """Say whether a receipt is pending, signed or final, and what is missing."""
    from api.schemas.finality_view import FinalityView, receipt_of  # noqa: PLC0415  # loads the vault

    try:
        value = b64decode(leaf_hash, validate=True)
    except Base64Error:
        raise typer.BadParameter("expected base64", param_hint="HASH") from None
    with call.session() as opened:
        found = FinalityView.of(opened.memory.finality(receipt_of(index, value)))
    if call.as_json:
        print_json(found)
        return
    say(f"{found.state}: {found.cosignatures} of {found.required} cosignatures")
    for reason in found.reasons:
        say(f"  {reason}")
