"""Offline verification of whole logs: evidence and one public key in, a report out.

Owns recomputing every commitment, leaf and root, and holding them against signed checkpoints, against
checkpoints that somebody remembered, and against what the system log recorded. It imports nothing
beyond `audit/` and `cryptography`; it neither trusts nor needs the vault.

What it cannot show: an entry that was never made, a lie in an entry, entries cut off after the last
checkpoint that anyone remembers, and a history shown to others only (a split view).

Example:
    report = verify_logs(read_bundle(file).logs, VerifierKey.parse(key_from_elsewhere))
    report.require()
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from audit.canonical import JsonValue, parse_canonical
from audit.checkpoint import Checkpoint, verify_checkpoint
from audit.errors import MalformedError, VerificationError
from audit.event import EventType, Header, is_id, parse_header, time_in_microseconds, verify_payload
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredEntry
from audit.merkle import CompactRange, leaf_hash
from audit.replay import CLOCK_INVARIANTS, Replay
from audit.signing import VerifierKey

MAX_FINDINGS: Final = 1000
"""Findings kept in a report; more are counted only, so that a hostile log cannot fill the memory."""
_BATCH: Final = 1024
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class Check(StrEnum):
    """What was checked when something was found; invariants bring their own name."""

    INDEX = "leaf index"
    HEADER = "header form"
    LEAF_HASH = "leaf hash"
    COLUMNS = "columns beside the header"
    COMMITMENT = "payload commitment"
    PAYLOAD = "payload form"
    ERASURE = "erasure"
    CHECKPOINT_NOTE = "checkpoint signature"
    CHECKPOINT_ROOT = "checkpoint root"
    CHECKPOINT_SIZE = "log not shorter than checkpoint"
    CHECKPOINT_RECORDED = "checkpoint recorded by the system log"
    SIGNED = "a signed checkpoint"
    HEAD = "head"
    LOG_PRESENT = "log present"
    LOG_ORDER = "logs once each, the system log first"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be."""

    log: str
    """Tenant id."""
    index: int | None
    """Leaf index; None where it concerns the log."""
    check: str
    expected: str
    got: str

    def __str__(self) -> str:
        place = self.log if self.index is None else f"{self.log}[{self.index}]"
        return f"{place}: {self.check}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, slots=True)
class LogSummary:
    """What was seen of one log."""

    tenant: str
    size: int
    root: bytes
    signed_size: int
    """Size of the largest valid checkpoint that the log agrees with: entries beyond are not signed yet."""
    checkpoints: int
    """Number of valid checkpoints that the log agrees with, remembered ones included."""
    erased: int
    """Entries whose payload was erased."""
    unproven: int
    """Uses of memories whose writing may stand in an erased payload."""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a verification."""

    logs: tuple[LogSummary, ...]
    findings: tuple[Finding, ...]
    more_findings: int
    """Findings beyond those kept."""
    warnings: tuple[Finding, ...] = ()
    """Times that show a clock which was wrong or set, and prove nothing: the log may well be whole."""
    more_warnings: int = 0

    @property
    def passed(self) -> bool:
        """Whether nothing was found; warnings are no findings."""
        return not self.findings

    def require(self) -> None:
        """Do nothing if nothing was found.

        Raises:
            VerificationError: names the first finding.
        """
        for first in self.findings[:1]:
            raise VerificationError(f"{first.log}: {first.check}", expected=first.expected, got=first.got)


@dataclass(frozen=True, slots=True)
class _Claim:
    """Somebody says that the tree had this root at this size."""

    size: int
    root: bytes
    signed: bool


@dataclass(slots=True)
class _Findings:
    kept: list[Finding] = field(default_factory=list)
    more: int = 0

    def add(self, log: str, index: int | None, check: str, expected: str, got: str) -> None:
        if len(self.kept) < MAX_FINDINGS:
            self.kept.append(Finding(log, index, check, expected, got))
        else:
            self.more += 1


def verify_logs(
    logs: Iterable[LogEvidence],
    key: VerifierKey,
    *,
    remembered: Iterable[bytes] = (),
    now: datetime | None = None,
    complete: bool = False,
    unsigned_allowed: bool = False,
) -> Report:
    """Verify logs, each entry read once and none kept.

    Args:
        logs: The system log first where it is among them, so that its records serve the others.
        key: The deployment's log key, got from elsewhere than the evidence.
        remembered: Notes of checkpoints that were seen before: only these show that a tail was cut.
        now: Time of verification; a later entry is worth a warning.
        complete: Every log that the system log has recorded must be among `logs`.
        unsigned_allowed: Accept a log that has no checkpoint yet, which proves nothing; not one whose
            checkpoint the system log recorded.

    Raises:
        BundleMalformedError: the evidence is read from a bundle that breaks off.
    """
    run = _Run(key, now, unsigned_allowed=unsigned_allowed)
    run.remember(remembered)
    summaries: list[LogSummary] = []
    for given in logs:
        log = replace(given, tenant=_name(given.tenant))
        if log.tenant in run.seen or (log.tenant == SYSTEM_LOG and run.seen):
            run.findings.add(
                log.tenant, None, Check.LOG_ORDER, "each log once, system first", "another order"
            )
        run.seen.append(log.tenant)
        summaries.append(_LogRun(run, log).verify())
    run.check_absent(complete=complete)
    return Report(
        tuple(summaries),
        tuple(run.findings.kept),
        run.findings.more,
        tuple(run.warnings.kept),
        run.warnings.more,
    )


class _Run:
    """What is known across logs."""

    def __init__(self, key: VerifierKey, now: datetime | None, *, unsigned_allowed: bool) -> None:
        self.key = key
        self.now = now
        self.unsigned_allowed = unsigned_allowed
        self.findings = _Findings()
        self.warnings = _Findings()
        self.seen: list[str] = []
        self.remembered: dict[str, list[_Claim]] = {}
        self.recorded: dict[str, list[_Claim]] = {}
        """By tenant: what the system log's checkpoint entries say."""
        self.policies: Mapping[str, datetime] = {}

    def remember(self, notes: Iterable[bytes]) -> None:
        for note in notes:
            tenant = _tenant_of(note, self.key)
            claim = self.open_note(note, tenant)
            if claim is not None:
                self.remembered.setdefault(tenant, []).append(claim)

    def open_note(self, note: bytes, tenant: str) -> _Claim | None:
        try:
            checkpoint: Checkpoint = verify_checkpoint(note, self.key.for_log(tenant))
        except MalformedError as error:
            self.findings.add(tenant, None, Check.CHECKPOINT_NOTE, "a checkpoint of this log", str(error))
        except VerificationError as error:
            self.findings.add(tenant, None, Check.CHECKPOINT_NOTE, error.expected, error.got)
        else:
            return _Claim(checkpoint.size, checkpoint.root, signed=True)
        return None

    def check_absent(self, *, complete: bool) -> None:
        expected = {*self.remembered, *(self.recorded if complete else ())}
        for tenant in sorted(expected.difference(self.seen)):
            self.findings.add(tenant, None, Check.LOG_PRESENT, "the log of a known checkpoint", "none")


def _tenant_of(note: bytes, key: VerifierKey) -> str:
    # The origin is only a hint here: the note is then verified against exactly that log's key.
    origin = note.split(b"\n", 1)[0].decode(errors="replace")
    return _name(origin.removeprefix(f"{key.name}/"))


def _name(tenant: str) -> str:
    # What is no id is not repeated: findings go to terminals.
    return tenant if is_id(tenant) else "unnamed"


class _LogRun:
    """One pass over one log."""

    def __init__(self, run: _Run, log: LogEvidence) -> None:
        self._run = run
        self._log = log
        self._tree = CompactRange()
        self._pending: list[bytes] = []
        self._erased = 0
        self._agreed: list[_Claim] = []
        self._replay = Replay(log.tenant, run.now, run.policies)
        own = [claim for note in log.checkpoints if (claim := run.open_note(note, log.tenant))]
        self._signed = own + run.remembered.get(log.tenant, [])
        recorded = run.recorded.get(log.tenant, [])
        self._was_recorded = bool(recorded)
        self._claims = sorted(self._signed + recorded, key=lambda claim: -claim.size)

    def verify(self) -> LogSummary:
        self._check_recorded()
        self._settle_claims()
        index = 0
        for entry in self._log.entries:
            if entry.index != index:
                self._add(entry.index, Check.INDEX, str(index), str(entry.index))
            index = entry.index + 1
            self._check_entry(entry)
        self._flush()
        self._check_end()
        if self._log.tenant == SYSTEM_LOG:
            self._run.policies = self._replay.policies
        signed = [claim for claim in self._agreed if claim.signed]
        return LogSummary(
            tenant=self._log.tenant,
            size=self._tree.size,
            root=self._tree.root(),
            signed_size=max((claim.size for claim in signed), default=0),
            checkpoints=len({claim.size for claim in signed}),
            erased=self._erased,
            unproven=self._replay.unproven,
        )

    def _add(self, index: int | None, check: str, expected: str, got: str) -> None:
        self._run.findings.add(self._log.tenant, index, check, expected, got)

    def _check_recorded(self) -> None:
        if SYSTEM_LOG not in self._run.seen or self._log.tenant == SYSTEM_LOG:
            return
        recorded = {(claim.size, claim.root) for claim in self._run.recorded.get(self._log.tenant, [])}
        for claim in self._signed:
            if (claim.size, claim.root) not in recorded:
                self._add(None, Check.CHECKPOINT_RECORDED, f"an entry for size {claim.size}", "none")

    def _check_entry(self, entry: StoredEntry) -> None:
        leaf = leaf_hash(entry.header.encode(errors="surrogatepass"))
        self._pending.append(leaf)
        if len(self._pending) == _BATCH or (self._claims and self._size == self._claims[-1].size):
            self._flush()
        if entry.leaf_hash is not None and entry.leaf_hash != leaf:
            self._add(entry.index, Check.LEAF_HASH, leaf.hex(), entry.leaf_hash.hex())
        try:
            header = parse_header(entry.header)
        except MalformedError as error:
            self._add(entry.index, Check.HEADER, "the canonical form", str(error))
            return
        self._check_columns(entry, header)
        payload = self._check_payload(entry, header)
        for breach in self._replay.observe(header, payload):
            kind = self._run.warnings if breach.invariant in CLOCK_INVARIANTS else self._run.findings
            kind.add(self._log.tenant, entry.index, breach.invariant, breach.expected, breach.got)
        if header.event is EventType.LOG_CHECKPOINT:
            self._record_checkpoint(entry.index, header, payload)

    @property
    def _size(self) -> int:
        return self._tree.size + len(self._pending)

    def _flush(self) -> None:
        self._tree = self._tree.extended(self._pending)
        self._pending.clear()
        self._settle_claims()

    def _settle_claims(self) -> None:
        while self._claims and self._claims[-1].size == self._tree.size:
            claim = self._claims.pop()
            if claim.root == self._tree.root():
                self._agreed.append(claim)
            else:
                at = f"{self._tree.root().hex()} at size {claim.size}"
                self._add(None, Check.CHECKPOINT_ROOT, f"{claim.root.hex()} at size {claim.size}", at)

    def _check_columns(self, entry: StoredEntry, header: Header) -> None:
        if entry.event is not None and entry.event != header.event:
            self._add(entry.index, Check.COLUMNS, header.event, "another event")
        time = time_in_microseconds(header.time)
        if entry.time_us is not None and entry.time_us != time:
            self._add(entry.index, Check.COLUMNS, str(time), str(entry.time_us))

    def _check_payload(self, entry: StoredEntry, header: Header) -> JsonValue:
        if entry.salt is None or entry.payload is None:
            self._erased += 1
            if entry.salt is not None or entry.payload is not None:
                self._add(entry.index, Check.ERASURE, "salt and payload erased together", "one of them")
            return None
        try:
            verify_payload(header.commitment, entry.salt, entry.payload)
            return parse_canonical(entry.payload)
        except VerificationError as error:
            self._add(entry.index, Check.COMMITMENT, error.expected, error.got)
        except MalformedError as error:
            self._add(entry.index, Check.PAYLOAD, "canonical JSON", str(error))
        return None

    def _record_checkpoint(self, index: int, header: Header, payload: JsonValue) -> None:
        if self._log.tenant == SYSTEM_LOG and header.resource is not None and isinstance(payload, Mapping):
            size, root = payload.get("size"), payload.get("root")
            if isinstance(size, int) and size >= 0 and isinstance(root, str) and _HASH.fullmatch(root):
                claim = _Claim(size, bytes.fromhex(root), signed=False)
                self._run.recorded.setdefault(header.resource, []).append(claim)
                return
        self._add(index, Check.PAYLOAD, "size and root of a checkpoint, in the system log", "something else")

    def _check_end(self) -> None:
        size, root = self._tree.size, self._tree.root()
        for claim in self._claims:
            self._add(None, Check.CHECKPOINT_SIZE, f"at least {claim.size} entries", str(size))
        if self._log.head is not None and self._log.head != (size, self._tree.encode()):
            got = f"size {self._log.head[0]}, or another edge"
            self._add(None, Check.HEAD, f"size {size} and the right edge of root {root.hex()}", got)
        if size and not any(claim.signed for claim in self._agreed) and self._is_to_be_signed():
            self._add(None, Check.SIGNED, "at least one that the log agrees with", "none")

    def _is_to_be_signed(self) -> bool:
        if not self._run.unsigned_allowed:
            return True
        # What records a tenant's checkpoint is signed in the same transaction.
        return bool(self._run.recorded) if self._log.tenant == SYSTEM_LOG else self._was_recorded
