"""Going through one log: leaves, tiles, roots and what its entries say.

Owns one pass over each. It leaves what is known across logs to `audit.verify_run`, checkpoints to
`audit.verify_checkpoints`, invariants of entries to `audit.replay`, trees to `audit.growing_tree` and
`audit.range_tree`, keys to `audit.succession`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError, VerificationError
from audit.event import (
    ERASABLE,
    EventType,
    Header,
    Outcome,
    parse_header,
    time_in_microseconds,
    verify_payload,
)
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredEntry
from audit.growing_tree import GrowingTree
from audit.intent import IntentLedger
from audit.merkle import CompactRange, leaf_hash
from audit.range_tree import RangeTree
from audit.replay import CLOCK_INVARIANTS, Erasures, Replay
from audit.report import Check, LogSummary
from audit.succession import KeyWatch
from audit.tiles import TILE_WIDTH
from audit.verify_beside import SignedTree, erased_by
from audit.verify_checkpoints import Checkpoints
from audit.verify_run import Recorded, Run

_HASH: Final = re.compile(r"[0-9a-f]{64}")


class LogRun:
    """One pass over one log."""

    def __init__(self, run: Run, log: LogEvidence) -> None:
        self._run = run
        self._log = log
        self._whole = log.size is None
        self._tree = GrowingTree(self._check_tile)
        self._range = None if log.size is None else RangeTree(log.size, log.tiles or (lambda *_: None))
        self._erased = self._withheld = 0
        self._beside: set[int] = set()
        """Entries behind the range that were shown; at most as many as a manifest may list."""
        self._erasures = Erasures(log.tenant, log.start)
        self._intents = IntentLedger()
        self._replay = Replay(log.tenant, run.now, run.policies, begun=log.start > 0)
        self._keys = KeyWatch(run.keys, log.tenant)
        self._checkpoints = Checkpoints(run, log, self._keys)

    def verify(self) -> LogSummary:
        """Go through the log and return what was seen; findings go to the run."""
        self._checkpoints.settle(self._tree)
        index = self._log.start
        for entry in self._log.entries:
            if entry.index != index:
                self._add(entry.index, Check.INDEX, str(index), str(entry.index))
            index = entry.index + 1
            self._check_entry(entry)
        self._check_tiles_at_end()
        for stray in self._keys.strays():
            self._add(stray, Check.HANDOVER, "one from or to a key that was given", "one between others")
        self._checkpoints.judge(self._size, self._root)
        self._check_end()
        if self._log.tenant == SYSTEM_LOG:
            self._run.policies = self._replay.policies
            self._run.system_whole = self._whole and not self._withheld
        return self._summary()

    def _summary(self) -> LogSummary:
        seen = self._checkpoints
        return LogSummary(
            tenant=self._log.tenant,
            size=self._size,
            root=self._root(self._size) or b"",
            signed_size=seen.signed_size,
            checkpoints=seen.count,
            erased=self._erased,
            unproven=self._replay.unproven,
            cosigned_size=seen.cosigned_size,
            witnesses=tuple(sorted(seen.witnesses)),
            start=self._log.start,
            stop=self._log.start + self._tree.size,
            withheld=self._withheld,
            unchecked=seen.unchecked,
            earlier=seen.earlier,
            beside=len(self._beside),
            handovers=self._keys.followed(),
        )

    @property
    def _size(self) -> int:
        return self._tree.size if self._log.size is None else self._log.size

    def _root(self, size: int) -> bytes | None:
        return self._tree.root() if self._range is None else self._range.root(size)

    def _add(self, index: int | None, check: str, expected: str, got: str) -> None:
        self._run.findings.add(self._log.tenant, index, check, expected, got)

    def _check_entry(self, entry: StoredEntry) -> None:
        leaf = leaf_hash(entry.header.encode(errors="surrogatepass"))
        self._tree.add(leaf)
        if self._tree.size >= self._checkpoints.due:
            self._checkpoints.settle(self._tree)
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
        if header.event is EventType.LOG_KEY and header.outcome is Outcome.OK:
            self._observe_key(position, payload, withheld=entry.withheld)

    def _observe_key(self, index: int, payload: JsonValue, *, withheld: bool) -> None:
        if withheld:
            self._replay.unproven += 1
            return
        try:
            self._keys.observe(index, payload)
        except VerificationError as error:
            self._add(index, Check.HANDOVER, error.expected, error.got)
        except MalformedError as error:
            self._add(index, Check.HANDOVER, "a note by the old and the new key", str(error))

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
            self._check_erased(entry, header, position)
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

    def _check_erased(self, entry: StoredEntry, header: Header, position: int) -> None:
        self._erased += 1
        if header.event not in ERASABLE:
            self._add(entry.index, Check.ERASURE, f"the payload of {header.event}, which is kept", "none")
        if entry.salt is not None or entry.payload is not None:
            self._add(entry.index, Check.ERASURE, "salt and payload erased together", "one of them")
        elif not self._erasures.observe_gone(position, entry.erased_by):
            self._add(entry.index, Check.ERASURE, "a later entry that erased it", "none")

    def _record_checkpoint(self, index: int, header: Header, payload: JsonValue) -> None:
        if self._log.tenant == SYSTEM_LOG and header.resource is not None and isinstance(payload, Mapping):
            size, root = payload.get("size"), payload.get("root")
            if isinstance(size, int) and size >= 0 and isinstance(root, str) and _HASH.fullmatch(root):
                self._run.recorded.setdefault(header.resource, Recorded()).add(size, bytes.fromhex(root))
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

    def _check_beside(self) -> None:
        """Take note of the entries behind a range that erased payloads in it; only a signed tree shows them."""
        seen = self._checkpoints
        reach = seen.cosigned_size if self._run.trust.required else seen.signed_size
        root = self._root(self._size) if reach == self._size else None
        shown = range(self._log.start, self._log.start + self._tree.size)
        above = shown.stop - 1
        for beside in self._log.beside:
            index = beside.entry.index
            if root is None:
                continue  # read all the same: each file is held against its digest
            tree = SignedTree(self._log.tenant, self._size, root)
            try:
                named = erased_by(beside, tree, shown, above)
            except VerificationError as error:
                self._add(index, Check.BESIDE, error.expected, error.got)
                continue
            except MalformedError as error:
                self._add(index, Check.BESIDE, "an entry in its form", str(error))
                continue
            above = index
            self._beside.add(index)
            for standing in self._erasures.observe_beside(index, named):
                self._add(standing, Check.ERASURE, f"erased, as entry {index} says", "something else")

    def _check_end(self) -> None:
        self._check_head()
        self._check_beside()
        self._check_erasures()
        for intent in self._intents.unmatched():
            self._warn_of_effect(intent.index, "an outcome", "none: nobody knows what became of it")
        seen = self._checkpoints
        # An empty log, too: whoever holds no key could otherwise say that there is none.
        if not seen.count and self._is_to_be_signed():
            self._add(None, Check.SIGNED, "at least one that the log agrees with", "none")
        self._check_cosigned(seen.cosigned_size)

    def _check_cosigned(self, cosigned: int) -> None:
        """Hold what is shown against the last checkpoint that enough witnesses cosigned.

        Threat: an old cosigned checkpoint, and behind it a history that no witness saw.
        """
        trust, stop = self._run.trust, self._log.start + self._tree.size
        if not trust.required or not self._size or (cosigned and cosigned + trust.may_lag >= stop):
            return
        expected = f"a checkpoint with {trust.required} by trusted witnesses that covers entry {stop - 1}"
        lag = f", or all but {trust.may_lag} before it" if trust.may_lag else ""
        got = f"one of size {cosigned}" if cosigned else "none"
        self._add(None, Check.COSIGNED, expected + lag, got)

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
        self._replay.unproven += self._erasures.not_shown
        for index, eraser in self._unsettled():
            if self._is_answerable(eraser):
                self._add(index, Check.ERASURE, f"entry {eraser} to say that it erased it", "no such entry")
            else:
                self._replay.unproven += 1

    def _is_answerable(self, eraser: int) -> bool:
        """Say whether an entry that is said to have erased another would have to be seen here."""
        shown = self._log.start <= eraser < self._log.start + self._tree.size
        return eraser >= self._size or eraser in self._beside or (shown and not self._withheld)

    def _unsettled(self) -> Iterator[tuple[int, int]]:
        return self._erasures.unsettled()

    def _is_to_be_signed(self) -> bool:
        if not self._run.unsigned_allowed:
            return True
        # What records a tenant's checkpoint is signed in the same transaction.
        return bool(self._run.recorded) if self._log.tenant == SYSTEM_LOG else self._checkpoints.was_recorded
