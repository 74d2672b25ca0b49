"""The check of a drafted answer: each statement of it with the memory and span that bears it out, or what is missing.

Owns taking a draft apart and looking for memories, through the read path: each look is authorised, screened and
logged as a search of its own. It leaves the comparison to `vault.guarding.grounding`. Only what is verified, and does
not look like an injection, bears anything out. The draft is kept nowhere.
"""

from dataclasses import dataclass, field
from typing import Final

from policies.model import Principal, Purpose
from vault.errors import InputTooLargeError, TextEmptyError
from vault.guarding.grounding import ENOUGH, Ground, Missing, weigh
from vault.model import Span
from vault.pipeline.sentences import split_statements
from vault.read_path import Question, ReadPath

MAX_DRAFT: Final = 20_000
MAX_SENTENCES: Final = 50


@dataclass(frozen=True, slots=True)
class Supported:
    """One statement of a draft."""

    span: Span
    """Of it in the draft."""
    text: str = field(repr=False)
    """As it was screened."""
    memory_id: str | None
    """The memory that bears it out; None: none does."""
    source: Span | None
    """Of what bears it out, in the memory's masked text."""
    missing: tuple[Missing, ...]
    """What no memory bears out."""


@dataclass(frozen=True, slots=True)
class SupportAsked:
    """What one check asks for."""

    draft: str = field(repr=False)
    k: int
    purpose: Purpose
    subjects: tuple[str, ...] = ()
    emergency: str | None = None


def supported_by(read: ReadPath, principal: Principal, asked: SupportAsked) -> tuple[Supported, ...]:
    """Check a draft, statement by statement; what only asks is passed over.

    Raises:
        InputInvalidError: the draft is empty or too long.
        VaultError: as `ReadPath.retrieve`.
    """
    draft = asked.draft
    if type(draft) is not str or not draft.strip():
        raise TextEmptyError("expected a draft with text")
    statements = [one for one in split_statements(draft[: MAX_DRAFT + 1]) if not one.question]
    if len(draft) > MAX_DRAFT or len(statements) > MAX_SENTENCES:
        raise InputTooLargeError(f"expected at most {MAX_DRAFT} characters and {MAX_SENTENCES} statements")
    found = []
    for one in statements:
        question = Question(
            draft[one.span.start : one.span.end],
            asked.k,
            asked.purpose,
            asked.subjects,
            emergency=asked.emergency,
            verified=True,
        )
        answer = read.retrieve(principal, question)
        grounds = [
            Ground(hit.memory.id, hit.memory.text, hit.memory.provenance.speaker)
            for hit in answer.hits
            if not hit.memory.labels
        ]
        weighed = weigh(answer.masked_query, grounds, ENOUGH)
        stands = not weighed.missing
        found.append(
            Supported(
                one.span,
                answer.masked_query,
                weighed.by if stands else None,
                weighed.span if stands else None,
                weighed.missing,
            )
        )
    return tuple(found)
