"""The command of who runs the vault: the doctor."""

import typer

from api.cli.options import Invocation, called_by, examiner
from api.cli.output import print_json, say


@called_by(examiner, without=("role", "purpose"))
def doctor(call: Invocation) -> None:
    """Examine the vault: files, store, index, keys, log, policy, disk.

    Ends with 0 where all is well or merely worth a warning, 3 where the log does not verify, 1 where
    something else failed, and 9 where something could not be checked.
    """
    from api.cli.diagnosis import diagnose, exit_of  # noqa: PLC0415
    from api.cli.session import settings_for  # noqa: PLC0415

    shown = diagnose(settings_for(call.vault), call.caller)
    if call.as_json:
        print_json(shown)
    else:
        for check in shown.checks:
            say(f"{check.status:<16} {check.check:<20} {check.detail}")
    raise typer.Exit(exit_of(shown))
