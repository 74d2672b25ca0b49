"""Credentials: which principal a key of the edge stands for, and the entries that say so.

Owns the rows of the credential table and the entries around them: that a credential was made, that it
was used, that it was refused; taking one away is authorised and told by `vault.administration`. It leaves secrets, their verifiers and what a key looks like to
`api.auth`: here a verifier is bytes, and a secret never arrives.

Threat: whoever can write to the database, and has no key, gives itself a credential or a role, and has
the vault open every original over HTTP. So each row is sealed: HMAC-SHA256 under a key of its tenant over

    domain · tenant · credential · principal · roles · verifier · time of making

each behind its length. The seal is checked on every use. It does not notice that a removed row was put
back, which `verify` finds afterwards: what must never be used again has to be gone from the snapshots, too.
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType, Outcome, Verdict
from audit.evidence import SYSTEM_LOG
from audit.log import Leaf
from policies.model import Principal, Role
from vault.clock import from_microseconds, microseconds
from vault.crypto.encoding import frame
from vault.errors import IdentifierInvalidError, KeyMissingError, NotFoundError, TamperedError
from vault.ids import IdKind, check_vault_id, new_id
from vault.journal import VAULT_PRINCIPAL
from vault.parts import Parts
from vault.storage.group_commit import WriteSet
from vault.storage.schema import CREDENTIAL

_DOMAIN: Final = b"memos-vault/credential/1"
# Not by the table's columns: their types would convert, and a row that was tampered with may hold any.
_OF_TENANT: Final = text(
    "SELECT credential_id FROM credential WHERE tenant_id = :tenant ORDER BY credential_id"
)
_REMOVE: Final = text("DELETE FROM credential WHERE tenant_id = :tenant AND credential_id = :id")
_ROW: Final = text(
    "SELECT tenant_id, principal_id, roles, verifier, created, seal FROM credential WHERE credential_id = :id"
)


@dataclass(frozen=True, slots=True)
class Credential:
    """How a principal shows who it is."""

    id: str
    principal: Principal
    verifier: bytes
    """What the edge checks a secret against."""


@dataclass(frozen=True, slots=True)
class CredentialStatus:
    """A credential as who runs the vault sees it."""

    id: str
    principal: Principal | None
    """None where the row is not what was written: what it says may be made up."""
    created: datetime | None


@dataclass(frozen=True, slots=True)
class _Row:
    """A row as it stands in the database, its seal apart."""

    tenant: str
    credential_id: str
    principal: str
    roles: str
    verifier: bytes
    created: int

    def encoded(self) -> bytes:
        """Return the bytes that are sealed; no two rows have the same."""
        words = (self.tenant, self.credential_id, self.principal, self.roles, str(self.created))
        return frame(_DOMAIN, *(word.encode() for word in words), self.verifier)


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
        payload: dict[str, JsonValue] = {"principal": principal.id, "roles": list(_ordered(principal.roles))}
        entry = replace(
            parts.journal.event(EventType.PRINCIPAL_CREATE, principal.tenant, payload, principal=by),
            resource=check_vault_id(IdKind.CREDENTIAL, credential.id),
        )
        row = _Row(
            principal.tenant,
            credential.id,
            principal.id,
            " ".join(_ordered(principal.roles)),
            credential.verifier,
            microseconds(parts.clock()),
        )
        values: dict[str, object] = {
            "tenant_id": row.tenant,
            "credential_id": row.credential_id,
            "principal_id": row.principal,
            "roles": row.roles,
            "verifier": row.verifier,
            "created": row.created,
            "seal": self._seal(row),
        }
        return parts.store.submit(WriteSet(drafts=[entry], rows=[(CREDENTIAL, values)]))[0].index

    def of_tenant(self, tenant: str) -> tuple[CredentialStatus, ...]:
        """Return what is known of a tenant's credentials, oldest first; never a verifier."""
        with self._parts.store.log_connection(SYSTEM_LOG) as connection:
            ids = [str(row[0]) for row in connection.execute(_OF_TENANT, {"tenant": tenant})]
        return tuple(self._status(credential_id) for credential_id in ids)

    def remove(self, entry: EntryDraft, credential_id: str) -> int:
        """Take a credential of the entry's tenant away, in one transaction with the entry that says so.

        Args:
            entry: Of who did it.
            credential_id: Which.

        Returns:
            The entry's leaf index.

        Raises:
            NotFoundError: the tenant has no such credential; nothing was written.
        """
        known = {"tenant": entry.tenant, "id": credential_id}

        def delete(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            if not connection.execute(_REMOVE, known).rowcount:
                raise NotFoundError("there is no such credential here")

        return self._parts.store.submit(WriteSet(drafts=[entry], changes=[delete]))[0].index

    def find(self, credential_id: str) -> Credential | None:
        """Return a credential by its id; None where there is none.

        Raises:
            TamperedError: its row is not what was written, or names a role that there is not.
        """
        found = self._read(credential_id)
        if found is None:
            return None
        row, seal = found
        if not hmac.compare_digest(seal, self._seal(row)):
            raise TamperedError(f"the credential {credential_id} is not what was written")
        roles = frozenset(row.roles.split())
        if not roles <= frozenset(Role):
            raise TamperedError(f"the credential {credential_id} names an unknown role")
        return Credential(
            credential_id, Principal(row.principal, row.tenant, frozenset(map(Role, roles))), row.verifier
        )

    def stands(self, credential: Credential) -> bool:
        """Say whether a credential that was found earlier is still there, unchanged."""
        try:
            return self.find(credential.id) == credential
        except TamperedError:
            return False

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
        return self._parts.journal.write([entry])[0].index

    def note_forged(self, credential_id: str) -> int:
        """Write that a credential was shown whose row is not what was written; return the leaf index.

        The entry names no principal, since the row's may be made up; it stands in the log of the row's
        tenant, or in the system log where there is no such tenant.
        """
        entry = EntryDraft(
            event=EventType.PRINCIPAL_LOGIN,
            time=self._parts.clock(),
            principal=VAULT_PRINCIPAL,
            tenant=self._tenant_of(credential_id),
            action="login",
            decision=Verdict.DENIED,
            policy=self._parts.policy.digest,
            outcome=Outcome.DENIED,
            resource=check_vault_id(IdKind.CREDENTIAL, credential_id),
            payload={"reason": "credential_tampered"},
        )
        return self._parts.journal.write([entry])[0].index

    def _status(self, credential_id: str) -> CredentialStatus:
        try:
            found, read = self.find(credential_id), self._read(credential_id)
        except TamperedError:
            return CredentialStatus(credential_id, None, None)
        if found is None or read is None:  # removed meanwhile
            return CredentialStatus(credential_id, None, None)
        return CredentialStatus(credential_id, found.principal, from_microseconds(read[0].created))

    def _read(self, credential_id: str) -> tuple[_Row, bytes] | None:
        with self._parts.store.log_connection(SYSTEM_LOG) as connection:
            found = connection.execute(_ROW, {"id": credential_id}).first()
        if found is None:
            return None
        match tuple(found):
            case (str(tenant), str(principal), str(roles), bytes(verifier), int(created), bytes(seal)):
                return _Row(tenant, credential_id, principal, roles, verifier, created), seal
        raise TamperedError(f"the credential {credential_id} is not what was written")

    def _seal(self, row: _Row) -> bytes:
        """Return the seal that a row has to have.

        Raises:
            TamperedError: its tenant has no keys.
        """
        try:
            key = self._parts.sealers.credential_key(row.tenant)
        except (KeyMissingError, IdentifierInvalidError):
            raise TamperedError(f"the credential {row.credential_id} is of no tenant here") from None
        return hmac.digest(key, row.encoded(), "sha256")

    def _tenant_of(self, credential_id: str) -> str:
        try:
            found = self._read(credential_id)
        except TamperedError:
            return SYSTEM_LOG
        known = self._parts.store.tenants()
        return found[0].tenant if found is not None and found[0].tenant in known else SYSTEM_LOG


def _ordered(roles: Iterable[Role]) -> list[str]:
    return sorted(role.value for role in roles)
