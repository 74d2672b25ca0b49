"""One way to write several strings as bytes, so that no two lists of strings have the same bytes.

Owns framing alone: `frame(a, b)` is each part behind its length as four big-endian bytes. What is
framed, and in which order, belongs to the formats (`aead`, `derive`, `key_record`).
"""

import struct
from typing import Final

_LENGTH: Final = struct.Struct(">I")


def frame(*parts: bytes) -> bytes:
    r"""Join parts, each behind its length: injective, unlike any separator.

    Example:
        `frame(b"a", b"") == b"\x00\x00\x00\x01a\x00\x00\x00\x00"`
    """
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)
