"""The shape of the privacy gate's tokens, so that no later step cuts one apart.

Owns the pattern alone: `[PERSON-k7f2qa]` is a value that can be revealed, `[US_SSN]` one that was
redacted for good. Making them is the work of `vault.privacy`.
"""

import re
from typing import Final

TOKEN: Final = re.compile(r"\[[A-Z][A-Z0-9_]{1,40}(?:-[a-z2-7]{4,16})?\]")
"""A token or a redaction mark in masked text."""


def blank_tokens(text: str, fill: str = "\x00") -> str:
    """Return the text with each token overwritten by as many `fill`, so that offsets stay."""
    return TOKEN.sub(lambda token: fill * len(token.group()), text) if "[" in text else text
