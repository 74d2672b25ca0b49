"""Commands about emergency access: declared at the desk, over in minutes, judged by a privacy officer."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli.options import Invocation, called_by, desk, officer
from api.cli.output import counted, note, print_json, say

if TYPE_CHECKING:
    from vault.emergency_terms import Declared

app = typer.Typer(
    help="Emergency access: declared, over in minutes, judged afterwards.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_REASONS: Final = (
    "life-threat",
    "unresponsive",
    "no-team-reachable",
    "transfer",
    "danger-to-others",
    "other",
)
_VERDICTS: Final = ("justified", "unjustified", "escalated")
EmergencyArgument = Annotated[
    str, typer.Argument(metavar="EMERGENCY", help="Its id, emg_…: see `emergency list`.")
]


@app.command("start")
@called_by(desk)
def start(
    call: Invocation,
    *,
    reason_code: Annotated[str, typer.Option(metavar="CODE", help=f"Why: {', '.join(_REASONS)}.")],
    case: Annotated[str, typer.Option(metavar="ID", help="Id of the case; no name of a person.")],
    minutes: Annotated[int, typer.Option(min=1, max=480, help="For how long.")],
) -> None:
    """Declare an emergency; the officers are told, and each read under it names it."""
    if reason_code not in _REASONS:
        raise typer.BadParameter(f"expected one of {', '.join(_REASONS)}", param_hint="--reason-code")
    from vault.emergencies import Emergencies  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.emergency_terms import Declaring, EmergencyReason  # noqa: PLC0415

    with call.session() as opened:
        declaring = Declaring(EmergencyReason(reason_code), case, minutes)
        declared = Emergencies(opened.vault.parts).declare(opened.principal, declaring, opened.caller.purpose)
    if call.as_json:
        from api.cli.emergency_view import EmergencyView  # noqa: PLC0415

        print_json(EmergencyView.of(declared))
        return
    say(declared.emergency_id)
    note(f"in force until {declared.until:%Y-%m-%d %H:%M} UTC; a privacy officer judges it afterwards")


@app.command("end")
@called_by(desk)
def end(call: Invocation, *, emergency: EmergencyArgument) -> None:
    """End an emergency of your own before its time is up."""
    from vault.emergencies import Emergencies  # noqa: PLC0415  # as above

    with call.session() as opened:
        Emergencies(opened.vault.parts).end(opened.principal, emergency, opened.caller.purpose)
    _done(call, emergency, "ended")


@app.command("revoke")
@called_by(officer)
def revoke(call: Invocation, *, emergency: EmergencyArgument) -> None:
    """End somebody's emergency, as a privacy officer."""
    from vault.emergencies import Emergencies  # noqa: PLC0415  # as above

    with call.session() as opened:
        Emergencies(opened.vault.parts).revoke(opened.principal, emergency, opened.caller.purpose)
    _done(call, emergency, "revoked")


@app.command("list")
@called_by(officer)
def list_(
    call: Invocation,
    *,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that nobody judged yet.")] = False,
) -> None:
    """Show the register of emergencies: who, why, when, and how each was judged."""
    from api.cli.emergency_view import EmergenciesView, EmergencyView  # noqa: PLC0415
    from vault.emergencies import Emergencies  # noqa: PLC0415  # as above

    with call.session() as opened:
        tenant = opened.tenant
        found = Emergencies(opened.vault.parts).register(opened.principal, opened.caller.purpose)
    shown = [one for one in found if one.reviewed is None or not open_only]
    if call.as_json:
        print_json(EmergenciesView(tenant=tenant, emergencies=[EmergencyView.of(one) for one in shown]))
        return
    for one in shown:
        say(_line(one))
    waiting = sum(one.reviewed is None for one in found)
    note(counted(waiting, "emergency waits to be judged", "emergencies wait to be judged"))


@app.command("review")
@called_by(officer)
def review(
    call: Invocation,
    *,
    emergency: EmergencyArgument,
    verdict: Annotated[str, typer.Option(metavar="V", help=f"How: {', '.join(_VERDICTS)}.")],
) -> None:
    """Judge an emergency that is over, as somebody else than who declared it."""
    if verdict not in _VERDICTS:
        raise typer.BadParameter(f"expected one of {', '.join(_VERDICTS)}", param_hint="--verdict")
    from vault.emergencies import Emergencies  # noqa: PLC0415  # as above
    from vault.emergency_terms import EmergencyVerdict  # noqa: PLC0415

    with call.session() as opened:
        made = Emergencies(opened.vault.parts)
        made.judge(opened.principal, emergency, EmergencyVerdict(verdict), opened.caller.purpose)
    _done(call, emergency, verdict)


def _done(call: Invocation, emergency: str, done: str) -> None:
    if call.as_json:
        from api.cli.emergency_view import EmergencyChangedView  # noqa: PLC0415

        print_json(EmergencyChangedView(emergency=emergency, done=done))
        return
    say(f"{emergency}  {done}")


def _line(one: "Declared") -> str:
    """Return an emergency as one line."""
    over = (
        f"until {one.until:%H:%M}" if one.stopped is None else f"over {one.stopped:%H:%M} by {one.stopped_by}"
    )
    judged = f"to be judged by {one.review_due:%Y-%m-%d}"
    if one.verdict is not None:
        judged = f"{one.verdict.value}, says {one.reviewed_by}"
    who = f"{one.principal}  {one.reason.value}  {one.case}"
    return f"{one.emergency_id}  {who}  {one.started:%Y-%m-%d %H:%M} {over}  {judged}"
