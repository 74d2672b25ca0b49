"""What of the log leaves the vault as evidence: bundles, and proofs of single entries.

Owns deciding, recording and signing before anything leaves. It leaves the form of what leaves to
`audit.bundle` and `audit.proof`, and reading the log to `vault.auditing`.
"""

from dataclasses import dataclass, replace
from time import sleep
from typing import BinaryIO, Final

from sqlalchemy import Connection

from audit.bundle import BundleTerms, size_of, write_bundle
from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType
from audit.evidence import SYSTEM_LOG, EntryBeside, LogEvidence, StoredEntry
from audit.manifest import FORMAT, MAX_BESIDE, Export
from audit.proof import CarriedEntry, TlogProof
from audit.selection import erasers_behind
from audit.tiles import TILE_WIDTH
from policies.model import Principal, Purpose
from vault.auditing import LOG_RESOURCE, AuditView
from vault.clock import monotonic
from vault.errors import InputInvalidError, NotFoundError, OverloadedError
from vault.grant import Grant

_POLL: Final = 0.05
PROOF_FORMAT: Final = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class ExportTerms:
    """What of a log is to be exported."""

    first: int = 0
    """First leaf index; taken down to a multiple of 256, as tiles are."""
    stop: int | None = None
    """Leaf index after the last; taken up to a multiple of 256, or to the end. None is the end."""
    payloads: bool = True
    """Whether to carry payloads: ids, counts and keyed digests, as the log holds them."""
    wait: float = 5.0
    """Seconds to wait for as many witnesses as the log's rules require, or one of those that they name."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    entries: int
    first: int
    stop: int
    size: int
    """Of the whole log."""
    awaited: int = 0
    """Witnesses that were waited for; 0 where the log's rules name none."""
    cosigned: int = 0
    """Witnesses whose cosignatures of its last checkpoint came in that time, as rows tell it."""


class LogExports(AuditView):
    """The log of one principal's tenant, as far as it leaves the vault."""

    def export(
        self, principal: Principal, purpose: Purpose, file: BinaryIO, terms: ExportTerms | None = None
    ) -> Exported:
        """Write the tenant's log, signed as it stands, as an evidence bundle.

        Not the system log: it names the other tenants and how busy they are. A log that does not pass
        its own check is written as it is, for whoever looks into it, and not signed.

        Raises:
            DeniedError: the log may not be read.
            InputInvalidError: the range is empty or begins behind the end.
            OverloadedError: payloads were erased meanwhile, by entries behind the end that was signed.
        """
        asked = terms or ExportTerms()
        if asked.first < 0 or (asked.stop is not None and asked.stop <= asked.first):
            raise InputInvalidError("expected a range of at least one entry")
        grant = self._authorise(principal, purpose)
        payload: dict[str, JsonValue] = {"export": True, "format": FORMAT, "first": asked.first}
        if asked.stop is not None:
            payload["stop"] = asked.stop
        draft, index = self._record(grant, payload)
        awaited = cosigned = 0
        with self._parts.store.log_connection(SYSTEM_LOG) as connection:
            report = self._check(connection, grant.tenant)
        if report.passed:
            signed_note = self._sign(grant.tenant, grant.bundle_digest)
            awaited, cosigned = self._await_witnesses(grant.tenant, signed_note.checkpoint.size, asked.wait)
        with self._parts.store.log_connection(grant.tenant) as connection:
            (whole,) = self._evidence(connection, grant.tenant)
            signed = size_of(whole.checkpoints[-1]) if report.passed else None
            if signed is not None and self._erased_behind(connection, whole, signed):
                raise OverloadedError("payloads were erased while the log was exported: export it again")
            shown = self._range(connection, whole, asked, signed)
            bundle = BundleTerms(
                complete=False,
                policy=grant.bundle_digest,
                exported=Export(principal.id, purpose.value, _time_of(draft), index),
                payloads=asked.payloads,
            )
            count = write_bundle(file, self._parts.log.keys.verifiers, [shown], bundle)
        size = count if shown.size is None else shown.size
        return Exported(count, shown.start, shown.start + count, size, awaited, cosigned)

    def _await_witnesses(self, tenant: str, size: int, seconds: float) -> tuple[int, int]:
        """Return how many cosignatures of a checkpoint are due, and how many came in time.

        Witnesses lag by a round trip, and an export ends at a checkpoint that was signed for it. It is not
        refused for want of them: the bundle says who cosigned, and whoever verifies it what he requires.
        """
        rules = self._parts.assurance.rules
        due = max(rules.required, 1) if rules.witnesses else 0
        if due:
            self._parts.assurance.publish()
        over = monotonic() + seconds
        while due:
            with self._parts.store.log_connection(tenant) as connection:
                lines = self._parts.log.cosignatures(connection, tenant, size)
            count = len({line.witness for line in lines})
            if count >= due or monotonic() >= over:
                return due, count
            sleep(_POLL)
        return 0, 0

    def prove_entry(self, principal: Principal, purpose: Purpose, index: int, *, payload: bool) -> TlogProof:
        """Return the proof of one entry, with the entry, under a checkpoint that covers it.

        A checkpoint that witnesses cosigned is preferred to a later one that none has seen yet.

        Raises:
            DeniedError: the log may not be read.
            NotFoundError: the log has no such entry.
        """
        grant = self._authorise(principal, purpose)
        log, tenant = self._parts.log, grant.tenant
        with self._parts.store.log_connection(tenant) as connection:
            size = self._size(connection, tenant)
        if not 0 <= index < size:
            raise NotFoundError("the log has no entry of this index")
        self._record(grant, {"export": True, "format": PROOF_FORMAT, "first": index, "stop": index + 1})
        self._sign(tenant, grant.bundle_digest)
        with self._parts.store.log_connection(tenant) as connection:
            (entry,) = log.entries(connection, tenant, index, index + 1)
            size, note = self._best_note(connection, tenant, index)
            path = log.inclusion_proof(connection, tenant, index, size)
        return TlogProof(index, tuple(path), note, _carried(entry, payload=payload).encode())

    def _record(self, grant: Grant, payload: dict[str, JsonValue]) -> tuple[EntryDraft, int]:
        journal = self._parts.journal
        draft = replace(journal.allowed(grant, payload, resource=LOG_RESOURCE), event=EventType.AUDIT_EXPORT)
        (leaf,) = journal.write([draft])
        return draft, leaf.index

    def _range(
        self, connection: Connection, log: LogEvidence, asked: ExportTerms, signed: int | None
    ) -> LogEvidence:
        """Return what is asked for, of a log that ends where it is signed: others may write meanwhile."""
        size = 0 if log.head is None else log.head[0]
        if signed is not None and signed < size:
            size = signed
            log = replace(log, head=None, entries=self._parts.log.entries(connection, log.tenant, 0, size))
        if asked.first >= size:
            raise InputInvalidError(f"expected a range that begins below {size}")
        start = asked.first - asked.first % TILE_WIDTH
        stop = size if asked.stop is None else min(size, -(-asked.stop // TILE_WIDTH) * TILE_WIDTH)
        if (start, stop) == (0, size):
            return log
        entries = self._parts.log.entries(connection, log.tenant, start, stop)
        beside = [] if signed is None else self._beside(connection, log.tenant, range(start, stop), size)
        return replace(log, entries=entries, start=start, size=size, beside=beside)

    def _beside(self, connection: Connection, tenant: str, shown: range, size: int) -> list[EntryBeside]:
        """Return the entries behind a range that erased payloads in it: without them they would lie there gone."""
        log = self._parts.log
        erasers = erasers_behind(connection, tenant, shown, size=size, limit=MAX_BESIDE)
        return [
            EntryBeside(entry, tuple(log.inclusion_proof(connection, tenant, index, size)))
            for index in erasers
            for entry in log.entries(connection, tenant, index, index + 1)
        ]

    def _erased_behind(self, connection: Connection, log: LogEvidence, signed: int) -> bool:
        """Say whether an entry behind the signed end erased payloads: without it they would lie there gone."""
        size = 0 if log.head is None else log.head[0]
        behind = self._parts.log.entries(connection, log.tenant, signed, size) if signed < size else ()
        return any(entry.event == EventType.PAYLOAD_ERASE for entry in behind)

    def _best_note(self, connection: Connection, tenant: str, index: int) -> tuple[int, bytes]:
        """Return size and note of the checkpoint that says most of an entry, cosignatures added."""
        log = self._parts.log
        lines: dict[int, list[bytes]] = {}
        for one in log.cosignatures(connection, tenant):
            if one.size > index:
                lines.setdefault(one.size, []).append(one.line.rstrip("\n").encode() + b"\n")
        latest = log.latest_checkpoint(connection, tenant)
        if latest is None:
            raise NotFoundError("the log has no checkpoint yet")
        notes = {size_of(note): note for note in log.checkpoints(connection, tenant)} if lines else {}
        for size in sorted(lines, reverse=True):
            if size in notes:
                return size, notes[size] + b"".join(lines[size])
        return latest.checkpoint.size, latest.note


def _carried(entry: StoredEntry, *, payload: bool) -> CarriedEntry:
    header = entry.header.encode(errors="replace")
    return CarriedEntry(header, entry.salt, entry.payload) if payload else CarriedEntry(header)


def _time_of(draft: EntryDraft) -> str:
    return draft.time.isoformat(timespec="microseconds").replace("+00:00", "Z")
