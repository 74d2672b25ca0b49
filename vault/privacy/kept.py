"""Tokens that a text takes over from the text before it, with the originals that they stand for, or without.

The gate leaves tokens alone that stand in a text, and knows no original of theirs: whoever changes a
memory's text has its former one at hand, and this puts both together. Whoever takes personal data out of a
memory for good has the marks put in the tokens' places.
"""

from dataclasses import replace

from policies.privacy import EntityType
from vault.model import SCREENED_ISSUER, Replacement, Screened, Span
from vault.privacy.tokens import TOKEN, redaction_mark


def with_kept_originals(screened: Screened, source: str) -> Screened:
    """Let what would be taken out for good keep its original: it may not be lost, and is as masked as it was to be.

    Args:
        screened: What the gate made of a text.
        source: That text.
    """
    kept = tuple(
        replace(one, original=source[one.source.start : one.source.end]) if one.original is None else one
        for one in screened.replacements
    )
    return Screened(screened.text, kept, screened.detector, SCREENED_ISSUER)


def with_kept_tokens(screened: Screened, before: Screened) -> Screened:
    """Let tokens of the former text that still stand in the new one keep their originals.

    Threat: a token that somebody typed in. Only a token of this very memory is known here, and its
    original was revealed to nobody by being kept.
    """
    known = {old.token: old for old in before.replacements}
    taken = {span for found in screened.replacements for span in range(found.masked.start, found.masked.end)}
    kept = [
        Replacement(old.entity_type, place, place, old.token, old.original)
        for match in TOKEN.finditer(screened.text)
        if (old := known.get(match.group())) and match.start() not in taken
        for place in (Span(*match.span()),)
    ]
    merged = sorted((*screened.replacements, *kept), key=lambda found: found.masked.start)
    return Screened(screened.text, tuple(merged), screened.detector, SCREENED_ISSUER)


def without_originals(screened: Screened) -> Screened:
    """Return a text in which marks of redaction stand where tokens stood: nothing brings their originals back."""
    parts: list[str] = []
    replacements: list[Replacement] = []
    end = length = 0
    for found in sorted(screened.replacements, key=lambda one: one.masked.start):
        mark = redaction_mark(EntityType(found.entity_type))
        between = screened.text[end : found.masked.start]
        start = length + len(between)
        place = Span(start, start + len(mark))
        replacements.append(Replacement(found.entity_type, place, found.source, mark, None))
        parts += (between, mark)
        end, length = found.masked.end, place.end
    text = "".join((*parts, screened.text[end:]))
    return Screened(text, tuple(replacements), screened.detector, SCREENED_ISSUER)
