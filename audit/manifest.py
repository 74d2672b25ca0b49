"""The manifest of an evidence bundle: what is in it, from whom, for what, and which files lie where.

Owns the manifest's form and its strict reading: of the list of files as a stream, of the rest whole. It leaves
which files follow from a log to `audit.bundle_section`, comparing them with the archive to
`audit.bundle_files`, and contents to `audit.bundle`. Canonical JSON (RFC 8785):

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from audit.bundle_section import LogSection
from audit.canonical import JsonValue, canonical, parse_canonical
from audit.errors import BundleMalformedError, MalformedError
from audit.event import is_id
from audit.tiles import TILE_WIDTH

FORMAT: Final = "memos-vault-audit/2"
MANIFEST: Final = "manifest.json"
MAX_MANIFEST_SIZE: Final = 24 << 20
MAX_LOGS: Final = 10_000
_SLACK: Final = 4_096
MAX_SIZE: Final = 2**40

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_WORD: Final = re.compile(r"[ -~]{1,255}")
_STRING: Final = rb'"(?:[^"\\\x00-\x1f]|\\.){0,600}+"'
_HEAD: Final = re.compile(
    rb'\{"complete":(?:true|false),"exported":(?:null|\{"by":'
    + _STRING
    + rb',"entry":[0-9]{1,16},"purpose":'
    + _STRING
    + rb',"time":'
    + _STRING
    + rb'\}),"files":\[',
    re.DOTALL,
)
"""What stands before the list of files: bounded, as a word is."""
_MAX_HEAD: Final = 4_096
_LINE: Final = re.compile(rb'\["([a-z0-9._/-]{1,300})",(0|[1-9][0-9]{0,12}),"([0-9a-f]{64})"\]')
_MAX_LINE: Final = 400
_CHUNK: Final = 1 << 16
_NO_FILES: Final = b'"files":[]'
_KEYS: Final = frozenset({"complete", "exported", "files", "format", "keys", "logs", "policy", "witnesses"})
_EXPORT_KEYS: Final = frozenset({"by", "entry", "purpose", "time"})
_BESIDE: Final = "beside"
"""Left out of a section where nothing is shown beside it."""
_LOG_KEYS: Final = frozenset(
    {"checkpoints", "left_out", "log", "origin", "payloads", "root", "size", "start", "stop"}
)
MAX_BESIDE: Final = 1_000
"""Entries that are shown beside a range."""


@dataclass(frozen=True, slots=True)
class Export:
    """Who made a bundle and why, as the bundle says; the log's own entry of the export proves it."""

    by: str
    """Principal's id."""
    purpose: str
    time: str
    entry: int
    """Leaf index of the entry that records the export."""


class FileLine(NamedTuple):
    """One file, as the manifest lists it."""

    path: str
    size: int
    digest: str
    """SHA-256, 64 hex digits."""

    def encode(self) -> bytes:
        """Return the line whose reading is this."""
        return b'["%s",%d,"%s"]' % (self.path.encode(), self.size, self.digest.encode())


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

    def encode(self, files: bytes = b"") -> bytes:
        """Return the bytes whose `parse_manifest` is this.

        Args:
            files: Lines of the files, joined by commas.
        """
        exported = self.exported
        text = canonical(
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
                "files": [],
                "format": FORMAT,
                "keys": list(self.keys),
                "logs": [_section_fields(log) for log in self.logs],
                "policy": self.policy,
                "witnesses": list(self.witnesses),
            }
        )
        # In a text of somebody's a quote has a backslash before it: the first is the key.
        return text.encode().replace(_NO_FILES, b'"files":[%s]' % files, 1)


class ListedFiles:
    """The list of files in a manifest, read as a stream: it may be longer than all the rest together.

    Args:
        read: Returns so many bytes of the manifest from an offset on, fewer where it ends.
        size: Of the manifest.

    Raises:
        BundleMalformedError: it does not begin as one.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        if size > MAX_MANIFEST_SIZE:
            raise BundleMalformedError(
                f"expected a manifest of at most {MAX_MANIFEST_SIZE} bytes, got {size}"
            )
        self._read = read
        self._size = size
        head = _HEAD.match(read(0, _MAX_HEAD))
        if head is None:
            raise BundleMalformedError(f"expected a manifest of canonical JSON, of format {FORMAT}")
        self._head = head[0]

    def lines(self) -> Iterator[tuple[int, FileLine]]:
        """Yield each line with its offset.

        Raises:
            BundleMalformedError: a line is not of the form, or the list does not end.
        """
        for at, match in self._matches():
            yield at, _line_of(match)

    def lines_between(self, start: int, stop: int) -> bytes:
        """Return the bytes of the lines from one offset to another."""
        return self._read(start, stop - start)

    def end(self) -> int:
        """Return the offset of the bracket behind the list."""
        end = len(self._head)
        for at, match in self._matches():
            end = at + match.end() - match.start()
        return end

    def rest(self) -> bytes:
        """Return the manifest without the lines of its list."""
        end = self.end()
        return self._head + self._read(end, self._size - end)

    def _matches(self) -> Iterator[tuple[int, re.Match[bytes]]]:
        offset = len(self._head)
        chunk, at = self._read(offset, _CHUNK), 0
        if chunk[:1] == b"]":
            return
        while True:
            if len(chunk) - at < _MAX_LINE:
                offset, at = offset + at, 0
                chunk = self._read(offset, _CHUNK)
            match = _LINE.match(chunk, at)
            behind = b"" if match is None else chunk[match.end() : match.end() + 1]
            if match is None or behind not in {b",", b"]"}:
                raise BundleMalformedError("expected files of path, size and digest")
            yield offset + at, match
            if behind == b"]":
                return
            at = match.end() + 1


def parse_lines(content: bytes) -> list[FileLine]:
    """Return the lines in a part of a list that was read before."""
    return [_line_of(match) for match in _LINE.finditer(content)]


def _line_of(match: re.Match[bytes]) -> FileLine:
    return FileLine(match[1].decode(), int(match[2]), match[3].decode())


def parse_manifest(content: bytes) -> Manifest:
    """Return the manifest in these bytes, which hold no lines of files; see `ListedFiles.rest`.

    Raises:
        BundleMalformedError: of another format, not canonical, a value not of its form.
    """
    # Threat: many small values in few bytes, which a parser turns into fifty times their size. A section
    # takes some two hundred bytes, and holds one bracket and nine commas.
    if (content.count(b"[") + content.count(b"{")) * 40 + content.count(b",") * 16 > len(content) + _SLACK:
        raise BundleMalformedError("expected a manifest of files and logs, got more values than they have")
    try:
        value = parse_canonical(content.decode())
    except (UnicodeDecodeError, MalformedError) as error:
        raise BundleMalformedError("expected a manifest of canonical JSON") from error
    fields = _object(value, _KEYS, f"of format {FORMAT}")
    if fields["format"] != FORMAT or not isinstance(fields["complete"], bool):
        raise BundleMalformedError(f"expected a manifest of format {FORMAT}")
    _list(fields["files"], 0)
    return Manifest(
        complete=fields["complete"],
        keys=tuple(_word(one) for one in _list(fields["keys"], 100)),
        witnesses=tuple(_word(one) for one in _list(fields["witnesses"], 100)),
        policy=None if fields["policy"] is None else _word(fields["policy"]),
        exported=None if fields["exported"] is None else _parse_export(fields["exported"]),
        logs=tuple(_parse_log(one) for one in _list(fields["logs"], MAX_LOGS)),
    )


def _section_fields(section: LogSection) -> dict[str, JsonValue]:
    names = _LOG_KEYS | {_BESIDE} if section.beside else _LOG_KEYS
    return {name: getattr(section, name) for name in sorted(names)}


def _parse_export(value: JsonValue) -> Export:
    fields = _object(value, _EXPORT_KEYS, "with who exported it")
    by, purpose, time = (_word(fields[name]) for name in ("by", "purpose", "time"))
    return Export(by, purpose, time, _number(fields["entry"]))


def _parse_log(value: JsonValue) -> LogSection:
    beside = isinstance(value, Mapping) and _BESIDE in value
    fields = _object(value, _LOG_KEYS | {_BESIDE} if beside else _LOG_KEYS, "with sections")
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
        beside=_number(fields[_BESIDE]) if beside else 0,
    )
    whole = section.stop == section.size or section.stop % TILE_WIDTH == 0
    if section.start % TILE_WIDTH or not section.start <= section.stop <= section.size or not whole:
        raise BundleMalformedError("expected a range of whole tiles within the log")
    shows = not section.whole and section.payloads and section.checkpoints > 0
    if beside and not (shows and 1 <= section.beside <= MAX_BESIDE):
        raise BundleMalformedError(f"expected 1 to {MAX_BESIDE} entries beside a range with payloads")
    return section


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
