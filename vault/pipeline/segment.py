r"""Extraction, first half: a raw source becomes passages, each of which will become one memory.

Owns the granularity: a chat turn is one passage, unless the user takes back at once what it says: then what
was wrong is a passage of its own, and so is the rest; a document becomes passages of paragraph size that
tile its text: their spans are in order, do not overlap, and leave out white space alone. Each passage
names the exact place that it came from. It leaves the cutting rules to `vault.pipeline.blocks`, the
limits of a whole source to `vault.pipeline.limits`, and sentences to `vault.pipeline.annotate`, which
works on masked text: nothing that comes from here may be stored before the privacy gate has seen it.

The text of a JSON passage is made of lines `path: value`, so it is no slice of the source; its span
reaches from the first value to the last.

    >>> [passage.text for passage in segment(Document(text="One.\n\nTwo."), InputLimits(passage_chars=6))]
    ['One.', 'Two.']
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from vault.errors import InputTooLargeError, TextEmptyError
from vault.model import Chat, Document, Passage, Source, SourceKind, Span, SpeakerRole, Turn
from vault.pipeline.assertions import Part, parts_of
from vault.pipeline.blocks import cut_text, markdown_runs, text_runs
from vault.pipeline.json_leaves import Leaf, decoded_places, read_leaves
from vault.pipeline.limits import InputLimits, check_source


def segment(source: Source, limits: InputLimits) -> tuple[Passage, ...]:
    """Split a checked source into passages, in order.

    Raises:
        InputInvalidError: or one of its kinds: the source is beyond the limits, empty or unstorable,
            or a JSON document is not JSON.
    """
    check_source(source, limits)
    passages = _chat_passages(source) if isinstance(source, Chat) else _document_passages(source, limits)
    if not passages:
        raise TextEmptyError("expected a document with at least one visible value")
    if len(passages) > limits.passages:
        raise InputTooLargeError(f"expected a document of at most {limits.passages} passages, got more")
    return passages


def episode_text(source: Source) -> str:
    """Return the raw text that the spans of `segment` index: turns joined by one newline, or the document's."""
    return "\n".join(turn.text for turn in source.turns) if isinstance(source, Chat) else source.text


def _chat_passages(chat: Chat) -> tuple[Passage, ...]:
    passages: list[Passage] = []
    start = 0
    for turn in chat.turns:
        for span, taken_back in _parts(turn):
            passages.append(
                Passage(
                    text=turn.text[span.start : span.end],
                    position=len(passages),
                    source=Span(start + span.start, start + span.end),
                    speaker=turn.speaker,
                    role=turn.role,
                    at=turn.at if turn.at is not None else chat.started,
                    ref=turn.ref,
                    taken_back=taken_back,
                )
            )
        start += len(turn.text) + 1
    return tuple(passages)


def _parts(turn: Turn) -> tuple[Part, ...]:
    """Return a user's turn in parts; what others say is one, and a candidate anyway."""
    if turn.role is SpeakerRole.USER:
        return parts_of(turn.text)
    return (Part(Span(0, len(turn.text)), taken_back=False),)


def _document_passages(document: Document, limits: InputLimits) -> tuple[Passage, ...]:
    if document.kind is SourceKind.JSON:
        pieces = _json_pieces(document.text, limits)
    else:
        runs = markdown_runs if document.kind is SourceKind.MARKDOWN else text_runs
        pieces = (
            _Piece(document.text[span.start : span.end], span)
            for span in runs(document.text, limits.passage_chars)
        )
    # One more than is allowed shows that there are too many: the rest is not worked on.
    counted = islice(pieces, limits.passages + 1)
    return tuple(
        Passage(piece.text, position, piece.source, document.author, SpeakerRole.OTHER, document.written)
        for position, piece in enumerate(counted)
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    source: Span


def _json_pieces(text: str, limits: InputLimits) -> Iterator[_Piece]:
    """Yield the lines of a JSON document, those of one record together while they fit."""
    pending: _Piece | None = None
    pending_record = ""
    for leaf in read_leaves(text, limits.json_depth):
        for line in _lines(text, leaf, limits.passage_chars):
            if (
                pending
                and leaf.record == pending_record
                and len(pending.text) + 1 + len(line.text) <= limits.passage_chars
            ):
                pending = _Piece(f"{pending.text}\n{line.text}", Span(pending.source.start, line.source.end))
                continue
            if pending:
                yield pending
            pending, pending_record = line, leaf.record
    if pending:
        yield pending


def _lines(text: str, leaf: Leaf, size: int) -> Iterator[_Piece]:
    """Yield a leaf as `path: value`, a long string in several pieces that repeat the path."""
    label = f"{leaf.path}: " if leaf.path else ""
    if len(label) + len(leaf.text) <= size:
        yield _Piece(f"{label}{leaf.text}" if leaf.text.strip() else f'{label}""', leaf.source)
        return
    # A path that would take more than half of a passage is cut from its left: its end says most.
    label = label if len(label) <= size // 2 else f"…{label[-(size // 2) + 1 :]}"
    places = (
        decoded_places(text[leaf.source.start : leaf.source.end])
        if leaf.is_string
        else range(len(leaf.text) + 1)
    )
    for span in cut_text(leaf.text, max(1, size - len(label))):
        source = Span(leaf.source.start + places[span.start], leaf.source.start + places[span.end])
        yield _Piece(f"{label}{leaf.text[span.start : span.end]}", source)
