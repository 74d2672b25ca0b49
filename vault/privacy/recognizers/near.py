"""Whether a word stands near a match: what makes a bare number an account, a phone or nothing.

Bounded on both sides, so its cost does not depend on the length of the text.
"""

import re

BEFORE = 48
AFTER = 16


def words(*alternatives: str) -> re.Pattern[str]:
    """Return a pattern of whole words or phrases; each alternative is a regular expression."""
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(alternatives)})(?![^\W_])", re.IGNORECASE)


def near(
    text: str, start: int, end: int, pattern: re.Pattern[str], *, before: int = BEFORE, after: int = AFTER
) -> bool:
    """Tell whether `pattern` stands within `before` characters before `start` or `after` after `end`."""
    return bool(
        pattern.search(text, max(0, start - before), start)
        or (after and pattern.search(text, end, end + after))
    )
