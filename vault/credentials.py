"""Credentials: which principal a key of the edge stands for, and the entries that say so.

Owns the rows of the credential table and the entries around them: that a credential was made, that it
was used, that it was refused. It leaves secrets, their verifiers and what a key looks like to
`api.auth`: here a verifier is bytes, and a secret never arrives.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from audit.event import EntryDraft, EventType, Outcome, Verdict
from policies.model import Principal, Role
from vault.clock import microseconds
from vault.errors import NotFoundError, TamperedError
from vault.ids import IdKind, check_vault_id, new_id
from vault.journal import VAULT_PRINCIPAL
from vault.parts import Parts
from vault.storage.group_commit import WriteSet
from vault.storage.schema import CREDENTIAL


@dataclass(frozen=True, slots=True)
class Credential:
    """How a principal shows who it is."""

    id: str
    principal: Principal
    verifier: bytes
    """What the edge checks a secret against."""


class Credentials:
    """The credentials of a vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def reserve_id(self) -> str:
        """Return a fresh id, so that it can stand in the key before the row is written."""
        return new_id(IdKind.CREDENTIAL, self._parts.clock(), self._parts.entropy)

    def add(self, credential: Credential, *, by: str = VAULT_PRINCIPAL) -> int:
        """Write a credential with its entry, in one transaction; return the entry's leaf index.

        Args:
            credential: With an id from `reserve_id`.
            by: Principal id of who made it; the vault itself for the first one of a new vault.

        Raises:
            NotFoundError: there is no such tenant here.
            ConflictError: the id is taken.
        """
        parts, principal = self._parts, credential.principal
        if principal.tenant not in parts.store.tenants():
            raise NotFoundError("there is no such tenant here")
        entry = EntryDraft(
            event=EventType.PRINCIPAL_CREATE,
            time=parts.clock(),
            principal=by,
            tenant=principal.tenant,
            action="create",
            decision=Verdict.ALLOWED,
            policy=parts.policy.digest,
            outcome=Outcome.OK,
            resource=check_vault_id(IdKind.CREDENTIAL, credential.id),
            payload={"principal": principal.id, "roles": list(_ordered(principal.roles))},
        )
        row: dict[str, object] = {
            "tenant_id": principal.tenant,
            "credential_id": credential.id,
            "principal_id": principal.id,
            "roles": " ".join(_ordered(principal.roles)),
            "verifier": credential.verifier,
            "created": microseconds(parts.clock()),
        }
        return parts.store.submit(WriteSet(drafts=[entry], rows=[(CREDENTIAL, row)]))[0]

    def find(self, credential_id: str) -> Credential | None:
        """Return a credential by its id; None where there is none.

        Raises:
            TamperedError: its row names a role that there is not.
        """
        found = self._parts.store.credential(credential_id)
        if found is None:
            return None
        tenant, principal_id, roles, verifier = found
        if not frozenset(roles.split()) <= frozenset(Role):
            raise TamperedError(f"the credential {credential_id} names an unknown role")
        return Credential(
            credential_id, Principal(principal_id, tenant, frozenset(map(Role, roles.split()))), verifier
        )

    def note_login(self, credential: Credential, *, accepted: bool) -> int:
        """Write that a credential was shown with the right, or a wrong, secret; return the leaf index."""
        entry = EntryDraft(
            event=EventType.PRINCIPAL_LOGIN,
            time=self._parts.clock(),
            principal=credential.principal.id,
            tenant=credential.principal.tenant,
            action="login",
            decision=Verdict.ALLOWED if accepted else Verdict.DENIED,
            policy=self._parts.policy.digest,
            outcome=Outcome.OK if accepted else Outcome.DENIED,
            resource=credential.id,
        )
        return self._parts.journal.write([entry])[0]


def _ordered(roles: Iterable[Role]) -> list[str]:
    return sorted(role.value for role in roles)
