"""Bodies: what callers send. Unknown fields are refused; bounds of size are the vault's input limits.

Owns the shapes and their translation into the vault's values. No body names a tenant or a principal:
both come from the API key alone.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.strict_json import MAX_KEYS
from policies.model import AccessTier, Purpose
from vault.model import Chat, Document, Source, SourceKind, SpeakerRole, Turn
from vault.pipeline.chats import read_time
from vault.pipeline.limits import MEMORIES_OF_A_WRITE
from vault.queueing.task import Priority, TaskKind

Whole = Annotated[int, Field(strict=True)]
# Lists end at their first faulty entry: a million faults would cost seconds to tell.
Tags = Annotated[list[str], Field(max_length=MAX_KEYS, fail_fast=True)]
Metadata = Annotated[dict[str, str], Field(max_length=MAX_KEYS)]
Subject = str | Annotated[list[str], Field(max_length=MAX_KEYS, fail_fast=True)] | None
PurposeField = Annotated[
    Purpose | None,
    Field(description="Why; or say it in the Memvault-Purpose header", examples=["treatment"]),
]
TimeField = Annotated[
    str | None,
    Field(
        description="ISO 8601; universal time where no offset stands", examples=["2026-01-05T09:00:00+00:00"]
    ),
]


class Body(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TurnBody(Body):
    """One utterance."""

    text: Annotated[str, Field(examples=["My phone is 212-555-0147."])]
    speaker: str = ""
    role: SpeakerRole = SpeakerRole.USER
    at: TimeField = None
    ref: str | None = None
    """Your own id of the turn."""

    def turn(self) -> Turn:
        """Return the vault's value.

        Raises:
            TimeInvalidError: the time is unreadable.
        """
        at = None if self.at is None else read_time("time of a turn", self.at)
        return Turn(self.speaker, self.text, self.role, at, self.ref)


class ChatBody(Body):
    """One session of a conversation."""

    turns: Annotated[list[TurnBody], Field(max_length=MEMORIES_OF_A_WRITE, fail_fast=True)]
    started: TimeField = None
    title: str = ""
    tags: Tags = []
    metadata: Metadata = {}


class DocumentBody(Body):
    """One document."""

    text: str
    kind: Annotated[SourceKind, Field(description="text, markdown or json")] = SourceKind.TEXT
    name: str = ""
    """File name."""
    title: str = ""
    author: str = ""
    written: TimeField = None
    tags: Tags = []
    metadata: Metadata = {}

    @model_validator(mode="after")
    def _is_a_document(self) -> Self:
        if self.kind is SourceKind.CHAT:
            raise ValueError("expected a kind of document: a chat has a field of its own")
        return self


class ExtractBody(Body):
    """One chat or one document to write."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject": "patient 17",
                    "purpose": "treatment",
                    "chat": {
                        "started": "2026-01-05T09:00:00+00:00",
                        "turns": [
                            {"speaker": "Ana", "role": "user", "text": "My left knee hurts since Monday."},
                            {"speaker": "Assistant", "role": "assistant", "text": "I have noted that."},
                        ],
                    },
                }
            ]
        }
    )
    chat: ChatBody | None = None
    document: DocumentBody | None = None
    subject: Subject = None
    """Whom it is about, in your own words; several make a joint key; none is your own notes."""
    access_tier: AccessTier = AccessTier.PRIVATE
    """Who it is open to."""
    purpose: PurposeField = None

    @model_validator(mode="after")
    def _is_one_source(self) -> Self:
        if (self.chat is None) == (self.document is None):
            raise ValueError("expected either a chat or a document")
        return self

    def source(self) -> Source:
        """Return the vault's value.

        Raises:
            TimeInvalidError: a time is unreadable.
        """
        chat, document = self.chat, self.document
        if chat is not None:
            return Chat(
                turns=tuple(turn.turn() for turn in chat.turns),
                started=None if chat.started is None else read_time("start of the chat", chat.started),
                title=chat.title,
                tags=tuple(chat.tags),
                metadata=dict(chat.metadata),
            )
        if document is None:
            raise TypeError("expected one source: the body was not validated")
        return Document(
            text=document.text,
            kind=document.kind,
            name=document.name,
            title=document.title,
            author=document.author,
            written=None if document.written is None else read_time("date of the document", document.written),
            tags=tuple(document.tags),
            metadata=dict(document.metadata),
        )


class RetrieveBody(Body):
    """A question."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "which knee hurts?", "k": 5, "purpose": "treatment"}]}
    )
    query: str
    k: Whole = 10
    """How many memories, 1 to 200."""
    subject: Subject = None
    """Only memories about these."""
    reveal: bool = False
    """Show originals where that is allowed for this purpose."""
    purpose: PurposeField = None


class ContextBody(Body):
    """A question, and the budget of what a model is shown for it."""

    query: str
    tokens: Whole = 2_000
    """Budget of the whole block."""
    k: Whole = 8
    """How many memories the question may bring into it, 1 to 200."""
    window: str = ""
    """Name of the conversation; each keeps an order of its own."""
    subject: Subject = None
    """Only memories about these are looked for."""
    purpose: PurposeField = None


class UpdateBody(Body):
    """A new version of a memory's text."""

    text: str
    expected_version: Whole | None = None
    """Only if it still has this version."""
    purpose: PurposeField = None


class RevealBody(Body):
    """Why originals are to be shown."""

    purpose: PurposeField = None


class TaskBody(Body):
    """Work that is to be put off."""

    kind: TaskKind = TaskKind.ORGANIZE
    subject: str | None = None
    """None is your own notes."""
    priority: Priority = Priority.NORMAL
    key: str | None = None
    """The same key puts the same work off once."""
    purpose: PurposeField = None


class OrganizeBody(Body):
    """Whose memories are to be put in order."""

    subject: str | None = None
    """None is your own notes."""
    purpose: PurposeField = None
