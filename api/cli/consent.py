"""Commands about consent: purposes for which a person's memories are used only with their yes."""

from typing import Annotated

import typer

from api.cli.erase import SubjectArgument, subject_of
from api.cli.options import Invocation, called_by, officer
from api.cli.output import counted, note, print_json, say
from policies.model import Purpose

app = typer.Typer(help="Consent of persons to purposes.", no_args_is_help=True, rich_markup_mode=None)
ToOption = Annotated[Purpose, typer.Option("--to", help="The purpose.")]


@app.command("give")
@called_by(officer)
def give(call: Invocation, *, subject: SubjectArgument, to: ToOption) -> None:
    """Write down that a person consents to a purpose."""
    _set(call, subject, to, withdraw=False)


@app.command("withdraw")
@called_by(officer)
def withdraw(call: Invocation, *, subject: SubjectArgument, to: ToOption) -> None:
    """Take a person's consent to a purpose back, at once."""
    _set(call, subject, to, withdraw=True)


@app.command("show")
@called_by(officer)
def show(call: Invocation, *, subject: SubjectArgument) -> None:
    """Show to what a person consents, and since when."""
    from api.cli.standing_view import ConsentsView, ConsentView  # noqa: PLC0415  # as below
    from vault.consents import Consents  # noqa: PLC0415

    name = subject_of(call, subject)
    with call.session() as opened:
        found = Consents(opened.vault.parts).given(opened.principal, name, opened.caller.purpose)
    if call.as_json:
        views = [ConsentView(purpose=purpose.value, since=since) for purpose, since in found.items()]
        print_json(ConsentsView(consents=views))
        return
    for purpose, since in found.items():
        say(f"{purpose.value}  since {since[:19]}")
    note(counted(len(found), "consent stands", "consents stand"))


def _set(call: Invocation, subject: str, to: Purpose, *, withdraw: bool) -> None:
    from vault.consents import GIVEN, WITHDRAWN, Consents  # noqa: PLC0415  # loads the vault; `--help` does not

    name = subject_of(call, subject)
    with call.session() as opened:
        consents = Consents(opened.vault.parts)
        change = consents.withdraw if withdraw else consents.give
        change(opened.principal, name, to, opened.caller.purpose)
    done = WITHDRAWN if withdraw else GIVEN
    if call.as_json:
        from api.cli.standing_view import ConsentChangedView  # noqa: PLC0415  # as above

        print_json(ConsentChangedView(purpose=to.value, done=done))
        return
    say(f"{to.value}  {done}")
