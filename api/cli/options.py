"""Options that commands share, and the local caller that they describe.

Whoever can read the vault's key file can read the vault: the command line trusts its operator with the
choice of a principal, and the log holds every call under the one that was named.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from policies.model import Purpose, Role

VaultOption = Annotated[
    Path | None,
    typer.Option(
        "--vault",
        metavar="DIR",
        help="The vault's directory [default: MEMVAULT_VAULT, or your data directory].",
    ),
]
AsOption = Annotated[str | None, typer.Option("--as", metavar="PRINCIPAL", help="Call as this principal.")]
RoleOption = Annotated[
    list[Role] | None, typer.Option("--role", help="Its role; may be given several times.")
]
TenantOption = Annotated[
    str | None,
    typer.Option("--tenant", metavar="T", help="Its tenant [default: MEMVAULT_TENANT, or the only one]."),
]
PurposeOption = Annotated[Purpose | None, typer.Option("--purpose", help="Why: each call has a purpose.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls from the command line, as the options say."""

    principal: str
    roles: frozenset[Role]
    tenant: str | None
    purpose: Purpose


def agent(name: str | None, roles: list[Role] | None, tenant: str | None, purpose: Purpose | None) -> Caller:
    """Return the caller of a command about memories: by default the owner of the vault's own notes."""
    return Caller(
        name or "local-agent", frozenset(roles or [Role.OWNER_AGENT]), tenant, purpose or Purpose.OPERATIONS
    )


def auditor(
    name: str | None, roles: list[Role] | None, tenant: str | None, purpose: Purpose | None
) -> Caller:
    """Return the caller of a command about the log."""
    return Caller(
        name or "local-auditor", frozenset(roles or [Role.AUDITOR]), tenant, purpose or Purpose.AUDIT
    )


def administrator(
    name: str | None, roles: list[Role] | None, tenant: str | None, purpose: Purpose | None
) -> Caller:
    """Return the caller of a command about the vault itself."""
    return Caller(
        name or "local-operator",
        frozenset(roles or [Role.ADMINISTRATOR]),
        tenant,
        purpose or Purpose.OPERATIONS,
    )
