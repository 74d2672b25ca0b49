"""Vault ids: prefixed, opaque, ordered by time, stable for ever.

An id is `PREFIX_` and 26 lower-case base32 digits: 48 bits of milliseconds and 80 random bits, as in
the ULID specification but in lower case. Time order keeps a B-tree's inserts at its right edge, so
that a write costs the same at 1,000 and at 200,000 memories.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Final

from vault.clock import Entropy
from vault.errors import IdentifierInvalidError

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32, in ASCII order
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_RANDOM_BITS: Final = 80
_SHIFTS: Final = range(120, -10, -10)


class IdKind(StrEnum):
    """What an id names."""

    MEMORY = "mem"
    EPISODE = "epi"
    CREDENTIAL = "crd"
    HOLD = "hld"
    ERASURE = "era"
    SNAPSHOT = "snp"
    EMERGENCY = "emg"
    RUN = "run"
    TASK = "tsk"


_PATTERNS: Final = {kind: re.compile(rf"{kind}_[{_ALPHABET}]{{26}}", re.ASCII) for kind in IdKind}


def new_id(kind: IdKind, at: datetime, entropy: Entropy) -> str:
    """Make an id for something recorded at `at`."""
    number = int(at.timestamp() * 1000) << _RANDOM_BITS | int.from_bytes(entropy(_RANDOM_BITS // 8))
    digits = "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
    return f"{kind}_{digits}"


def check_vault_id(kind: IdKind, value: object) -> str:
    """Return `value` if it has the form of an id of that kind.

    Raises:
        IdentifierInvalidError: it has not.
    """
    if not isinstance(value, str) or not _PATTERNS[kind].fullmatch(value):
        raise IdentifierInvalidError(f"expected an id of the form {kind}_ and 26 base32 digits")
    return value
