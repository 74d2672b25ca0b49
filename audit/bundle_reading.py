"""Reading evidence bundles: strictly, as a stream, and without believing any of it.

Owns what the files of a bundle mean. It leaves finding them to `audit.bundle_files` and judging to
`audit.verify_bundle`; the form is told in `audit.bundle`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, TypeGuard, TypeVar, overload

from audit.bundle import dump
from audit.bundle_files import BundleFiles
from audit.bundle_section import CHECKPOINTS_A_FILE, LogSection
from audit.canonical import MAX_INTEGER
from audit.errors import BundleMalformedError, MalformedError
from audit.evidence import EntryBeside, LogEvidence, StoredEntry
from audit.manifest import Manifest
from audit.merkle import HASH_SIZE
from audit.note import MAX_NOTE_SIZE, parse_base64
from audit.proof import MAX_PROOF_SIZE, parse_carried, parse_proof
from audit.tiles import TILE_WIDTH, parse_entry_bundle

MAX_CHECKPOINTS_SIZE: Final = 64 << 20
MAX_ENTRIES_SIZE: Final = TILE_WIDTH * 65537
MAX_PAYLOADS_SIZE: Final = 320 << 20

_Line = dict[str, object]


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
    files = BundleFiles(file)
    logs = (_LogFiles(files, nth).evidence() for nth in range(len(files.manifest.logs)))
    return Bundle(files.manifest, logs, files.altered)


class _LogFiles:
    """Reads the files of one log."""

    def __init__(self, files: BundleFiles, nth: int) -> None:
        self._files = files
        self._nth = nth
        self.section: LogSection = files.manifest.logs[nth]

    def read(self, place: int, limit: int) -> bytes:
        return self._files.read(self._nth, place, limit)

    def evidence(self) -> LogEvidence:
        section = self.section
        return LogEvidence(
            tenant=section.log,
            checkpoints=_BundleNotes(self),
            entries=self._entries(),
            tiles=self._tile,
            start=section.start,
            size=None if section.whole else section.size,
            beside=self._beside(),
        )

    def _tile(self, level: int, index: int, width: int) -> bytes | None:
        """Return a tile of hashes; see `audit.evidence.HashReader`."""
        place = self.section.tile_place(level, index, width)
        return None if place is None else self.read(place, TILE_WIDTH * HASH_SIZE)

    def _entries(self) -> Iterator[StoredEntry]:
        section = self.section
        for nth in range(section.start // TILE_WIDTH, -(-section.stop // TILE_WIDTH)):
            first = nth * TILE_WIDTH
            width = min(TILE_WIDTH, section.size - first)
            headers = _parse_headers(self.read(section.entries_place(nth), MAX_ENTRIES_SIZE), width)
            if not section.payloads:
                for offset, header in enumerate(headers):
                    yield StoredEntry(first + offset, header, None, None, withheld=True)
                continue
            lines = _lines(self.read(section.payloads_place(nth), MAX_PAYLOADS_SIZE), width)
            if len(lines) != width:
                raise BundleMalformedError(f"expected {width} lines of payloads, got {len(lines)}")
            for header, line in zip(headers, lines, strict=True):
                yield _parse_entry(header, _parse_line(line, dict))

    def _beside(self) -> Iterator[EntryBeside]:
        """Yield the entries beside a range, of proofs that go by the checkpoint that the bundle ends with."""
        section = self.section
        note = self.read(section.checkpoint_place, MAX_NOTE_SIZE) if section.beside else b""
        for nth in range(section.beside):
            proof = parse_proof(self.read(section.beside_place(nth), MAX_PROOF_SIZE))
            if proof.checkpoint != note or proof.extra is None:
                raise BundleMalformedError("expected an entry beside the range, and the last checkpoint")
            carried = parse_carried(proof.extra)
            header = carried.header.decode(errors="replace")
            yield EntryBeside(StoredEntry(proof.index, header, carried.salt, carried.payload), proof.path)


class _BundleNotes(Sequence[bytes]):
    """Checkpoints of one log in a bundle, read file by file each time they are gone through."""

    def __init__(self, files: _LogFiles) -> None:
        self._files = files
        self._section = files.section
        if len(self):
            last = files.read(self._section.checkpoint_place, MAX_NOTE_SIZE)
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
        lines = _lines(self._files.read(self._section.checkpoints_place(nth), MAX_CHECKPOINTS_SIZE), due)
        if len(lines) != due:
            raise BundleMalformedError(f"expected {due} checkpoints in a file, got {len(lines)}")
        return lines


def _parse_note_line(line: bytes) -> bytes:
    return _parse_line(line, str).encode(errors="surrogatepass")


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
        value = json.loads(line.decode("ascii"))
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
