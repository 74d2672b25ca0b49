"""From findings to whole runs: grown to word borders, pieces of one address or name joined.

A finding that ends inside a word would leave the rest of it readable; an address found in four pieces
would leave its commas and its shape. Technical terms that the rules allow are dropped here.
"""

import re
import sys
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.ordinary import CREATURES, NO_NAMES, PARTICLES
from vault.privacy.plausible import SURE, plausible_word, settled

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
_CAPITALISED: Final = frozenset({EntityType.PERSON, EntityType.ORGANIZATION})
_PAIR: Final = re.compile(r"[^\W\d_a-zß-öø-ÿ][a-zß-öø-ÿ]")
"""Where the first is a capital, the text writes its names with capitals. No token holds one."""
_LIST_GAP: Final = re.compile(r",? (?:and|or|&) |, ")
_BESIDE: Final = frozenset({EntityType.ADDRESS, EntityType.ORGANIZATION})
_STRAY: Final = 0.2
_MOST_NAMES: Final = 64
_POSSESSIVE: Final = re.compile(r"(?:['’]s|['’])$")


def whole_runs(text: str, findings: Iterable[Finding], terms: frozenset[str]) -> list[Finding]:
    """Return findings fit for masking, by place; they may overlap.

    Args:
        text: What was searched.
        findings: In any order.
        terms: Case-folded terms that are never personal data.
    """
    grown = [_grow(text, part) for finding in findings for part in _parts(text, _grow(text, finding), terms)]
    kept = (
        finding
        for finding in grown
        if (finding.certain or plausible_word(text, finding)) and not _is_term(text, finding, terms)
    )
    joined = _join(text, sorted(kept, key=lambda one: (one.start, -one.end, one.kind)))
    runs = _settled(text, joined)
    return sorted([*runs, *_named_again(text, runs)], key=lambda one: (one.start, -one.end, one.kind))


def _settled(text: str, runs: Sequence[Finding]) -> list[Finding]:
    """Return the runs that can be what they are said to be; a number beside a place belongs to its address."""
    kept: list[Finding] = []
    for run in runs:
        beside = kept and run.kind in _BESIDE and _WORD_GAP.fullmatch(text, kept[-1].end, run.start)
        one = run if run.certain or beside else settled(text, run)
        if one:
            kept.append(one)
    return kept


def _named_again(text: str, runs: Sequence[Finding]) -> list[Finding]:
    """Return further places where a word of a person's name stands: `Ann Lee … Lee said`."""
    words = {
        word
        for run in runs
        if run.kind is EntityType.PERSON and run.score >= SURE
        for word in _NAME_WORD.findall(text[run.start : run.end])
    }
    if not words:
        return []
    pattern = re.compile(rf"(?<![\w])(?:{'|'.join(map(re.escape, sorted(words)[:_MOST_NAMES]))})(?![\w])")
    sure = sorted((run.start, run.end) for run in runs if run.kind is EntityType.PERSON and run.score >= SURE)
    places = (match.span() for match in pattern.finditer(text))
    return [
        Finding(EntityType.PERSON, start, end, SURE, certain=False)
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


def _parts(text: str, finding: Finding, terms: frozenset[str]) -> list[Finding]:
    """Return the finding, or the rest of a list of which a part is no name: `Redis, Lee and Python`."""
    if finding.kind is not EntityType.ORGANIZATION:
        return [finding]
    borders = list(_LIST_GAP.finditer(text, finding.start, finding.end))
    if not borders:
        return [finding]
    starts = [finding.start, *(gap.end() for gap in borders)]
    ends = [*(gap.start() for gap in borders), finding.end]
    pieces = [
        Finding(finding.kind, start, end, finding.score, certain=False)
        for start, end in zip(starts, ends, strict=True)
    ]
    if not any(_is_term(text, piece, terms) for piece in pieces):
        return [finding]
    return pieces


def _is_term(text: str, finding: Finding, terms: frozenset[str]) -> bool:
    """Tell whether a finding is a word that is no personal data."""
    if finding.kind not in _CAN_BE_TERMS:
        return False
    value = text[finding.start : finding.end].casefold()
    return value in terms or value in NO_NAMES


def _join(text: str, findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings with neighbours that are parts of one thing joined."""
    cased = any(pair.group()[0].isupper() for pair in _PAIR.finditer(text))
    joined: list[Finding] = []
    for group in _groups(text, [one for one in findings if not (cased and _is_stray(text, one))]):
        titled = any(piece.kind is EntityType.TITLE for piece in group)
        pieces = _trimmed(text, group) if cased and not titled else group
        if pieces:
            joined.append(_whole(text, pieces))
    return joined


def _groups(text: str, findings: Sequence[Finding]) -> list[list[Finding]]:
    """Return lists of neighbours that are parts of one thing."""
    groups: list[list[Finding]] = []
    last: Finding | None = None
    for finding in findings:
        both = _both(text, last, finding) if last else None
        if both:
            groups[-1].append(finding)
        else:
            groups.append([finding])
        last = both or finding
    return groups


def _both(text: str, left: Finding, right: Finding) -> Finding | None:
    """Return two neighbours as one, or None if they are two things."""
    kind = _together(text, left, right)
    if kind is None:
        return None
    return Finding(
        kind,
        left.start,
        max(left.end, right.end),
        max(left.score, right.score),
        left.certain and right.certain,
    )


def _whole(text: str, pieces: Sequence[Finding]) -> Finding:
    """Return the pieces of one thing as one."""
    return reduce(lambda left, right: _both(text, left, right) or left, pieces)


def _trimmed(text: str, group: Sequence[Finding]) -> list[Finding]:
    """Return a name's pieces among capitals without small words before it and creatures after it.

    Other small words after it stay, if the tagger thinks them likely: people write `John smith`.
    """
    small = [_is_small(text, piece) for piece in group]
    if all(small):
        return []
    if any(piece.kind is EntityType.ORGANIZATION for piece in group):
        return list(group)
    pieces = list(group[small.index(False) :])
    while _is_small(text, pieces[-1]) and text[pieces[-1].start : pieces[-1].end] in CREATURES:
        pieces.pop()
    return pieces


def _is_stray(text: str, finding: Finding) -> bool:
    """Tell whether a small word stands among names that the tagger hardly thinks one: `Ann made`."""
    return (
        finding.kind is EntityType.PERSON
        and finding.score < _STRAY
        and _is_small(text, finding)
        and text[finding.start : finding.end] not in PARTICLES
    )


def _is_small(text: str, finding: Finding) -> bool:
    """Tell whether the tagger took a word without a capital for a name, and is not sure."""
    return (
        finding.kind in _CAPITALISED
        and not finding.certain
        and finding.score <= SURE
        and not any(map(str.isupper, text[finding.start : finding.end]))
    )


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
