"""Chat files: our own simple JSON and the LoCoMo format become `Chat`s.

Owns both shapes and their strict reading. It leaves decoding to `vault.pipeline.documents`, and the
limits of each chat to `vault.pipeline.segment`, which every chat passes before it is written.

Our format; `started`, `at` (ISO 8601, universal time where no offset stands), `title`, `tags`,
`metadata`, `role` (`user`, `assistant`, `other`; default `user`) and `ref` may be left out::

    {"sessions": [{"started": "2026-01-05T09:00:00+00:00", "title": "Intake", "tags": [], "metadata": {},
                   "turns": [{"speaker": "Ana", "role": "user", "text": "Good morning.", "ref": "1:0"}]}]}

LoCoMo's: `speaker_a`, `speaker_b`, `session_N` and `session_N_date_time` ("1:56 pm on 8 May, 2023")
under `conversation`, alone or in a list of samples. A photo's caption becomes ` [photo: caption]`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn

from vault.errors import DocumentInvalidError, InputTooLargeError, TextEmptyError, TimeInvalidError
from vault.model import Chat, SpeakerRole, Turn
from vault.pipeline.documents import decode
from vault.pipeline.limits import InputLimits, check_source, check_text, check_time
from vault.pipeline.months import MONTHS

_SESSION: Final = re.compile(r"session_([0-9]{1,6})")
_LOCOMO_TIME: Final = re.compile(r"(\d{1,2}):(\d{2}) ([ap])m on (\d{1,2}) ([A-Za-z]+), (\d{1,4})", re.ASCII)
# A string is passed over whole; one that is not closed ends at the text's end.
_BRACKET: Final = re.compile(r'[\[\]{}]|"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_CHAT_KEYS: Final = frozenset({"started", "title", "tags", "metadata", "turns"})
_TURN_KEYS: Final = frozenset({"speaker", "role", "text", "at", "ref"})
_NOON: Final = 12

# What `json` gives; objects are checked for repeated keys while they are read.
_Json = str | int | float | bool | None | Sequence["_Json"] | Mapping[str, "_Json"]


@dataclass(frozen=True, slots=True)
class Conversation:
    """The chats of one LoCoMo sample, or of one file of ours, which has no id."""

    id: str
    chats: tuple[Chat, ...]


def read_chats(payload: bytes, limits: InputLimits) -> tuple[Chat, ...]:
    """Read a chat file of either format; chats of all its conversations, in the file's order.

    Raises:
        DocumentInvalidError: neither of the two shapes, or no JSON.
        InputTooLargeError: more than the limits allow.
        TextEmptyError: no chat, or a turn without a visible character.
        TextInvalidError: not UTF-8, or text that cannot be stored.
        TimeInvalidError: a time that is none, or outside the years 1 to 9999.
    """
    return tuple(chat for conversation in read_conversations(payload, limits) for chat in conversation.chats)


def read_conversations(payload: bytes, limits: InputLimits) -> tuple[Conversation, ...]:
    """Read a chat file as `read_chats` does, and keep its conversations apart.

    Raises:
        InputInvalidError: as `read_chats`.
    """
    content = _parse(decode(payload, limits.document_bytes), limits.json_depth)
    conversations = tuple(_conversations(content, limits))
    chats = [chat for conversation in conversations for chat in conversation.chats]
    if not chats:
        raise TextEmptyError("expected a file with at least one chat")
    if len(chats) > limits.sessions:
        raise InputTooLargeError(f"expected at most {limits.sessions} chats, got {len(chats)}")
    for chat in chats:
        check_source(chat, limits)
    return conversations


def read_time(field: str, written: str) -> datetime:
    """Read an ISO 8601 time; one without an offset is universal time.

    Raises:
        TimeInvalidError: not such a time, or outside the years 1 to 9999.
    """
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        raise TimeInvalidError(f"expected the {field} as ISO 8601 between the years 1 and 9999") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    check_time(field, at)
    return at


def _parse(text: str, depth: int) -> _Json:
    _check_depth(text, depth)
    try:
        content: _Json = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise DocumentInvalidError(
            f"expected one JSON value, got something else at character {error.pos}"
        ) from None
    except (ValueError, RecursionError):
        raise DocumentInvalidError("expected JSON whose numbers are of a usual size") from None
    return content


def _check_depth(text: str, depth: int) -> None:
    """Refuse deep nesting before the standard library's recursive reader sees the text."""
    nested = 0
    for found in _BRACKET.finditer(text):
        mark = found.group()
        nested += (mark in "[{") - (mark in "]}")
        if nested > depth:
            raise DocumentInvalidError(
                f"expected JSON nested at most {depth} deep, got more at {found.start()}"
            )


def _no_constant(_name: str) -> NoReturn:
    raise DocumentInvalidError("expected numbers of JSON: no NaN and no infinity")


def _object(pairs: list[tuple[str, _Json]]) -> dict[str, _Json]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise DocumentInvalidError("expected JSON objects without a repeated key")
    return content


def _conversations(content: _Json, limits: InputLimits) -> Iterator[Conversation]:
    if isinstance(content, Mapping) and "sessions" in content:
        sessions = _objects(content["sessions"], "sessions", limits.sessions)
        yield Conversation("", tuple(_chat(session, limits) for session in sessions))
        return
    samples = content if isinstance(content, Sequence) and not isinstance(content, str) else [content]
    yield from (_sample(sample, limits) for sample in _objects(samples, "samples", limits.sessions))


def _chat(session: Mapping[str, _Json], limits: InputLimits) -> Chat:
    _check_keys(session, _CHAT_KEYS, "a session")
    metadata = session.get("metadata", {})
    if not isinstance(metadata, Mapping):
        raise DocumentInvalidError("expected metadata as an object")
    started = _text(session, "started")
    return Chat(
        turns=tuple(_turn(turn) for turn in _objects(session.get("turns"), "turns", limits.turns)),
        started=read_time("start of a session", started) if started else None,
        title=_text(session, "title"),
        tags=tuple(_string(tag, "a tag") for tag in _list(session.get("tags", []), "tags")),
        metadata={key: _string(value, "a metadata value") for key, value in metadata.items()},
    )


def _turn(turn: Mapping[str, _Json]) -> Turn:
    _check_keys(turn, _TURN_KEYS, "a turn")
    role = _text(turn, "role") or SpeakerRole.USER.value
    if role not in frozenset(SpeakerRole):
        raise DocumentInvalidError(f"expected a role of {', '.join(SpeakerRole)}")
    at = _text(turn, "at")
    return Turn(
        speaker=_text(turn, "speaker"),
        text=_text(turn, "text"),
        role=SpeakerRole(role),
        at=read_time("time of a turn", at) if at else None,
        ref=_text(turn, "ref") or None,
    )


def _sample(sample: Mapping[str, _Json], limits: InputLimits) -> Conversation:
    """Read one LoCoMo sample, or a conversation that stands alone."""
    inner = sample.get("conversation", sample)
    if not isinstance(inner, Mapping) or not any(map(_SESSION.fullmatch, inner)):
        raise DocumentInvalidError("expected sessions, or a LoCoMo conversation with session_1 and so on")
    numbers = sorted(int(found.group(1)) for key in inner if (found := _SESSION.fullmatch(key)))
    _check_count("sessions", len(numbers), limits.sessions)
    chats = (_locomo_chat(inner, number, limits) for number in numbers)
    sample_id = _text(sample, "sample_id")
    check_text("sample_id", sample_id, limits.ref_chars)
    return Conversation(sample_id, tuple(chat for chat in chats if chat.turns))


def _locomo_chat(conversation: Mapping[str, _Json], number: int, limits: InputLimits) -> Chat:
    started = _text(conversation, f"session_{number}_date_time")
    turns = _objects(conversation[f"session_{number}"], "turns", limits.turns)
    return Chat(
        turns=tuple(map(_locomo_turn, turns)),
        started=_locomo_time(started) if started else None,
        title=f"Session {number}",
    )


def _locomo_turn(turn: Mapping[str, _Json]) -> Turn:
    caption = _text(turn, "blip_caption")
    text = f"{_text(turn, 'text')} [photo: {caption}]" if caption else _text(turn, "text")
    return Turn(speaker=_text(turn, "speaker"), text=text.strip(), ref=_text(turn, "dia_id") or None)


def _locomo_time(written: str) -> datetime:
    found = _LOCOMO_TIME.fullmatch(written.strip())
    month = MONTHS.get(found.group(5).lower()) if found else None
    if not found or not month:
        raise TimeInvalidError("expected the time of a session like '1:56 pm on 8 May, 2023'")
    hour, minute, half, day, _, year = found.groups()
    hour_of_day = int(hour) % _NOON + (_NOON if half == "p" else 0)
    try:
        return datetime(int(year), month, int(day), hour_of_day, int(minute), tzinfo=UTC)
    except ValueError:
        raise TimeInvalidError(
            "expected the time of a session to exist, between the years 1 and 9999"
        ) from None


def _check_keys(content: Mapping[str, _Json], known: frozenset[str], what: str) -> None:
    if not content.keys() <= known:
        raise DocumentInvalidError(f"expected {what} with no other keys than {', '.join(sorted(known))}")


def _text(content: Mapping[str, _Json], key: str) -> str:
    return _string(content.get(key) or "", key)


def _string(value: _Json, what: str) -> str:
    if not isinstance(value, str):
        raise DocumentInvalidError(f"expected {what} as a string")
    return value


def _list(value: _Json, what: str) -> Sequence[_Json]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise DocumentInvalidError(f"expected {what} as a list")
    return value


def _objects(value: _Json, what: str, limit: int) -> list[Mapping[str, _Json]]:
    entries = _list(value, what)
    _check_count(what, len(entries), limit)
    objects = [entry for entry in entries if isinstance(entry, Mapping)]
    if len(objects) < len(entries):
        raise DocumentInvalidError(f"expected {what} as a list of objects")
    return objects


def _check_count(what: str, count: int, limit: int) -> None:
    """Refuse too many before any of them is worked on."""
    if count > limit:
        raise InputTooLargeError(f"expected at most {limit} {what}, got {count}")
