"""Whether what the learned tagger found can be of that kind: no dose is an address, no digest a phone.

Pure checks on a text and one finding, first on single words, then on the runs they were joined to. What
a rule proves is not questioned here. The words that are no names stand in `ordinary`.
"""

import re
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.ordinary import (
    CLEAR_EPONYMS,
    CONDITIONS,
    COUNTS,
    DOSING,
    EPONYMS,
    LAB_VALUES,
    LAB_WORDS,
    MEDICINES,
    UNITS,
)

SURE: Final = 0.5
"""What the tagger must say at least where a form speaks against it."""
_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_DIGEST: Final = 16
_MONTH_OR_DAY: Final = re.compile(
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december|(?:mon|tues|wednes|thurs|fri|satur|sun)day)s?",
    re.IGNORECASE,
)
_BEFORE_DATE: Final = re.compile(
    r"\b(?:in|on|last|next|this|since|until|till|by|of|early|late|mid|every|each|before|after|from|to) $",
    re.IGNORECASE,
)
_PART_OF_NUMBER: Final = re.compile(r"[.,][0-9]|\s?%")
_AGE_DIGITS: Final = 3
_YEAR: Final = re.compile(r"(?:1[6-9]|20|21)[0-9]{2}")
_UNIT: Final = rf"(?:{'|'.join(UNITS)})"
_CLINICAL: Final = MEDICINES | LAB_VALUES | DOSING
_AMOUNT: Final = re.compile(rf"[0-9]+{_UNIT}", re.IGNORECASE)
_UNIT_ALONE: Final = re.compile(_UNIT, re.IGNORECASE)
_UNIT_AFTER: Final = re.compile(rf"(?:[.,/-][0-9]{{1,6}}){{0,2}}[ -]?{_UNIT}(?![\w])", re.IGNORECASE)
_DIGIT_BEFORE: Final = re.compile(r"[0-9][ -]?(?:[a-zµμ]{1,4}/)?$", re.IGNORECASE)
_LAB_BEFORE: Final = re.compile(
    rf"(?<![\w])(?:{'|'.join(map(re.escape, (*sorted(LAB_VALUES), *LAB_WORDS)))})"
    r"(?: level| count| reading)?(?: is| was| of| at| to|:|=){0,2}\s?(?:[0-9]{1,4}[./])?$",
    re.IGNORECASE,
)
_BEFORE: Final = 40
_NOT_NUMBERS: Final = frozenset({EntityType.PERSON, EntityType.ORGANIZATION, EntityType.ADDRESS})
_PHONE_DIGITS: Final = 5
_POSTCODE_DIGITS: Final = 5
_DOCUMENT_BEFORE: Final = re.compile(
    r"\b(?:invoice|ticket|issue|bug|build|port|version|page|line|commit)s? ?(?:no\.?|number|nr\.?|is|#)? ?#?$",
    re.IGNORECASE,
)
_ARTICLE_BEFORE: Final = re.compile(r"\b(?:a|an|the|every|each|some|no) $", re.IGNORECASE)
_PHONE_REST: Final = re.compile(r"[\d\s().+/x-]{0,24}")
_SPOKEN_DIGIT: Final = re.compile(
    r"zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple|ext\w*|x", re.IGNORECASE
)
_CONDITION_AFTER: Final = re.compile(rf"(?:['’]s?)?[ -](?:{'|'.join(CONDITIONS)})(?![\w])", re.IGNORECASE)
_POSSESSIVE_AFTER: Final = re.compile(r"['’]s?(?![\w])")
_LUCKY_AFTER: Final = re.compile(
    r" (?:you|me|him|her|us|them|one|ones|guy|girl|charm|break|day|number|for|that|to)\b"
)
_COUNT: Final = re.compile(
    rf"(?:{'|'.join(sorted(COUNTS))})(?:(?:[ -]| and )(?:{'|'.join(sorted(COUNTS))}))*", re.IGNORECASE
)
_ONLY_JOINTS: Final = re.compile(r"(?:and|or|of|the|a|an|to|in|on|at|for|with)(?: |$)", re.IGNORECASE)


def plausible_word(text: str, finding: Finding) -> bool:
    """Tell whether a word that the tagger found can be of its kind."""
    value = text[finding.start : finding.end]
    if len(value) >= _DIGEST and _HEX.fullmatch(value) and not value.isdigit():
        return False
    if _MONTH_OR_DAY.fullmatch(value) and _BEFORE_DATE.search(
        text, max(0, finding.start - _DIGEST), finding.start
    ):
        return False
    if _is_measure(text, finding, value):
        return False
    if finding.kind not in {EntityType.AGE, EntityType.DATE} or not value.isdigit():
        return True
    if (
        _PART_OF_NUMBER.match(text, finding.end)
        or text[finding.start - 2 : finding.start].rstrip(".,").isdigit()
    ):
        return False
    return len(value) <= _AGE_DIGITS if finding.kind is EntityType.AGE else bool(_YEAR.fullmatch(value))


def _is_measure(text: str, finding: Finding, value: str) -> bool:
    """Tell whether a word is a medicine, or part of an amount or of a laboratory value."""
    if value.casefold() in _CLINICAL or _AMOUNT.fullmatch(value):
        return True
    near = max(0, finding.start - _BEFORE)
    if not value.isdigit():
        return bool(_UNIT_ALONE.fullmatch(value) and _DIGIT_BEFORE.search(text, near, finding.start))
    return bool(_UNIT_AFTER.match(text, finding.end) or _LAB_BEFORE.search(text, near, finding.start))


def settled(text: str, run: Finding) -> Finding | None:
    """Return a run of the tagger's as what it can be: itself, a year, or nothing."""
    value = text[run.start : run.end]
    if _YEAR.fullmatch(value) and (
        run.kind in _NOT_NUMBERS or _BEFORE_DATE.search(text, max(0, run.start - _DIGEST), run.start)
    ):
        return Finding(EntityType.DATE, run.start, run.end, run.score, certain=False)
    if run.kind in _NOT_NUMBERS and not any(map(str.isalpha, value)):
        return _number(text, run, value)
    if run.kind is EntityType.PHONE and not _can_be_phone(text, run, value):
        return None
    if run.kind in {EntityType.PERSON, EntityType.ORGANIZATION} and (
        _ONLY_JOINTS.fullmatch(value)
        or _COUNT.fullmatch(value)
        or _is_saying(text, run, value.casefold())
        or _is_thing(text, run, value)
    ):
        return None
    return run


def _number(text: str, run: Finding, value: str) -> Finding | None:
    """Return a number taken for a name or an address as what it may be: a postcode, a code, or nothing."""
    digits = sum(map(str.isdigit, value))
    if run.score < SURE or digits < _POSTCODE_DIGITS:
        return None
    if _DOCUMENT_BEFORE.search(text, max(0, run.start - _BEFORE), run.start):
        return None
    kind = EntityType.POSTCODE if digits == _POSTCODE_DIGITS else EntityType.MEMBER_NUMBER
    return Finding(kind, run.start, run.end, run.score, certain=False)


def _is_thing(text: str, run: Finding, value: str) -> bool:
    """Tell whether a word without a capital stands after an article: `the heron`."""
    return (
        run.kind is EntityType.PERSON
        and run.score <= SURE
        and value.isalpha()
        and not any(map(str.isupper, value))
        and bool(_ARTICLE_BEFORE.search(text, max(0, run.start - _DIGEST), run.start))
    )


def _can_be_phone(text: str, run: Finding, value: str) -> bool:
    """Tell whether enough digits stand in and around a run, or it is a number read aloud."""
    if not any(map(str.isdigit, value)):
        return bool(_SPOKEN_DIGIT.match(value))
    before = _PHONE_REST.match(text[max(0, run.start - 24) : run.start][::-1])
    after = _PHONE_REST.match(text, run.end)
    around = (before.group() if before else "") + value + (after.group() if after else "")
    return sum(map(str.isdigit, around)) >= _PHONE_DIGITS


def _is_saying(text: str, run: Finding, value: str) -> bool:
    """Tell whether a name is said of a condition or of luck."""
    if value in CLEAR_EPONYMS and _POSSESSIVE_AFTER.match(text, run.end):
        return True
    if value in EPONYMS and _CONDITION_AFTER.match(text, run.end):
        return True
    return value == "lucky" and bool(_LUCKY_AFTER.match(text, run.end))
