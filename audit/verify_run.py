"""What is known across logs while they are verified: findings, keys, and who said what of which tree.

Owns opening notes and judging who signed them. It leaves going through a log to `audit.verify_log`, and
which keys took over from which to `audit.succession`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from audit.errors import MalformedError, VerificationError
from audit.event import is_id
from audit.evidence import SYSTEM_LOG
from audit.report import Check, Findings
from audit.signing import VerifierKey
from audit.succession import Succession, signers
from audit.trust import OpenedCheckpoint, Trust


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that the tree had this root at this size."""

    size: int
    root: bytes
    signed: bool
    """By a key that is believed. Otherwise the system log says so, or one whose key is not known yet."""
    witnesses: tuple[str, ...] = ()
    """Trusted witnesses that say so, too."""
    notes: tuple[OpenedCheckpoint, ...] = ()


class Run:
    """What is known across logs."""

    def __init__(self, trust: Trust, now: datetime | None, *, unsigned_allowed: bool) -> None:
        self.trust = trust
        self.keys = Succession(trust)
        self.now = now
        self.unsigned_allowed = unsigned_allowed
        self.findings = Findings()
        self.warnings = Findings()
        self.seen: list[str] = []
        self.remembered: dict[str, list[Claim]] = {}
        self.recorded: dict[str, list[Claim]] = {}
        """By tenant: what the system log's checkpoint entries say."""
        self.policies: Mapping[str, datetime] = {}
        self.system_whole = False
        """Whether the system log was among the logs, with every entry and payload."""

    def begin(self, tenant: str) -> None:
        """Take the next log."""
        if tenant in self.seen or (tenant == SYSTEM_LOG and self.seen):
            self.findings.add(tenant, None, Check.LOG_ORDER, "each log once, system first", "another order")
        self.seen.append(tenant)

    def remember(self, notes: Iterable[bytes]) -> None:
        """Take notes of checkpoints that somebody kept."""
        for note in notes:
            # The origin is only a hint here: the note is then verified against exactly that log's key.
            origin = note.split(b"\n", 1)[0].decode(errors="replace")
            tenant = self.trust.tenant_of(origin) or "unnamed"
            claim = self.open_note(note, tenant)
            if claim is not None:
                self.remembered.setdefault(tenant, []).append(claim)

    def open_note(self, note: bytes, tenant: str) -> Claim | None:
        """Return what a note claims if it is one of this log's; else say what is wrong with it.

        Signed by no key that is believed so far, it may be by one that took over: `judge` asks at the end.
        """
        try:
            opened = self.trust.read_note(note, tenant)
            believed, _ = self.keys.keys_of(opened.checkpoint.origin, tenant)
            signed = bool(signers(opened.note, believed))
        except MalformedError as error:
            self.findings.add(tenant, None, Check.CHECKPOINT_NOTE, "a checkpoint of this log", str(error))
            return None
        except VerificationError as error:
            self.findings.add(tenant, None, Check.CHECKPOINT_NOTE, error.expected, error.got)
            return None
        witnesses: tuple[str, ...] = ()
        try:
            witnesses = self.trust.cosigners(opened)
        except VerificationError as error:
            self.findings.add(tenant, None, Check.COSIGNATURE, error.expected, error.got)
        return Claim(opened.checkpoint.size, opened.checkpoint.root, signed, witnesses, (opened,))

    def judge(self, claim: Claim, tenant: str, retired: frozenset[VerifierKey] = frozenset()) -> Claim | None:
        """Return a claim with what the keys known by now say of it; else say what is wrong with it."""
        by: set[VerifierKey] = set()
        origin = claim.notes[0].checkpoint.origin
        believed, earlier = self.keys.keys_of(origin, tenant)
        try:
            for opened in claim.notes:
                by |= signers(opened.note, believed | earlier)
        except VerificationError as error:
            self.findings.add(tenant, None, Check.CHECKPOINT_NOTE, error.expected, error.got)
            return None
        if not by:
            self.findings.add(tenant, None, Check.CHECKPOINT_NOTE, f"one by a known key of {origin}", "none")
        elif by <= retired:
            expected = f"size {claim.size} signed by the key that took over"
            self.findings.add(tenant, None, Check.KEY_IN_FORCE, expected, "by one put down before")
        else:
            return replace(claim, signed=bool(by & believed))
        return None

    def check_absent(self, *, complete: bool) -> None:
        """Look for logs that must be there and are not."""
        kept = {
            tenant
            for tenant in sorted(self.remembered.keys() - {*self.seen})
            if list(filter(None, [self.judge(claim, tenant) for claim in self.remembered[tenant]]))
        }
        expected = {*kept, *(self.recorded if complete else ())}
        for tenant in sorted(expected.difference(self.seen)):
            self.findings.add(tenant, None, Check.LOG_PRESENT, "the log of a known checkpoint", "none")


def shown_name(tenant: str) -> str:
    """Return a log's name for findings: what is no id is not repeated, as findings go to terminals."""
    return tenant if is_id(tenant) else "unnamed"


def merged(claims: list[Claim]) -> list[Claim]:
    """Return one claim for each size and root, with the witnesses of all."""
    found: dict[tuple[int, bytes, bool], tuple[set[str], list[OpenedCheckpoint]]] = {}
    for claim in claims:
        names, notes = found.setdefault((claim.size, claim.root, claim.signed), (set(), []))
        names.update(claim.witnesses)
        notes.extend(claim.notes)
    return [
        Claim(size, root, signed, tuple(sorted(names)), tuple(notes))
        for (size, root, signed), (names, notes) in found.items()
    ]
