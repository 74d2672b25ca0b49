"""Keep a text or a document as memories, each with the span that it was read from."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from policies.model import AccessTier, Action
from vault.errors import ContractError
from vault.model import Document, SourceKind
from vault.pipeline.contracts import (
    Contract,
    EpisodeId,
    MemoryIds,
    Operator,
    Scope,
    SubjectName,
    Text,
)

ShortText = Annotated[Text, Field(max_length=512)]


class Written(Contract):
    """A text, and what is known of it."""

    text: Text
    subject: SubjectName | None = None
    """Whom it is about; None: the principal's own notes."""
    kind: SourceKind = SourceKind.TEXT
    title: ShortText | None = None
    author: ShortText | None = None
    written: datetime | None = None
    access_tier: AccessTier = AccessTier.PRIVATE


class Kept(Contract):
    """What was kept."""

    memories: MemoryIds
    episode: EpisodeId


class ExtractText(Operator[Written, Kept]):
    """The write path, for documents."""

    name, version = "extract-text", 1
    actions = frozenset({Action.WRITE})
    input, output = Written, Kept
    about = "Keep a text or a document as memories, screened and sealed."

    def before(self, value: Written) -> None:
        """A transcript has an operator of its own, which knows who spoke."""
        if value.kind is SourceKind.CHAT:
            raise ContractError("expected a text, markdown or JSON; extract-chat takes transcripts")

    def run(self, scope: Scope, value: Written) -> Kept:
        """Write."""
        source = Document(
            text=value.text,
            kind=value.kind,
            title=value.title or "",
            author=value.author or "",
            written=value.written,
        )
        receipt = scope.memory.extract(source, subject=value.subject, access_tier=value.access_tier)
        return Kept(memories=receipt.memory_ids, episode=receipt.episode_id or "")

    def after(self, value: Written, result: Kept) -> None:  # noqa: ARG002  # the form of a postcondition
        """Something was kept."""
        if not result.memories:
            raise ContractError("expected at least one memory")


OPERATOR = ExtractText()
