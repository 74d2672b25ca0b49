"""What is known across logs while they are verified: findings, keys, and who said what of which tree.

Owns judging who signed a note. It leaves going through a log to `audit.verify_log` and
`audit.verify_checkpoints`, and which keys took over from which to `audit.succession`.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from audit.errors import MalformedError, VerificationError
from audit.event import is_id
from audit.evidence import SYSTEM_LOG
from audit.merkle import HASH_SIZE
from audit.report import Check, Findings
from audit.signing import VerifierKey
from audit.succession import Succession, signers
from audit.trust import OpenedCheckpoint, Trust


class Recorded:
    """What the system log says of one log's tree: sizes and roots, in forty bytes each."""

    def __init__(self) -> None:
        self._sizes = array("Q")
        self._roots = bytearray()
        self._ordered = True

    def add(self, size: int, root: bytes) -> None:
        """Take what one entry says."""
        self._ordered = self._ordered and (not self._sizes or self._sizes[-1] <= size)
        self._sizes.append(size)
        self._roots += root

    def __bool__(self) -> bool:
        return bool(self._sizes)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield sizes and roots, smallest size first."""
        self._order()
        return ((size, self._root(nth)) for nth, size in enumerate(self._sizes))

    def holds(self, size: int, root: bytes) -> bool:
        """Tell whether an entry says so."""
        self._order()
        nth = bisect_left(self._sizes, size)
        while nth < len(self._sizes) and self._sizes[nth] == size:
            if self._root(nth) == root:
                return True
            nth += 1
        return False

    def _root(self, nth: int) -> bytes:
        return bytes(self._roots[nth * HASH_SIZE : (nth + 1) * HASH_SIZE])

    def _order(self) -> None:
        if not self._ordered:
            # An honest log's come in order.
            pairs = sorted((size, self._root(nth)) for nth, size in enumerate(self._sizes))
            self._sizes = array("Q", (size for size, _ in pairs))
            self._roots = bytearray().join(root for _, root in pairs)
            self._ordered = True


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
        self.remembered: dict[str, list[OpenedCheckpoint]] = {}
        self.recorded: dict[str, Recorded] = {}
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
            try:
                opened = self.trust.read_note(note, tenant)
            except MalformedError as error:
                self.findings.add(tenant, None, Check.CHECKPOINT_NOTE, "a checkpoint of this log", str(error))
            except VerificationError as error:
                self.findings.add(tenant, None, Check.CHECKPOINT_NOTE, error.expected, error.got)
            else:
                self.remembered.setdefault(tenant, []).append(opened)

    def cosigners(self, opened: OpenedCheckpoint, tenant: str) -> tuple[str, ...]:
        """Return the trusted witnesses that cosigned a checkpoint; none where a cosignature is wrong."""
        try:
            return self.trust.cosigners(opened)
        except VerificationError as error:
            self.findings.add(tenant, None, Check.COSIGNATURE, error.expected, error.got)
            return ()

    def judge(
        self, opened: OpenedCheckpoint, tenant: str, retired: frozenset[VerifierKey] = frozenset()
    ) -> bool | None:
        """Return whether a key signed it that is believed, or one before those; else say what is wrong."""
        origin = opened.checkpoint.origin
        believed, earlier = self.keys.keys_of(origin, tenant)
        try:
            by = signers(opened.note, believed | earlier)
        except VerificationError as error:
            self.findings.add(tenant, None, Check.CHECKPOINT_NOTE, error.expected, error.got)
            return None
        if not by:
            self.findings.add(tenant, None, Check.CHECKPOINT_NOTE, f"one by a known key of {origin}", "none")
        elif by <= retired:
            expected = f"size {opened.checkpoint.size} signed by the key that took over"
            self.findings.add(tenant, None, Check.KEY_IN_FORCE, expected, "by one put down before")
        else:
            return bool(by & believed)
        return None

    def check_absent(self, *, complete: bool) -> None:
        """Look for logs that must be there and are not."""
        kept = {
            tenant
            for tenant in sorted(self.remembered.keys() - {*self.seen})
            if [one for one in self.remembered[tenant] if self.judge(one, tenant) is not None]
        }
        expected = {*kept, *(self.recorded if complete else ())}
        for tenant in sorted(expected.difference(self.seen)):
            self.findings.add(tenant, None, Check.LOG_PRESENT, "the log of a known checkpoint", "none")


def shown_name(tenant: str) -> str:
    """Return a log's name for findings: what is no id is not repeated, as findings go to terminals."""
    return tenant if is_id(tenant) else "unnamed"
