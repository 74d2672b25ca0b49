"""What an auditor sees of the log, and the checks that need the vault's own rows.

Looking at the log is an entry, too. Content is never opened here: rows are compared with the log by
the digest of their sealed bytes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue, parse_canonical
from audit.checkpoint import SignedCheckpoint, verify_checkpoint
from audit.errors import AuditError, LogDamagedError, MalformedError
from audit.event import Header, parse_header
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredEntry
from audit.log import Leaf
from audit.merkle import verify_inclusion
from audit.signing import VerifierKey
from audit.trust import Trust
from audit.verify import Finding, Report, verify_logs
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, Request, Resource, SystemResource
from vault.errors import ConflictError, InputInvalidError, NotFoundError, TamperedError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.model import Receipt
from vault.parts import Parts
from vault.row_check import RowComparison, Rows, compare_rows
from vault.storage.engine import look_at
from vault.storage.holding import hold_rows

MAX_ENTRIES: Final = 1_000
LOG_WRITABLE: Final = "log that takes an entry"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry, read."""

    index: int
    header: Header
    payload: Mapping[str, JsonValue] | None
    """None where it was erased."""
    erased_by: int | None = None
    """Leaf index of the entry that erased the payload."""


@dataclass(frozen=True, slots=True)
class TenantCheckpoint:
    """A signed statement of a log's size and root, with the key that checks it."""

    signed: SignedCheckpoint
    verifier_key: str


@dataclass(frozen=True, slots=True)
class ReceiptProof:
    """That a receipt's entry stands in a signed tree; `verify_receipt` checks it without the vault."""

    leaf_index: int
    leaf_hash: bytes
    path: tuple[bytes, ...]
    """Inclusion proof, from the leaf up (RFC 6962, section 2.1.1)."""
    checkpoint: bytes
    """A signed note."""
    verifier_key: str


@dataclass(frozen=True, slots=True)
class LogReport:
    """The outcome of a verification inside the vault."""

    log: Report
    rows_checked: int
    row_findings: tuple[Finding, ...]
    more_row_findings: int = 0
    """Findings beyond those kept."""
    row_warnings: tuple[Finding, ...] = ()
    """What of the rows cannot be compared any more."""

    @property
    def unsigned(self) -> int:
        """Entries of the tenant's log that no checkpoint had signed before.

        Whoever writes the store may have put them there. Where nothing was found, they are signed now.
        """
        own = self.log.logs[-1]
        return own.size - own.signed_size

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return self.log.passed and not self.row_findings


class AuditView:
    """The log of one principal's tenant."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def entries(
        self, principal: Principal, purpose: Purpose, *, start: int | None, limit: int
    ) -> list[LogEntry]:
        """Return entries, oldest first; without `start` the last ones.

        Raises:
            DeniedError: the log may not be read.
            InputInvalidError: `start` or `limit` is out of range.
            TamperedError: an entry, or the log's head, is not of the form of one.
        """
        if not 1 <= limit <= MAX_ENTRIES or (start is not None and start < 0):
            raise InputInvalidError(f"expected a start of at least 0 and a limit from 1 to {MAX_ENTRIES}")
        grant = self._authorise(principal, purpose)
        with self._parts.store.log_connection(grant.tenant) as connection:
            size = self._size(connection, grant.tenant)
            first = max(0, size - limit) if start is None else start
            found = list(islice(self._parts.log.entries(connection, grant.tenant, first, size), limit))
        self._parts.journal.note(grant, {"start": first, "count": len(found)}, resource=LOG_RESOURCE)
        return [entry_of(stored) for stored in found]

    def checkpoint(self, principal: Principal, purpose: Purpose) -> TenantCheckpoint:
        """Sign the log as it stands, and record that in the system log.

        Raises:
            DeniedError: the log may not be read.
        """
        grant = self._authorise(principal, purpose)
        return TenantCheckpoint(self._sign(grant.tenant, grant.bundle_digest), str(self._parts.verifier_key))

    def prove(self, principal: Principal, receipt: Receipt) -> ReceiptProof:
        """Prove that a receipt's entry is in the log, under a checkpoint that covers it.

        Whoever holds the receipt knows the entry's hash; the proof adds nothing but other hashes, so no
        decision is asked for.

        Raises:
            NotFoundError: the principal's log has no such entry.
        """
        parts, tenant = self._parts, principal.tenant
        self._sign(tenant, parts.policy.digest)
        with parts.store.log_connection(tenant) as connection:
            checkpoint = parts.log.latest_checkpoint(connection, tenant)
            held = list(parts.log.entries(connection, tenant, receipt.leaf_index, receipt.leaf_index + 1))
            if checkpoint is None or not held or held[0].leaf_hash != receipt.leaf_hash:
                raise NotFoundError("the log has no entry of this index and hash")
            size = checkpoint.checkpoint.size
            path = parts.log.inclusion_proof(connection, tenant, receipt.leaf_index, size)
        return ReceiptProof(
            receipt.leaf_index,
            receipt.leaf_hash,
            tuple(path),
            checkpoint.note,
            str(parts.verifier_key.for_log(tenant)),
        )

    def verify(self, principal: Principal, purpose: Purpose) -> LogReport:
        """Recompute the log and compare rows with it, all before anything is signed.

        Raises:
            DeniedError: the log may not be read.
        """
        grant = self._authorise(principal, purpose)
        with self._parts.store.log_connection(SYSTEM_LOG) as connection:
            report = self._check(connection, grant.tenant)
            findings, more, checked, warnings = self._compare(connection, grant.tenant)
        found = LogReport(report, checked, findings, more, warnings)
        failed = len(report.findings) + report.more_findings + len(findings) + more
        payload = {"verified": report.logs[-1].size, "findings": failed, "unsigned": found.unsigned}
        try:
            self._parts.journal.note(grant, payload, resource=LOG_RESOURCE)
        except (AuditError, ConflictError, TamperedError):
            if found.passed:
                raise
            # A log too damaged to take the entry: what was found is told all the same.
            refused = Finding(grant.tenant, None, LOG_WRITABLE, "an entry of this verification", "none")
            return replace(found, row_findings=(*findings, refused))
        if found.passed:
            self._sign(grant.tenant, grant.bundle_digest)
        return found

    def _check(self, connection: Connection, tenant: str) -> Report:
        """Verify the system log and a tenant's; leave the connection looking at the tenant."""
        logs = self._evidence(connection, SYSTEM_LOG, tenant)
        trust = Trust(self._parts.log.keys.verifiers)
        return verify_logs(logs, trust, now=self._parts.clock(), unsigned_allowed=True)

    def rows_against_log(self, tenant: str) -> RowComparison:
        """Compare a tenant's rows with its log, for the vault's own check: no access, no entry."""
        with self._parts.store.log_connection(tenant) as connection:
            return self._compare(connection, tenant)

    def _compare(self, connection: Connection, tenant: str) -> RowComparison:
        store = self._parts.store
        rows = Rows(
            store.digests(connection, tenant),
            store.episode_digests(connection, tenant),
            store.subject_rows(connection, tenant),
            store.edge_rows(connection, tenant),
            store.credential_ids(connection, tenant),
            hold_rows(connection, tenant),
        )
        (log,) = self._parts.log.evidence(connection, [tenant])
        return compare_rows(tenant, log.entries, rows)

    def may(self, principal: Principal, action: Action, resource: Resource, purpose: Purpose) -> bool:
        """Say what the rules say."""
        request = Request(principal, principal.tenant, resource, Relation.OWNER, action, purpose)
        return self._parts.policy.decide(request).allowed

    def _size(self, connection: Connection, tenant: str) -> int:
        try:
            return self._parts.log.head(connection, tenant).size
        except LogDamagedError as error:
            raise TamperedError(str(error)) from None

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        over = ((SystemResource.AUDIT_LOG, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.AUDIT, purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.AUDIT, purpose), resource=LOG_RESOURCE)
            raise

    def _sign(self, tenant: str, policy: str) -> SignedCheckpoint:
        signed: list[SignedCheckpoint] = []

        def sign(connection: Connection, _leaves: Iterable[Leaf]) -> None:
            # The tenant's first: its checkpoint becomes an entry of the system log, signed with it.
            signed[:] = [
                self._parts.log.checkpoint(connection, log, policy=policy) for log in (tenant, SYSTEM_LOG)
            ]

        self._parts.store.change(sign)
        return signed[0]

    def _evidence(self, connection: Connection, *logs: str) -> Iterator[LogEvidence]:
        """Yield logs, all as one state of the database has them: a write meanwhile is no finding."""
        for log in logs:
            look_at(connection, log)
            yield from self._parts.log.evidence(connection, [log])


LOG_RESOURCE: Final = SystemResource.AUDIT_LOG.value


def verify_receipt(proof: ReceiptProof, verifier_key: str) -> None:
    """Check a proof against a key that was got from elsewhere; needs no vault.

    Raises:
        VerificationError: the note's signature, or the path from leaf to root, does not hold.
        MalformedError: key or note are not in their format.
    """
    checkpoint = verify_checkpoint(proof.checkpoint, VerifierKey.parse(verifier_key))
    verify_inclusion(proof.leaf_index, checkpoint.size, proof.leaf_hash, list(proof.path), checkpoint.root)


def entry_of(stored: StoredEntry) -> LogEntry:
    """Return a stored entry, read.

    Raises:
        TamperedError: it is not of the form of one.
    """
    try:
        payload = None if stored.payload is None else parse_canonical(stored.payload)
        header = parse_header(stored.header)
    except MalformedError:
        raise TamperedError(f"entry {stored.index} of the log is not of the form of one") from None
    if payload is not None and not isinstance(payload, Mapping):
        raise TamperedError(f"entry {stored.index} of the log is not of the form of one")
    return LogEntry(stored.index, header, payload, stored.erased_by)
