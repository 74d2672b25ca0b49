"""Going through one log: leaves, tiles, roots, signatures and what its entries say.

Owns what is known across logs while they are verified, and one pass over each. It leaves invariants of
entries to `audit.replay`, trees to `audit.growing_tree` and `audit.range_tree`, keys to `audit.trust`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError, VerificationError
from audit.event import EventType, Header, is_id, parse_header, time_in_microseconds, verify_payload
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredEntry
from audit.growing_tree import GrowingTree
from audit.intent import IntentLedger
from audit.merkle import CompactRange, leaf_hash
from audit.range_tree import RangeTree
from audit.replay import CLOCK_INVARIANTS, Erasures, Replay
from audit.report import Check, Findings, LogSummary
from audit.tiles import TILE_WIDTH
from audit.trust import Trust

_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that the tree had this root at this size."""

    size: int
    root: bytes
    signed: bool
    witnesses: tuple[str, ...] = ()
    """Trusted witnesses that say so, too."""


class Run:
    """What is known across logs."""

    def __init__(self, trust: Trust, now: datetime | None, *, unsigned_allowed: bool) -> None:
        self.trust = trust
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
        """Return what a note claims if it is one of this log's; else say what is wrong with it."""
        try:
            opened = self.trust.open_note(note, tenant)
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
        return Claim(opened.checkpoint.size, opened.checkpoint.root, signed=True, witnesses=witnesses)

    def check_absent(self, *, complete: bool) -> None:
        """Look for logs that must be there and are not."""
        expected = {*self.remembered, *(self.recorded if complete else ())}
        for tenant in sorted(expected.difference(self.seen)):
            self.findings.add(tenant, None, Check.LOG_PRESENT, "the log of a known checkpoint", "none")


def shown_name(tenant: str) -> str:
    """Return a log's name for findings: what is no id is not repeated, as findings go to terminals."""
    return tenant if is_id(tenant) else "unnamed"


class LogRun:
    """One pass over one log."""

    def __init__(self, run: Run, log: LogEvidence) -> None:
        self._run = run
        self._log = log
        self._whole = log.size is None
        self._tree = GrowingTree(self._check_tile)
        self._range = None if log.size is None else RangeTree(log.size, log.tiles or (lambda *_: None))
        self._erased = self._withheld = self._unchecked = 0
        self._agreed: list[Claim] = []
        self._erasures = Erasures(log.tenant)
        self._intents = IntentLedger()
        self._replay = Replay(log.tenant, run.now, run.policies, begun=log.start > 0)
        self._signed = self._own_claims() + run.remembered.get(log.tenant, [])
        recorded = run.recorded.get(log.tenant, [])
        self._was_recorded = bool(recorded)
        said = {(claim.size, claim.root) for claim in self._signed}
        others = [claim for claim in recorded if (claim.size, claim.root) not in said]
        self._claims = sorted(self._signed + others, key=lambda claim: -claim.size)

    def verify(self) -> LogSummary:
        """Go through the log and return what was seen; findings go to the run."""
        self._check_recorded()
        self._settle_claims()
        index = self._log.start
        for entry in self._log.entries:
            if entry.index != index:
                self._add(entry.index, Check.INDEX, str(index), str(entry.index))
            index = entry.index + 1
            self._check_entry(entry)
        self._check_tiles_at_end()
        self._check_end()
        if self._log.tenant == SYSTEM_LOG:
            self._run.policies = self._replay.policies
            self._run.system_whole = self._whole and not self._withheld
        return self._summary()

    def _summary(self) -> LogSummary:
        signed = [claim for claim in self._agreed if claim.signed]
        required = self._run.trust.required or 1
        return LogSummary(
            tenant=self._log.tenant,
            size=self._size,
            root=self._root(self._size) or b"",
            signed_size=max((claim.size for claim in signed), default=0),
            checkpoints=len({claim.size for claim in signed}),
            erased=self._erased,
            unproven=self._replay.unproven,
            cosigned_size=max((c.size for c in signed if len(c.witnesses) >= required), default=0),
            witnesses=tuple(sorted({name for claim in signed for name in claim.witnesses})),
            start=self._log.start,
            stop=self._log.start + self._tree.size,
            withheld=self._withheld,
            unchecked=self._unchecked,
        )

    @property
    def _size(self) -> int:
        return self._tree.size if self._log.size is None else self._log.size

    def _root(self, size: int) -> bytes | None:
        return self._tree.root() if self._range is None else self._range.root(size)

    def _add(self, index: int | None, check: str, expected: str, got: str) -> None:
        self._run.findings.add(self._log.tenant, index, check, expected, got)

    def _own_claims(self) -> list[Claim]:
        """Open the log's notes, each with the cosignatures that the source keeps beside it."""
        lines: dict[int, list[str]] = {}
        for one in self._log.cosignatures:
            lines.setdefault(one.size, []).append(one.line)
        found: list[Claim] = []
        for note in self._log.checkpoints:
            claim = self._run.open_note(note, self._log.tenant)
            if claim is not None:
                found.append(claim)
                for line in lines.pop(claim.size, []):
                    cosigned = note + line.rstrip("\n").encode(errors="replace") + b"\n"
                    with_line = self._run.open_note(cosigned, self._log.tenant)
                    if with_line is not None and with_line.witnesses:
                        found.append(with_line)
        for size in sorted(lines):
            self._add(None, Check.COSIGNATURE, f"a checkpoint of size {size} beside it", "none")
        return _merged(found)

    def _check_recorded(self) -> None:
        if not self._run.system_whole or self._log.tenant == SYSTEM_LOG:
            return
        recorded = {(claim.size, claim.root) for claim in self._run.recorded.get(self._log.tenant, [])}
        for claim in self._signed:
            if (claim.size, claim.root) not in recorded:
                self._add(None, Check.CHECKPOINT_RECORDED, f"an entry for size {claim.size}", "none")

    def _check_entry(self, entry: StoredEntry) -> None:
        leaf = leaf_hash(entry.header.encode(errors="surrogatepass"))
        self._tree.add(leaf)
        if self._claims and self._tree.size == self._claims[-1].size:
            self._settle_claims()
        if entry.leaf_hash is not None and entry.leaf_hash != leaf:
            self._add(entry.index, Check.LEAF_HASH, leaf.hex(), entry.leaf_hash.hex())
        try:
            header = parse_header(entry.header)
        except MalformedError as error:
            self._add(entry.index, Check.HEADER, "the canonical form", str(error))
            return
        self._check_columns(entry, header)
        # Not the index that the source gives: it may be any number, and here it takes memory.
        position = self._log.start + self._tree.size - 1
        payload = self._check_payload(entry, header, position)
        for breach in self._replay.observe(header, payload):
            kind = self._run.warnings if breach.invariant in CLOCK_INVARIANTS else self._run.findings
            kind.add(self._log.tenant, entry.index, breach.invariant, breach.expected, breach.got)
        for standing in self._erasures.observe_entry(position, header, payload):
            self._add(standing, Check.ERASURE, f"erased, as entry {position} says", "something else")
        for stray in self._intents.observe(position, header, payload):
            self._warn_of_effect(stray.index, "the outcome of an intent before", "of none that is open")
        if header.event is EventType.LOG_CHECKPOINT and not entry.withheld:
            self._record_checkpoint(entry.index, header, payload)

    def _settle_claims(self) -> None:
        while self._whole and self._claims and self._claims[-1].size == self._tree.size:
            self._settle(self._claims.pop(), self._tree.root())

    def _settle(self, claim: Claim, root: bytes) -> None:
        if claim.root == root:
            self._agreed.append(claim)
        else:
            at = f"at size {claim.size}"
            self._add(None, Check.CHECKPOINT_ROOT, f"{claim.root.hex()} {at}", f"{root.hex()} {at}")

    def _check_columns(self, entry: StoredEntry, header: Header) -> None:
        if entry.event is not None and entry.event != header.event:
            self._add(entry.index, Check.COLUMNS, header.event, "another event")
        time = time_in_microseconds(header.time)
        if entry.time_us is not None and entry.time_us != time:
            self._add(entry.index, Check.COLUMNS, str(time), str(entry.time_us))

    def _check_payload(self, entry: StoredEntry, header: Header, position: int) -> JsonValue:
        if entry.withheld:
            self._withheld += 1
            return None
        if entry.salt is None or entry.payload is None:
            self._check_erased(entry, position)
            return None
        if entry.erased_by is not None:
            self._add(entry.index, Check.ERASURE, "salt and payload erased, as is said", "both stand")
        try:
            verify_payload(header.commitment, entry.salt, entry.payload)
            return parse_canonical(entry.payload)
        except VerificationError as error:
            self._add(entry.index, Check.COMMITMENT, error.expected, error.got)
        except MalformedError as error:
            self._add(entry.index, Check.PAYLOAD, "canonical JSON", str(error))
        return None

    def _check_erased(self, entry: StoredEntry, position: int) -> None:
        self._erased += 1
        if entry.salt is not None or entry.payload is not None:
            self._add(entry.index, Check.ERASURE, "salt and payload erased together", "one of them")
        elif not self._erasures.observe_gone(position, entry.erased_by):
            self._add(entry.index, Check.ERASURE, "a later entry that erased it", "none")

    def _record_checkpoint(self, index: int, header: Header, payload: JsonValue) -> None:
        if self._log.tenant == SYSTEM_LOG and header.resource is not None and isinstance(payload, Mapping):
            size, root = payload.get("size"), payload.get("root")
            if isinstance(size, int) and size >= 0 and isinstance(root, str) and _HASH.fullmatch(root):
                claim = Claim(size, bytes.fromhex(root), signed=False)
                self._run.recorded.setdefault(header.resource, []).append(claim)
                return
        self._add(index, Check.PAYLOAD, "size and root of a checkpoint, in the system log", "something else")

    def _check_tile(self, level: int, nth: int, hashes: bytes) -> None:
        """Hold a tile that was recomputed from the entries against what the source holds for it."""
        if self._range is not None:
            nth += self._log.start // TILE_WIDTH
            if level:
                return  # of a part of the log: the real ones are checked from the tiles themselves
        width = len(hashes) // 32
        held = hashes if self._log.tiles is None else self._log.tiles(level, nth, width)
        if held != hashes:
            got = "none" if held is None else "other hashes"
            self._add(None, Check.TILE, f"the hashes below it in tile {nth} of level {level}", got)
        if level and self._log.subtrees is not None and self._log.subtrees(level, nth, width) != hashes:
            self._add(
                None, Check.TILE, f"the roots below them, {nth * TILE_WIDTH} on at level {level}", "others"
            )

    def _check_tiles_at_end(self) -> None:
        for level, nth, hashes in self._tree.partial_tiles():
            if not (self._range is not None and level):
                self._check_tile(level, nth, hashes)
        if self._range is None:
            return
        first = self._log.start // TILE_WIDTH
        shown = ((0, nth) for nth in range(first, first + self._tree.size // TILE_WIDTH))
        for level, nth in (*self._range.upper_faults(), *(at for at in shown if not self._range.fits(*at))):
            self._add(
                None, Check.TILE, f"tile {nth} of level {level} as the tile above says", "another or none"
            )

    def _check_end(self) -> None:
        for claim in self._claims:
            root = self._root(claim.size) if self._range is not None and claim.size <= self._size else None
            if root is not None:
                self._settle(claim, root)
            elif claim.size > self._size:
                self._add(None, Check.CHECKPOINT_SIZE, f"at least {claim.size} entries", str(self._size))
            else:
                self._unchecked += 1
        self._check_head()
        self._check_erasures()
        for intent in self._intents.unmatched():
            self._warn_of_effect(intent.index, "an outcome", "none: nobody knows what became of it")
        signed = [claim for claim in self._agreed if claim.signed]
        if self._size and not signed and self._is_to_be_signed():
            self._add(None, Check.SIGNED, "at least one that the log agrees with", "none")
        required = self._run.trust.required
        if self._size and required and not any(len(claim.witnesses) >= required for claim in signed):
            self._add(None, Check.COSIGNED, f"a checkpoint with {required} by trusted witnesses", "none")

    def _warn_of_effect(self, index: int, expected: str, got: str) -> None:
        """Tell of an effect outside the database; where entries are left out, its other half may stand there."""
        if self._whole and not self._withheld:
            self._run.warnings.add(self._log.tenant, index, Check.INTENT, expected, got)

    def _check_head(self) -> None:
        if self._whole and self._log.head is not None:
            edge: CompactRange = self._tree.edge()
            if self._log.head != (edge.size, edge.encode()):
                got = f"size {self._log.head[0]}, or another edge"
                self._add(None, Check.HEAD, f"size {edge.size} and the edge of root {edge.root().hex()}", got)

    def _check_erasures(self) -> None:
        for index, eraser in self._unsettled():
            if self._whole and not self._withheld:
                self._add(index, Check.ERASURE, f"entry {eraser} to say that it erased it", "no such entry")
            else:
                self._replay.unproven += 1

    def _unsettled(self) -> Iterator[tuple[int, int]]:
        return self._erasures.unsettled()

    def _is_to_be_signed(self) -> bool:
        if not self._run.unsigned_allowed:
            return True
        # What records a tenant's checkpoint is signed in the same transaction.
        return bool(self._run.recorded) if self._log.tenant == SYSTEM_LOG else self._was_recorded


def _merged(claims: list[Claim]) -> list[Claim]:
    """Return one claim for each size and root, with the witnesses of all."""
    found: dict[tuple[int, bytes], set[str]] = {}
    for claim in claims:
        found.setdefault((claim.size, claim.root), set()).update(claim.witnesses)
    return [
        Claim(size, root, signed=True, witnesses=tuple(sorted(names)))
        for (size, root), names in found.items()
    ]
