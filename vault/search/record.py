"""The term record: what search needs to know of one memory, without a word of it in clear.

Owns the value `TermRecord` and its packed form, which is sealed in the field TERMS and read back at open.
Making one from text is `vault.search.lexical`'s affair.

Packed form, little-endian, version 1:

    u8  version = 1
    u8  flags          bit 0: the text asks a question
    u16 length         counted words of the text, stop words left out
    i64 at             seconds since 1970 when it was said; -2^63 for unknown
    u16 n              distinct terms of the text
    u8  s, u8 d        speaker terms, date terms
    u64 x n, s, d      keyed hashes; each group strictly ascending
    u8  x n            how often each term of the text stands in it, 1 to 255
"""

import struct
from dataclasses import dataclass
from operator import lt
from typing import Final

from vault.errors import TamperedError

VERSION: Final = 1
MAX_TERMS: Final = 8_192
"""Distinct terms kept of one text; a chat turn has some 12."""
MAX_SPEAKER_TERMS: Final = 16
MAX_DATE_TERMS: Final = 64
MAX_COUNT: Final = 255
MAX_LENGTH: Final = 65_535
UNKNOWN_TIME: Final = -(2**63)
_HEAD: Final = struct.Struct("<BBHqHBB")
_QUESTION: Final = 1


@dataclass(frozen=True, slots=True)
class TermRecord:
    """Keyed hashes and figures of one memory. Equal records pack to equal bytes."""

    terms: tuple[int, ...]
    """Distinct hashes of the stems of the text, strictly ascending."""
    counts: tuple[int, ...]
    """How often each stands in the text."""
    speaker: tuple[int, ...]
    """Hashes of the words of the speaker's name, strictly ascending."""
    dates: tuple[int, ...]
    """Hashes of the words of the dates that the memory was said on and speaks of, strictly ascending."""
    length: int
    question: bool
    at: int | None
    """Seconds since 1970, UTC."""


def pack(record: TermRecord) -> bytes:
    """Return the one packed form of a record.

    Raises:
        ValueError: a group is too long, out of order, or a figure out of bounds: a fault of the caller.
    """
    problem = _problem(record)
    if problem:
        raise ValueError(problem)
    head = _HEAD.pack(
        VERSION,
        _QUESTION if record.question else 0,
        record.length,
        UNKNOWN_TIME if record.at is None else record.at,
        len(record.terms),
        len(record.speaker),
        len(record.dates),
    )
    hashes = record.terms + record.speaker + record.dates
    return head + struct.pack(f"<{len(hashes)}Q", *hashes) + bytes(record.counts)


def unpack(packed: bytes) -> TermRecord:
    """Read a packed record; the inverse of `pack`.

    Raises:
        TamperedError: not the packed form of any record.
    """
    if len(packed) < _HEAD.size:
        raise TamperedError("expected a term record, got fewer bytes than its head")
    version, flags, length, at, n, s, d = _HEAD.unpack_from(packed)
    if version != VERSION or flags & ~_QUESTION:
        raise TamperedError(
            f"expected a term record of version {VERSION} with known flags, got version {version}"
        )
    if len(packed) != _HEAD.size + 8 * (n + s + d) + n:
        raise TamperedError("expected a term record of the length that its head says")
    hashes = struct.unpack_from(f"<{n + s + d}Q", packed, _HEAD.size)
    record = TermRecord(
        terms=hashes[:n],
        counts=tuple(packed[len(packed) - n :]),
        speaker=hashes[n : n + s],
        dates=hashes[n + s :],
        length=length,
        question=bool(flags),
        at=None if at == UNKNOWN_TIME else at,
    )
    problem = _problem(record)
    if problem:
        raise TamperedError(problem)
    return record


def _problem(record: TermRecord) -> str | None:
    """Say what keeps a record from having a packed form."""
    if (
        len(record.terms) > MAX_TERMS
        or len(record.speaker) > MAX_SPEAKER_TERMS
        or len(record.dates) > MAX_DATE_TERMS
    ):
        return f"expected at most {MAX_TERMS}, {MAX_SPEAKER_TERMS} and {MAX_DATE_TERMS} terms in a record"
    if len(record.counts) != len(record.terms) or not (
        1 <= min(record.counts, default=1) <= max(record.counts, default=1) <= MAX_COUNT
    ):
        return f"expected a count of 1 to {MAX_COUNT} for each term"
    if not all(map(_ascending, (record.terms, record.speaker, record.dates))):
        return "expected the hashes of a record in strictly ascending order"
    if not 0 <= record.length <= MAX_LENGTH:
        return f"expected a length of at most {MAX_LENGTH} words"
    return None


def _ascending(hashes: tuple[int, ...]) -> bool:
    return all(map(lt, hashes, hashes[1:]))
