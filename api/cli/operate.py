"""Commands of who runs the vault: keys and the doctor."""

from typing import TYPE_CHECKING

import typer

from api.cli.options import Invocation, administrator, called_by, examiner
from api.cli.output import print_json, say

if TYPE_CHECKING:
    from api.cli.session import Session
    from api.cli.shapes import KeysView

keys = typer.Typer(help="The keys that seal memories.", no_args_is_help=True, rich_markup_mode=None)


@keys.command("status")
@called_by(administrator)
def status(call: Invocation) -> None:
    """Show root, log key and the states, versions and counts of the sealing keys; never a key."""
    with call.session() as opened:
        shown = _keys(opened)
    if call.as_json:
        print_json(shown)
        return
    say(f"root        {shown.root_kind} {shown.root_fingerprint}")
    say(f"log key     {shown.log_key}")
    say("keys        " + (", ".join(f"{count} {state}" for state, count in shown.counts.items()) or "none"))
    for key in shown.keys:
        say(
            f"{key.kind:<12} {key.subject or '-':<31} v{key.version:<3} {key.state:<10} "
            f"{key.fingerprint[:16]} up to {key.seals_reserved} seals of {key.seals_limit}"
        )


def _keys(opened: "Session") -> "KeysView":
    from api.cli.shapes import KeysView, KeyView  # noqa: PLC0415
    from vault.administration import Administration  # noqa: PLC0415

    report = Administration(opened.vault.parts).keys(opened.principal, opened.caller.purpose)
    states = [key.state for key in report.keys]
    return KeysView(
        root_kind=report.root_kind.value,
        root_fingerprint=report.root_fingerprint,
        log_key=str(opened.vault.parts.verifier_key),
        counts={state: states.count(state) for state in sorted(set(states))},
        keys=[
            KeyView(
                tenant=opened.tenant,
                kind=key.kind,
                subject=key.subject,
                version=key.version,
                state=key.state,
                fingerprint=key.fingerprint,
                seals_reserved=key.seals_reserved,
                seals_limit=report.seals_limit,
                created=key.created.isoformat(),
            )
            for key in report.keys
        ],
    )


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
