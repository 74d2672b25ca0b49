"""Options that commands share, and the local caller that they describe.

A command takes an `Invocation` first and is decorated with `called_by`, which adds the shared options to its
own, for `--help` as for parsing, and ends it as the table of problems says when one of our errors arises.

Whoever can read the vault's key file can read the vault: the command line trusts its operator with the
choice of a principal, and the log holds every call under the one that was named.
"""

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from api.cli.output import reported
from policies.model import Assurance, Purpose, Role

if TYPE_CHECKING:
    from api.cli.session import Session
    from vault.pipeline.limits import InputLimits

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
AssuranceOption = Annotated[
    Assurance | None,
    typer.Option("--assurance", help="How surely it is known who calls [default: single]."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls from the command line, as the options say."""

    principal: str
    roles: frozenset[Role]
    tenant: str | None
    purpose: Purpose
    assurance: Assurance = Assurance.SINGLE


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


def officer(
    name: str | None, roles: list[Role] | None, tenant: str | None, purpose: Purpose | None
) -> Caller:
    """Return the caller of a command about a whole person: who answers for persons' rights."""
    return Caller(
        name or "local-officer",
        frozenset(roles or [Role.PRIVACY_OFFICER]),
        tenant,
        purpose or Purpose.LEGAL,
    )


def desk(name: str | None, roles: list[Role] | None, tenant: str | None, purpose: Purpose | None) -> Caller:
    """Return the caller of a command for whoever is at the desk when it cannot wait."""
    return Caller(
        name or "local-desk", frozenset(roles or [Role.MEMBER]), tenant, purpose or Purpose.TREATMENT
    )


def examiner(
    name: str | None, _roles: list[Role] | None, tenant: str | None, _purpose: Purpose | None
) -> Caller:
    """Return the caller of the doctor, who looks at the vault and at the log."""
    roles = frozenset({Role.ADMINISTRATOR, Role.AUDITOR})
    return Caller(name or "local-operator", roles, tenant, Purpose.OPERATIONS)


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the shared options of a command say."""

    vault: Path | None
    caller: Caller
    as_json: bool

    def limits(self) -> "InputLimits":
        """Return the bounds of input, for what is read before the vault is opened.

        Threat: input that never ends, such as a pipe nobody writes to, would hold the vault against all others.
        """
        from api.cli.session import settings_for  # noqa: PLC0415  # as below

        return settings_for(self.vault).limits

    def session(self) -> "AbstractContextManager[Session]":
        """Open the vault for this command and close it afterwards."""
        from api.cli.session import session  # noqa: PLC0415  # loads the vault; `--help` does not

        return session(self.vault, self.caller)


_SHARED: Final = {
    "vault": (VaultOption, None),
    "as_": (AsOption, None),
    "role": (RoleOption, None),
    "tenant": (TenantOption, None),
    "purpose": (PurposeOption, None),
    "assurance": (AssuranceOption, None),
    "as_json": (JsonOption, False),
}
_DefaultCaller = Callable[[str | None, list[Role] | None, str | None, Purpose | None], Caller]


def called_by(
    default: _DefaultCaller, *, without: tuple[str, ...] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the shared options to a command.

    Args:
        default: Makes the caller of what `--as`, `--role`, `--tenant` and `--purpose` say.
        without: Shared options that this command has not.
    """
    shared = {name: option for name, option in _SHARED.items() if name not in without}

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def called(**given: Any) -> None:  # noqa: ANN401  # each command's own options
            found = {name: given.pop(name) if name in shared else None for name in _SHARED}
            caller = default(found["as_"], found["role"], found["tenant"], found["purpose"])
            known = replace(caller, assurance=found["assurance"] or Assurance.SINGLE)
            call = Invocation(found["vault"], known, as_json=bool(found["as_json"]))
            with reported(as_json=call.as_json):
                command(call, **given)

        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        only = inspect.Parameter.KEYWORD_ONLY
        added = [
            inspect.Parameter(name, only, default=value, annotation=annotation)
            for name, (annotation, value) in shared.items()
        ]
        signature = inspect.Signature([*own, *added])
        called.__signature__ = signature  # type: ignore[attr-defined]  # what `inspect` and Typer read
        called.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
        return called

    return add
