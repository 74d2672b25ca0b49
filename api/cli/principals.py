"""Commands about who may call over HTTP: principals and their API keys."""

from typing import Annotated

import typer

from api.cli.options import Invocation, administrator, called_by
from api.cli.output import note, print_json, say
from policies.model import Role

app = typer.Typer(help="Who may call over HTTP.", no_args_is_help=True, rich_markup_mode=None)


@app.command("add")
@called_by(administrator, without=("role", "purpose"))
def add(
    call: Invocation,
    *,
    principal: Annotated[str, typer.Argument(metavar="ID", help="Whom the key stands for.")],
    role: Annotated[list[Role], typer.Option(help="Its role; may be given several times.")],
) -> None:
    """Make an API key for a principal and show it this once."""
    from api.auth import issue_key  # noqa: PLC0415  # loads the vault; `--help` does not
    from api.cli.shapes import PrincipalView  # noqa: PLC0415
    from policies.model import Principal  # noqa: PLC0415
    from vault.credentials import Credentials  # noqa: PLC0415

    with call.session() as opened:
        parts = opened.vault.parts
        added = Principal(principal, opened.tenant, frozenset(role))
        key = issue_key(Credentials(parts), added, parts.entropy, by=opened.principal.id)
        made = PrincipalView(principal=added.id, tenant=added.tenant, roles=sorted(role), api_key=key)
    if call.as_json:
        print_json(made)
        return
    say(made.api_key)
    note(f"It stands for {made.principal} ({', '.join(made.roles)}) of {made.tenant}. It is shown this once.")


@app.command("list")
@called_by(administrator)
def list_(call: Invocation) -> None:
    """Show whom the tenant's API keys stand for; never a key."""
    from api.cli.shapes import CredentialsView, CredentialView  # noqa: PLC0415
    from vault.administration import Administration  # noqa: PLC0415

    with call.session() as opened:
        tenant = opened.tenant
        found = Administration(opened.vault.parts).credentials(opened.principal, call.caller.purpose)
    shown = [
        CredentialView(
            credential=one.id,
            principal=one.principal.id if one.principal else None,
            roles=sorted(one.principal.roles) if one.principal else [],
            created=one.created.isoformat() if one.created else None,
        )
        for one in found
    ]
    if call.as_json:
        print_json(CredentialsView(tenant=tenant, credentials=shown))
        return
    for view in shown:
        roles = ", ".join(view.roles) or "not what was written: revoke it"
        say(f"{view.credential}  {view.principal or '-':<16} {(view.created or '-')[:19]:<19}  {roles}")


@app.command("revoke")
@called_by(administrator)
def revoke(
    call: Invocation,
    *,
    credential: Annotated[
        str, typer.Argument(metavar="CREDENTIAL", help="The credential's id, crd_…: see `principal list`.")
    ],
) -> None:
    """Take an API key back: nobody is known by it any more."""
    from api.cli.shapes import RevokedView  # noqa: PLC0415
    from vault.administration import Administration  # noqa: PLC0415

    with call.session() as opened:
        done = Administration(opened.vault.parts).revoke(opened.principal, call.caller.purpose, credential)
    if call.as_json:
        print_json(
            RevokedView(credential=done.credential_id, principal=done.principal, entry=done.leaf_index)
        )
        return
    say(f"{done.credential_id}  {done.principal or '-'}  entry {done.leaf_index}")
