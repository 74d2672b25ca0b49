"""Write one memory that says the most telling sentences of others, linked to each of them; no model."""

from collections import Counter
from typing import Annotated

from pydantic import Field

from policies.model import Action
from vault.errors import ContractError
from vault.model import Chat, EdgeKind, Memory, SpeakerRole, TrustState, Turn
from vault.pipeline.contracts import Contract, Count, MemoryId, Operator, Scope, SubjectName, Text
from vault.pipeline.keyphrases import keyphrases
from vault.pipeline.sentences import split_statements


class Sources(Contract):
    """Memories to distil, and how long the result may be."""

    memories: Annotated[tuple[MemoryId, ...], Field(min_length=1, max_length=100)]
    subject: SubjectName | None = None
    sentences: Annotated[int, Field(ge=1, le=20)] = 5
    title: Annotated[Text, Field(max_length=200)] = "Summary"


class Distilled(Contract):
    """The memory that was written."""

    memory: MemoryId
    sentences: Count
    sources: Count


class Distil(Operator[Sources, Distilled]):
    """Extractive: chooses sentences by the keyphrases that they share, and changes no word of them.

    Of the principal's own private memories alone, for the result is one: what others own, or share, is not copied
    into it. What was revoked or is disputed is left out. The result is a candidate, whoever said its sources: nobody
    has confirmed that these sentences tell the whole. The sources stay as they are: whether they may go is
    retention's affair.
    """

    name, version = "distil", 1
    actions = frozenset({Action.READ, Action.WRITE, Action.ORGANIZE})
    input, output = Sources, Distilled
    about = "Write one memory of the most telling sentences of others, linked to each; no model."

    def run(self, scope: Scope, value: Sources) -> Distilled:
        """Read, choose, write, link."""
        read = [scope.memory.get(one) for one in scope.memory.own(value.memories)]
        usable = [memory for memory in read if memory.trust in {TrustState.VERIFIED, TrustState.CANDIDATE}]
        chosen = telling(usable, value.sentences)
        if not chosen:
            raise ContractError("expected memories with at least one statement")
        text = " ".join(sentence for _, sentence in chosen)
        sources = tuple(dict.fromkeys(memory_id for memory_id, _ in chosen))
        chat = Chat((Turn(self.reference, text, SpeakerRole.ASSISTANT),), title=value.title)
        (made,) = scope.memory.extract(chat, subject=value.subject).memory_ids
        scope.memory.link(made, EdgeKind.DERIVED_FROM, sources)
        return Distilled(memory=made, sentences=len(chosen), sources=len(sources))

    def after(self, value: Sources, result: Distilled) -> None:
        """It came of what was given, and is none of it."""
        if result.memory in value.memories or not 1 <= result.sources <= len(value.memories):
            raise ContractError("expected a new memory of the given ones")


def telling(memories: list[Memory], limit: int) -> list[tuple[str, str]]:
    """Return the memory and text of the sentences that share most keyphrases, in the order of the sources."""
    found: list[tuple[str, str]] = []
    for memory in memories:
        for statement in split_statements(memory.text):
            sentence = memory.text[statement.span.start : statement.span.end].strip()
            if sentence and not statement.question and all(sentence != known for _, known in found):
                found.append((memory.id, sentence))
    weight = Counter(phrase for _, sentence in found for phrase in keyphrases(sentence))
    ranked = sorted(
        range(len(found)), key=lambda at: (-sum(weight[one] for one in keyphrases(found[at][1])), at)
    )
    return [found[at] for at in sorted(ranked[:limit])]


OPERATOR = Distil()
