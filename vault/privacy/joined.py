"""A second look at a text: with what could split a value taken out.

Markup with attributes, comments, emphasis, escapes and token-shaped strings can stand in the middle of
a number or an address, and no pattern sees it whole. Here they are taken out where they touch what is
readable; what is then found across such a seam is masked on both sides of it. A token is left in place
whatever is found: the gate masks around it.

It also finds Unicode tag characters, which people do not see and language models read.
Nothing here decides what becomes of a finding. Offsets are code points.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.recognizers import checksums
from vault.privacy.tokens import TOKEN
from vault.privacy.view import View

_TAKEN: Final = re.compile(
    rf"(?P<token>(?:{TOKEN.pattern}){{1,8}})"
    r"|(?P<shell>\[[A-Z_]{2,20}-(?=[a-z2-7]{6}\])|(?<=[2-7]{4})\])"
    r"|<!--[^<>]{0,300}-->|</?[A-Za-z][^<>]{0,300}>"
    r"|(?<=\S)(?:\*{1,3}|~~|`|\\)(?=\S)"
)
_DIGIT_AFTER: Final = re.compile(r"[ ._·-]{0,2}[0-9]")
_DIGIT_BEFORE: Final = re.compile(r"[0-9][ ._·-]{0,2}\Z")
_NEAR: Final = 4
_NUMBER: Final = re.compile(r"(?<![0-9])[0-9](?:[\s._·-]{0,3}[0-9]){6,30}(?![0-9])")
_CARD_DIGITS: Final = range(12, 20)
_SURE: Final = 0.5
_TAGS: Final = re.compile(
    "\U0001f3f4\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074|\U000e0077\U000e006c\U000e0073)\U000e007f"
    "|(?P<hidden>[\U000e0001\U000e0020-\U000e007f]{1,200000})"
)
"""The flags of England, Scotland and Wales, or text that nobody sees."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A view with pieces taken out: `places[i]` is where character `i` stands in the view."""

    text: str
    places: tuple[int, ...]
    seams: tuple[int, ...]
    """Where something was taken out, in order."""
    tokens: frozenset[int]
    """Those seams at which it was a token, or shaped like one."""

    def across(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield, in places of the view, findings that lie across a seam and numbers that only a token split.

        Across tokens alone the tagger's opinion counts for nothing: text full of tokens would be masked anew.
        """
        for finding in (*findings, *self._numbers()):
            crossed = self._crossed(finding.start, finding.end)
            likely = finding.score >= _SURE and any(one not in self.tokens for one in crossed)
            if crossed and (finding.certain or likely):
                start, end = self.places[finding.start], self.places[finding.end - 1] + 1
                yield Finding(finding.kind, start, end, finding.score, finding.certain)

    def _crossed(self, start: int, end: int) -> tuple[int, ...]:
        """Return the seams inside `[start, end)`, its borders excluded."""
        return self.seams[bisect_right(self.seams, start) : bisect_left(self.seams, end)]

    def _numbers(self) -> Iterator[Finding]:
        """Yield runs of seven digits and more that a token split, whatever they are."""
        for match in _NUMBER.finditer(self.text):
            if self.tokens.isdisjoint(self._crossed(*match.span())):
                continue
            digits = "".join(filter(str.isdigit, match.group()))
            card = len(digits) in _CARD_DIGITS and checksums.luhn(digits)
            yield Finding(EntityType.CARD if card else EntityType.MEMBER_NUMBER, *match.span(), 0.8)


def joined(view: View) -> Joined | None:
    """Return the view without what splits, or None if nothing does."""
    text = view.text
    pieces: list[str] = []
    places: list[int] = []
    seams: list[int] = []
    tokens: set[int] = set()
    done = 0
    for match in _TAKEN.finditer(text):
        if match["token"] and not _splits(text, *match.span()):
            continue
        pieces.append(text[done : match.start()])
        places.extend(range(done, match.start()))
        done = match.end()
        seams.append(len(places))
        if match["token"] or match["shell"]:
            tokens.add(len(places))
    if not seams:
        return None
    pieces.append(text[done:])
    places.extend(range(done, len(text)))
    return Joined("".join(pieces), tuple(places), tuple(seams), frozenset(tokens))


def _splits(text: str, start: int, end: int) -> bool:
    """Tell whether a token touches a word, or stands between digits."""
    before, after = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    if (before[-1:].isalnum()) or (after[:1].isalnum()):
        return True
    return bool(_DIGIT_BEFORE.search(before) and _DIGIT_AFTER.match(after))


def hidden_tags(text: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges of `text` that hold tag characters, flags excepted."""
    for match in _TAGS.finditer(text):
        if match["hidden"]:
            yield match.span()
