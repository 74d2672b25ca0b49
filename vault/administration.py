"""What who runs the vault sees of it: the states of keys and the vault's health, and no content.

Owns the figures behind `keys status`, `principal list` and `doctor`, and the taking back of a credential,
each under an allowed `administer` decision and with an entry of its own. Nothing is opened here but term records, whose binding shows whether a row is what was
written; hashes of terms are all they hold. What the figures mean is left to the edge.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final

from sqlalchemy import Connection, func, select, text

from audit.event import EventType, Outcome
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import AccessTier, Action, Principal, Purpose, Relation, SystemResource
from vault.credentials import Credentials, CredentialStatus
from vault.crypto.root import RootKind
from vault.errors import (
    InputInvalidError,
    KeyAccessError,
    KeyDestroyedError,
    NotFoundError,
    RootUnusableError,
    TamperedError,
)
from vault.grant import Grant, authorise
from vault.ids import IdKind, check_vault_id
from vault.journal import Call
from vault.parts import Parts
from vault.sealing import IndexPlace
from vault.storage.migrate import HEADS
from vault.storage.schema import EMBEDDING, MEMORY

PRAGMAS: Final = ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
MAX_NAMED: Final = 20
"""Unreadable rows that are named; more are counted only."""
_STRETCH: Final = 512
"""Names whose keys are unwrapped together: with a root on a server, each by itself is a call."""

_VAULT: Final = SystemResource.VAULT.value


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One key, as the key store knows it: never the key."""

    kind: str
    subject: str | None
    """Vault id of the subject; None for a tenant's own keys."""
    version: int
    state: str
    fingerprint: str
    seals_reserved: int
    """How many seals may have been made with it."""
    created: datetime


@dataclass(frozen=True, slots=True)
class KeyReport:
    """The keys of one tenant."""

    root_kind: RootKind
    root_fingerprint: str
    seals_limit: int
    keys: tuple[KeyStatus, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """A credential that is none any more."""

    credential_id: str
    principal: str | None
    """Whom it stood for; None where its row was not what was written."""
    leaf_index: int


@dataclass(frozen=True, slots=True)
class Health:
    """Figures of one tenant's share of the vault, and of the store as a whole."""

    schema: str
    """Revision of the store's schema."""
    schema_expected: str
    pragmas: tuple[tuple[str, str], ...]
    """As they are in force on the writing connection."""
    damage: tuple[str, ...]
    """What SQLite's own check found; empty where it found nothing."""
    rows: int
    """Current memories."""
    indexed: int
    """Memories that can be found."""
    unreadable: tuple[str, ...]
    """Ids of memories whose row is not what was written, or whose key is gone; the first of them."""
    unreadable_count: int
    vectors: int
    """Current memories that have their dense vector."""
    backlog: int
    """Memories that wait for it in this process."""
    failed: int
    """Memories that got none in this process."""
    policy: str
    """Digest of the bundle in force."""
    index_stale: bool = False
    """Whether the index lacks a change; the next search builds it anew first."""
    index_failures: int = 0
    """Changes that no index of this process took; none of them was lost."""
    misnamed: tuple[str, ...] = ()
    """Ids of subjects whose sealed name is not the one that was written; the first of them."""
    misnamed_count: int = 0


class Administration:
    """The vault as its administrator sees it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def keys(self, principal: Principal, purpose: Purpose) -> KeyReport:
        """Return the states of the tenant's keys.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        sealers = self._parts.sealers
        grant = self._authorise(principal, purpose)
        keys = tuple(
            KeyStatus(
                kind=record.name.kind.value,
                subject=record.name.subject or None,
                version=record.name.version,
                state=record.state.value,
                fingerprint=record.fingerprint,
                seals_reserved=record.seal_reserved,
                created=record.created,
            )
            for record in sealers.key_records(grant.tenant)
        )
        draft = self._parts.journal.allowed(grant, {"count": len(keys)}, resource=_VAULT)
        self._parts.journal.write([replace(draft, event=EventType.KEY_READ)])
        return KeyReport(sealers.root.kind, sealers.root.fingerprint, sealers.key_limits.seals, keys)

    def credentials(self, principal: Principal, purpose: Purpose) -> tuple[CredentialStatus, ...]:
        """Return whom the tenant's credentials stand for.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        grant = self._authorise(principal, purpose)
        found = Credentials(self._parts).of_tenant(grant.tenant)
        self._parts.journal.note(grant, {"credentials": len(found)}, resource=_VAULT)
        return found

    def revoke(self, principal: Principal, purpose: Purpose, credential_id: str) -> Revoked:
        """Take a credential of the tenant back: from here on nobody is known by it.

        Raises:
            DeniedError: not allowed; the denial is logged.
            IdentifierInvalidError: the id is malformed.
            NotFoundError: the tenant has no such credential; the attempt is logged.
        """
        check_vault_id(IdKind.CREDENTIAL, credential_id)
        grant = self._authorise(principal, purpose)
        credentials, journal = Credentials(self._parts), self._parts.journal
        lost = next((one for one in credentials.of_tenant(grant.tenant) if one.id == credential_id), None)
        of = lost.principal.id if lost is not None and lost.principal is not None else None
        draft = replace(
            journal.allowed(grant, {"principal": of}, resource=credential_id),
            event=EventType.PRINCIPAL_REVOKE,
            action="revoke",
        )
        try:
            leaf_index = credentials.remove(draft, credential_id)
        except NotFoundError:
            journal.write([replace(draft, outcome=Outcome.NOT_FOUND)])
            raise
        return Revoked(credential_id, of, leaf_index)

    def health(self, principal: Principal, purpose: Purpose) -> Health:
        """Return the vault's figures, after looking at every row of the tenant.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        parts, grant = self._parts, self._authorise(principal, purpose)
        figures = self._figures(grant.tenant)
        unreadable = list(self._unreadable(grant.tenant))
        misnamed = list(self._misnamed(grant.tenant))
        found = Health(
            schema=figures.schema,
            schema_expected=HEADS["rows"],
            pragmas=figures.pragmas,
            damage=figures.damage,
            rows=figures.rows,
            indexed=parts.indexes.size(grant.tenant),
            unreadable=tuple(unreadable[:MAX_NAMED]),
            unreadable_count=len(unreadable),
            vectors=figures.vectors,
            backlog=parts.embedding.backlog,
            failed=parts.embedding.failed,
            policy=parts.policy.digest,
            index_stale=parts.indexes.is_stale(grant.tenant),
            index_failures=parts.indexes.failures,
            misnamed=tuple(misnamed[:MAX_NAMED]),
            misnamed_count=len(misnamed),
        )
        parts.journal.note(grant, {"rows": found.rows, "unreadable": len(unreadable)}, resource=_VAULT)
        return found

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.ADMINISTER, purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.ADMINISTER, purpose), resource=_VAULT)
            raise

    def _figures(self, tenant: str) -> "_Figures":
        """Read what only the writing connection can tell, between two commits."""
        read: list[_Figures] = []

        def look(connection: Connection, _leaves: Iterable[Leaf]) -> None:
            read.append(_look(connection, tenant))

        self._parts.store.change(look)
        return read[0]

    def _unreadable(self, tenant: str) -> Iterator[str]:
        for row in self._parts.store.feed(tenant):
            place = IndexPlace(row.memory_id, row.version, row.subjects, AccessTier(row.access_tier))
            try:
                self._parts.sealers.open_terms(tenant, place, row.terms)
            except RootUnusableError:
                raise  # says nothing of the row
            except (TamperedError, KeyAccessError):
                yield row.memory_id

    def _misnamed(self, tenant: str) -> Iterator[str]:
        """Yield subjects whose name does not open: no entry of the log knows it.

        Threat: names that change places have a disclosure or an erasure name the wrong person.
        """
        sealers = self._parts.sealers
        names = self._parts.store.subject_names(tenant)
        while stretch := list(islice(names, _STRETCH)):
            sealers.lease(tenant, [((subject,), name) for subject, name in stretch])
            for subject, name in stretch:
                try:
                    sealers.check_name(tenant, subject, name)
                except RootUnusableError:
                    raise  # says nothing of the row
                except KeyDestroyedError:
                    continue  # shredded: no name is left to be wrong
                except (
                    TamperedError,
                    KeyAccessError,
                    InputInvalidError,
                    ValueError,
                    TypeError,
                    AttributeError,
                ):
                    yield subject


@dataclass(frozen=True, slots=True)
class _Figures:
    schema: str
    pragmas: tuple[tuple[str, str], ...]
    damage: tuple[str, ...]
    rows: int
    vectors: int


def _look(connection: Connection, tenant: str) -> _Figures:
    current = (MEMORY.c.tenant_id == tenant) & (MEMORY.c.is_current == 1)
    same = (
        (EMBEDDING.c.tenant_id == MEMORY.c.tenant_id)
        & (EMBEDDING.c.memory_id == MEMORY.c.memory_id)
        & (EMBEDDING.c.version == MEMORY.c.version)
    )
    checked = connection.execute(text(f"PRAGMA quick_check({MAX_NAMED})")).scalars()
    return _Figures(
        schema=str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar()),
        pragmas=tuple(
            (name, str(connection.execute(text(f"PRAGMA {name}")).scalar()).lower()) for name in PRAGMAS
        ),
        damage=tuple(line for line in checked if line != "ok"),
        rows=connection.execute(select(func.count()).select_from(MEMORY).where(current)).scalar_one(),
        vectors=connection.execute(
            select(func.count()).select_from(MEMORY.join(EMBEDDING, same)).where(current)
        ).scalar_one(),
    )
