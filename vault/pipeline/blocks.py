r"""Where plain text and Markdown may be cut: spans of paragraph size that lose no visible character.

Owns the cutting rules, as pure functions from text to spans. It leaves sources and passages to
`vault.pipeline.segment` and sentences to `vault.pipeline.sentences`.

Markdown follows CommonMark as far as cutting needs it: ATX headings, fences of backticks or tildes,
list items and table rows at the start of a line. Setext headings and indented code count as paragraphs.

    >>> [(span.start, span.end) for span in cut_text("One.\n\nTwo.", 6)]
    [(0, 4), (6, 10)]
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from vault.model import Span

_SOLID: Final = re.compile(r"\S")
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING: Final = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)", re.MULTILINE)
_LIST_ITEM: Final = re.compile(r" {0,3}(?:[-*+]|[0-9]{1,9}[.)])(?:[ \t]|$)", re.MULTILINE)
# Places to cut a block that is too long, the best first: after a line, a sentence, a clause, a word.
# The privacy gate sees each piece alone: so no cut after a colon, which would part a label from its
# value, and none between groups of digits, which would part a card or a phone number.
_CUTS: Final = tuple(
    map(
        re.compile,
        (
            r"\n++(?!(?<=\d\n)\d)",
            r"(?<=[.!?\u2026\u3002\uff01\uff1f])[\"')\]\u2019\u201d]*+\s++",
            r"[,;]\s++(?!\d)",
            r"(?<![\d\s:])\s++|(?<=\d)\s++(?!\d)",
        ),
    )
)


def cut_text(text: str, size: int) -> tuple[Span, ...]:
    """Cut plain text into runs of whole paragraphs of at most `size` characters.

    A paragraph that is longer is cut after lines, else sentences, clauses, words, else anywhere.
    """
    return tuple(text_runs(text, size))


def text_runs(text: str, size: int) -> Iterator[Span]:
    """Yield what `cut_text` returns, no further than it is asked for."""
    return _pack(text, _paragraphs(text), size)


def cut_markdown(text: str, size: int) -> tuple[Span, ...]:
    """Cut Markdown as `cut_text` does, but keep a heading with what follows and a code block whole.

    A heading always begins a new run; list items are cut between, not within, where they fit.
    """
    return tuple(markdown_runs(text, size))


def markdown_runs(text: str, size: int) -> Iterator[Span]:
    """Yield what `cut_markdown` returns, no further than it is asked for."""
    return _pack(
        text,
        _markdown_blocks(text),
        size,
        opens_run=lambda block: _HEADING.match(text, block.start) is not None,
    )


def _pack(
    text: str, blocks: Iterable[Span], size: int, opens_run: Callable[[Span], bool] = lambda _: False
) -> Iterator[Span]:
    """Join neighbouring blocks while they fit in `size`, and cut those that do not."""
    run: Span | None = None
    for block in blocks:
        if run and not opens_run(block) and block.end - run.start <= size:
            run = Span(run.start, block.end)
            continue
        if run:
            yield run
            run = None
        if block.end - block.start > size:
            yield from _cut_long(text, block, size)
        else:
            run = block
    if run:
        yield run


def _cut_long(text: str, block: Span, size: int) -> Iterator[Span]:
    """Cut one trimmed block at the best places so that each piece is at most `size` long."""
    start = block.start
    while block.end - start > size:
        cut = _best_cut(text, start, start + size)
        yield from _trimmed(text, start, cut)
        solid = _SOLID.search(text, cut, block.end)
        start = solid.start() if solid else block.end
    yield from _trimmed(text, start, block.end)


def _best_cut(text: str, start: int, limit: int) -> int:
    """Return the last cut of the best kind in the second half of `[start, limit]`, else `limit`."""
    half = start + (limit - start) // 2
    for pattern in _CUTS:
        last = 0
        for found in pattern.finditer(text, half, limit + 1):  # one more, for what may not follow a cut
            last = found.end() if found.end() <= limit else last
        if last > start:
            return last
    return limit


def _paragraphs(text: str) -> Iterator[Span]:
    """Yield the runs of lines between blank lines."""
    start = end = -1
    for line in _LINE.finditer(text):
        if line.group().strip():
            start = line.start() if start < 0 else start
            end = line.end()
        elif start >= 0:
            yield from _trimmed(text, start, end)
            start = -1
    if start >= 0:
        yield from _trimmed(text, start, end)


def _markdown_blocks(text: str) -> Iterator[Span]:
    """Yield headings, list items, fenced code blocks and paragraphs, in order."""
    start = 0
    fence = ""
    for line in _LINE.finditer(text):
        mark = _FENCE.match(line.group())
        if fence:
            if mark and mark.group(1).startswith(fence) and not line.group()[mark.end() :].strip():
                fence = ""
                yield from _trimmed(text, start, line.end())
                start = line.end()
            continue
        if mark or not line.group().strip() or _HEADING.match(line.group()) or _LIST_ITEM.match(line.group()):
            yield from _trimmed(text, start, line.start())
            start = line.start()
            fence = mark.group(1) if mark else ""
        if _HEADING.match(line.group()):
            yield from _trimmed(text, start, line.end())
            start = line.end()
    yield from _trimmed(text, start, len(text))


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield `[start, end)` without the white space around it, or nothing where nothing else is there."""
    piece = text[start:end]
    solid = piece.strip()
    if solid:
        left = len(piece) - len(piece.lstrip())
        yield Span(start + left, start + left + len(solid))
