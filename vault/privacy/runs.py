"""From findings to whole runs: grown to word borders, pieces of one address or name joined.

A finding that ends inside a word would leave the rest of it readable; an address found in four pieces
would leave its commas and its shape. Technical terms that the rules allow are dropped here.
"""

import re
import sys
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Finding

_ADDRESS_PARTS: Final = frozenset({EntityType.ADDRESS, EntityType.POSTCODE, EntityType.LOCATION})
_NAME_PARTS: Final = frozenset({EntityType.PERSON, EntityType.TITLE})
_CAN_BE_TERMS: Final = frozenset(
    {
        EntityType.PERSON,
        EntityType.TITLE,
        EntityType.ORGANIZATION,
        EntityType.LOCATION,
        EntityType.NATIONALITY,
        EntityType.URL,
        EntityType.USERNAME,
    }
)
_ADDRESS_GAP: Final = re.compile(r"[\s,.#/()-]{0,8}")
_NAME_GAP: Final = re.compile(r"[ \t]{1,3}")
_INITIAL: Final = re.compile(r"(?:^|[ .])[^\W\d_]$")
_WORD_GAP: Final = re.compile(r"[ ]?[-&'/]?[ ]?")
_NAME_WORD: Final = re.compile(r"[^\W\d_a-z][^\W\d_]{2,30}")
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
_SURE: Final = 0.5
_MOST_NAMES: Final = 64
_POSSESSIVE: Final = re.compile(r"(?:['’]s|['’])$")


def whole_runs(text: str, findings: Iterable[Finding], terms: frozenset[str]) -> list[Finding]:
    """Return findings fit for masking, by place; they may overlap.

    Args:
        text: What was searched.
        findings: In any order.
        terms: Case-folded terms that are never personal data.
    """
    grown = (
        one for one in (_grow(text, finding) for finding in findings) if one.certain or _plausible(text, one)
    )
    kept = (
        finding
        for finding in grown
        if not (finding.kind in _CAN_BE_TERMS and text[finding.start : finding.end].casefold() in terms)
    )
    runs = _join(text, sorted(kept, key=lambda one: (one.start, -one.end, one.kind)))
    return sorted([*runs, *_named_again(text, runs)], key=lambda one: (one.start, -one.end, one.kind))


def _named_again(text: str, runs: Sequence[Finding]) -> list[Finding]:
    """Return further places where a word of a person's name stands: `Ann Lee … Lee said`."""
    words = {
        word
        for run in runs
        if run.kind is EntityType.PERSON and run.score >= _SURE
        for word in _NAME_WORD.findall(text[run.start : run.end])
    }
    if not words:
        return []
    pattern = re.compile(rf"(?<![\w])(?:{'|'.join(map(re.escape, sorted(words)[:_MOST_NAMES]))})(?![\w])")
    sure = sorted(
        (run.start, run.end) for run in runs if run.kind is EntityType.PERSON and run.score >= _SURE
    )
    places = (match.span() for match in pattern.finditer(text))
    return [
        Finding(EntityType.PERSON, start, end, _SURE, certain=False)
        for start, end in places
        if not _inside(sure, start)
    ]


def _inside(ranges: Sequence[tuple[int, int]], place: int) -> bool:
    """Tell whether `place` lies in one of the sorted ranges."""
    at = bisect_right(ranges, (place, sys.maxsize)) - 1
    return at >= 0 and place < ranges[at][1]


def _grow(text: str, finding: Finding) -> Finding:
    """Return the finding with its borders moved outwards to the ends of words, without a trailing 's."""
    start, end = finding.start, finding.end
    while start > 0 and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    if finding.kind in _CAN_BE_TERMS:
        possessive = _POSSESSIVE.search(text, start, end)
        if possessive and possessive.start() > start:
            end = possessive.start()
    if (start, end) == (finding.start, finding.end):
        return finding
    return Finding(finding.kind, start, end, finding.score, finding.certain)


def _plausible(text: str, finding: Finding) -> bool:
    """Tell whether what the tagger found can be of that kind: no digest is a phone, no percentage an age, no `in June` a person."""
    value = text[finding.start : finding.end]
    if len(value) >= _DIGEST and _HEX.fullmatch(value) and not value.isdigit():
        return False
    if _MONTH_OR_DAY.fullmatch(value) and _BEFORE_DATE.search(
        text, max(0, finding.start - _DIGEST), finding.start
    ):
        return False
    if finding.kind not in {EntityType.AGE, EntityType.DATE} or not value.isdigit():
        return True
    if (
        _PART_OF_NUMBER.match(text, finding.end)
        or text[finding.start - 2 : finding.start].rstrip(".,").isdigit()
    ):
        return False
    return len(value) <= _AGE_DIGITS if finding.kind is EntityType.AGE else bool(_YEAR.fullmatch(value))


def _join(text: str, findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings with neighbours that are parts of one thing joined."""
    joined: list[Finding] = []
    for finding in findings:
        last = joined[-1] if joined else None
        kind = _together(text, last, finding) if last else None
        if last and kind:
            joined[-1] = Finding(
                kind,
                last.start,
                max(last.end, finding.end),
                max(last.score, finding.score),
                last.certain and finding.certain,
            )
        else:
            joined.append(finding)
    return joined


def _together(text: str, left: Finding, right: Finding) -> EntityType | None:
    """Return the kind that two neighbours make together, or None if they are two things."""
    kinds = {left.kind, right.kind}
    gap = text[left.end : right.start]
    if kinds <= _ADDRESS_PARTS and EntityType.ADDRESS in kinds and _ADDRESS_GAP.fullmatch(gap):
        return EntityType.ADDRESS
    if (
        kinds <= _NAME_PARTS
        and EntityType.PERSON in kinds
        and (_NAME_GAP.fullmatch(gap) or _short_form(text, left, gap))
    ):
        return EntityType.PERSON
    if len(kinds) == 1 and left.kind in _CAN_BE_TERMS and _WORD_GAP.fullmatch(gap):
        return left.kind
    return None


def _short_form(text: str, left: Finding, gap: str) -> bool:
    """Tell whether a full stop between two parts of a name ends an initial or a title, not a sentence."""
    return gap in {".", ". "} and (
        left.kind is EntityType.TITLE or bool(_INITIAL.search(text[left.start : left.end]))
    )
