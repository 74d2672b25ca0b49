"""Checkpoints of one log: held against its tree as that grows, judged by all keys at the end, none kept.

Owns what is claimed of a log's tree, by its notes, by notes that somebody kept and by the system log. It
leaves keys to `audit.succession`, trees to `audit.growing_tree` and `audit.range_tree`.

Notes are gone through twice, smallest tree first. Beside the entries each is held against the tree at its
size, of which a byte remains; behind them, when all keys are known, each is judged and counted. So a log
takes no more memory for a checkpoint after each of its entries than for one. What is gone through must
therefore come by size, and be the same both times: a bundle's files are held against their digests.
"""

from collections.abc import Callable, Iterator
from heapq import merge
from typing import Final, NamedTuple

from audit.errors import MalformedError, VerificationError
from audit.evidence import SYSTEM_LOG, LogEvidence
from audit.growing_tree import GrowingTree
from audit.merkle import MAX_TREE_SIZE
from audit.report import MAX_FINDINGS, Check
from audit.signing import VerifierKey
from audit.succession import KeyWatch
from audit.trust import OpenedCheckpoint
from audit.verify_run import Recorded, Run

_NEVER: Final = MAX_TREE_SIZE + 1
_AGREES: Final = 1
_DIFFERS: Final = 2
RootAt = Callable[[int], bytes | None]


class _Claim(NamedTuple):
    """Somebody says that the tree had this root at this size."""

    size: int
    """-1 where the note cannot be read."""
    root: bytes
    said: OpenedCheckpoint | MalformedError | VerificationError | None
    """The note, or why it is none of this log's; None where the system log says so."""
    kept: bool = False


class Checkpoints:
    """What is claimed of one log's tree.

    Args:
        run: What is known across logs.
        log: Whose notes are gone through, twice.
        keys: What the log says of its keys; asked at the end.
    """

    def __init__(self, run: Run, log: LogEvidence, keys: KeyWatch) -> None:
        self._run = run
        self._log = log
        self._keys = keys
        self._recorded = run.recorded.get(log.tenant, Recorded())
        self._kept = sorted(run.remembered.get(log.tenant, []), key=lambda one: one.checkpoint.size)
        self._lines: dict[int, list[str]] = {}
        for one in log.cosignatures:
            self._lines.setdefault(one.size, []).append(one.line)
        self._verdicts = bytearray()
        """Of each claim that the growing tree reached, in order."""
        self._roots: dict[int, bytes] = {}
        """What the tree had instead, for so many as a report names."""
        self._claims = self._all() if log.size is None else iter(())
        self._next: _Claim | None = None
        self.due = _NEVER
        """Size at which `settle` has to be called next."""
        self._advance()
        self.signed_size = self.cosigned_size = self.count = self.unchecked = self.earlier = 0
        self.witnesses: set[str] = set()
        """Who cosigned any."""
        self._size = 0
        self._retired: list[tuple[int, VerifierKey]] = []
        self._root_at: RootAt = lambda _size: None
        self._at = -1
        """Size that is being counted, with the next two."""
        self._cosigned_at: set[str] = set()
        self._said_at: set[bytes] = set()

    @property
    def was_recorded(self) -> bool:
        """Whether the system log speaks of this log."""
        return bool(self._recorded)

    def _all(self) -> Iterator[_Claim]:
        kept = (_Claim(one.checkpoint.size, one.checkpoint.root, one, kept=True) for one in self._kept)
        recorded = (_Claim(size, root, None) for size, root in self._recorded)
        return merge(map(self._read, self._log.checkpoints), kept, recorded, key=lambda claim: claim.size)

    def _read(self, note: bytes) -> _Claim:
        try:
            opened = self._run.trust.read_note(note, self._log.tenant)
        except (MalformedError, VerificationError) as error:
            return _Claim(-1, b"", error)
        return _Claim(opened.checkpoint.size, opened.checkpoint.root, opened)

    def _advance(self) -> None:
        self._next = next(self._claims, None)
        self.due = _NEVER if self._next is None else self._next.size

    def settle(self, tree: GrowingTree) -> None:
        """Hold what is claimed of the tree at its size against it; a size gone by is left for `judge`."""
        while self._next is not None and self._next.size <= tree.size:
            verdict = 0
            if self._next.size == tree.size:
                root = tree.root()
                verdict = _AGREES if root == self._next.root else _DIFFERS
                if verdict == _DIFFERS and len(self._roots) < MAX_FINDINGS:
                    self._roots[len(self._verdicts)] = root
            self._verdicts.append(verdict)
            self._advance()

    def judge(self, size: int, root_at: RootAt) -> None:
        """Judge all claims by the keys that are known by now; findings go to the run.

        Args:
            size: Of the whole tree.
            root_at: Returns the root at a size, for a range of which only tiles tell.
        """
        self._root_at, self._size, self._retired = root_at, size, self._keys.put_down()
        largest = -1
        for nth, claim in enumerate(self._all()):
            if isinstance(claim.said, MalformedError):
                self._add(Check.CHECKPOINT_NOTE, "a checkpoint of this log", str(claim.said))
            elif isinstance(claim.said, VerificationError):
                self._add(Check.CHECKPOINT_NOTE, claim.said.expected, claim.said.got)
            else:
                self._judge(nth, claim, claim.said, largest)
                largest = max(largest, claim.size)
        for beside in sorted(self._lines):
            self._add(Check.COSIGNATURE, f"a checkpoint of size {beside} beside it", "none")

    def _judge(self, nth: int, claim: _Claim, said: OpenedCheckpoint | None, largest: int) -> None:
        if claim.size != self._at:
            self._at, self._cosigned_at, self._said_at = claim.size, set(), set()
        if said is None:
            if claim.root not in self._said_at:
                self._agrees(nth, claim)
            return
        down = frozenset(key for index, key in self._retired if index < claim.size)
        signed = self._run.judge(said, self._log.tenant, down)
        cosigners = self._cosigners(said)
        if signed is None:
            return
        self._check_recorded(claim)
        self._said_at.add(claim.root)
        self.earlier += not signed
        if claim.size < largest:
            self._add(Check.CHECKPOINT_ORDER, f"none smaller behind size {largest}", str(claim.size))
        elif self._agrees(nth, claim) and signed:
            self._count(claim.size, cosigners)

    def _agrees(self, nth: int, claim: _Claim) -> bool:
        if claim.size > self._size:
            self._add(Check.CHECKPOINT_SIZE, f"at least {claim.size} entries", str(self._size))
            return False
        agrees, got = False, self._roots.get(nth, b"")
        if self._log.size is None:
            agrees = self._verdicts[nth] == _AGREES
        else:
            root = self._root_at(claim.size)
            if root is None:
                self._leave(claim)
                return False
            agrees, got = root == claim.root, root
        if not agrees:
            at = f"at size {claim.size}"
            told = got.hex() or "another"
            self._add(Check.CHECKPOINT_ROOT, f"{claim.root.hex()} {at}", f"{told} {at}")
        return agrees

    def _leave(self, claim: _Claim) -> None:
        if claim.kept:
            # Threat: another history, shown by a range that the checkpoint cannot be held against.
            self._add(Check.REMEMBERED, f"tiles that show the tree of size {claim.size}", "none")
        else:
            self.unchecked += 1

    def _count(self, size: int, cosigners: set[str]) -> None:
        self.count += size > self.signed_size or self.count == 0
        self.signed_size = max(self.signed_size, size)
        self._cosigned_at |= cosigners
        self.witnesses |= cosigners
        if len(self._cosigned_at) >= (self._run.trust.required or 1):
            self.cosigned_size = size

    def _cosigners(self, opened: OpenedCheckpoint) -> set[str]:
        """Return who cosigned a note, in it or in the lines that the source keeps beside it."""
        found = set(self._run.cosigners(opened, self._log.tenant))
        for line in self._lines.pop(opened.checkpoint.size, []):
            note = opened.note.encode() + line.rstrip("\n").encode(errors="replace") + b"\n"
            try:
                beside = self._run.trust.read_note(note, self._log.tenant)
            except MalformedError as error:
                self._add(Check.CHECKPOINT_NOTE, "a checkpoint of this log", str(error))
            else:
                found.update(self._run.cosigners(beside, self._log.tenant))
        return found

    def _check_recorded(self, claim: _Claim) -> None:
        if not self._run.system_whole or self._log.tenant == SYSTEM_LOG:
            return
        if not self._recorded.holds(claim.size, claim.root):
            self._add(Check.CHECKPOINT_RECORDED, f"an entry for size {claim.size}", "none")

    def _add(self, check: Check, expected: str, got: str) -> None:
        self._run.findings.add(self._log.tenant, None, check, expected, got)
