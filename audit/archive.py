"""The container of an evidence bundle: a POSIX tar (ustar) of which only one spelling is read.

Owns blocks, headers and offsets. It leaves what the files mean to `audit.bundle`.

Why tar: it is written and read as a stream, holds each file as it is, so that `tar -xf` and `sha256sum`
look into it, and knows no compression, so that no bomb fits in it. A header is read by taking name and
size from it and writing the header anew: what differs in a single bit is refused. That leaves no room
for links, devices, absolute names, `..`, other case, other owners, other times or extensions.
"""

import os
import re
from collections.abc import Iterator
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

    @property
    def end(self) -> int:
        """Where the next file's header stands."""
        return self.offset + self.size + padding_of(self.size)


class ArchiveReader:
    """Reads an archive that can be sought in, and holds nothing of it.

    Args:
        file: The archive.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._length = file.seek(0, os.SEEK_END)

    def members(self) -> Iterator[Member]:
        """Yield all files from the first on, in the order in which they stand; at most `MAX_MEMBERS`.

        Raises:
            BundleMalformedError: it is not of the one form, or it breaks off.
        """
        offset = 0
        for _ in range(MAX_MEMBERS):
            header = self.slice(offset, BLOCK)
            if header == bytes(BLOCK):
                break
            path, size = _parse_header(header)
            member = Member(path, offset + BLOCK, size)
            offset = member.end
            if offset > self._length:
                raise BundleMalformedError("expected a whole bundle, got one that breaks off")
            yield member
        else:
            raise BundleMalformedError(f"expected at most {MAX_MEMBERS} files in a bundle")
        if self._length - offset != len(_END) or self.slice(offset, len(_END)) != _END:
            raise BundleMalformedError("expected two empty blocks at the bundle's end, and nothing after")

    def read(self, member: Member, limit: int) -> bytes:
        """Return a file's content.

        Raises:
            BundleMalformedError: it is larger than `limit`, or something stands behind it.
        """
        if member.size > limit:
            raise BundleMalformedError(f"expected a file of at most {limit} bytes, got {member.size}")
        content = self.slice(member.offset, member.end - member.offset)
        if len(content) != member.end - member.offset or any(content[member.size :]):
            raise BundleMalformedError("expected a file's content and zeros behind it")
        return content[: member.size]

    def slice(self, offset: int, size: int) -> bytes:
        """Return so many bytes of the archive, fewer where it ends."""
        self._file.seek(offset)
        return self._file.read(size)


def _parse_header(header: bytes) -> tuple[str, int]:
    name, size, prefix = header[:100], header[124:136], header[345:500]
    if len(header) == BLOCK and _HEADER_SIZE_FIELD.fullmatch(size):
        path = (prefix.rstrip(b"\0") + b"/" + name.rstrip(b"\0")).decode("ascii", errors="replace")
        number = int(size[:11], 8)
        if header == make_header(path, number):
            return path, number
    raise BundleMalformedError("expected the header of a file in the one form that is written")
