"""The command `memvault audit roll-key`: a new signing key for the logs, with an overlap."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.cli.options import Invocation, administrator, called_by
from api.cli.output import print_json, say

if TYPE_CHECKING:
    from vault.log_keys import KeyRolled


@called_by(administrator)
def roll_key(
    call: Invocation,
    *,
    step: Annotated[
        Literal["start", "finish"],
        typer.Argument(metavar="start|finish", help="Sign with both keys; or with the new one alone."),
    ],
) -> None:
    """Roll the log's signing key over. Give the new key to whoever verifies before you finish."""
    from vault.log_keys import LogKeyRollover  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.opening import default_path  # noqa: PLC0415
    from vault.storage.directory import VaultDirectory  # noqa: PLC0415

    with call.session() as opened:
        key_file = VaultDirectory(opened.settings.vault or default_path()).log_key
        rollover = LogKeyRollover(opened.vault.parts, key_file)
        roll = rollover.start if step == "start" else rollover.finish
        done: KeyRolled = roll(opened.principal, opened.caller.purpose)
    if call.as_json:
        from api.cli.shapes import KeyRolledView  # noqa: PLC0415  # loads pydantic; `--help` does not

        print_json(KeyRolledView(step=done.step, old=done.old, new=done.new, handover=done.handover))
        return
    say(f"old key     {done.old}")
    say(f"new key     {done.new}")
    said = "both sign from now on" if step == "start" else "the new one signs alone from now on"
    say(f"{done.logs} logs say so and are signed: {said}")
