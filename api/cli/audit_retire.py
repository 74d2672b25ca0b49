"""The command `memvault audit retire-anchor`: an anchor that was given up is missed no more."""

from api.cli.options import Invocation, administrator, called_by
from api.cli.output import note, print_json


@called_by(administrator)
def retire_anchor(call: Invocation) -> None:
    """Give the anchor up that an earlier opening had and this one lacks; the log says who did, and when."""
    from api.schemas.log_views import LeafView  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.anchor_retirement import AnchorRetirement  # noqa: PLC0415

    with call.session() as opened:
        leaf = AnchorRetirement(opened.vault.parts).retire(opened.principal, opened.caller.purpose)
    if call.as_json:
        print_json(LeafView.of(leaf))
        return
    note(f"written at {leaf.index} of the system log; the next opening misses no anchor")
