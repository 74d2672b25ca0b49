"""Whether a turn asserts anything, and what of it the speaker takes back at once.

Owns the wording, in English. What follows for trust is decided in `vault.pipeline.guard`, and where a turn is cut in
`vault.pipeline.segment`. Each pattern looks at a bounded start of one statement, and repeats nothing that overlaps:
time is linear in the text.

    >>> asserts("What if I moved to Lund?"), asserts("Maybe I'll move. I live in Graz.")
    (False, True)
    >>> text = "I weigh 61 kilos. Sorry, I misspoke. I weigh 68 kilos."
    >>> [text[part.span.start : part.span.end] for part in parts_of(text) if part.taken_back]
    ['I weigh 61 kilos.']
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from vault.model import Span, Statement
from vault.pipeline.sentences import split_statements

_READ_CHARS: Final = 200
"""Of the start of each statement that are looked at."""
_LEAD: Final = (
    r"(?:(?:oh|ah|um+|uh|hm+|well|ok|okay|so|and|but|also|by the way|just so you know|honestly|sometimes|lately|still)"
    r"\b[\s,.:;\u2014\u2013-]{0,8}){0,6}"
)
_LEADING: Final = re.compile(rf"^{_LEAD}", re.IGNORECASE)
_SUPPOSED: Final = re.compile(
    rf"{_LEAD}(?:"
    r"what if|if (?:only )?(?:i|we|my|our)\b|maybe|perhaps|possibly|suppos(?:e|ing)\b|imagin(?:e|ing)\b|picture\b"
    r"|hypothetically|in theory|let'?s (?:say|imagine|pretend|assume)|say (?:i|we|that i)\b|pretend|assuming\b"
    r"|had i\b|were i\b|should i\b|would(?:n'?t)? (?:it|that)\b"
    r"|(?:i|we)(?:'d| would| could| might| may| wish\b| hope to| wonder| am wondering|'m wondering| was wondering"
    r"| (?:often |sometimes )?(?:daydream|dream|fantasi[sz]e) (?:of|about)| (?:keep|kept) (?:wondering|dreaming|imagining|thinking)"
    r"|'m (?:thinking|dreaming) (?:of|about)| am (?:thinking|dreaming) (?:of|about)| (?:have |'ve )?(?:thought|considered|toyed)\b"
    r"|'m considering| am considering| (?:sometimes |often )?(?:imagine|picture|consider)\b| (?:almost|nearly)\b)"
    r"|it (?:would|could|might) be\b|(?:one|some) ?day (?:i|we)\b|who knows"
    r")",
    re.IGNORECASE,
)
_SOFTLY: Final = re.compile(
    r"\b(?:hypothetically|what if|imagine|suppose|wish (?:i|we)\b|if (?:i|we) (?:had|were|was|could|did|ever)\b)",
    re.IGNORECASE,
)
_ASSERTED: Final = re.compile(
    r"(?:i|we)(?:'d| would) (?:say|rather not|been|already|just|had|have been)\b|i could(?:n'?t| not) \b|i might (?:have mentioned|add)",
    re.IGNORECASE,
)
_TAKES_BACK: Final = re.compile(
    r"(?:(?:oh|no|wait|hang on|hold on|sorry|oops|whoops|ah|hm+|um+|uh|well|actually|apologies|pardon|excuse me|my (?:mistake|bad|fault|error))\b"
    r"[\s,.!:;\u2014\u2013-]{0,8}){0,5}"
    r"(?:scratch that|strike that|(?:forget|ignore|disregard|cancel) (?:that|it|what i (?:just )?said|my last)\b"
    r"|i (?:just )?(?:misspoke|mis-spoke|mistyped|misremembered|meant\b|got (?:that|it) wrong|said (?:that|it) wrong"
    r"|mixed (?:that|it|things) up|take (?:that|it) back|was wrong|made a mistake)"
    r"|(?:that|this|it)(?:'s| is| was) (?:a (?:typo|slip|mistake)|wrong|not right|incorrect|not correct|not what i meant)"
    r"|that came out wrong|let me (?:correct|rephrase|start over)|correction\b|make that\b|no, wait|wait, no|no, that)",
    re.IGNORECASE,
)
_ONLY_A_WORD: Final = re.compile(
    r"(?:(?:no|wait|sorry|oops|whoops|my (?:mistake|bad|fault|error))\b[\s,.!\u2014\u2013-]{0,8}){1,5}(?:i mean\b|$)",
    re.IGNORECASE,
)


# A text without any of these words holds no such statement: most are spared the patterns, which cost ten times more.
_HINTS_OF_SUPPOSING: Final = (
    "if ", "maybe", "perhaps", "possibly", "suppos", "imagin", "picture", "hypothetical", "theory", "say", "pretend",
    "assum", "had i", "were i", "should i", "would", "'d", "could", "might", "may", "wish", "hope", "wonder", "dream",
    "fantas", "think", "thought", "consider", "toyed", "almost", "nearly", "one day", "some day", "someday", "who knows",
)  # fmt: skip
_HINTS_OF_TAKING_BACK: Final = (
    "scratch", "strike", "forget", "ignore", "disregard", "cancel", "spoke", "mistyp", "misremember", "meant", "i mean",
    "wrong", "mixed", "back", "mistake", "typo", "slip", "not right", "correct", "not what", "let me", "make that", "wait",
    "no,", "sorry", "oops", "whoops", "my bad", "my fault", "my error",
)  # fmt: skip


class Part(NamedTuple):
    """A stretch of a turn."""

    span: Span
    taken_back: bool
    """Whether the speaker says right after it that it was wrong."""


def asserts(text: str, statements: Sequence[Statement] | None = None) -> bool:
    """Tell whether any statement of a text says that something is so: not only asks, supposes or wishes.

    Args:
        text: Masked.
        statements: Of it, where they are known already.
    """
    known = split_statements(text) if statements is None else statements
    return not known or any(
        not one.question and not supposed(text[one.span.start : one.span.end]) for one in known
    )


def supposed(statement: str) -> bool:
    """Tell whether one statement only supposes, doubts or wishes what it says."""
    start = statement[:_READ_CHARS].lower().replace("\u2019", "'")
    if not any(hint in start for hint in _HINTS_OF_SUPPOSING):
        return False
    if _ASSERTED.match(start):
        return False
    return _SUPPOSED.match(start) is not None or _SOFTLY.search(start) is not None


def bare(statement: str) -> str:
    """Return a statement without the words that only lead to it: "by the way", "oh, and"."""
    return _LEADING.sub("", statement, count=1)


def parts_of(text: str) -> tuple[Part, ...]:
    """Cut a turn before and after each statement that its speaker takes back at once; one part where none is.

    Parts leave out nothing but white space.
    """
    plain = text.replace("\u2019", "'")
    lower = plain.lower()
    if not any(hint in lower for hint in _HINTS_OF_TAKING_BACK):
        return (Part(Span(0, len(text)), taken_back=False),)
    spans = [one.span for one in split_statements(plain)]
    wrong = {
        place - 1
        for place in range(1, len(spans))
        if _takes_back(plain[spans[place].start : spans[place].end])
        and not _takes_back(plain[spans[place - 1].start : spans[place - 1].end])
    }
    if not wrong or len(spans) - 1 in wrong:
        return (Part(Span(0, len(text)), taken_back=False),)
    made: list[Part] = []
    for place, span in enumerate(spans):
        back = place in wrong
        if made and not back and not made[-1].taken_back:
            made[-1] = Part(Span(made[-1].span.start, span.end), taken_back=False)
        else:
            made.append(Part(span, back))
    return tuple(made)


def _takes_back(statement: str) -> bool:
    start = statement[:_READ_CHARS]
    return _TAKES_BACK.match(start) is not None or _ONLY_A_WORD.match(start.strip()) is not None
