"""Commands about care teams: who cares for a person, as rules may tell them from the rest of the institution."""

from typing import Annotated

import typer

from api.cli.erase import SubjectArgument, subject_of
from api.cli.options import Invocation, administrator, called_by
from api.cli.output import counted, note, print_json, say

app = typer.Typer(help="Care teams: who cares for a person.", no_args_is_help=True, rich_markup_mode=None)
MemberOption = Annotated[str, typer.Option(metavar="PRINCIPAL", help="Id of the principal.")]


@app.command("join")
@called_by(administrator)
def join(call: Invocation, *, subject: SubjectArgument, member: MemberOption) -> None:
    """Put somebody on a person's care team; nobody puts themselves on one."""
    _set(call, subject, member, leave=False)


@app.command("leave")
@called_by(administrator)
def leave(call: Invocation, *, subject: SubjectArgument, member: MemberOption) -> None:
    """Take somebody off a person's care team, at once."""
    _set(call, subject, member, leave=True)


@app.command("show")
@called_by(administrator)
def show(call: Invocation, *, subject: SubjectArgument) -> None:
    """Show who is on a person's care team, and since when."""
    from api.cli.standing_view import CareTeamView, MemberView  # noqa: PLC0415  # as below
    from vault.care_teams import CareTeams  # noqa: PLC0415

    name = subject_of(call, subject)
    with call.session() as opened:
        found = CareTeams(opened.vault.parts).team(opened.principal, name, opened.caller.purpose)
    if call.as_json:
        members = [MemberView(principal=member, since=since) for member, since in found.items()]
        print_json(CareTeamView(members=members))
        return
    for member, since in found.items():
        say(f"{member}  since {since[:19]}")
    note(counted(len(found), "member", "members"))


def _set(call: Invocation, subject: str, member: str, *, leave: bool) -> None:
    from vault.care_teams import JOINED, LEFT, CareTeams  # noqa: PLC0415  # loads the vault; `--help` does not

    name = subject_of(call, subject)
    with call.session() as opened:
        teams = CareTeams(opened.vault.parts)
        change = teams.leave if leave else teams.join
        change(opened.principal, name, member, opened.caller.purpose)
    done = LEFT if leave else JOINED
    if call.as_json:
        from api.cli.standing_view import CareTeamChangedView  # noqa: PLC0415  # as above

        print_json(CareTeamChangedView(principal=member, done=done))
        return
    say(f"{member}  {done}")
