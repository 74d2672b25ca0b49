"""Canonical JSON (RFC 8785) for the values that a payload may hold.

Owns writing and strict reading of null, booleans, integers, strings, lists and objects with ASCII
keys. Within these, RFC 8785 needs no number formatting and no UTF-16 key order (ASCII order is the
same), so that 40 lines do; a property test holds them against the `rfc8785` package. Fractions are
refused: two implementations that print a float differently would make an entry unverifiable.

Example:
    >>> canonical({"b": [1, None], "a": "é"})
    '{"a":"é","b":[1,null]}'
"""

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Final, NoReturn

from audit.errors import EntryInvalidError, PayloadMalformedError

JsonValue = None | bool | int | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]

MAX_DEPTH: Final = 16
MAX_KEY_LENGTH: Final = 64
MAX_INTEGER: Final = 2**53 - 1


def canonical(value: JsonValue, depth: int = MAX_DEPTH) -> str:
    """Return the one canonical text of `value`.

    Raises:
        EntryInvalidError: a fraction, an integer beyond 53 bits, a key that is not ASCII of 1 to 64
            characters, or nesting deeper than `depth`.
    """
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true" if value else "false"
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise EntryInvalidError("expected a payload integer of at most 53 bits")
        return str(value)
    if depth == 0:
        raise EntryInvalidError(f"expected a payload nested at most {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        return (
            "{" + ",".join([f"{_key(key)}:{canonical(value[key], depth - 1)}" for key in sorted(value)]) + "}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([canonical(item, depth - 1) for item in value]) + "]"
    raise EntryInvalidError(f"expected payload values of JSON without fractions, got {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str) or not key.isascii() or not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise EntryInvalidError(f"expected payload keys of 1 to {MAX_KEY_LENGTH} ASCII characters")
    return encode_basestring(key)


def parse_canonical(text: str) -> JsonValue:
    """Return the value whose canonical text is exactly `text`.

    Raises:
        PayloadMalformedError: not JSON, or not the canonical text of what it says: other order or
            spacing, a key twice, a fraction, nesting too deep.
    """
    try:
        value: JsonValue = _DECODER.decode(text)
        again = canonical(value)
    except (ValueError, RecursionError, EntryInvalidError) as error:
        raise PayloadMalformedError("expected canonical JSON") from error
    if again != text:
        raise PayloadMalformedError("expected canonical JSON, got another spelling")
    return value


def _refuse(number: str) -> NoReturn:
    raise PayloadMalformedError(
        f"expected no fractions in canonical JSON, got a number of {len(number)} characters"
    )


_DECODER: Final = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse)
"""Made once: `json.loads` would make one for each text."""
