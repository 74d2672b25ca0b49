"""Where a page of answers ends, so that the next goes on there.

A cursor holds nothing secret: version, order, tree size, the bound, the time that relative times count from,
and a digest of the question. Each is checked against the question that comes with it. Whoever alters one
gets another page of what it may see anyway, or a refusal.
"""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, Self

from audit.errors import RangeInvalidError
from audit.event import time_in_microseconds

_FORM: Final = struct.Struct(">BBQQq16s")
_VERSION: Final = 1
_LENGTH: Final = 56
_DIGEST_BYTES: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WRONG: Final = "expected a cursor as this question's last page gave it"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the answers to one question about one tree."""

    size: int
    bound: int
    """Newest first: before this index. Oldest first: from this index on."""
    now: datetime
    digest: bytes
    oldest_first: bool

    @classmethod
    def first(cls, size: int, query: str, now: datetime, *, oldest_first: bool) -> Self:
        """Return the place where the answers begin."""
        return cls(size, 0 if oldest_first else size, now, _digest(query), oldest_first)

    @classmethod
    def read(cls, text: str) -> Self:
        """Return a cursor from its text.

        Raises:
            RangeInvalidError: it is none.
        """
        try:
            # The length first, then the one spelling: nothing else decodes to these bytes.
            if len(text) != _LENGTH or urlsafe_b64encode(urlsafe_b64decode(text)).decode() != text:
                raise RangeInvalidError(_WRONG)
            version, order, size, bound, now, digest = _FORM.unpack(urlsafe_b64decode(text))
            if version != _VERSION or order > 1 or bound > size:
                raise RangeInvalidError(_WRONG)
            return cls(size, bound, _EPOCH + timedelta(microseconds=now), digest, order == 1)
        except (ValueError, OverflowError):
            raise RangeInvalidError(_WRONG) from None

    def write(self) -> str:
        """Return the text of a cursor: 56 characters that a URL may hold."""
        now = time_in_microseconds(self.now)
        fields = (_VERSION, int(self.oldest_first), self.size, self.bound, now, self.digest)
        return urlsafe_b64encode(_FORM.pack(*fields)).decode()

    def after(self, index: int) -> Self:
        """Return the place after an entry that was shown."""
        return replace(self, bound=index + 1 if self.oldest_first else index)

    def expect(self, query: str) -> None:
        """See that a cursor is of this question.

        Raises:
            RangeInvalidError: it is another's.
        """
        if self.digest != _digest(query):
            raise RangeInvalidError(_WRONG)

    @property
    def window(self) -> tuple[int, int]:
        """Leaf indexes that are left, half-open."""
        return (self.bound, self.size) if self.oldest_first else (0, self.bound)


def _digest(query: str) -> bytes:
    return sha256(query.encode()).digest()[:_DIGEST_BYTES]
