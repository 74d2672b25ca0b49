"""Commands of who runs the vault: keys, principals and their API keys, the doctor."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import (
    AsOption,
    Caller,
    JsonOption,
    PurposeOption,
    RoleOption,
    TenantOption,
    VaultOption,
    administrator,
)
from api.cli.output import note, print_json, reported, say
from policies.model import Purpose, Role

if TYPE_CHECKING:
    from api.cli.session import Session
    from api.cli.shapes import KeysView

keys = typer.Typer(help="The keys that seal memories.", no_args_is_help=True, rich_markup_mode=None)
principals = typer.Typer(help="Who may call over HTTP.", no_args_is_help=True, rich_markup_mode=None)


@keys.command("status")
def status(
    *,
    vault: VaultOption = None,
    as_: AsOption = None,
    role: RoleOption = None,
    tenant: TenantOption = None,
    purpose: PurposeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show root, log key and the states, versions and counts of the sealing keys; never a key."""
    with reported(as_json=as_json):
        from api.cli.session import session  # noqa: PLC0415  # loads the vault; `--help` does not

        with session(vault, administrator(as_, role, tenant, purpose)) as opened:
            shown = _keys(opened)
    if as_json:
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


@principals.command("add")
def add(
    *,
    principal: Annotated[str, typer.Argument(metavar="ID", help="Whom the key stands for.")],
    role: Annotated[list[Role], typer.Option(help="Its role; may be given several times.")],
    vault: VaultOption = None,
    as_: AsOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key for a principal and show it this once."""
    with reported(as_json=as_json):
        from api.auth import issue_key  # noqa: PLC0415
        from api.cli.session import session  # noqa: PLC0415
        from api.cli.shapes import PrincipalView  # noqa: PLC0415
        from policies.model import Principal  # noqa: PLC0415
        from vault.credentials import Credentials  # noqa: PLC0415

        with session(vault, administrator(as_, None, tenant, None)) as opened:
            parts = opened.vault.parts
            caller = opened.principal
            added = Principal(principal, opened.tenant, frozenset(role))
            key = issue_key(Credentials(parts), added, parts.entropy, by=caller.id)
            made = PrincipalView(principal=added.id, tenant=added.tenant, roles=sorted(role), api_key=key)
    if as_json:
        print_json(made)
        return
    say(made.api_key)
    note(f"It stands for {made.principal} ({', '.join(made.roles)}) of {made.tenant}. It is shown this once.")


def doctor(
    *,
    vault: VaultOption = None,
    as_: AsOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Examine the vault: files, store, index, keys, log, policy, disk.

    Ends with 0 where all is well or merely worth a warning, 3 where the log does not verify, 1 where
    something else failed, and 9 where something could not be checked.
    """
    with reported(as_json=as_json):
        from api.cli.diagnosis import diagnose, exit_of  # noqa: PLC0415
        from api.cli.session import settings_for  # noqa: PLC0415

        caller = Caller(
            as_ or "local-operator", frozenset({Role.ADMINISTRATOR, Role.AUDITOR}), tenant, Purpose.OPERATIONS
        )
        shown = diagnose(settings_for(vault), caller)
    if as_json:
        print_json(shown)
    else:
        for check in shown.checks:
            say(f"{check.status:<16} {check.check:<20} {check.detail}")
    raise typer.Exit(exit_of(shown))
