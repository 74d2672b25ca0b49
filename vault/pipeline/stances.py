"""What a user's turn says about an earlier one: confirms, denies, or corrects it.

Owns the wording, in English. What follows from a stance is decided in `vault.pipeline.organize`.

    >>> stance("Actually, it's the left knee.").value
    'corrects'
"""

import re
from enum import StrEnum
from typing import Final


class Stance(StrEnum):
    """How a turn stands to what was said before."""

    NEUTRAL = "neutral"
    CONFIRMS = "confirms"
    """Says that what was just said is right."""
    DENIES = "denies"
    """Says that what was just said is wrong, and not what is right."""
    CORRECTS = "corrects"
    """Says what is right instead."""
    RETRACTS = "retracts"
    """Takes back the speaker's own last words."""


_OPENING: Final = (
    r"^(?:(?:oh|ah|um+|uh|hm+|well|hey|hi|ok|okay|so|wait|sorry|hang on|hold on|but|and|also|thanks|thank you|ha|haha|lol|oops|"
    r"apologies|my (?:mistake|bad|fault))\b[\s,.!:;\u2014\u2013-]*)*"
)
_SAYS: Final = (
    r"(?:that'?s|thats|that is|that was|this is|it'?s|it is|it was|you'?re|you are|you got it|you have it)"
)
_CONFIRMS: Final = re.compile(
    rf"{_OPENING}(?:(?:yes|yep|yeah|yup|right|correct|exactly|indeed|mhm)\b[\s,.!\u2014-]*)*"
    rf"(?:{_SAYS}\s+(?:exactly |quite |absolutely |all |totally )?(?:right|correct|it|true|the one)\b"
    r"|(?:correct|exactly|confirmed|precisely|indeed)\b|i (?:can )?confirm\b|you (?:remembered|got) (?:it |that )?(?:right|correctly)\b)",
    re.IGNORECASE,
)
_DENIES: Final = re.compile(
    rf"{_OPENING}(?:(?:no|nope|nah)\b[\s,.!:;\u2014\u2013-]*)?(?:{_SAYS}\s+(?:not\s+(?:right|correct|true|what i|the case|quite right|me)"
    r"|(?:just |simply |completely |actually |all )?(?:wrong|incorrect|false|a mistake|mistaken|mixed up))"
    r"|(?:that|this|it) (?:isn'?t|is not|wasn'?t) (?:right|correct|true|what i|me\b|the case|quite right)"
    r"|(?:wrong|incorrect|not true|not correct)\b|i never (?:said|told|had|took|was)\b|i (?:didn'?t|did not) (?:say|tell) )",
    re.IGNORECASE,
)
_RETRACTS: Final = re.compile(
    r"\b(?:scratch that|strike that|forget (?:what i (?:just )?said|that last)|ignore (?:that|my last)|i (?:misspoke|mistyped)|"
    r"that was a typo|^typo)\b",
    re.IGNORECASE,
)
_CORRECTS_STRONGLY: Final = re.compile(
    r"\b(?:i meant\b(?! to\b)|i should have said|correction\s*[:,\u2014-]|let me correct|to correct (?:myself|that|you)|i (?:was|got (?:it|that)) (?:wrong|mixed up)"
    r"|i mixed (?:it|that|them|those|up)|i misremembered|i (?:gave|told) you the wrong)"
    rf"|{_OPENING}(?:no|nope)\b[\s,.!:;\u2014\u2013-]+(?:(?:actually|sorry|wait)\b[\s,]*)?(?:it'?s|it is|it was|its|that'?s|my|the|she'?s|he'?s|they'?re|i'?m)\b"
    r"(?!\s+(?:not\s+)?(?:right|correct|true|wrong|incorrect|false|fine|ok|okay|good|all)\b)"
    r"|(?:^|[.!?,;\u2014\u2013-]\s*)(?:it'?s|it is|it was|its|that'?s|he'?s|she'?s|i'?m|we'?re) not (?!just|only|sure|really|always|like|that|so|too|very)(?:the |a |an |my |in |on |at )?[^.,;!?]{1,40}[,;.\u2014\u2013-]+\s*"
    r"(?:but|it'?s|it is|it was|its|he'?s|she'?s|i'?m|we'?re|rather)\b",
    re.IGNORECASE,
)
_CORRECTS_WEAKLY: Final = re.compile(
    rf"{_OPENING}(?:actually|in fact|to be precise|small correction|on second thought)\b|\bnot [\w' -]{{1,30}},? but \w",
    re.IGNORECASE,
)
_BUT: Final = re.compile(r"\b(?:but|except|although|however|only that)\b", re.IGNORECASE)
_NOT_BUT: Final = re.compile(r"\bnot (?:only|just|sure|really|always|like|that|so|too|very)\b", re.IGNORECASE)
_READ_CHARS: Final = 400
_REJECTED: Final = re.compile(
    r"\bnot (?!just|only|sure|really|always|like|that|so|too|very)([^.,;!?\u2014]{1,40}?)(?:\s*[,;.!\u2014]|\s+-|\s+but\b|$)",
    re.IGNORECASE,
)
_NO: Final = re.compile(rf"{_OPENING}(?:no|nope|nah)\b", re.IGNORECASE)


def stance(text: str) -> Stance:
    """Return the stance of a user's turn; what it says after 400 characters is not read."""
    start = _plain(text)
    if _RETRACTS.search(start):
        return Stance.RETRACTS
    if _CORRECTS_STRONGLY.search(start) or (_CORRECTS_WEAKLY.search(start) and not _NOT_BUT.search(start)):
        return Stance.CORRECTS
    if _DENIES.search(start):
        return Stance.DENIES
    if _CONFIRMS.search(start) and not _BUT.search(start.partition(".")[0]):
        return Stance.CONFIRMS
    return Stance.NEUTRAL


def rejected(text: str) -> str:
    """Return what a correction says is not so: "20 mg" of "it's not 20 mg, it's 10 mg"; else nothing."""
    found = _REJECTED.search(_plain(text))
    return found.group(1) if found else ""


def opens_with_no(text: str) -> bool:
    """Tell whether a turn begins with "no", as an answer to a question does too."""
    return _NO.match(_plain(text)) is not None


def is_strong(text: str) -> bool:
    """Tell whether a correction says so plainly, so that it may reach back beyond the last turns."""
    return _CORRECTS_STRONGLY.search(_plain(text)) is not None


def _plain(text: str) -> str:
    return text[:_READ_CHARS].strip().replace("\u2019", "'")
