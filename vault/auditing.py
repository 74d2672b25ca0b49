"""What an auditor sees of the log, and the checks that need the vault's own rows.

Looking at the log is an entry, too. Content is never opened here: rows are compared with the log by
the digest of their sealed bytes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import BinaryIO, Final

from sqlalchemy import Connection

from audit.bundle import write_bundle
from audit.canonical import JsonValue
from audit.checkpoint import SignedCheckpoint, verify_checkpoint
from audit.event import Header, parse_header
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredEntry
from audit.log import Leaf
from audit.merkle import verify_inclusion
from audit.signing import VerifierKey
from audit.verify import Finding, Report, verify_logs
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, Request, Resource, SystemResource
from vault.errors import InputInvalidError, NotFoundError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.model import Receipt, TrustState
from vault.parts import Parts
from vault.storage.engine import look_at
from vault.storage.store import RowDigest

MAX_ENTRIES: Final = 1_000
ROW_DIGEST: Final = "row against log"
ROW_PRESENT: Final = "row of an entry"
ROW_CURRENT: Final = "newest version is the current one"
ROW_TRUST: Final = "trust of the current version"
_TRUST: Final = {trust.value[0]: trust.value for trust in TrustState}
"""Write entries name the trust of each memory by its first letter."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry, read."""

    index: int
    header: Header
    payload: Mapping[str, JsonValue] | None
    """None where it was erased."""


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
        """
        if not 1 <= limit <= MAX_ENTRIES or (start is not None and start < 0):
            raise InputInvalidError(f"expected a start of at least 0 and a limit from 1 to {MAX_ENTRIES}")
        grant = self._authorise(principal, purpose)
        with self._parts.store.log_connection(grant.tenant) as connection:
            size = self._parts.log.head(connection, grant.tenant).size
            first = max(0, size - limit) if start is None else start
            found = list(islice(self._parts.log.entries(connection, grant.tenant, first, size), limit))
        self._parts.journal.note(grant, {"start": first, "count": len(found)}, resource=_LOG)
        return [_entry(stored) for stored in found]

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

    def export(self, principal: Principal, purpose: Purpose, file: BinaryIO) -> int:
        """Write the tenant's log, signed as it stands, as an evidence bundle.

        Not the system log: it names the other tenants and how busy they are.

        Returns the number of entries written.

        Raises:
            DeniedError: the log may not be read.
        """
        grant = self._authorise(principal, purpose)
        self._parts.journal.note(grant, {"export": True}, resource=_LOG)
        self._sign(grant.tenant, grant.bundle_digest)
        with self._parts.store.log_connection(grant.tenant) as connection:
            logs = self._evidence(connection, grant.tenant)
            return write_bundle(file, self._parts.verifier_key, logs, complete=False)

    def verify(self, principal: Principal, purpose: Purpose) -> LogReport:
        """Recompute the log and compare rows with it.

        Raises:
            DeniedError: the log may not be read.
        """
        grant = self._authorise(principal, purpose)
        self._sign(grant.tenant, grant.bundle_digest)
        with self._parts.store.log_connection(SYSTEM_LOG) as connection:
            evidence = list(self._evidence(connection, SYSTEM_LOG, grant.tenant))
            rows = self._parts.store.digests(connection, grant.tenant)
            findings, checked = compare_rows(grant.tenant, evidence[-1].entries, rows)
        report = verify_logs(evidence, self._parts.verifier_key, now=self._parts.clock())
        failed = len(report.findings) + report.more_findings + len(findings)
        self._parts.journal.note(grant, {"verified": report.logs[-1].size, "findings": failed}, resource=_LOG)
        return LogReport(report, checked, findings)

    def may(self, principal: Principal, action: Action, resource: Resource, purpose: Purpose) -> bool:
        """Say what the rules say."""
        request = Request(principal, principal.tenant, resource, Relation.OWNER, action, purpose)
        return self._parts.policy.decide(request).allowed

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        over = ((SystemResource.AUDIT_LOG, Relation.OTHER),)
        try:
            return authorise(self._parts.policy, principal, Action.AUDIT, purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.AUDIT, purpose), resource=_LOG)
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
            head = self._parts.log.head(connection, log)
            entries = tuple(self._parts.log.entries(connection, log))
            notes = tuple(self._parts.log.checkpoints(connection, log))
            yield LogEvidence(log, notes, entries, (head.size, head.encode()))


_LOG: Final = SystemResource.AUDIT_LOG.value


def verify_receipt(proof: ReceiptProof, verifier_key: str) -> None:
    """Check a proof against a key that was got from elsewhere; needs no vault.

    Raises:
        VerificationError: the note's signature, or the path from leaf to root, does not hold.
        MalformedError: key or note are not in their format.
    """
    checkpoint = verify_checkpoint(proof.checkpoint, VerifierKey.parse(verifier_key))
    verify_inclusion(proof.leaf_index, checkpoint.size, proof.leaf_hash, list(proof.path), checkpoint.root)


def compare_rows(
    tenant: str, entries: Iterable[StoredEntry], rows: Iterable[RowDigest]
) -> tuple[tuple[Finding, ...], int]:
    """Compare rows with what their write entries say; return findings and how many were compared.

    Each row has the digest that its entry names, each row that an entry names is there, of each memory
    the newest version is the current one, and its trust is what was last logged. A row whose entry was erased is not compared: the
    erasure took the digest with it.

    Args:
        tenant: Whose.
        entries: The whole log.
        rows: Of the same state of the database, a memory's versions together and oldest first.
    """
    digests, trust, erased = _written(entries)
    unseen = {(index, memory) for index, written in digests.items() for memory in written}
    findings: list[Finding] = []
    checked = 0
    for memory_id, group in groupby(rows, key=attrgetter("memory_id")):
        versions = list(group)
        for row in versions:
            unseen.discard((row.leaf_index, memory_id))
            if row.leaf_index in erased:
                continue
            checked += 1
            expected = digests.get(row.leaf_index, {}).get(memory_id, "an entry that wrote this row")
            if expected != row.digest:
                got = f"{row.digest} in version {row.version} of {memory_id}"
                findings.append(Finding(tenant, row.leaf_index, ROW_DIGEST, expected, got))
        current = [row.version for row in versions if row.is_current]
        if current != [versions[-1].version]:
            expected = f"version {versions[-1].version} of {memory_id}"
            findings.append(Finding(tenant, None, ROW_CURRENT, expected, f"versions {current}"))
        logged, stored = trust.get(memory_id), versions[-1].trust
        if logged is not None and stored != logged:
            findings.append(Finding(tenant, None, ROW_TRUST, f"{logged} for {memory_id}", repr(stored[:16])))
    findings.extend(
        Finding(tenant, index, ROW_PRESENT, f"a row of {memory_id}", "none")
        for index, memory_id in sorted(unseen)
    )
    return tuple(findings), checked


def _written(
    entries: Iterable[StoredEntry],
) -> tuple[dict[int, dict[str, str]], dict[str, str], set[int]]:
    """Return the digests of rows by the entry that wrote them, each memory's trust, and the erased entries."""
    digests: dict[int, dict[str, str]] = {}
    trust: dict[str, str] = {}
    erased = set()
    for entry in entries:
        if entry.payload is None:
            erased.add(entry.index)
        elif '"digests"' in entry.payload or '"trust"' in entry.payload:
            payload = json.loads(entry.payload)
            named = payload.get("written") or payload.get("memories") or []
            digests[entry.index] = dict(zip(named, payload.get("digests", ()), strict=False))
            trust.update(
                (memory, _TRUST.get(word, word))
                for memory, word in zip(named, payload.get("trust", ()), strict=False)
            )
    return digests, trust, erased


def _entry(stored: StoredEntry) -> LogEntry:
    payload = None if stored.payload is None else json.loads(stored.payload)
    return LogEntry(stored.index, parse_header(stored.header), payload)
