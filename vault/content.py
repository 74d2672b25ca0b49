"""What stands inside the sealed fields of a memory or an episode, and its exact form in bytes.

A field that passed the privacy gate is `MaskedField`: its masked text and where tokens stand in it.
The values that tokens stand for are `Originals`, sealed in a field of their own, so that reading a
memory never opens them. All forms are compact JSON with short keys, and strict when read back: what
does not parse was tampered with, or written by another version. In reference memory the same bytes
stand compressed (`vault.compression`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from pydantic_core import from_json

from policies.privacy import EntityType
from vault.clock import from_microseconds, microseconds
from vault.compression import expanded
from vault.errors import TamperedError
from vault.model import (
    Annotations,
    Screened,
    Span,
    SpeakerRole,
    Statement,
    TimeMention,
    expect_screened,
)

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
_T = TypeVar("_T")
_VERSION: Final = 1
_JSON: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


class Mark(NamedTuple):
    """A token in a masked text."""

    entity_type: str
    span: Span


class MaskedField(NamedTuple):
    """A string as it may be shown, with the places of its tokens."""

    text: str = ""
    marks: tuple[Mark, ...] = ()

    @classmethod
    def of(cls, screened: Screened) -> "MaskedField":
        """Take the masked text and its marks; originals stay behind."""
        expect_screened(screened)
        if not screened.replacements:
            return cls(screened.text)
        return cls(screened.text, tuple([Mark(r.entity_type, r.masked) for r in screened.replacements]))

    def revealed(self, originals: Sequence[str | None]) -> str:
        """Put the originals back in their places; a redacted value keeps its mark.

        Raises:
            TamperedError: there are not as many originals as marks.
        """
        if len(originals) != len(self.marks):
            raise TamperedError("originals do not fit the marks of this field")
        pieces, end = [], 0
        for mark, original in zip(self.marks, originals, strict=True):
            if original is None:
                continue
            pieces += [self.text[end : mark.span.start], original]
            end = mark.span.end
        return "".join([*pieces, self.text[end:]])


Originals = Mapping[str, Sequence[str | None]]
"""Field name to the values that its tokens stand for, in order."""


class MemoryAttributes(NamedTuple):
    """Everything about a memory but its text."""

    owner: str
    """Repeats the row's owner inside the seal: a row given to another owner does not open."""
    role: SpeakerRole
    at: datetime | None
    source: Span
    speaker: MaskedField
    ref: MaskedField
    text_marks: tuple[Mark, ...]
    annotations: Annotations
    edited_by: str | None = None
    """Principal who wrote this version; None for the first."""


@dataclass(frozen=True, slots=True)
class EpisodeAttributes:
    """Title, name, tags and metadata of an episode, all screened."""

    owner: str
    title: MaskedField
    name: MaskedField
    at: datetime | None
    tags: tuple[MaskedField, ...] = ()
    metadata: tuple[tuple[MaskedField, MaskedField], ...] = ()
    originals: Originals = field(default_factory=dict, repr=False)
    """Sealed with the rest: an episode's attributes are opened as a whole, shown masked."""


def encode_memory_attributes(value: MemoryAttributes) -> bytes:
    """Return the bytes to seal."""
    notes = value.annotations
    return _dump(
        {
            "v": _VERSION,
            "o": value.owner,
            "r": value.role.value,
            "a": _time(value.at),
            "s": _span(value.source),
            "w": _field(value.speaker),
            "f": _field(value.ref),
            "m": _marks(value.text_marks),
            "st": [[s.span.start, s.span.end, int(s.question)] for s in notes.statements],
            "k": list(notes.keyphrases),
            "e": value.edited_by,
            "t": [
                [t.span.start, t.span.end, microseconds(t.start), microseconds(t.end)] for t in notes.times
            ],
        }
    )


def decode_memory_attributes(data: bytes) -> MemoryAttributes:
    """Invert `encode_memory_attributes`.

    Raises:
        TamperedError: the bytes are not of the form.
    """
    try:
        value = _load(data)
        return MemoryAttributes(
            owner=_of(str, value["o"]),
            role=SpeakerRole(_of(str, value["r"])),
            at=_untime(value["a"]),
            source=_unspan(value["s"]),
            speaker=_unfield(value["w"]),
            ref=_unfield(value["f"]),
            text_marks=_unmarks(value["m"]),
            edited_by=None if value["e"] is None else _of(str, value["e"]),
            annotations=Annotations(
                statements=tuple([_unstatement(row) for row in _of(list, value["st"])]),
                keyphrases=tuple([_of(str, phrase) for phrase in _of(list, value["k"])]),
                times=tuple([_untime_mention(row) for row in _of(list, value["t"])]),
            ),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        raise TamperedError("the attributes of this memory are not of the form they were sealed in") from None


def encode_episode_attributes(value: EpisodeAttributes) -> bytes:
    """Return the bytes to seal."""
    return _dump(
        {
            "v": _VERSION,
            "o": value.owner,
            "t": _field(value.title),
            "n": _field(value.name),
            "a": _time(value.at),
            "g": [_field(tag) for tag in value.tags],
            "m": [[_field(key), _field(entry)] for key, entry in value.metadata],
            "x": _originals(value.originals),
        }
    )


def decode_episode_attributes(data: bytes) -> EpisodeAttributes:
    """Invert `encode_episode_attributes`.

    Raises:
        TamperedError: the bytes are not of the form.
    """
    try:
        value = _load(data)
        return EpisodeAttributes(
            owner=_of(str, value["o"]),
            title=_unfield(value["t"]),
            name=_unfield(value["n"]),
            at=_untime(value["a"]),
            tags=tuple([_unfield(tag) for tag in _of(list, value["g"])]),
            metadata=tuple([(_unfield(key), _unfield(entry)) for key, entry in _of(list, value["m"])]),
            originals=_unoriginals(value["x"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        raise TamperedError(
            "the attributes of this episode are not of the form they were sealed in"
        ) from None


def decode_text(data: bytes) -> str:
    """Return a memory's text from the bytes that were sealed: UTF-8, or that compressed.

    Raises:
        TamperedError: the bytes are not of the form.
    """
    try:
        return expanded(data).decode()
    except UnicodeDecodeError:
        raise TamperedError("the text of this memory is not of the form it was sealed in") from None


def encode_originals(value: Originals) -> bytes:
    """Return the bytes to seal."""
    return _dump({"v": _VERSION, "x": _originals(value)})


def decode_originals(data: bytes) -> Originals:
    """Invert `encode_originals`.

    Raises:
        TamperedError: the bytes are not of the form.
    """
    try:
        return _unoriginals(_load(data)["x"])
    except (KeyError, TypeError, ValueError):
        raise TamperedError("the originals of this memory are not of the form they were sealed in") from None


def _dump(value: dict[str, Json]) -> bytes:
    return _JSON.encode(value).encode()


def _load(data: bytes) -> dict[str, Any]:
    # The parser keeps keys, which are ours, for the next time; content it must not keep.
    value = from_json(expanded(data), cache_strings="keys")
    if type(value) is not dict or value.get("v") != _VERSION:
        raise ValueError("expected another version")
    return value


def _of(kind: type[_T], value: object) -> _T:
    """Return a value of JSON if it is of this very kind: true and false are no numbers."""
    if type(value) is not kind:
        raise TypeError("expected another kind of value")
    return value


def _time(at: datetime | None) -> int | None:
    return None if at is None else microseconds(at)


def _untime(value: object) -> datetime | None:
    return None if value is None else from_microseconds(_of(int, value))


def _span(span: Span) -> Json:
    return [span.start, span.end]


def _unspan(value: Any) -> Span:  # noqa: ANN401  # whatever stood in the JSON
    start, end = value
    return Span(_of(int, start), _of(int, end))


def _unstatement(row: Any) -> Statement:  # noqa: ANN401  # as above
    start, end, question = row
    return Statement(Span(_of(int, start), _of(int, end)), _of(int, question) != 0)


def _untime_mention(row: Any) -> TimeMention:  # noqa: ANN401  # as above
    start, end, first, last = row
    span = Span(_of(int, start), _of(int, end))
    return TimeMention(span, from_microseconds(_of(int, first)), from_microseconds(_of(int, last)))


def _marks(marks: Sequence[Mark]) -> Json:
    return [[mark.entity_type, mark.span.start, mark.span.end] for mark in marks]


def _unmarks(value: object) -> tuple[Mark, ...]:
    return tuple([_unmark(row) for row in _of(list, value)])


def _unmark(row: Any) -> Mark:  # noqa: ANN401  # as above
    kind, start, end = row
    return Mark(EntityType(_of(str, kind)), Span(_of(int, start), _of(int, end)))


def _field(value: MaskedField) -> Json:
    return [value.text, _marks(value.marks)] if value.marks else value.text


def _unfield(value: object) -> MaskedField:
    if type(value) is str:
        return MaskedField(value)
    text, marks = _of(list, value)
    return MaskedField(_of(str, text), _unmarks(marks))


def _originals(value: Originals) -> dict[str, Json]:
    return {name: list(values) for name, values in value.items()}


def _unoriginals(value: object) -> Originals:
    return {
        name: tuple(None if item is None else _of(str, item) for item in _of(list, values))
        for name, values in _of(dict, value).items()
    }
