r"""Evidence bundles: logs as JSON lines, to be carried away and verified elsewhere.

Owns the file's form, its strict reading and its bounds. It leaves judging to `audit.verify`: whoever
made the bundle chose what is in it. The key in the first line says which key was used; the verifier
takes the key from elsewhere.

    {"bundle":"memos-vault-audit/1","complete":true,"key":"memos-vault/ward-1+8a1b2c3d+AQ…"}
    {"checkpoints":["memos-vault/ward-1/system\n…"],"log":"system"}
    {"header":"{…}","index":0,"payload":"{…}","salt":"…"}        salt and payload left out where erased
    {"end":"system","size":1}
    {"logs":1}
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from audit.errors import BundleMalformedError, KeyMalformedError
from audit.evidence import LogEvidence, StoredEntry
from audit.note import parse_base64
from audit.signing import VerifierKey

FORMAT: Final = "memos-vault-audit/1"
MAX_LINE_SIZE: Final = 4 << 20

_Line = dict[str, object]


def write_bundle(file: BinaryIO, key: VerifierKey, logs: Iterable[LogEvidence], *, complete: bool) -> int:
    """Write logs as a bundle and return the number of entries written.

    Args:
        file: Where to; nothing is held back in memory.
        key: The deployment's log key, for the reader's information.
        logs: In order, the system log first where it is among them.
        complete: Whether these are all the logs of the deployment.
    """
    _write(file, {"bundle": FORMAT, "complete": complete, "key": str(key)})
    sizes = [_write_log(file, log) for log in logs]
    _write(file, {"logs": len(sizes)})
    return sum(sizes)


def _write_log(file: BinaryIO, log: LogEvidence) -> int:
    _write(file, {"checkpoints": [note.decode() for note in log.checkpoints], "log": log.tenant})
    size = 0
    for entry in log.entries:
        _write(file, _entry_line(entry))
        size += 1
    _write(file, {"end": log.tenant, "size": size})
    return size


def _entry_line(entry: StoredEntry) -> _Line:
    line: _Line = {"header": entry.header, "index": entry.index}
    if entry.payload is not None:
        line["payload"] = entry.payload
    if entry.salt is not None:
        line["salt"] = b64encode(entry.salt).decode()
    return line


def _write(file: BinaryIO, line: _Line) -> None:
    file.write(_dump(line))


def _dump(line: _Line) -> bytes:
    return json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose first line was read; `logs` reads on as it is iterated, once and in order."""

    key: VerifierKey
    """As the bundle says: to be compared, not to be trusted."""
    complete: bool
    logs: Iterator[LogEvidence]


def read_bundle(file: BinaryIO) -> Bundle:
    """Open a bundle for one pass, in bounded memory.

    Raises:
        BundleMalformedError: now or while `logs` is iterated: not a bundle, or it breaks off.
    """
    first = _read(file)
    key, complete = first.get("key"), first.get("complete")
    if first.keys() != {"bundle", "complete", "key"} or first["bundle"] != FORMAT:
        raise BundleMalformedError(f"expected a bundle of format {FORMAT}")
    if not isinstance(key, str) or not isinstance(complete, bool):
        raise BundleMalformedError("expected key and completeness in the first line")
    try:
        return Bundle(VerifierKey.parse(key), complete, _read_logs(file))
    except KeyMalformedError as error:
        raise BundleMalformedError("expected a verifier key in the first line") from error


def _read_logs(file: BinaryIO) -> Iterator[LogEvidence]:
    count = 0
    while "log" in (line := _read(file)):
        tenant, notes = line["log"], line.get("checkpoints")
        if (
            line.keys() != {"checkpoints", "log"}
            or not isinstance(tenant, str)
            or not isinstance(notes, list)
        ):
            raise BundleMalformedError("expected a log with its checkpoints")
        if not all(isinstance(note, str) for note in notes):
            raise BundleMalformedError("expected checkpoints as texts")
        entries = _Entries(file, tenant)
        yield LogEvidence(tenant, tuple(_encode(note) for note in notes), entries)
        entries.check_read()
        count += 1
    if _dump(line) != _dump({"logs": count}) or file.read(1):
        raise BundleMalformedError(f"expected the bundle to end after {count} logs")


class _Entries:
    """Entries of one log, read as they are iterated."""

    def __init__(self, file: BinaryIO, tenant: str) -> None:
        self._file = file
        self._tenant = tenant
        self._ended = False

    def __iter__(self) -> Iterator[StoredEntry]:
        size = 0
        while "end" not in (line := _read(self._file)):
            yield _parse_entry(line)
            size += 1
        if _dump(line) != _dump({"end": self._tenant, "size": size}):
            raise BundleMalformedError(f"log {self._tenant}: expected its end after {size} entries")
        self._ended = True

    def check_read(self) -> None:
        if not self._ended:
            raise BundleMalformedError(
                f"log {self._tenant}: expected its entries to be read before the next log"
            )


def _parse_entry(line: _Line) -> StoredEntry:
    header, index = line.get("header"), line.get("index")
    payload, salt = line.get("payload"), line.get("salt")
    if not line.keys() <= {"header", "index", "payload", "salt"} or not isinstance(header, str):
        raise BundleMalformedError("expected an entry of header, index, payload and salt")
    if not isinstance(index, int) or isinstance(index, bool) or not isinstance(payload, str | None):
        raise BundleMalformedError("expected an entry with an index and its payload as text")
    return StoredEntry(index, header, _parse_salt(salt), payload)


def _parse_salt(text: object) -> bytes | None:
    if text is None:
        return None
    salt = parse_base64(text) if isinstance(text, str) else None
    if salt is None:
        raise BundleMalformedError("expected a salt in base64")
    return salt


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _read(file: BinaryIO) -> _Line:
    line = file.readline(MAX_LINE_SIZE + 1)
    if len(line) > MAX_LINE_SIZE or not line.endswith(b"\n"):
        raise BundleMalformedError(
            f"expected another line of at most {MAX_LINE_SIZE} bytes, got the end or more"
        )
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BundleMalformedError("expected lines of JSON") from error
    if not isinstance(value, dict) or _dump(value) != line:
        raise BundleMalformedError("expected lines that are JSON objects in the one form that is written")
    return value
