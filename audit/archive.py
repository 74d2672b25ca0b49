"""The container of an evidence bundle: a POSIX tar (ustar) of which only one spelling is read.

Owns blocks, headers and offsets. It leaves what the files mean to `audit.bundle`.

Why tar: it is written and read as a stream, holds each file as it is, so that `tar -xf` and `sha256sum`
look into it, and knows no compression, so that no bomb fits in it. A header is read by taking name and
size from it and writing the header anew: what differs in a single bit is refused. That leaves no room
for links, devices, absolute names, `..`, other case, other owners, other times or extensions.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from audit.errors import BundleMalformedError

BLOCK: Final = 512
MAX_MEMBERS: Final = 200_000
MAX_MEMBER_SIZE: Final = 320 << 20
TOP: Final = "evidence"
"""The one folder that everything lies in, so that unpacking strews nothing about."""

_END: Final = bytes(2 * BLOCK)
_MAX_NAME: Final = 100
_MAX_PREFIX: Final = 155
_SEGMENT: Final = r"[a-z0-9](?:[a-z0-9._-]{0,63})"
_PATH: Final = re.compile(rf"{TOP}(?:/{_SEGMENT}){{1,8}}", re.ASCII)
_HEADER_SIZE_FIELD: Final = re.compile(rb"[0-7]{11}\x00")


def make_header(path: str, size: int) -> bytes:
    """Return the one header of a file.

    Raises:
        BundleMalformedError: the path is not of the accepted form, or the file too large.
    """
    if not _PATH.fullmatch(path) or not 0 <= size <= MAX_MEMBER_SIZE:
        raise BundleMalformedError("expected a file of the accepted names and sizes")
    top, _, rest = path.partition("/")
    folder, slash, name = rest.partition("/")
    prefix, name = (f"{top}/{folder}", name) if slash else (top, folder)
    if len(name) > _MAX_NAME or len(prefix) > _MAX_PREFIX:
        raise BundleMalformedError(f"expected a name of at most {_MAX_NAME} characters")
    fields = (
        name.encode().ljust(_MAX_NAME, b"\0")
        + b"0000600\0"  # mode: its owner's
        + b"0000000\0" * 2  # owner and group: nobody's in particular
        + b"%011o\0" % size
        + b"00000000000\0"  # time: the same bytes whenever it is written
        + b" " * 8  # check sum, counted as blanks
        + b"0"  # a regular file
        + bytes(100)
        + b"ustar\x0000"
        + bytes(64)
        + b"0000000\0" * 2
        + prefix.encode().ljust(_MAX_PREFIX, b"\0")
        + bytes(12)
    )
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]


def padding_of(size: int) -> int:
    """Return the number of zero bytes behind a file's content."""
    return -size % BLOCK


class ArchiveWriter:
    """Writes files one after another; nothing is held back in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(self, path: str, content: bytes) -> None:
        """Write a file whole."""
        self._file.write(make_header(path, len(content)) + content + bytes(padding_of(len(content))))

    def end(self) -> None:
        """Write the end of the archive."""
        self._file.write(_END)


@dataclass(frozen=True, slots=True)
class Member:
    """Where a file's content lies."""

    path: str
    offset: int
    size: int


class ArchiveReader:
    """Finds files by their path, in an archive that can be sought in.

    The headers are read at once; they are at most as many as `MAX_MEMBERS`. Contents are read when asked for.

    Raises:
        BundleMalformedError: it is not of the one form, or it breaks off.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._length = file.seek(0, os.SEEK_END)
        self._members: dict[str, Member] = {}
        for member in self._scan():
            if member.path in self._members:
                raise BundleMalformedError("expected each file once in the bundle, got one twice")
            self._members[member.path] = member

    @property
    def members(self) -> Mapping[str, Member]:
        """All files, in the order in which they stand."""
        return self._members

    def read(self, path: str, limit: int) -> bytes:
        """Return a file's content.

        Raises:
            BundleMalformedError: there is no such file, or it is larger than `limit`.
        """
        member = self._members.get(path)
        if member is None:
            raise BundleMalformedError("expected a file of the manifest's, got none")
        if member.size > limit:
            raise BundleMalformedError(f"expected a file of at most {limit} bytes, got {member.size}")
        self._file.seek(member.offset)
        size = member.size + padding_of(member.size)
        content = self._file.read(size)
        if len(content) != size or any(content[member.size :]):
            raise BundleMalformedError("expected a file's content and zeros behind it")
        return content[: member.size]

    def _scan(self) -> Iterator[Member]:
        offset = 0
        for _ in range(MAX_MEMBERS):
            self._file.seek(offset)
            header = self._file.read(BLOCK)
            if header == bytes(BLOCK):
                break
            path, size = _parse_header(header)
            yield Member(path, offset + BLOCK, size)
            offset += BLOCK + size + padding_of(size)
            if offset > self._length:
                raise BundleMalformedError("expected a whole bundle, got one that breaks off")
        else:
            raise BundleMalformedError(f"expected at most {MAX_MEMBERS} files in a bundle")
        self._file.seek(offset)
        if self._length - offset != len(_END) or self._file.read(len(_END)) != _END:
            raise BundleMalformedError("expected two empty blocks at the bundle's end, and nothing after")


def _parse_header(header: bytes) -> tuple[str, int]:
    name, size, prefix = header[:100], header[124:136], header[345:500]
    if len(header) == BLOCK and _HEADER_SIZE_FIELD.fullmatch(size):
        path = (prefix.rstrip(b"\0") + b"/" + name.rstrip(b"\0")).decode("ascii", errors="replace")
        number = int(size[:11], 8)
        if header == make_header(path, number):
            return path, number
    raise BundleMalformedError("expected the header of a file in the one form that is written")
