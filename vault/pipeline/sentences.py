"""Masked text becomes statements: sentences, or the lines and fragments that chat is made of.

Owns the splitting and the question flag. Statements are in order, do not overlap, and leave out
nothing but white space. Rules, not a model: a terminator followed by white space ends a statement
unless it belongs to an abbreviation, an initial, a list number or an ellipsis that goes on in lower
case; a line break ends one unless the line is a hard-wrapped one; a fragment without a letter or a
digit (an emoji, a lone bracket) joins the statement before it.

    >>> [statement.question for statement in split_statements("Dr. Li called. Is 5.5 mg right?")]
    [False, True]
"""

import re
from collections.abc import Iterator
from typing import Final

from vault.model import Span, Statement
from vault.pipeline.tokens import blank_tokens

_END: Final = re.compile(
    r"""(?P<mark>(?<![.!?\u2026\u061f\u0964])[.!?\u2026\u061f\u0964]++["')\]\u2019\u201d*_]*+)(?=\s)\s*  # a terminator, its closing quotes, the blanks
    |(?P<wide>[\u3002\uff01\uff1f]+["')\]\u2019\u201d\u300d]*)\s*          # CJK terminators need no blank
    |(?P<line>(?<![ \t])[ \t]*+\r?\n\s*)""",
    re.VERBOSE,
)
_STANDING: Final = """
    dr mr mrs ms mx prof rev hon st jr sr vs etc eg ie e.g i.e cf al approx dept est fig no nos nr tel ext
    vol pp inc ltd co corp bros ave blvd rd apt hwy gen col capt lt sgt sen rep gov pres dipl ing med
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri a.m p.m u.s u.k
    str bzw z.b ca min max hr hrs wk wks yr yrs mo mos oz lb lbs ft
"""
_ABBREVIATIONS: Final = frozenset(_STANDING.split())
# These end a sentence as readily as they stand within one: what follows decides.
_STANDING_OR_ENDING: Final = (
    "etc inc ltd co corp jr sr a.m p.m u.s u.k min max hr hrs yr yrs mo mos wk wks oz lb lbs ft est mon"
)
_OPEN_ABBREVIATIONS: Final = frozenset(_STANDING_OR_ENDING.split())
_NUMBER_ABBREVIATIONS: Final = frozenset(
    {"no", "nos", "nr", "fig", "vol", "pp", "approx", "ca", "ext", "tel", "apt"}
)
_WORD_BEFORE: Final = re.compile(r"[^\s(\[\"'\u201c]*$")
# Longer than any abbreviation, and than what stands after a question mark: bounds each look back.
_LOOK_BACK: Final = 64
_WORDS: Final = re.compile(r"\w")
_LIST_MARK: Final = re.compile(r"[-*\u2022+#>|]|\d{1,3}[.)]\s|[A-Za-z][)]\s")
_WRAPPED_LINE: Final = 60
_TAIL: Final = re.compile(r"[^\w?!.\u2026\u061f\uff1f]+$")
_ASKING: Final = re.compile(
    r"(?:(?:so|and|but|ok|okay|oh|hey|hi|well|also|um|hmm)[, ]+)*"
    r"(?:what|what's|whats|when|where|who|whom|whose|why|how|which|hows|how's|wheres|where's"
    r"|(?:do|does|did|can|could|would|will|are|is|was|were|have|has|should|may|shall) (?:i|you|u|we|they|he|she|it|this|that|there|my|your|the)"
    r")\b",
    re.IGNORECASE,
)
_QUESTION_MARKS: Final = ("?", "\uff1f", "\u061f")
_FULL_STOPS: Final = (".", "!", "\u2026", "\u3002", "\uff01")


def split_statements(text: str) -> tuple[Statement, ...]:
    """Split masked text into statements that tile everything but white space."""
    return tuple(Statement(span, _asks(text[span.start : span.end])) for span in _spans(text))


def _spans(text: str) -> list[Span]:
    spans: list[Span] = []
    start = len(text) - len(text.lstrip())
    for cut, after in _cuts(blank_tokens(text, "X"), start):
        _add(text, spans, start, cut)
        start = after
    end = len(text.rstrip())
    if start < end:
        _add(text, spans, start, end)
    return spans


def _add(text: str, spans: list[Span], start: int, end: int) -> None:
    """Append a span; one without a word joins its neighbour: the one before, else the one after."""
    if spans and not (
        _WORDS.search(text, start, end) and _WORDS.search(text, spans[-1].start, spans[-1].end)
    ):
        spans[-1] = Span(spans[-1].start, end)
    else:
        spans.append(Span(start, end))


def _cuts(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield where a statement ends and where the next one begins."""
    for found in _END.finditer(text, start):
        after = found.end()
        if after == len(text):
            return
        if found.lastgroup == "line":
            if _ends_at_line(text, start, found):
                yield found.start(), after
                start = after
        elif (
            found.lastgroup == "wide"
            or "\n" in text[found.end("mark") : after]
            or _ends_at_mark(text, start, found)
        ):
            yield found.end(found.lastgroup or 0), after
            start = after


def _ends_at_line(text: str, start: int, found: re.Match[str]) -> bool:
    """Tell whether a line break is meant: not that of hard-wrapped prose."""
    line = text.rfind("\n", start, found.start()) + 1
    short = found.start() - max(line, start) < _WRAPPED_LINE
    return short or found.group().count("\n") > 1 or _LIST_MARK.match(text, found.end()) is not None


def _ends_at_mark(text: str, start: int, found: re.Match[str]) -> bool:
    """Tell whether a terminator ends a statement."""
    mark = found.group("mark").rstrip("\"')]\u2019\u201d*_")
    following = text[found.end()]
    if mark.startswith(("..", "\u2026")):
        return not following.islower()
    if mark != ".":
        return True
    begin = max(start, found.start() - _LOOK_BACK)
    before = _WORD_BEFORE.search(text, begin, found.start())
    word = before.group().lower() if before else ""
    if before and before.start() == start and word.isdigit():
        return False  # "2. Take it with food": the number of a list item
    if word in _NUMBER_ABBREVIATIONS:
        return not following.isdigit()
    if word in _OPEN_ABBREVIATIONS:
        return following.isupper()
    initial = len(word) == 1 and word.isalpha() and word != "i" and text[found.start() - 1].isupper()
    return not initial and word not in _ABBREVIATIONS


def _asks(statement: str) -> bool:
    tail = _TAIL.sub("", statement[-_LOOK_BACK:])
    if tail.endswith(_QUESTION_MARKS) or tail[-3:].rstrip("!").endswith("?"):
        return True
    return not tail.endswith(_FULL_STOPS) and _ASKING.match(statement) is not None
