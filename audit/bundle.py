"""Evidence bundles: logs in one file, to be carried away and verified elsewhere.

Owns what the files of a bundle hold, writing them as a stream and reading them strictly. It leaves the
container to `audit.archive`, the list of files to `audit.manifest` and judging to `audit.verify_bundle`:
whoever made the bundle chose what is in it.

    evidence/clinic-a/checkpoint                  the last checkpoint, as C2SP tlog-tiles serves it
    evidence/clinic-a/checkpoints/000000000.jsonl all of them, one JSON text a line, with cosignatures
    evidence/clinic-a/tile/entries/000.p/42       headers: two bytes of length, then the leaf's bytes
    evidence/clinic-a/tile/0/000.p/42             leaf hashes, and so on upwards
    evidence/clinic-a/payloads/000000000.jsonl    {"index":0,"payload":"{…}","salt":"…"}
    evidence/manifest.json                        last, as it holds the digests of the others

Unpacked, the folder of a log is a C2SP tile log, which any monitor can follow.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import islice
from typing import BinaryIO, Final, TypeGuard, TypeVar, overload

from audit.archive import TOP, ArchiveReader, ArchiveWriter
from audit.canonical import MAX_INTEGER
from audit.errors import BundleMalformedError, MalformedError
from audit.evidence import LogEvidence, StoredEntry
from audit.growing_tree import GrowingTree
from audit.manifest import (
    CHECKPOINTS_A_FILE,
    MANIFEST,
    MAX_MANIFEST_SIZE,
    Export,
    FileLine,
    LogSection,
    Manifest,
    parse_manifest,
)
from audit.merkle import HASH_SIZE, CompactRange, leaf_hash
from audit.note import MAX_NOTE_SIZE, is_key_name, parse_base64
from audit.signing import VerifierKey
from audit.tiles import (
    MAX_ENTRY_SIZE,
    TILE_WIDTH,
    encode_entry_bundle,
    entries_path,
    parse_entry_bundle,
    tile_path,
)

MAX_CHECKPOINTS_SIZE: Final = 64 << 20
MAX_ENTRIES_SIZE: Final = TILE_WIDTH * 65537
MAX_PAYLOADS_SIZE: Final = 320 << 20
_MAX_DIGITS: Final = 19

_Line = dict[str, object]


def dump(value: object) -> bytes:
    """Return JSON in ASCII with sorted keys: the one spelling of a line."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


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
        self._files: list[FileLine] = []
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
        section = replace(section, checkpoints=len(notes), left_out=len(log.checkpoints) - len(notes))
        lines = (dump(note.decode(errors="replace")) for note in notes)
        for path in section.checkpoints_paths():
            self._add(path, b"".join(islice(lines, CHECKPOINTS_A_FILE)))
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
            files=tuple(self._files),
        )
        self._archive.add(f"{TOP}/{MANIFEST}", manifest.encode())
        self._archive.end()
        return sum(log.stop - log.start for log in self._logs)

    def _add(self, path: str, content: bytes) -> None:
        self._archive.add(f"{TOP}/{path}", content)
        self._files.append(FileLine(path, len(content), sha256(content).hexdigest()))


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


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose manifest was read; `logs` reads on as it is iterated, in order."""

    manifest: Manifest
    logs: Iterator[LogEvidence]
    altered: Mapping[str, None] = field(default_factory=dict)
    """Paths of files, read so far, that are not those which the manifest lists; each once."""


def read_bundle(file: BinaryIO) -> Bundle:
    """Open a bundle, in bounded memory; the file must be one that can be sought in.

    Raises:
        BundleMalformedError: now or while `logs` is iterated: not a bundle, or it breaks off.
    """
    archive = ArchiveReader(file)
    manifest = parse_manifest(archive.read(f"{TOP}/{MANIFEST}", MAX_MANIFEST_SIZE))
    listed = [(f"{TOP}/{line.path}", line.size) for line in manifest.files]
    found = [(member.path, member.size) for member in archive.members.values()][:-1]
    if listed != found:
        raise BundleMalformedError("expected the files that the manifest lists, in its order, and it last")
    reader = _Reader(archive, manifest)
    return Bundle(manifest, reader.logs(), reader.altered)


class _Reader:
    """Reads a bundle's files, each against its digest."""

    def __init__(self, archive: ArchiveReader, manifest: Manifest) -> None:
        self._archive = archive
        self._manifest = manifest
        self._digests = {line.path: line.digest for line in manifest.files}
        self.altered: dict[str, None] = {}

    def read(self, path: str, limit: int) -> bytes:
        content = self._archive.read(f"{TOP}/{path}", limit)
        if sha256(content).hexdigest() != self._digests[path]:
            self.altered[path] = None
        return content

    def logs(self) -> Iterator[LogEvidence]:
        for section in self._manifest.logs:
            whole = section.start == 0 and section.stop == section.size
            yield LogEvidence(
                tenant=section.log,
                checkpoints=_BundleNotes(self, section),
                entries=self._entries(section),
                tiles=_BundleTiles(self, section.log),
                start=section.start,
                size=None if whole else section.size,
            )

    def _entries(self, section: LogSection) -> Iterator[StoredEntry]:
        for nth in range(section.start // TILE_WIDTH, -(-section.stop // TILE_WIDTH)):
            first = nth * TILE_WIDTH
            width = min(TILE_WIDTH, section.size - first)
            content = self.read(f"{section.log}/{entries_path(nth, width)}", MAX_ENTRIES_SIZE)
            headers = _parse_headers(content, width)
            if not section.payloads:
                for offset, header in enumerate(headers):
                    yield StoredEntry(first + offset, header, None, None, withheld=True)
                continue
            lines = _lines(self.read(section.payloads_path(nth), MAX_PAYLOADS_SIZE), width)
            if len(lines) != width:
                raise BundleMalformedError(f"expected {width} lines of payloads, got {len(lines)}")
            for header, line in zip(headers, lines, strict=True):
                yield _parse_entry(header, _parse_line(line, dict))


class _BundleNotes(Sequence[bytes]):
    """Checkpoints of one log in a bundle, read file by file each time they are gone through."""

    def __init__(self, reader: _Reader, section: LogSection) -> None:
        self._reader = reader
        self._section = section
        if section.checkpoints:
            last = reader.read(f"{section.log}/checkpoint", MAX_NOTE_SIZE)
            if self[-1] != last:
                raise BundleMalformedError("expected the last checkpoint alone, too")

    def __len__(self) -> int:
        return self._section.checkpoints

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(at, slice):
            return [self[nth] for nth in range(*at.indices(len(self)))]
        nth = range(len(self))[at]
        return _parse_note_line(self._lines_of(nth // CHECKPOINTS_A_FILE)[nth % CHECKPOINTS_A_FILE])

    def __iter__(self) -> Iterator[bytes]:
        for nth in range(-(-len(self) // CHECKPOINTS_A_FILE)):
            yield from map(_parse_note_line, self._lines_of(nth))

    def _lines_of(self, nth: int) -> list[bytes]:
        due = min(CHECKPOINTS_A_FILE, len(self) - nth * CHECKPOINTS_A_FILE)
        lines = _lines(self._reader.read(self._section.checkpoints_path(nth), MAX_CHECKPOINTS_SIZE), due)
        if len(lines) != due:
            raise BundleMalformedError(f"expected {due} checkpoints in a file, got {len(lines)}")
        return lines


def _parse_note_line(line: bytes) -> bytes:
    return _parse_line(line, str).encode(errors="surrogatepass")


@dataclass(frozen=True, slots=True)
class _BundleTiles:
    """Tiles of one log in a bundle; see `audit.evidence.HashReader`."""

    reader: _Reader
    log: str

    def __call__(self, level: int, index: int, width: int) -> bytes | None:
        path = f"{self.log}/{tile_path(level, index, width)}"
        held = path in self.reader._digests  # noqa: SLF001  # the two are one thing
        return self.reader.read(path, TILE_WIDTH * HASH_SIZE) if held else None


def _parse_headers(content: bytes, width: int) -> list[str]:
    try:
        return [leaf.decode() for leaf in parse_entry_bundle(content, width)]
    except (MalformedError, UnicodeDecodeError) as error:
        raise BundleMalformedError("expected an entry bundle of texts") from error


def _lines(content: bytes, most: int) -> list[bytes]:
    # Counted before they are split: a file of newlines alone would become an object for each byte.
    if content.count(b"\n") > most:
        raise BundleMalformedError(f"expected at most {most} lines, got more")
    lines = content.split(b"\n")
    if lines.pop():
        raise BundleMalformedError("expected lines that end with a newline")
    return lines


_Kind = TypeVar("_Kind", str, dict[str, object])
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_MEMBER: Final = rb'"[a-z_]{1,16}":(?:' + _STRING + rb"|[0-9]{1,19}+)"
_FORMS: Final[Mapping[type, re.Pattern[bytes]]] = {
    str: re.compile(_STRING),
    dict: re.compile(rb"\{" + _MEMBER + rb"(?:," + _MEMBER + rb"){0,8}\}"),
}


def _parse_line(line: bytes, kind: type[_Kind]) -> _Kind:
    # Its outer form first: what is nested would cost a parser twenty times its bytes.
    if not _FORMS[kind].fullmatch(line):
        raise BundleMalformedError("expected lines of JSON without values inside values")
    try:
        value = json.loads(line)
    except ValueError as error:
        raise BundleMalformedError("expected lines of JSON") from error
    if not isinstance(value, kind) or dump(value)[:-1] != line:
        raise BundleMalformedError("expected lines of JSON in the one form that is written")
    return value


def _parse_entry(header: str, line: _Line) -> StoredEntry:
    index, erased_by = line.get("index"), line.get("erased_by")
    payload, salt = line.get("payload"), line.get("salt")
    if not line.keys() <= {"erased_by", "index", "payload", "salt"} or not _is_index(index):
        raise BundleMalformedError("expected a line of index, payload and salt")
    if not isinstance(payload, str | None) or not (erased_by is None or _is_index(erased_by)):
        raise BundleMalformedError("expected a payload as text, and the index of what erased it")
    return StoredEntry(index, header, _parse_salt(salt), payload, erased_by=erased_by)


def _is_index(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INTEGER


def _parse_salt(text: object) -> bytes | None:
    if text is None:
        return None
    salt = parse_base64(text) if isinstance(text, str) else None
    if salt is None:
        raise BundleMalformedError("expected a salt in base64")
    return salt
