"""How much one call may bring in, and what text must be like to be kept at all.

Owns the input limits with their defaults, and the check of a whole `Source` against them before
anything is segmented, screened or counted. It leaves personal data to the privacy gate, file bytes
to `vault.pipeline.documents`, and the reading of dates in text to `vault.pipeline.times`.

Messages name the field, its place and the limit, never what stood there.

    >>> check_source(Document(text="Take one tablet a day."), InputLimits())
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final

from vault.errors import (
    IdentifierInvalidError,
    InputInvalidError,
    InputTooLargeError,
    TextEmptyError,
    TextInvalidError,
    TimeInvalidError,
)
from vault.model import Chat, Document, Source, SourceKind, SpeakerRole, Turn

# Left-to-right and right-to-left *override* show text in another order than it is stored in; honest
# writing uses marks, embeddings and isolates, which stay allowed.
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff\u202d\u202e]")
# Characters that show nothing: text made of these and blanks alone is empty to a reader.
_BLANK_CATEGORIES: Final = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")


MEMORIES_OF_A_WRITE: Final = 10_000
"""One audit entry names every memory of a write with its digest, 101 bytes each, and may have 1 MiB."""


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The bounds of one call; each is a setting.

    Raises:
        InputInvalidError: a limit below 1, which would refuse everything, or more memories than one
            write can have.
    """

    document_bytes: int = 4_194_304
    """Bytes of a document or a chat file, before decoding."""
    document_chars: int = 2_000_000
    """Characters of a document's text."""
    turn_chars: int = 16_384
    """Characters of one chat turn, which becomes one memory."""
    chat_chars: int = 4_000_000
    """Characters of all turns of one chat together."""
    turns: int = 10_000
    """Turns of one chat."""
    sessions: int = 1_000
    """Chats of one file."""
    passages: int = 10_000
    """Passages that one document may become."""
    passage_chars: int = 800
    """Target size of a document's passage; a passage is never longer."""
    json_depth: int = 64
    """Nesting of a JSON document."""
    title_chars: int = 512
    """Characters of a title."""
    name_chars: int = 255
    """Characters of a file name, a speaker's or an author's name."""
    ref_chars: int = 256
    """Characters of the caller's own id of a turn."""
    tags: int = 64
    """Tags of one source."""
    tag_chars: int = 128
    """Characters of one tag."""
    metadata_entries: int = 64
    """Metadata entries of one source."""
    metadata_key_chars: int = 128
    """Characters of one metadata key."""
    metadata_value_chars: int = 4_096
    """Characters of one metadata value."""
    query_chars: int = 4_096
    """Characters of one query."""

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) < 1:
                raise InputInvalidError(f"expected the limit {limit.name} to be at least 1")
        if max(self.turns, self.passages) > MEMORIES_OF_A_WRITE:
            raise InputInvalidError(f"expected limits of at most {MEMORIES_OF_A_WRITE} turns and passages")


def check_source(source: Source, limits: InputLimits) -> None:
    """Refuse a source that cannot be kept as it is, before any of it is worked on.

    Raises:
        InputTooLargeError: a field is longer, or a list has more, than the limits allow.
        TextEmptyError: nothing to remember: no turn, or text without a visible character.
        TextInvalidError: NUL, a lone surrogate or a bidirectional override in any field.
        IdentifierInvalidError: two turns with the same `ref`.
        TimeInvalidError: a date that has no instant between the years 1 and 9999.
        InputInvalidError: two metadata keys or tags that read the same, or a field of another type.
    """
    if isinstance(source, Chat):
        _expect("turns in a list or tuple", source.turns, list, tuple)
        _check_turns(source.turns, limits)
        check_time("start of the chat", source.started)
    else:
        _check_document(source, limits)
    check_text("title", source.title, limits.title_chars)
    check_labels(source.tags, source.metadata, limits)


def check_labels(tags: tuple[str, ...], metadata: Mapping[str, str], limits: InputLimits) -> None:
    """Refuse tags and metadata that are too many, too long, empty, unstorable or ambiguous.

    Raises:
        InputInvalidError: or one of its kinds, as for `check_source`.
    """
    _expect("tags in a list or tuple", tags, list, tuple)
    _expect("metadata as a mapping", metadata, Mapping)
    _check_count("tags", len(tags), limits.tags)
    _check_count("metadata entries", len(metadata), limits.metadata_entries)
    for place, tag in enumerate(tags):
        check_visible(f"tag {place}", tag, limits.tag_chars)
    for place, (key, value) in enumerate(metadata.items()):
        check_visible(f"metadata key {place}", key, limits.metadata_key_chars)
        check_text(f"metadata value {place}", value, limits.metadata_value_chars)
    _check_distinct("tags", tags)
    _check_distinct("metadata keys", metadata)


def check_text(field: str, text: str, limit: int) -> None:
    """Refuse text that is too long or cannot be stored; empty is fine.

    Raises:
        InputTooLargeError: longer than `limit` characters.
        TextInvalidError: not a string, or with NUL, a lone surrogate or a bidirectional override.
    """
    if not isinstance(text, str):
        raise TextInvalidError(f"expected {field} to be text")
    if len(text) > limit:
        raise InputTooLargeError(f"expected {field} of at most {limit} characters, got {len(text)}")
    found = _UNSTORABLE.search(text)
    if found:
        raise TextInvalidError(
            f"expected {field} without NUL, lone surrogate or bidirectional override, got one at {found.start()}"
        )


def check_visible(field: str, text: str, limit: int) -> None:
    """Refuse what `check_text` refuses, and text in which a reader sees nothing.

    Raises:
        TextEmptyError: no visible character.
        InputTooLargeError: longer than `limit` characters.
        TextInvalidError: cannot be stored.
    """
    check_text(field, text, limit)
    if not any(map(_is_visible, text)):
        raise TextEmptyError(f"expected {field} with at least one visible character")


def check_time(field: str, at: datetime | None) -> None:
    """Refuse a date that cannot be told in universal time; a naive one counts as universal.

    Raises:
        TimeInvalidError: it is no date, or its instant lies outside the years 1 to 9999.
    """
    if at is None:
        return
    if not isinstance(at, datetime):
        raise TimeInvalidError(f"expected the {field} as a datetime")
    try:
        at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    except (OverflowError, ValueError) as error:
        raise TimeInvalidError(
            f"expected the {field} between the years 1 and 9999 in universal time"
        ) from error


def _check_turns(turns: tuple[Turn, ...], limits: InputLimits) -> None:
    if not turns:
        raise TextEmptyError("expected a chat of at least one turn")
    _check_count("turns", len(turns), limits.turns)
    for place, turn in enumerate(turns):
        if not _is_turn(turn):
            raise InputInvalidError(f"expected a Turn with a SpeakerRole at place {place}")
        check_visible(f"turn {place}", turn.text, limits.turn_chars)
        check_text(f"speaker of turn {place}", turn.speaker, limits.name_chars)
        check_time(f"time of turn {place}", turn.at)
        if turn.ref is not None:
            check_visible(f"ref of turn {place}", turn.ref, limits.ref_chars)
    _check_count("characters in all turns", sum(len(turn.text) for turn in turns), limits.chat_chars)
    refs = [turn.ref for turn in turns if turn.ref is not None]
    if len(set(refs)) < len(refs):
        raise IdentifierInvalidError("expected every turn of a chat to have a ref of its own")


def _is_turn(given: object) -> bool:
    return isinstance(given, Turn) and isinstance(given.role, SpeakerRole)


def _check_document(document: Document, limits: InputLimits) -> None:
    _expect("a SourceKind as kind of the document", document.kind, SourceKind)
    check_visible("document", document.text, limits.document_chars)
    check_text("file name", document.name, limits.name_chars)
    check_text("author", document.author, limits.name_chars)
    check_time("date of the document", document.written)


def _expect(what: str, value: object, *kinds: type) -> None:
    """Refuse a value of another type, which would fail further in with an error that quotes it."""
    if not isinstance(value, kinds):
        raise InputInvalidError(f"expected {what}")


def _check_count(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise InputTooLargeError(f"expected at most {limit} {what}, got {count}")


def _check_distinct(what: str, names: Iterable[str]) -> None:
    """Refuse two names that look alike: once stored, nobody could tell which one was meant."""
    seen: set[str] = set()
    for name in names:
        folded = unicodedata.normalize("NFKC", name).casefold().strip()
        if folded in seen:
            raise InputInvalidError(f"expected {what} that differ in more than case, width or blanks")
        seen.add(folded)


def _is_visible(char: str) -> bool:
    return unicodedata.category(char) not in _BLANK_CATEGORIES and char not in _BLANK_LETTERS
