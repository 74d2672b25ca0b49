"""What the demonstration plays: a conversation, what is planted in it, and what is asked of it.

The shipped conversation is invented; every number in it is from a reserved or test range. Offsets in
the key file are half-open code points of a turn's text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from vault.errors import DocumentInvalidError
from vault.model import Chat
from vault.pipeline.chats import read_conversations
from vault.pipeline.limits import InputLimits

_SUBJECT: Final = "the patient of the demonstration"
_MAX_LOCOMO_QUESTIONS: Final = 12


@dataclass(frozen=True, slots=True)
class Planted:
    """A piece of personal data that stands in a turn."""

    ref: str
    start: int
    end: int
    kind: str
    value: str
    hard: str
    """Why it is hard to find; empty where it is not."""


@dataclass(frozen=True, slots=True)
class DemoQuestion:
    """A question with the turns that answer it."""

    text: str
    asks: str
    answer: str
    evidence: frozenset[str]


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that one demonstration needs."""

    name: str
    subject: str
    chats: tuple[Chat, ...]
    planted: tuple[Planted, ...]
    questions: tuple[DemoQuestion, ...]


def shipped_story() -> Story:
    """Return the story that ships with the package."""
    folder = resources.files("api.demo")
    key = json.loads(folder.joinpath("planted.json").read_text(encoding="utf-8"))
    payload = folder.joinpath("conversation.json").read_bytes()
    chats = tuple(chat for one in read_conversations(payload, InputLimits()) for chat in one.chats)
    return Story(
        name="an invented patient and a clinic's assistant",
        subject=_SUBJECT,
        chats=chats,
        planted=tuple(
            Planted(row["ref"], row["start"], row["end"], row["kind"], row["value"], row["hard"])
            for row in key["planted"]
        ),
        questions=tuple(
            DemoQuestion(row["question"], row["asks"], row["answer"], frozenset(row["evidence"]))
            for row in key["questions"]
        ),
    )


def read_story(path: Path) -> Story:
    """Read a story from a chat file of our own or of the LoCoMo format; of several conversations, the first.

    Raises:
        InputInvalidError: or one of its kinds: it is neither.
    """
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise DocumentInvalidError(f"the file cannot be read: {error.strerror}") from None
    conversations = read_conversations(payload, InputLimits())
    first = conversations[0]
    which = "" if len(conversations) == 1 else f", conversation {first.id}, the first of {len(conversations)}"
    return Story(
        f"{path.name}{which}", f"the subject of {path.name}", first.chats, (), _locomo_questions(payload)
    )


def _locomo_questions(payload: bytes) -> tuple[DemoQuestion, ...]:
    content = json.loads(payload)
    first = content[0] if isinstance(content, list) and content else content
    rows = first.get("qa", []) if isinstance(first, Mapping) else []
    usable = [row for row in rows if isinstance(row, Mapping) and row.get("question") and row.get("evidence")]
    return tuple(
        DemoQuestion(
            text=str(row["question"]),
            asks=f"category {row.get('category', '?')}",
            answer=str(row.get("answer", row.get("adversarial_answer", ""))),
            evidence=frozenset(map(str, row["evidence"])),
        )
        for row in usable[:: max(1, len(usable) // _MAX_LOCOMO_QUESTIONS)][:_MAX_LOCOMO_QUESTIONS]
    )
