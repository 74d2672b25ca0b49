"""What a verification found: the checks by name, findings, and a summary of each log.

Owns the words of a report. It leaves finding anything to `audit.verify` and those below it.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from audit.errors import VerificationError

MAX_FINDINGS: Final = 1000
"""Findings kept in a report; more are counted only, so that a hostile log cannot fill the memory."""


class Check(StrEnum):
    """What was checked when something was found; invariants bring their own name."""

    INDEX = "leaf index"
    HEADER = "header form"
    LEAF_HASH = "leaf hash"
    COLUMNS = "columns beside the header"
    COMMITMENT = "payload commitment"
    PAYLOAD = "payload form"
    ERASURE = "erasure"
    BESIDE = "erasing entry beside a range"
    CHECKPOINT_NOTE = "checkpoint signature"
    CHECKPOINT_ROOT = "checkpoint root"
    CHECKPOINT_ORDER = "checkpoints by size"
    CHECKPOINT_SIZE = "log not shorter than checkpoint"
    REMEMBERED = "checkpoint that was kept"
    CHECKPOINT_RECORDED = "checkpoint recorded by the system log"
    SIGNED = "a signed checkpoint"
    SIGNED_END = "entries signed to the end"
    HEAD = "head"
    LOG_PRESENT = "log present"
    LOG_ORDER = "logs once each, the system log first"
    TILE = "tile"
    COSIGNATURE = "cosignature"
    COSIGNED = "cosignatures required"
    FILE = "file as the manifest lists it"
    MANIFEST = "manifest"
    INTENT = "outcome of every intent"
    HANDOVER = "handover of the log's key"
    KEY_IN_FORCE = "checkpoint by a key in force"


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
    """What neither holds nor fails by this evidence: its proof may stand in an entry or a payload that was
    erased, withheld or left out."""
    cosigned_size: int = 0
    """Size of the largest such checkpoint that enough trusted witnesses cosigned; 0 where none are trusted."""
    witnesses: tuple[str, ...] = ()
    """Trusted witnesses that cosigned any such checkpoint."""
    start: int = 0
    stop: int = 0
    """The entries that were shown: `[start, stop)`."""
    withheld: int = 0
    """Entries whose payload this evidence leaves out."""
    unchecked: int = 0
    """Checkpoints whose tree lies outside the range."""
    earlier: int = 0
    """Checkpoints signed by nobody but a key that went before those that were given: held against the log,
    while nothing rests on them."""
    beside: int = 0
    """Entries behind the range that were shown because they erased payloads in it."""
    handovers: tuple[str, ...] = ()
    """Roll-overs of the log's key that this log shows, each in words."""


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


@dataclass(slots=True)
class Findings:
    """Findings as they come, of which so many are kept."""

    kept: list[Finding] = field(default_factory=list)
    more: int = 0

    def add(self, log: str, index: int | None, check: str, expected: str, got: str) -> None:
        """Add a finding, or count it."""
        if len(self.kept) < MAX_FINDINGS:
            self.kept.append(Finding(log, index, check, expected, got))
        else:
            self.more += 1
