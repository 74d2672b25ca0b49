"""Which characters of a raw text no longer stand in its masked form: told from the two texts alone.

So the demonstration judges the gate by what was stored, not by what the gate says of itself.
"""

import re
from collections.abc import Iterable

from vault.model import Span
from vault.privacy.tokens import TOKEN


def covered(raw: str, masked: str) -> tuple[Span, ...]:
    """Return the ranges of `raw` that tokens of `masked` stand for, in order.

    Raises:
        ValueError: `masked` is not `raw` with some ranges replaced by tokens.
    """
    pieces = TOKEN.split(masked)
    pattern = "(.+?)".join(map(re.escape, pieces))
    match = re.fullmatch(pattern, raw, re.DOTALL)
    if match is None:
        raise ValueError("expected a masked form of the text")
    return tuple(Span(*match.span(group)) for group in range(1, len(pieces)))


def readable_part(raw: str, start: int, end: int, hidden: Iterable[Span]) -> str:
    """Return the letters and digits of `raw[start:end]` that are still readable."""
    away = [(span.start, span.end) for span in hidden]
    return "".join(
        char
        for place, char in enumerate(raw[start:end], start)
        if char.isalnum() and not any(first <= place < last for first, last in away)
    )
