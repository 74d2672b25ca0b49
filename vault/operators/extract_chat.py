"""Keep the transcript of a conversation as memories, each with who said it."""

import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from policies.model import AccessTier, Action
from vault.errors import ContractError
from vault.model import Chat, SpeakerRole, Turn
from vault.pipeline.contracts import (
    Contract,
    EpisodeId,
    MemoryIds,
    Operator,
    Scope,
    SubjectName,
    Text,
)

_LINE: Final = re.compile(r"(?P<speaker>[^:\n]{1,64}):[ \t]+(?P<text>\S.*)")
MAX_TURNS: Final = 2_000


class Transcript(Contract):
    """Lines of the form `Name: what was said`; a line without a name goes on with the one before."""

    transcript: Text
    assistants: Annotated[tuple[Text, ...], Field(max_length=20)] = ()
    """Names of those whose word is an assistant's: what only they said is a candidate."""
    subject: SubjectName | None = None
    started: datetime | None = None
    access_tier: AccessTier = AccessTier.PRIVATE


class Kept(Contract):
    """What was kept."""

    memories: MemoryIds
    episode: EpisodeId


class ExtractChat(Operator[Transcript, Kept]):
    """The write path, for conversations."""

    name, version = "extract-chat", 1
    actions = frozenset({Action.WRITE})
    input, output = Transcript, Kept
    about = "Keep the transcript of a conversation as memories, each with who said it."

    def before(self, value: Transcript) -> None:
        """It reads as a transcript."""
        turns_of(value)

    def run(self, scope: Scope, value: Transcript) -> Kept:
        """Write."""
        chat = Chat(turns_of(value), started=value.started)
        receipt = scope.memory.extract(chat, subject=value.subject, access_tier=value.access_tier)
        return Kept(memories=receipt.memory_ids, episode=receipt.episode_id or "")


def turns_of(value: Transcript) -> tuple[Turn, ...]:
    """Return the turns of a transcript.

    Raises:
        ContractError: its first line names nobody, or it has too many turns.
    """
    turns: list[tuple[str, list[str]]] = []
    for line in value.transcript.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is not None:
            turns.append((match["speaker"].strip(), [match["text"]]))
        elif line.strip():
            if not turns:
                raise ContractError("expected a transcript that begins with a name and a colon")
            turns[-1][1].append(line.strip())
    if not 1 <= len(turns) <= MAX_TURNS:
        raise ContractError(f"expected a transcript of 1 to {MAX_TURNS} turns")
    assistants = frozenset(value.assistants)
    return tuple(
        Turn(
            speaker,
            "\n".join(lines),
            SpeakerRole.ASSISTANT if speaker in assistants else SpeakerRole.USER,
        )
        for speaker, lines in turns
    )


OPERATOR = ExtractChat()
