"""Strict JSON, with its work bounded before it is done.

Owns how a body's bytes become values: UTF-8, no repeated keys, no numbers beyond JSON, no bottomless
nesting, and no more parts than a few hundredths of a second read. It leaves what the values mean to the
bodies' shapes.

    >>> parse_json(b'{"query": "tea"}')
    {'query': 'tea'}
"""

import json
import re
from typing import Final, NoReturn

from api.errors import RequestTooLargeError, RequestUnreadableError

MAX_PARTS: Final = 250_000
"""Strings, commas and opening brackets of one body: a chat of 10,000 turns with every field has 220,000."""
MAX_KEYS: Final = 1_024
"""Keys of one object: no field has more entries by far."""

# A string counts as one part, whatever stands in it. One that is not closed ends at the text's end.
_PART: Final = re.compile(rb'[,\[{]|"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


def parse_json(body: bytes) -> object:
    """Read JSON strictly.

    Raises:
        RequestUnreadableError: it is anything else. The parser's own error, which holds the body, is dropped.
        RequestTooLargeError: more than `MAX_PARTS`, or an object of more than `MAX_KEYS`.
    """
    _check_parts(body)
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise RequestUnreadableError("expected a body in UTF-8") from None
    except RecursionError:
        raise RequestUnreadableError("expected JSON that is not nested so deep") from None
    except ValueError:
        raise RequestUnreadableError("expected a body of JSON") from None


def _check_parts(body: bytes) -> None:
    """Refuse a body of too many parts before any value is made of them: most are told by their commas."""
    # Every part holds one of these bytes, so few of them make few parts.
    if sum(map(body.count, (b",", b"[", b"{", b'"'))) <= MAX_PARTS:
        return
    for count, _ in enumerate(_PART.finditer(body), start=1):
        if count > MAX_PARTS:
            raise RequestTooLargeError(f"expected a body of at most {MAX_PARTS} strings, lists and commas")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(pairs) > MAX_KEYS:
        raise RequestTooLargeError(f"expected JSON objects of at most {MAX_KEYS} keys, got {len(pairs)}")
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RequestUnreadableError("expected JSON objects without a repeated key")
    return found


def _no_constant(_name: str) -> NoReturn:
    raise RequestUnreadableError("expected numbers of JSON: no NaN and no infinity")
