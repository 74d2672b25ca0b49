"""Evidence bundles: logs in one file, to be carried away and verified elsewhere.

Owns what the files of a bundle hold, and writing them as a stream. It leaves the container to `audit.archive`,
which files there are to `audit.bundle_section`, the list of them to `audit.manifest`, reading them to
`audit.bundle_reading` and judging to `audit.verify_bundle`: whoever made the bundle chose what is in it.

    evidence/clinic-a/checkpoint                  the last checkpoint, as C2SP tlog-tiles serves it
    evidence/clinic-a/checkpoints/000000000.jsonl all of them, one JSON text a line, with cosignatures
    evidence/clinic-a/tile/entries/000.p/42       headers: two bytes of length, then the leaf's bytes
    evidence/clinic-a/tile/0/000.p/42             leaf hashes, and so on upwards
    evidence/clinic-a/payloads/000000000.jsonl    {"index":0,"payload":"{…}","salt":"…"}
    evidence/clinic-a/beside/000000000.tlog-proof of a range: an entry behind it that erased payloads in it
    evidence/manifest.json                        last, as it holds the digests of the others

Unpacked, the folder of a log is a C2SP tile log, which any monitor can follow.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from typing import BinaryIO, Final

from audit.archive import TOP, ArchiveWriter
from audit.bundle_section import CHECKPOINTS_A_FILE, LogSection
from audit.evidence import EntryBeside, LogEvidence, StoredEntry
from audit.growing_tree import GrowingTree
from audit.manifest import MANIFEST, Export, FileLine, Manifest
from audit.merkle import HASH_SIZE, CompactRange, leaf_hash
from audit.note import is_key_name
from audit.proof import CarriedEntry, TlogProof
from audit.signing import VerifierKey
from audit.tiles import MAX_ENTRY_SIZE, TILE_WIDTH, encode_entry_bundle, entries_path, tile_path

_MAX_DIGITS: Final = 19
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))

_Line = dict[str, object]


def dump(value: object) -> bytes:
    """Return JSON in ASCII with sorted keys: the one spelling of a line."""
    return _ENCODER.encode(value).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class BundleTerms:
    """What a bundle is to say of itself and to leave out."""

    complete: bool
    """Whether these are all the logs of the deployment."""
    policy: str | None = None
    """Digest of the policy in force at the export."""
    exported: Export | None = None
    witnesses: tuple[str, ...] = ()
    """Verifier keys of the witnesses that the deployment uses."""
    payloads: bool = True
    """Whether to carry salts and payloads."""


def write_bundle(
    file: BinaryIO, keys: Sequence[VerifierKey], logs: Iterable[LogEvidence], terms: BundleTerms
) -> int:
    """Write logs as a bundle, as a stream, and return the number of entries written.

    Args:
        file: Where to; it need not be sought in.
        keys: The deployment's log keys, for the reader's information.
        logs: In order, the system log first where it is among them.
        terms: What the bundle says of itself.
    """
    writer = _Writer(file, terms)
    for log in logs:
        writer.write_log(log)
    return writer.end([str(key) for key in keys])


class _Writer:
    """Writes files and remembers what the manifest will say of them."""

    def __init__(self, file: BinaryIO, terms: BundleTerms) -> None:
        self._archive = ArchiveWriter(file)
        self._terms = terms
        self._lines = bytearray()
        """Of the files, as the manifest lists them."""
        self._logs: list[LogSection] = []

    def write_log(self, log: LogEvidence) -> None:
        upper: dict[tuple[int, int], bytes] = {}
        tree = GrowingTree(lambda level, nth, hashes: upper.update({(level, nth): hashes} if level else {}))
        entries, nth, stop = iter(log.entries), log.start // TILE_WIDTH, log.start
        while batch := list(islice(entries, TILE_WIDTH)):
            self._write_entries(log, nth, batch, tree)
            nth, stop = nth + 1, stop + len(batch)
        upper |= {(level, at): hashes for level, at, hashes in tree.partial_tiles()}
        section = LogSection(
            log=log.tenant,
            origin=_origin_of(log),
            size=stop if log.size is None else log.size,
            root=_root_of(log, tree).hex(),
            start=log.start,
            stop=stop,
            checkpoints=len(log.checkpoints),
            left_out=0,
            payloads=self._terms.payloads,
        )
        for level, at, width in section.upper_tiles():
            hashes = _tile_of(log, level, at, width) or upper.get((level, at), b"")
            self._add(f"{log.tenant}/{tile_path(level, at, width)}", hashes)
        notes = _kept_notes(log, section)
        if notes:
            self._add(f"{log.tenant}/checkpoint", notes[-1])
        left_out = len(log.checkpoints) - len(notes)
        beside = list(log.beside) if notes and self._terms.payloads else []
        section = replace(section, checkpoints=len(notes), left_out=left_out, beside=len(beside))
        lines = (dump(note.decode(errors="replace")) for note in notes)
        for path in section.checkpoints_paths():
            self._add(path, b"".join(islice(lines, CHECKPOINTS_A_FILE)))
        for nth, one in enumerate(beside):
            self._add(section.beside_path(nth), _proof_of(one, notes[-1]))
        self._logs.append(section)

    def _write_entries(self, log: LogEvidence, nth: int, batch: list[StoredEntry], tree: GrowingTree) -> None:
        leaves = [entry.header.encode(errors="replace")[:MAX_ENTRY_SIZE] for entry in batch]
        hashes = [leaf_hash(leaf) for leaf in leaves]
        for one in hashes:
            tree.add(one)
        width = len(batch)
        self._add(f"{log.tenant}/{entries_path(nth, width)}", encode_entry_bundle(leaves))
        tile = _tile_of(log, 0, nth, width) or b"".join(hashes)
        self._add(f"{log.tenant}/{tile_path(0, nth, width)}", tile)
        if self._terms.payloads:
            path = f"{log.tenant}/payloads/{nth:09d}.jsonl"
            self._add(path, b"".join(dump(_payload_line(entry)) for entry in batch))

    def end(self, keys: list[str]) -> int:
        manifest = Manifest(
            complete=self._terms.complete,
            keys=tuple(keys),
            witnesses=self._terms.witnesses,
            policy=self._terms.policy,
            exported=self._terms.exported,
            logs=tuple(self._logs),
        )
        self._archive.add(f"{TOP}/{MANIFEST}", manifest.encode(bytes(self._lines)))
        self._archive.end()
        return sum(log.stop - log.start for log in self._logs)

    def _add(self, path: str, content: bytes) -> None:
        self._archive.add(f"{TOP}/{path}", content)
        line = FileLine(path, len(content), sha256(content).hexdigest()).encode()
        self._lines += b"," + line if self._lines else line


def _proof_of(beside: EntryBeside, note: bytes) -> bytes:
    entry = beside.entry
    carried = CarriedEntry(entry.header.encode(), entry.salt, entry.payload)
    return TlogProof(entry.index, beside.path, note, carried.encode()).encode()


def _kept_notes(log: LogEvidence, section: LogSection) -> list[bytes]:
    """Return the notes whose tree the bundle can show, each with the cosignatures kept beside it."""
    lines: dict[int, list[bytes]] = {}
    for one in log.cosignatures:
        lines.setdefault(one.size, []).append(one.line.rstrip("\n").encode() + b"\n")
    whole = log.size is None
    return [
        note + b"".join(line for line in lines.get(size_of(note), []) if line not in note)
        for note in log.checkpoints
        if whole or section.covers(size_of(note))
    ]


def size_of(note: bytes) -> int:
    """Return the tree size that a note speaks of, -1 where it has none; nothing is verified."""
    lines = note.split(b"\n", 2)
    size = lines[1] if len(lines) > 1 else b""
    return int(size) if size.isdigit() and len(size) <= _MAX_DIGITS else -1


def _origin_of(log: LogEvidence) -> str:
    first = log.checkpoints[-1].split(b"\n", 1)[0].decode(errors="replace") if log.checkpoints else ""
    return first if is_key_name(first) and first.isascii() else "none"


def _root_of(log: LogEvidence, tree: GrowingTree) -> bytes:
    if log.size is None:
        return tree.root()
    return CompactRange.decode(*log.head).root() if log.head is not None else bytes(HASH_SIZE)


def _tile_of(log: LogEvidence, level: int, nth: int, width: int) -> bytes | None:
    return None if log.tiles is None else log.tiles(level, nth, width)


def _payload_line(entry: StoredEntry) -> _Line:
    line: _Line = {"index": entry.index}
    if entry.payload is not None:
        line["payload"] = entry.payload
    if entry.salt is not None:
        line["salt"] = b64encode(entry.salt).decode()
    if entry.erased_by is not None:
        line["erased_by"] = entry.erased_by
    return line
