"""The manifest of an evidence bundle: what is in it, from whom, for what, and which files lie where.

Owns the manifest's form, its strict reading, and the one list of files that follows from it. It leaves
the archive to `audit.archive` and contents to `audit.bundle`. Canonical JSON (RFC 8785):

    {"complete":false,
     "exported":{"by":"auditor-1","entry":41,"purpose":"audit","time":"2026-11-22T18:51:27.000001Z"},
     "files":[["clinic-a/checkpoint",312,"5f…"],…],
     "format":"memos-vault-audit/2","keys":["memos-vault/ward-1+8a1b2c3d+AQ…"],
     "logs":[{"checkpoints":3,"left_out":0,"log":"clinic-a","origin":"memos-vault/ward-1/clinic-a",
              "payloads":true,"root":"ab…","size":42,"start":0,"stop":42}],
     "policy":"sha256:9a…","witnesses":[]}

Nothing in it is signed: it says what to expect, and every word of it that matters is checked against the
tree, whose root is signed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from audit.canonical import JsonValue, canonical, parse_canonical
from audit.errors import BundleMalformedError, MalformedError
from audit.event import is_id
from audit.tiles import TILE_WIDTH, entries_path, tile_path

FORMAT: Final = "memos-vault-audit/2"
MANIFEST: Final = "manifest.json"
MAX_MANIFEST_SIZE: Final = 24 << 20
MAX_LOGS: Final = 10_000
_SLACK: Final = 4_096
MAX_SIZE: Final = 2**40
CHECKPOINTS_A_FILE: Final = 4096

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_WORD: Final = re.compile(r"[ -~]{1,255}")
_KEYS: Final = frozenset({"complete", "exported", "files", "format", "keys", "logs", "policy", "witnesses"})
_EXPORT_KEYS: Final = frozenset({"by", "entry", "purpose", "time"})
_LOG_KEYS: Final = frozenset(
    {"checkpoints", "left_out", "log", "origin", "payloads", "root", "size", "start", "stop"}
)


@dataclass(frozen=True, slots=True)
class Export:
    """Who made a bundle and why, as the bundle says; the log's own entry of the export proves it."""

    by: str
    """Principal's id."""
    purpose: str
    time: str
    entry: int
    """Leaf index of the entry that records the export."""


@dataclass(frozen=True, slots=True)
class LogSection:
    """What the bundle holds of one log."""

    log: str
    """Tenant's id."""
    origin: str
    size: int
    """Of the tree at the export."""
    root: str
    """Of that tree, 64 hex digits."""
    start: int
    """First entry: a multiple of 256."""
    stop: int
    """Behind the last entry: a multiple of 256, or the size."""
    checkpoints: int
    """Number of notes."""
    left_out: int
    """Checkpoints that entries outside the range would be needed for."""
    payloads: bool
    """Whether salts and payloads are there, but for those that were erased."""

    def paths(self) -> Iterator[str]:
        """Yield the paths of the section's files, in the order in which they are written."""
        for nth in range(self.start // TILE_WIDTH, -(-self.stop // TILE_WIDTH)):
            width = min(TILE_WIDTH, self.size - nth * TILE_WIDTH)
            yield f"{self.log}/{entries_path(nth, width)}"
            yield f"{self.log}/{tile_path(0, nth, width)}"
            if self.payloads:
                yield self.payloads_path(nth)
        for level, nth, width in self.upper_tiles():
            yield f"{self.log}/{tile_path(level, nth, width)}"
        if self.checkpoints:
            yield f"{self.log}/checkpoint"
            yield from self.checkpoints_paths()

    def payloads_path(self, nth: int) -> str:
        """Return the path of the salts and payloads of the entries of a tile."""
        return f"{self.log}/payloads/{nth:09d}.jsonl"

    def checkpoints_paths(self) -> Iterator[str]:
        """Yield the paths of the files of checkpoints, so many in each."""
        for nth in range(-(-self.checkpoints // CHECKPOINTS_A_FILE)):
            yield self.checkpoints_path(nth)

    def checkpoints_path(self, nth: int) -> str:
        """Return the path of one of the files of checkpoints."""
        return f"{self.log}/checkpoints/{nth:09d}.jsonl"

    def upper_tiles(self) -> Iterator[tuple[int, int, int]]:
        """Yield level, index and width of the tiles that speak for entries outside the range, too."""
        if self.size % TILE_WIDTH and self.stop < self.size:
            yield 0, self.size // TILE_WIDTH, self.size % TILE_WIDTH
        level, hashes = 1, self.size // TILE_WIDTH
        while hashes:
            for nth in range(-(-hashes // TILE_WIDTH)):
                yield level, nth, min(TILE_WIDTH, hashes - nth * TILE_WIDTH)
            level, hashes = level + 1, hashes // TILE_WIDTH

    def covers(self, size: int) -> bool:
        """Tell whether the tree of `size` can be computed from what the bundle holds."""
        edge = size - size % TILE_WIDTH
        in_range = self.start <= edge < self.stop
        return 0 <= size <= self.size and (
            edge == size or in_range or edge == self.size - self.size % TILE_WIDTH
        )


@dataclass(frozen=True, slots=True)
class FileLine:
    """One file, as the manifest lists it."""

    path: str
    size: int
    digest: str
    """SHA-256, 64 hex digits."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says of itself."""

    complete: bool
    """Whether these are all the logs of the deployment."""
    keys: tuple[str, ...]
    """Verifier keys of the logs, as the bundle says: to be compared, not to be trusted."""
    witnesses: tuple[str, ...]
    policy: str | None
    exported: Export | None
    logs: tuple[LogSection, ...]
    files: tuple[FileLine, ...]

    def encode(self) -> bytes:
        """Return the bytes whose `parse_manifest` is this."""
        exported = self.exported
        return canonical(
            {
                "complete": self.complete,
                "exported": None
                if exported is None
                else {
                    "by": exported.by,
                    "entry": exported.entry,
                    "purpose": exported.purpose,
                    "time": exported.time,
                },
                "files": [[line.path, line.size, line.digest] for line in self.files],
                "format": FORMAT,
                "keys": list(self.keys),
                "logs": [{name: getattr(log, name) for name in sorted(_LOG_KEYS)} for log in self.logs],
                "policy": self.policy,
                "witnesses": list(self.witnesses),
            }
        ).encode()


def parse_manifest(content: bytes) -> Manifest:
    """Return the manifest, whose sections and list of files fit each other.

    Raises:
        BundleMalformedError: of another format, not canonical, a value not of its form, or a list of
            files that is not the one that follows from the sections.
    """
    # Threat: many small values in few bytes, which a parser turns into fifty times their size. A line of
    # a file takes some ninety bytes, and holds one bracket and three commas.
    if (content.count(b"[") + content.count(b"{")) * 40 + content.count(b",") * 16 > len(content) + _SLACK:
        raise BundleMalformedError("expected a manifest of files and logs, got more values than they have")
    try:
        value = parse_canonical(content.decode())
    except (UnicodeDecodeError, MalformedError) as error:
        raise BundleMalformedError("expected a manifest of canonical JSON") from error
    fields = _object(value, _KEYS, f"of format {FORMAT}")
    if fields["format"] != FORMAT or not isinstance(fields["complete"], bool):
        raise BundleMalformedError(f"expected a manifest of format {FORMAT}")
    manifest = Manifest(
        complete=fields["complete"],
        keys=tuple(_word(one) for one in _list(fields["keys"], 100)),
        witnesses=tuple(_word(one) for one in _list(fields["witnesses"], 100)),
        policy=None if fields["policy"] is None else _word(fields["policy"]),
        exported=None if fields["exported"] is None else _parse_export(fields["exported"]),
        logs=tuple(_parse_log(one) for one in _list(fields["logs"], MAX_LOGS)),
        files=tuple(_parse_file(one) for one in _list(fields["files"], MAX_SIZE)),
    )
    _check_files(manifest)
    return manifest


def _check_files(manifest: Manifest) -> None:
    """Compare the list of files with the one that follows, no further than one of them reaches.

    Threat: a section that claims ten million entries. The first path that is not listed ends it.
    """
    due = (path for log in manifest.logs for path in log.paths())
    for line in manifest.files:
        if next(due, None) != line.path:
            raise BundleMalformedError("expected the files that follow from the sections, got another")
    if next(due, None) is not None:
        raise BundleMalformedError("expected the files that follow from the sections, got fewer")


def _parse_export(value: JsonValue) -> Export:
    fields = _object(value, _EXPORT_KEYS, "with who exported it")
    by, purpose, time = (_word(fields[name]) for name in ("by", "purpose", "time"))
    return Export(by, purpose, time, _number(fields["entry"]))


def _parse_log(value: JsonValue) -> LogSection:
    fields = _object(value, _LOG_KEYS, "with sections")
    log, origin, payloads = _word(fields["log"]), _word(fields["origin"]), fields["payloads"]
    if not is_id(log) or not isinstance(payloads, bool):
        raise BundleMalformedError("expected a section with a log's id, with payloads or without")
    section = LogSection(
        log=log,
        origin=origin,
        size=_number(fields["size"]),
        root=_digest(fields["root"]),
        start=_number(fields["start"]),
        stop=_number(fields["stop"]),
        checkpoints=_number(fields["checkpoints"]),
        left_out=_number(fields["left_out"]),
        payloads=payloads,
    )
    whole = section.stop == section.size or section.stop % TILE_WIDTH == 0
    if section.start % TILE_WIDTH or not section.start <= section.stop <= section.size or not whole:
        raise BundleMalformedError("expected a range of whole tiles within the log")
    return section


def _parse_file(value: JsonValue) -> FileLine:
    match value:
        case [str() as path, int() as size, str() as digest] if not isinstance(size, bool):
            return FileLine(path, _number(size), _digest(digest))
    raise BundleMalformedError("expected files of path, size and digest")


def _object(value: JsonValue, keys: frozenset[str], what: str) -> Mapping[str, JsonValue]:
    if not isinstance(value, Mapping) or value.keys() != keys:
        raise BundleMalformedError(f"expected a manifest {what}")
    return value


def _list(value: JsonValue, limit: int) -> Sequence[JsonValue]:
    if not isinstance(value, list) or len(value) > limit:
        raise BundleMalformedError(f"expected a list of at most {limit} in the manifest")
    return value


def _word(value: JsonValue) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise BundleMalformedError("expected printable words in the manifest")
    return value


def _number(value: JsonValue) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SIZE:
        raise BundleMalformedError(f"expected numbers from 0 to {MAX_SIZE} in the manifest")
    return value


def _digest(value: JsonValue) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise BundleMalformedError("expected digests of 64 hex digits in the manifest")
    return value
