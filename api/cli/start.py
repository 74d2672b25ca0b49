"""`memvault init`: a new vault, its first tenant and the first API key."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import JsonOption, VaultOption
from api.cli.output import note, print_json, reported, say
from policies.model import Role

if TYPE_CHECKING:
    from api.cli.shapes import InitView


def init(
    *,
    vault: VaultOption = None,
    tenant: Annotated[str, typer.Option(metavar="T", help="The first tenant.")] = "local",
    deployment: Annotated[
        str, typer.Option(help="Name of the deployment, in its logs' origin.")
    ] = "embedded",
    principal: Annotated[
        str, typer.Option(metavar="ID", help="Whom the first API key stands for.")
    ] = "local-agent",
    role: Annotated[list[Role] | None, typer.Option(help="Its roles [default: owner-agent].")] = None,
    transit: Annotated[
        bool, typer.Option("--transit", help="Expect a transit key as the root: MEMVAULT_TRANSIT_URL.")
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Rules to begin with: hipaa, gdpr-default, finance."),
    ] = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="Make no API key.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a new vault.

    The API key is shown once and kept nowhere. With MEMVAULT_PASSPHRASE_FILE the root key is protected by
    that passphrase; with MEMVAULT_TRANSIT_URL the root is a transit key on that server; without either, it lies
    in a file beside the data.
    """
    with reported(as_json=as_json):
        if transit:
            _expect_transit()
        made = _make(
            vault,
            tenant,
            deployment,
            None if no_key else principal,
            role or [Role.OWNER_AGENT],
            profile=profile,
        )
    if as_json:
        print_json(made)
        return
    say(f"vault       {made.vault}")
    say(f"tenant      {made.tenant}")
    say(f"log key     {made.verifier_key}")
    if made.api_key is not None:
        say(f"API key     {made.api_key}")
        note(f"The API key stands for {made.principal} ({', '.join(made.roles)}). It is shown this once.")
    note("Keep a copy of the log key outside this machine: it verifies the log.")
    note("Keys for others: memvault principal add ID --role ROLE")


def _expect_transit() -> None:
    """See that the settings name a transit key: else a local root would be made instead."""
    from api.errors import SettingsInvalidError  # noqa: PLC0415  # as below
    from api.settings import read_settings  # noqa: PLC0415

    if read_settings().transit_url is None:
        raise SettingsInvalidError("--transit: expected MEMVAULT_TRANSIT_URL, _KEY and _CREDENTIAL_FILE")


def _make(
    vault: Path | None,
    tenant: str,
    deployment: str,
    principal: str | None,
    roles: list[Role],
    *,
    profile: str | None,
) -> "InitView":
    from api import assembly  # noqa: PLC0415  # loads the vault; `--help` does not
    from api.auth import issue_key  # noqa: PLC0415
    from api.cli.session import settings_for  # noqa: PLC0415
    from api.cli.shapes import InitView  # noqa: PLC0415
    from policies.loading import ready, write_profile  # noqa: PLC0415
    from policies.model import Principal  # noqa: PLC0415
    from vault.credentials import Credentials  # noqa: PLC0415

    settings = settings_for(vault)
    first = None if principal is None else Principal(principal, tenant, frozenset(roles))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options = assembly.vault_options(settings)
        if profile is not None:
            options = replace(options, bundle=ready(profile))
        opened = assembly.create_vault(settings, tenant=tenant, deployment=deployment, options=options)
    for warning in caught:
        note(f"warning: {warning.message}")
    with opened:
        parts = opened.parts
        if profile is not None:
            write_profile(profile, assembly.own_policies(settings))
        key = None if first is None else issue_key(Credentials(parts), first, parts.entropy)
        return InitView(
            vault=str(assembly.vault_path(settings)),
            tenant=tenant,
            deployment=deployment,
            root_key=parts.sealers.root.kind.value,
            verifier_key=str(parts.verifier_key),
            principal=principal,
            roles=sorted(roles) if first is not None else [],
            api_key=key,
        )
